"""Answers whether the process lives and whether it is ready.

It finds out nothing itself: the site tells it.
"""

import falcon

from reconciler.repo import storage
from reconciler.web.site import Check, Site


class Alive:
    """`/healthz`: it answers as long as the process can."""

    def on_get(self, _: falcon.Request, resp: falcon.Response) -> None:
        """Say so."""
        resp.cache_control = ["no-store"]
        resp.media = {"status": "ok"}

    on_head = on_get


class Ready:
    """`/readyz`: whether turns go round, the disk takes what is to be kept, and the forge answers."""

    def __init__(self, site: Site) -> None:
        """Ask this site."""
        self._site = site

    def on_get(self, _: falcon.Request, resp: falcon.Response) -> None:
        """200 when every condition holds, else 503; either way each of them by name."""
        checks = self._site.readiness()
        ready = all(check.good for check in checks.values())
        resp.status = falcon.HTTP_200 if ready else falcon.HTTP_503
        resp.cache_control = ["no-store"]
        resp.media = {
            "status": "ready" if ready else "not ready",
            "checks": {name: _shown(check) for name, check in checks.items()},
        }

    on_head = on_get


class Leads:
    """`/leader`: whether this is the reconciler that starts work, for whoever has to choose between several."""

    def __init__(self, site: Site) -> None:
        """Ask this site."""
        self._site = site

    def on_get(self, _: falcon.Request, resp: falcon.Response) -> None:
        """200 where it is, also where there is no other; else 503, with the name of the one that leads."""
        standing = self._site.standing()
        role = "alone" if standing is None else standing.role
        leads = role != "standby" and (standing is None or standing.stopped is None)
        resp.status = falcon.HTTP_200 if leads else falcon.HTTP_503
        resp.cache_control = ["no-store"]
        resp.media = {
            "role": role,
            "leader": standing.leader if standing is not None else None,
            "term": standing.term if standing is not None else None,
        }

    on_head = on_get


def _shown(check: Check) -> dict[str, str]:
    since = None if check.since is None else storage.timestamp(check.since)
    shown = {"status": check.status, "since": since, "detail": check.detail}
    return {key: value for key, value in shown.items() if value is not None}
