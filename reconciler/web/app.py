"""The web application: which path is answered by whom.

It serves nothing by itself; a server of its choice is run elsewhere.
"""

from wsgiref.types import WSGIApplication

import falcon

from reconciler.web import openapi, problems
from reconciler.web.api import Api
from reconciler.web.health import Alive, Leads, Ready
from reconciler.web.metrics import Answered, Metrics
from reconciler.web.pages import routes
from reconciler.web.pages.routes import Pages
from reconciler.web.pull import Dequeue, Heartbeat, Status
from reconciler.web.site import Site
from reconciler.web.tasks import OneTask, Tasks
from reconciler.web.webhooks import Existing, Webhook

WEBHOOKS = ("/webhooks/forgejo", "/webhooks/gitea", "/webhooks/github")


def app(site: Site, api: Api | None = None, pages: Pages | None = None) -> WSGIApplication:
    """The application over a site, and with an API and pages for people where there are some."""
    made: falcon.App[falcon.Request, falcon.Response] = falcon.App(middleware=[Existing(site), Answered(site)])
    made.set_error_serializer(problems.serialize)
    made.add_error_handler(Exception, problems.defect)
    for path in WEBHOOKS:
        made.add_route(path, Webhook(site))
    made.add_route("/healthz", Alive())
    made.add_route("/readyz", Ready(site))
    made.add_route("/leader", Leads(site))
    made.add_route(openapi.PATH, openapi.Described())
    if api is not None:
        made.add_route("/metrics", Metrics(api, site))
        made.add_route("/api/v1/dequeue", Dequeue(api))
        made.add_route("/api/v1/tasks", Tasks(api))
        made.add_route("/api/v1/tasks/{task_id}", OneTask(api))
        made.add_route("/api/v1/tasks/{task_id}/heartbeat", Heartbeat(api))
        made.add_route("/api/v1/tasks/{task_id}/status", Status(api))
    if pages is not None:
        routes.add(made, pages)
    return made
