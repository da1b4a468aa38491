"""The web application: which path is answered by whom.

It serves nothing by itself; a server of its choice is run elsewhere.
"""

from wsgiref.types import WSGIApplication

import falcon

from reconciler.web import openapi, problems
from reconciler.web.health import Alive, Ready
from reconciler.web.site import Site
from reconciler.web.webhooks import Webhook

WEBHOOKS = ("/webhooks/forgejo", "/webhooks/gitea", "/webhooks/github")


def app(site: Site) -> WSGIApplication:
    """The application over a site."""
    made: falcon.App[falcon.Request, falcon.Response] = falcon.App()
    made.set_error_serializer(problems.serialize)
    made.add_error_handler(Exception, problems.defect)
    for path in WEBHOOKS:
        made.add_route(path, Webhook(site))
    made.add_route("/healthz", Alive())
    made.add_route("/readyz", Ready(site))
    made.add_route(openapi.PATH, openapi.Described())
    return made
