"""`/metrics`: numbers for Prometheus, to this machine itself and to whoever has a token of the board.

It counts nothing itself: `fleetnumbers` tells of the fleet, `meters` of this process.
"""

from collections.abc import Iterator

import falcon
from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics import exposition as openmetrics

from reconciler.web import fleetnumbers, tokens
from reconciler.web.api import Api
from reconciler.web.site import Site

OPENMETRICS = "application/openmetrics-text"
TOKENLESS = "no token, or none of settings.board.token_sha256; send Authorization: Bearer TOKEN with one of those"


class Metrics:
    """`/metrics`."""

    def __init__(self, outside: Api, site: Site) -> None:
        """Ask there for the fleet, and the site's meters for what happened in this process."""
        self._api = outside
        self._registry = CollectorRegistry()
        self._registry.register(_Numbers(outside, site))
        ProcessCollector(registry=self._registry)

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """The numbers; 403 for an agent, whose token opens its own tasks only."""
        self._admit(req)
        resp.cache_control = ["no-store"]
        resp.vary = ["Accept"]
        if OPENMETRICS in (req.get_header("Accept") or ""):
            resp.content_type = openmetrics.CONTENT_TYPE_LATEST
            resp.data = openmetrics.generate_latest(self._registry)  # type: ignore[no-untyped-call]
        else:
            resp.content_type = CONTENT_TYPE_PLAIN_0_0_4
            resp.data = generate_latest(self._registry)

    on_head = on_get

    def _admit(self, req: falcon.Request) -> None:
        """Raise HTTPError 401, 403 or 429 where whoever asks may not read."""
        digests = self._api.reads.view.latest().desired.settings.board.token_sha256
        token = tokens.bearer(req.get_header("Authorization"))
        if token and tokens.fits(token, digests):
            return
        try:
            agent = self._api.reader(req)
        except falcon.HTTPUnauthorized as error:
            raise falcon.HTTPUnauthorized(description=TOKENLESS, challenges=[tokens.CHALLENGE]) from error
        if agent is not None:
            raise falcon.HTTPForbidden(description="an agent's token does not open the numbers of the whole fleet")


class _Numbers:
    """Both kinds of numbers, in the form in which the client library asks for them."""

    def __init__(self, outside: Api, site: Site) -> None:
        self._api, self._site = outside, site

    def describe(self) -> list[Metric]:
        """Nothing is known before somebody asks."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Every family."""
        yield from fleetnumbers.families(self._api, self._site.meters.looked_at)
        yield from self._site.meters.families()


class Answered:
    """Counts every answer of the application, by the template of its route."""

    def __init__(self, site: Site) -> None:
        """Count with this site's meters."""
        self._site = site

    def process_response(self, req: falcon.Request, resp: falcon.Response, _: object, __: bool) -> None:  # noqa: FBT001 - falcon calls it so
        """An answer is about to be sent."""
        self._site.meters.answered(req.uri_template, str(resp.status))
