"""Serves the web application while a reconciler runs, and says in words where and with what.

It takes no request itself, and knows no server: that is handed in.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from wsgiref.types import WSGIApplication

from reconciler.core.desired import Desired, Settings
from reconciler.edges import Edges
from reconciler.edges.forgelink import ForgeLink
from reconciler.edges.reads import Reads
from reconciler.web import address
from reconciler.web.address import Address, BadAddress
from reconciler.web.api import Api
from reconciler.web.app import WEBHOOKS, app
from reconciler.web.bounded import Bounded
from reconciler.web.meters import Counted
from reconciler.web.pages.routes import Pages
from reconciler.web.readiness import Readiness
from reconciler.web.server import CannotListen, Serve, Server
from reconciler.web.site import Site
from reconciler.web.tokens import Tokens

log = logging.getLogger(__name__)

DEFAULT = Settings().listen


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """How to listen: with which server, where if not where the settings say, and who is told of it in one line each.

    `meters` count what happens in this process, whether it leads or stands by.
    """

    serve: Serve
    told: Callable[[str], None]
    warn: Callable[[str], None]
    asked: Address | None = None
    meters: Counted = field(default_factory=Counted)


@asynccontextmanager
async def listening(
    reads: Reads, door: Door | None, settings: Settings, edges: Edges | None = None
) -> AsyncIterator[Callable[[Desired], None]]:
    """Listen as long as the block lasts; it gets what is to be called after every turn. No door: nothing listens.

    Without `edges` this process stands by, and only answers who reads. Raises CannotListen where somebody asked for the
    address; the built-in one is only missed.
    """
    if door is None:
        yield lambda _: None
        return
    clock = asyncio.get_running_loop().time
    readiness = Readiness(reads, edges.forge if edges is not None else None, clock)
    refusals = Bounded(log.warning, clock)
    served: list[Address] = []
    tokens = Tokens(lambda: reads.view.latest().desired, clock, refusals)
    api = Api(reads=reads, edges=edges, tokens=tokens, listens=lambda: served[0] if served else None)
    site = _site(edges, readiness, refusals) if edges is not None else _standby_site(reads, readiness, refusals)
    site = replace(site, meters=door.meters)
    pages = Pages(api=api, clock=clock, refused=refusals)
    server = await asyncio.to_thread(_serve, door, settings, app(site, api, pages), served.append)
    news = _News(edges.forge if edges is not None else None, door, settings)
    if server is not None:
        if edges is not None:
            edges.desk.open()
        door.told(f"listening on http://{server.address}")
        news.tell(settings)

    def turned(desired: Desired) -> None:
        readiness.turned()
        door.meters.looked(reads.now())
        if server is not None:
            news.tell(desired.settings)

    try:
        yield turned
    finally:
        if server is not None:
            await asyncio.to_thread(server.stop)
        refusals.close()


def _site(edges: Edges, readiness: Readiness, refused: Callable[[str], None]) -> Site:
    here = asyncio.get_running_loop()
    return Site(
        secrets=edges.forge.webhook_secrets,
        keep=edges.inbox.keep,
        arrived=lambda: _call(here, edges.delivered.set),
        readiness=readiness.checks,
        now=edges.now,
        refused=refused,
        standing=edges.reads.standing,
    )


def _standby_site(reads: Reads, readiness: Readiness, refused: Callable[[str], None]) -> Site:
    """The outside of an application that takes no webhook."""
    return Site(
        secrets=tuple,
        keep=lambda _: False,
        arrived=lambda: None,
        readiness=readiness.checks,
        now=reads.now,
        refused=refused,
        standing=reads.standing,
    )


def _call(here: asyncio.AbstractEventLoop, arrived: Callable[[], None]) -> None:
    """Tell the loop of a delivery, unless it has ended: the next one finds what was kept."""
    if not here.is_closed():
        here.call_soon_threadsafe(arrived)


def _serve(
    door: Door, settings: Settings, application: WSGIApplication, known: Callable[[Address], None]
) -> Server | None:
    """The server; `None` where nobody asked for the address and it cannot be had. `known` is told the real address."""
    where = door.asked if door.asked is not None else settings.listen
    try:
        place = where if isinstance(where, Address) else address.parse(where)
        server = door.serve(application, place)
    except (BadAddress, OSError) as error:
        why = (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
        if door.asked is None and settings.listen == DEFAULT:
            door.warn(
                f"nothing listens: {where}: {why}; no webhook or agent comes in (--listen ADDR takes another address)"
            )
            return None
        said = f"{where}: {why}; stop what listens there, name another with --listen ADDR or `listen` in"
        raise CannotListen(f"{said} state/settings.yaml, or say --no-listen") from error
    known(server.address)  # at once: who asks before that is taken for somebody from outside
    return server


class _News:
    """What was said last about webhooks and the address, so that it is said again only when it has changed."""

    def __init__(self, forge: ForgeLink | None, door: Door, settings: Settings) -> None:
        self._forge = forge
        self._door = door
        self._listen = settings.listen
        self._webhooks = ""

    def tell(self, settings: Settings) -> None:
        """Say what is new."""
        line = webhooks(self._forge) if self._forge is not None else self._webhooks
        if line != self._webhooks:
            self._webhooks = line
            self._door.told(line)
        if settings.listen != self._listen:
            self._listen = settings.listen
            if self._door.asked is None:
                self._door.told(f"listen is now {settings.listen} in the settings; that takes a restart")


def webhooks(link: ForgeLink) -> str:
    """Whether webhooks are taken, in one line; if not, what is missing."""
    forge = link.named
    if link.webhook_secrets():
        return f"webhooks: {next(path for path in WEBHOOKS if forge is not None and path.endswith(forge.kind))}"
    if forge is None:
        return "webhooks are off: state/settings.yaml names no forge (forge.webhook_secret_env names their secret)"
    if not forge.webhook_secret_env:
        return "webhooks are off: settings.forge.webhook_secret_env names no variable with their secret"
    names = " and ".join(forge.webhook_secret_env)
    verb = "is" if len(forge.webhook_secret_env) == 1 else "are"
    return f"webhooks are off: {names} of settings.forge.webhook_secret_env {verb} not set"
