"""Answers with a page: its headers allow nothing but this program's own style and script, and it has a version.

It decides nothing about who may read.
"""

import falcon

from reconciler.web import etag

POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def page(req: falcon.Request, resp: falcon.Response, body: bytes, status: str = falcon.HTTP_200) -> None:
    """Answer with a page; whoever has the newest one is only told so."""
    secured(resp)
    resp.cache_control = ["private", "no-cache"]
    resp.vary = ["Cookie", "Authorization"]
    if status == falcon.HTTP_200:
        etag.answer(req, resp, body, falcon.MEDIA_HTML)
        return
    resp.status = status
    resp.content_type = falcon.MEDIA_HTML
    resp.cache_control = ["no-store"]
    resp.data = body


def secured(resp: falcon.Response) -> None:
    """Set the headers that every answer to a browser has."""
    resp.set_headers(HEADERS)
