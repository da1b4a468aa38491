"""Takes webhooks: verifies, keeps, answers; what they mean is found out later by somebody else.

Nothing that is not signed gets further than its own answer.
"""

from collections.abc import Mapping

import falcon

from reconciler.edges.meters import Arrival
from reconciler.forge import payloads
from reconciler.repo.inbox import Delivery
from reconciler.repo.journal import JournalFailed
from reconciler.web import api, bodies, documents, signature
from reconciler.web.documents import Unreadable
from reconciler.web.site import Site

MAX_NAME = 200
"""How much is kept of what an unsigned header says."""
RETRY_AFTER_S = 10
REFUSED: Mapping[int, Arrival] = {401: "bad_signature", 413: "too_large"}
OFF = "webhooks are off: no secret is set; settings.forge.webhook_secret_env names the variable for it"


class Existing:
    """Whether the addresses for webhooks are there at all, whatever the method: only while a secret is set."""

    def __init__(self, site: Site) -> None:
        """Ask this site."""
        self._site = site

    def process_resource(self, req: falcon.Request, _: falcon.Response, resource: object, __: object) -> None:
        """404 where they are not; 503 at a reconciler that stands by: the one that leads takes them."""
        standing = self._site.standing()
        if isinstance(resource, Webhook) and standing is not None and standing.role == "standby":
            self._count(req, "standby")
            raise api.standby(standing)
        if isinstance(resource, Webhook) and not self._site.secrets():
            self._count(req, "switched_off")
            self._site.refused(f"a webhook from {req.remote_addr} was refused: {OFF}")
            raise falcon.HTTPNotFound(description=OFF)

    def _count(self, req: falcon.Request, outcome: Arrival) -> None:
        """Count a webhook, not whatever else asks for its address."""
        if req.method == "POST":
            self._site.meters.arrived(outcome)


class Webhook:
    """One address for webhooks; which forge sent one is read from its headers."""

    def __init__(self, site: Site) -> None:
        """Keep what comes there."""
        self._site = site

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Keep a delivery: 202 once it is on disk, whether it was new or known, and whatever it says."""
        try:
            delivery = self._read(req)
            is_new = self._site.keep(delivery)
        except JournalFailed as error:
            self._site.meters.arrived("not_kept")
            self._site.refused(f"a webhook from {req.remote_addr} could not be kept: {error}")
            said = "the delivery could not be kept; have it sent again"
            raise falcon.HTTPServiceUnavailable(description=said, retry_after=RETRY_AFTER_S) from error
        except falcon.HTTPError as error:
            self._site.meters.arrived(REFUSED.get(error.status_code, "malformed"))
            self._site.refused(f"a webhook from {req.remote_addr} was refused: {error.description}")
            raise
        self._site.meters.arrived("accepted" if is_new else "duplicate")
        if is_new:
            self._site.arrived()
        resp.status = falcon.HTTP_202
        resp.media = {"status": "stored" if is_new else "known"}

    def _read(self, req: falcon.Request) -> Delivery:
        """A delivery that is signed and readable; raises HTTPError for any other."""
        bodies.json(req, "a webhook is application/json; set the content type of the webhook to that")
        body = bodies.whole(req)
        if not signature.verify(req.headers, body, self._site.secrets()):
            said = "no header signs this body with the secret; X-Forgejo-Signature or X-Hub-Signature-256 must"
            raise falcon.HTTPUnauthorized(description=said)
        try:
            documents.read(body)
        except Unreadable as error:
            raise falcon.HTTPBadRequest(description=str(error)) from error
        kind, event, event_type, name = payloads.detect(req.headers)
        return Delivery(
            kind=kind,
            event=event[:MAX_NAME],
            event_type=event_type[:MAX_NAME],
            id=name[:MAX_NAME],
            body=body,
            received_at=self._site.now(),
        )
