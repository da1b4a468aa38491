"""`forge`: connects the repositories of the team's forge with this program, or checks that they are.

It reads the fleet and changes no file of it; secrets stand in no line that it prints.
"""

import asyncio
import ipaddress
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from reconciler.commands import connecting, progress, reading
from reconciler.commands.command import Command
from reconciler.commands.connecting import Finding, Wish
from reconciler.commands.reading import View
from reconciler.commands.session import NotGood, Session, WrongUsage
from reconciler.core import repositories
from reconciler.core.desired import Forge
from reconciler.forge.client import Client
from reconciler.repo import shapes
from reconciler.repo.remote.door import Remote

ACTIONS = ("setup", "check")
SHORTEST_SECRET = 16
"""Shorter ones can be guessed by trying."""

_STYLES = {"right": "green", "done": "green", "wrong": "red", "note": "yellow"}
_INSIDE = (".local", ".lan", ".internal", ".home.arpa")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The arguments of `forge`."""

    action: str
    url: str = ""
    rotate: bool = False
    check: bool = False
    json: bool = False


def forge(session: Session, asked: Asked) -> int:
    """Connect the forge: check the token, make or mend webhooks, and test them.

    The repositories are those of `forge.repositories` in the settings, else those of the tasks, and the fleet's own
    where it lives on a remote there. `forge check`, or --check, changes nothing. The exit code is 1 if something is
    wrong. `docs/forge.md` goes through it step by step.
    """
    if asked.action not in ACTIONS:
        raise WrongUsage(f'forge takes setup or check, not "{asked.action}": reconciler forge setup')
    changing = asked.action == "setup" and not asked.check
    if asked.rotate and not changing:
        raise WrongUsage("--rotate changes webhooks and a check does not: reconciler forge setup --rotate")
    view = reading.load(session)
    settings = _forge(view)
    wish = Wish(
        forge=settings,
        url=_address(asked.url or view.desired.settings.public_url or "", settings),
        repositories=_repositories(view, settings),
        secret=_secret(session, settings) if changing else None,
        rotate=asked.rotate,
    )
    token = _token(session, settings)
    with progress.working(session.screen, "asking the forge about repositories", total=len(wish.repositories)) as told:
        findings = [*asyncio.run(_connect(wish, token, told)), *_notes(wish)]
    if asked.json:
        session.screen.json({"url": wish.url, "findings": [shapes.plain(one) for one in findings]})
    else:
        for one in findings:
            session.screen.line(f"{one.repository or settings.kind}: {one.message}", style=_STYLES[one.state])
    return 1 if any(one.state == "wrong" for one in findings) else 0


async def look(session: Session, view: View) -> list[Finding]:
    """What `forge check` finds, for others. Raises NotGood and WrongUsage as it does."""
    settings = _forge(view)
    url = _address(view.desired.settings.public_url or "", settings)
    wish = Wish(forge=settings, url=url, repositories=_repositories(view, settings))
    return await _connect(wish, _token(session, settings))


async def _connect(wish: Wish, token: str, told: Callable[[int], None] | None = None) -> list[Finding]:
    client = Client(wish.forge, token)
    try:
        return await connecting.connect(client, wish, told)
    finally:
        await client.close()


def _forge(view: View) -> Forge:
    found = view.desired.settings.forge
    if found is None:
        broken = any(one.file.endswith("state/settings.yaml") for one in view.desired.problems)
        then = (
            "it has errors: reconciler validate" if broken else "write `forge: {kind: forgejo, url: https://...}` there"
        )
        raise NotGood(f"state/settings.yaml names no forge; {then} (docs/forge.md)")
    return found


def _address(base: str, settings: Forge) -> str:
    """Where webhooks are to go."""
    if not base:
        raise WrongUsage("where does the forge reach this program? Give --url https://..., or set public_url")
    try:
        split = urlsplit(base)
        well = split.scheme in {"http", "https"} and bool(split.hostname) and split.port != 0 and base.isprintable()
    except ValueError:
        well = False
    if not well or split.query or split.fragment or " " in base:
        raise WrongUsage(f'--url needs a URL such as https://agents.example.org, not "{base}"')
    path = f"/webhooks/{settings.kind}"
    return base.rstrip("/").removesuffix(path) + path


def _repositories(view: View, settings: Forge) -> tuple[str, ...]:
    tasks = (document.value for _, document in sorted(view.desired.tasks.items()))
    of_tasks = (repositories.of(task, settings) for task in tasks)
    found = settings.repositories or tuple(dict.fromkeys(one for one in of_tasks if one is not None))
    remote = view.desired.settings.remote
    fleet = repositories.at(Remote(view.fleet.top, remote).url(), settings) if remote is not None else None
    if fleet is not None and not any(repositories.same(fleet, one) for one in found):
        found = (*found, fleet)
    if not found:
        raise NotGood(
            "no repository to connect: list some in forge.repositories, or write a task with one of this forge"
        )
    return found


def _token(session: Session, settings: Forge) -> str:
    return _variable(session, settings.token_env, "forge.token_env", "a token for the forge's API")


def _secret(session: Session, settings: Forge) -> str:
    """The secret that new webhooks get: the first one."""
    name = settings.webhook_secret_env[0] if settings.webhook_secret_env else None
    what = "a long random word, such as `openssl rand -hex 32` makes"
    secret = _variable(session, name, "forge.webhook_secret_env", what)
    if len(secret) < SHORTEST_SECRET or secret != secret.strip():
        raise NotGood(f"{name} has to hold {what}: at least {SHORTEST_SECRET} characters, no space around them")
    return secret


def _variable(session: Session, name: str | None, key: str, what: str) -> str:
    """The value of the environment variable that the settings name."""
    if name is None:
        raise NotGood(f"{key} is not set in state/settings.yaml: name the variable there that holds {what}")
    value = session.env.get(name, "")
    if not value.strip():
        raise NotGood(f"{name} is not set: put {what} into it, here and where `reconciler reconcile` runs")
    return value


def _notes(wish: Wish) -> Iterator[Finding]:
    """What to know about a change that a look at the forge does not show."""
    if wish.secret is None:
        return
    host = urlsplit(wish.url).hostname or ""
    inside = _inside(host)
    if inside is not None:
        yield Finding(state="note", message=_unreachable(host, inside, wish.forge))
    if wish.rotate:
        yield Finding(state="note", message=_rotated(wish.forge.webhook_secret_env))
    where = "Settings, Webhooks, Recent Deliveries"
    yield Finding(
        state="note",
        message=f"a test delivery that arrived shows 202 on the forge, under {where} of the repository; "
        "`reconciler reconcile` must be running for that",
    )


def _unreachable(host: str, inside: str, settings: Forge) -> str:
    if settings.kind == "github" and "github.com" in settings.url:
        return f"GitHub does not reach {host}; without webhooks the poll every 2 minutes sees everything, later"
    where = "this machine" if inside == "loopback" else "in a private network"
    return (
        f"{host} is {where}: {settings.kind} sends nothing there unless its app.ini has, under [webhook], "
        f"ALLOWED_HOST_LIST = {inside} (or: external, {inside})"
    )


def _rotated(names: Sequence[str]) -> str:
    if len(names) > 1:
        return (
            f"deliveries come with the secret of {names[0]} or of {names[1]} for a while, and `reconciler reconcile` "
            f"must know both; once what was under way has come, take {names[1]} out of webhook_secret_env"
        )
    return (
        f"only {names[0]} is known: what is under way with the secret before is refused, and the poll makes up for it; "
        "to lose nothing, name both before the next rotation: webhook_secret_env: [NEW, OLD]"
    )


def _inside(host: str) -> str | None:
    """The word of ALLOWED_HOST_LIST for a host that is not out there; `None` for one that is, as far as can be said."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        if host == "localhost" or host.endswith(".localhost"):
            return "loopback"
        return "private" if "." not in host or host.endswith(_INSIDE) else None
    return "loopback" if address.is_loopback else "private" if address.is_private else None


COMMANDS = (
    Command(
        name="forge",
        group="Begin",
        does=forge,
        positional="action",
        takes=Asked,
        choices={"action": ACTIONS},
        options={
            "action": "setup, or check to change nothing",
            "url": "where the forge reaches this program; without it public_url of the settings",
            "rotate": "give the webhooks the first secret of webhook_secret_env: new ones in place of the old",
            "check": "change nothing, only say what is not right",
            "json": "print the findings as JSON",
        },
        example="reconciler forge setup --url https://agents.example.org\nreconciler forge check",
    ),
)
