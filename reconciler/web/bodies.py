"""Reads the body of a request, within bounds.

It knows no endpoint, and never says more of a body than what is wrong with it.
"""

from typing import NoReturn

import falcon

from reconciler.repo import schemas
from reconciler.web import documents
from reconciler.web.documents import Unreadable
from reconciler.web.problems import Invalid

MAX_BODY = 1024 * 1024


def json(req: falcon.Request, wanted: str) -> None:
    """Refuse a body that is not declared as JSON; `wanted` says what to send instead."""
    if (req.content_type or "").partition(";")[0].strip().lower() != falcon.MEDIA_JSON:
        raise falcon.HTTPUnsupportedMediaType(description=wanted)


def whole(req: falcon.Request) -> bytes:
    """The whole body; raises HTTPError where it is too large, or ends too early."""
    length = req.content_length or 0
    if length > MAX_BODY:
        _too_large()
    body: bytes = req.bounded_stream.read(MAX_BODY + 1)
    if len(body) > MAX_BODY:
        _too_large()
    if len(body) < length:
        raise falcon.HTTPBadRequest(description="the body ends before its Content-Length")
    return body


def message(req: falcon.Request, kind: str) -> dict[str, object]:
    """The message that the body holds, valid by the schema of its kind; raises HTTPError for any other."""
    json(req, "the body is application/json; say so in Content-Type")
    try:
        value = documents.value(whole(req))
    except Unreadable as error:
        raise falcon.HTTPBadRequest(description=str(error)) from error
    wrong = schemas.wrong(kind, value)
    if wrong or not isinstance(value, dict):
        raise Invalid(wrong)
    return value


def _too_large() -> NoReturn:
    raise falcon.HTTPContentTooLarge(description=f"the body is larger than {MAX_BODY} bytes")
