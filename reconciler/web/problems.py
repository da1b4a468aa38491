"""Says what is wrong with a request, as RFC 9457 wants it: `application/problem+json`.

No trace of the program's inside gets into an answer.
"""

import json
import logging
from http import HTTPStatus
from typing import Any, NoReturn

import falcon

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"

_DETAILS = {
    404: "there is nothing at this path",
    405: "this path does not know the method; the header Allow names those that it knows",
    500: "the program met a defect; its log says more",
}


def document(status: int, detail: str | None = None) -> bytes:
    """The problem as JSON; a status that stands for itself needs no detail."""
    phrase = HTTPStatus(status).phrase
    said = detail or _DETAILS.get(status, phrase)
    return json.dumps({"type": "about:blank", "title": phrase, "status": status, "detail": said}).encode()


def serialize(_: falcon.Request, resp: falcon.Response, error: falcon.HTTPError) -> None:
    """Write a refusal into an answer."""
    resp.content_type = MEDIA_TYPE
    resp.cache_control = ["no-store"]
    resp.data = document(error.status_code, error.description)


def defect(req: falcon.Request, _: falcon.Response, error: Exception, __: dict[str, Any]) -> NoReturn:
    """Report what nobody expected; whoever asked learns only that it happened."""
    log.error("%s %s met a defect of this program; please report it", req.method, req.path, exc_info=error)
    raise falcon.HTTPInternalServerError from error
