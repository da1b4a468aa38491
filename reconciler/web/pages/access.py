"""Finds out who may read the pages: this machine itself, and from elsewhere whoever has a token of the settings.

The cookie of a browser is the token itself: nothing is kept here, and a token that is taken back opens nothing more.
"""

from collections.abc import Callable
from urllib.parse import parse_qs

import falcon

from reconciler.web import bodies, tokens
from reconciler.web.api import Api
from reconciler.web.pages import answers, rendering
from reconciler.web.tokens import CHALLENGE, Failures

COOKIE = "reconciler_board"
COOKIE_S = 30 * 24 * 3600
FORM = "application/x-www-form-urlencoded"


class Access:
    """Who may read. Safe for many threads."""

    def __init__(self, outside: Api, failures: Failures, refused: Callable[[str], None]) -> None:
        """`refused` is told in one line who was not let in."""
        self._api = outside
        self._failures = failures
        self._refused = refused

    def admits(self, req: falcon.Request, resp: falcon.Response) -> bool:
        """Whether whoever asks may read; if not, the answer is made: 401 with a form, 404 where nobody may, 429."""
        if self._api.is_own(req):
            return True
        digests = self._digests()
        if not digests:
            _say(req, resp, falcon.HTTP_404, "closed.html")
            return False
        cookie = next(iter(req.get_cookie_values(COOKIE) or ()), "")
        given = tokens.bearer(req.get_header("Authorization")) or cookie
        if given and tokens.fits(given, digests):
            return True
        self._refuse(req, resp, guessed=bool(given), after=req.relative_uri)
        return False

    def take(self, req: falcon.Request, resp: falcon.Response) -> None:
        """The form was sent: a right token becomes a cookie."""
        digests = self._digests()
        if not digests:
            _say(req, resp, falcon.HTTP_404, "closed.html")
            return
        form = _form(req)
        token, after = form.get("token", ""), _inside(form.get("after", "/"))
        if not token or not token.isascii() or not tokens.fits(token, digests):
            self._refuse(req, resp, guessed=True, after=after)
            return
        resp.set_cookie(COOKIE, token, max_age=COOKIE_S, path="/", secure=self._is_secure(req), same_site="Strict")
        _go(resp, after)

    def leave(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Have the browser forget the token."""
        resp.set_cookie(COOKIE, "", max_age=0, path="/", secure=self._is_secure(req), same_site="Strict")
        _go(resp, "/")

    def knows_cookie(self, req: falcon.Request) -> bool:
        """Whether it is a browser with a cookie that reads, and could forget it."""
        return bool(req.get_cookie_values(COOKIE))

    def _digests(self) -> tuple[str, ...]:
        return self._api.reads.view.latest().desired.settings.board.token_sha256

    def _refuse(self, req: falcon.Request, resp: falcon.Response, *, guessed: bool, after: str) -> None:
        peer = str(req.env.get("REMOTE_ADDR", ""))
        if guessed:
            self._refused(f"{req.method} of a page from {peer} was refused: no token of settings.board")
        wait_s = self._failures.note(peer) if guessed else None
        if wait_s is not None:
            resp.retry_after = wait_s
        status = falcon.HTTP_401 if wait_s is None else falcon.HTTP_429
        resp.append_header("WWW-Authenticate", CHALLENGE)
        _say(req, resp, status, "login.html", guessed=guessed, wait_s=wait_s, after=_inside(after))

    def _is_secure(self, req: falcon.Request) -> bool:
        """Whether browsers reach the page by TLS, and are to send the cookie by nothing else."""
        public = self._api.reads.view.latest().desired.settings.public_url or ""
        return public.startswith("https://") and req.get_header("X-Forwarded-Proto", default="https") == "https"


class Login:
    """`/login`: a token becomes a cookie."""

    def __init__(self, access: Access) -> None:
        """Ask there."""
        self._access = access

    def on_get(self, _: falcon.Request, resp: falcon.Response) -> None:
        """Whoever asks for the form again is led to the board, which has it where it is needed."""
        _go(resp, "/")

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Take the form."""
        self._access.take(req, resp)


class Logout:
    """`/logout`: the cookie is forgotten."""

    def __init__(self, access: Access) -> None:
        """Ask there."""
        self._access = access

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Forget it."""
        self._access.leave(req, resp)


def _say(req: falcon.Request, resp: falcon.Response, status: str, template: str, **values: object) -> None:
    answers.page(req, resp, rendering.render(template, values), status)


def _go(resp: falcon.Response, where: str) -> None:
    answers.secured(resp)
    resp.cache_control = ["no-store"]
    resp.status = falcon.HTTP_303
    resp.location = where


def _form(req: falcon.Request) -> dict[str, str]:
    """The fields of a form; raises HTTPError where the body is none."""
    if (req.content_type or "").partition(";")[0].strip().lower() != FORM:
        raise falcon.HTTPUnsupportedMediaType(description=f"the body is a form: {FORM}")
    try:
        fields = parse_qs(bodies.whole(req).decode("ascii"), max_num_fields=10, errors="replace")
    except ValueError as error:
        raise falcon.HTTPBadRequest(description="the body is no form") from error
    return {name: values[-1] for name, values in fields.items()}


def _inside(path: str) -> str:
    """A path of this application and no other place."""
    inside = path.startswith("/") and not path.startswith("//") and "\\" not in path
    return path if inside and path.isascii() and path.isprintable() else "/"
