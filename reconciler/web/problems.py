"""Says what is wrong with a request, as RFC 9457 wants it: `application/problem+json`.

No trace of the program's inside gets into an answer.
"""

import json
import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, NoReturn

import falcon

from reconciler.repo.schemas import Wrong

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"

MOST_NAMED = 5
"""How many errors a sentence names; the list has them all."""

_DETAILS = {
    404: "there is nothing at this path",
    405: "this path does not know the method; the header Allow names those that it knows",
    500: "the program met a defect; its log says more",
}


class Invalid(falcon.HTTPUnprocessableEntity):
    """A body or query that its schema does not take, or that cannot be meant; `errors` says where and why."""

    def __init__(self, errors: Sequence[Wrong]) -> None:
        """Keep each place."""
        super().__init__(description="; ".join(f"{one.path or '/'}: {one.message}" for one in errors[:MOST_NAMED]))
        self.errors = tuple(errors)


class Refused(falcon.HTTPConflict):
    """A run that is no more the agent's (`superseded`), or cannot move so (`conflict`)."""

    def __init__(self, word: str, said: str) -> None:
        """Keep the word beside the sentence."""
        super().__init__(description=f"{word}: {said}")
        self.word = word


def document(status: int, detail: str | None = None, more: Mapping[str, object] | None = None) -> bytes:
    """The problem as JSON; a status that stands for itself needs no detail."""
    phrase = HTTPStatus(status).phrase
    said = detail or _DETAILS.get(status, phrase)
    return json.dumps(
        {"type": "about:blank", "title": phrase, "status": status, "detail": said, **(more or {})}
    ).encode()


def serialize(_: falcon.Request, resp: falcon.Response, error: falcon.HTTPError) -> None:
    """Write a refusal into an answer."""
    resp.content_type = MEDIA_TYPE
    resp.cache_control = ["no-store"]
    more: dict[str, object] = {}
    match error:
        case Invalid(errors=errors):
            more["errors"] = [{"path": one.path, "message": one.message} for one in errors]
        case Refused(word=word):
            more["code"] = word
        case _:
            pass
    resp.data = document(error.status_code, error.description, more)


def defect(req: falcon.Request, _: falcon.Response, error: Exception, __: dict[str, Any]) -> NoReturn:
    """Report what nobody expected; whoever asked learns only that it happened."""
    log.error("%s %s met a defect of this program; please report it", req.method, req.path, exc_info=error)
    raise falcon.HTTPInternalServerError from error
