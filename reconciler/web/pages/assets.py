"""`/static/...`: the few files that pages are made with, as they come with the program.

It looks at no disk for what is asked: what is not among them does not exist.
"""

import functools
from collections.abc import Mapping
from importlib import resources

import falcon

from reconciler.web import etag
from reconciler.web.pages import answers

FOLDER = resources.files("reconciler.web.pages") / "static"
MEDIA = {
    "pages.css": "text/css; charset=utf-8",
    "pages.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}


class Assets:
    """`/static/{name}`."""

    def on_get(self, req: falcon.Request, resp: falcon.Response, name: str) -> None:
        """The file; it may be kept by whoever got it, and asked for again by its version."""
        if name not in MEDIA:
            raise falcon.HTTPNotFound
        answers.secured(resp)
        resp.cache_control = ["public", "no-cache"]
        etag.answer(req, resp, _files()[name], MEDIA[name])

    on_head = on_get


@functools.cache
def _files() -> Mapping[str, bytes]:
    return {name: (FOLDER / name).read_bytes() for name in MEDIA}
