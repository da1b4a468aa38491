"""`reconcile`: turns until it is stopped, and prints a line for every transition.

What it does is the loop's part; here are signals and words.
"""

import asyncio
import logging
import signal
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from types import FrameType

from reconciler import roles
from reconciler.commands import pictures
from reconciler.commands.command import Command
from reconciler.commands.screen import Screen
from reconciler.commands.session import Session, WrongUsage
from reconciler.core.desired import Problem
from reconciler.core.events import Event
from reconciler.core.observed import ObservedTask
from reconciler.loop import Ended, Options, Told
from reconciler.opening import World
from reconciler.repo import storage
from reconciler.repo.fleet import Fleet
from reconciler.web import address
from reconciler.web.address import BadAddress
from reconciler.web.listening import Door

log = logging.getLogger("reconciler")
PLAIN = logging.Formatter()

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """How long to go on, and in which words."""

    once: bool = False
    until_idle: bool = False
    listen: str = ""
    no_listen: bool = False
    json: bool = False


def reconcile(session: Session, wanted: Wanted) -> int:
    """Make happen what the files say, and print one line per transition.

    Goes on until Ctrl-C or SIGTERM; runs that are under way go on without it, and the next start takes them up again.
    With `--until-idle` it stops when nothing is running or can start, and the exit code is 1 if a task that it saw
    failed or is blocked. Meanwhile it listens for webhooks and for agents that ask for work, at `listen` of the
    settings (127.0.0.1:8732), or where `--listen` says: with `--once` and `--until-idle` only then, with `--no-listen`
    never.

    With `remote` in the settings the fleet lives there: what people push counts, what happened is pushed, and of
    several reconcilers, each in a clone of its own, one leads; the others stand by and take over when it is gone.
    """
    if wanted.listen and wanted.no_listen:
        raise WrongUsage("--listen and --no-listen do not go together; leave one out")
    if wanted.once and wanted.until_idle:
        raise WrongUsage("--once and --until-idle do not go together; leave one out")
    fleet = session.fleet()
    teller = Teller(screen=session.screen, json=wanted.json, now=session.now)
    given = replace(world(session, teller), door=_door(session, wanted, teller))
    ended, stopped_by = run(fleet, Options(once=wanted.once, until_idle=wanted.until_idle), given)
    if stopped_by is not None:
        teller.warn("stopped; runs that are under way go on, and the next start takes them up again")
        return 0
    for task_id, reason in ended.waiting.items():
        teller.warn(f"{task_id} waits: {reason}")
    return 1 if wanted.until_idle and ended.unsettled else 0


def world(session: Session, teller: "Teller") -> World:
    """What the program gets from its surroundings; nothing listens."""
    return World(
        env=session.env,
        now=session.now,
        clock_s=session.outside.clock_s,
        told=teller.told(),
        recorded=teller.recorded,
        said=teller.said,
        warn=teller.warn,
    )


def _door(session: Session, wanted: Wanted, teller: "Teller") -> Door | None:
    """How to listen, if at all; WrongUsage where the address cannot be one."""
    bounded = wanted.once or wanted.until_idle
    if wanted.no_listen or (bounded and not wanted.listen):
        return None
    try:
        asked = address.parse(wanted.listen) if wanted.listen else None
    except BadAddress as error:
        raise WrongUsage(f"--listen: {error}") from error
    return Door(serve=session.outside.serve, told=teller.said, warn=teller.warn, asked=asked)


def run(fleet: Fleet, options: Options, world: World) -> tuple[Ended, signal.Signals | None]:
    """Reconcile until the end; how it ended, and the signal that stopped it, if one did.

    From the first moment to the last a signal only asks for a clean stop.
    """
    received: list[signal.Signals] = []
    wakers: list[Callable[[], object]] = []

    async def turn() -> Ended:
        stop = asyncio.Event()
        here = asyncio.get_running_loop()
        wakers.append(lambda: here.call_soon_threadsafe(stop.set))
        if received:
            stop.set()
        try:
            return await roles.reconcile(fleet, options, world, stop)
        finally:
            wakers.clear()

    def receive(number: int, _: FrameType | None) -> None:
        received.append(signal.Signals(number))
        for wake in wakers:
            wake()

    before = {number: signal.signal(number, receive) for number in SIGNALS}
    noted = Noted(world.warn)
    log.addHandler(noted)
    try:
        ended = asyncio.run(turn())
    finally:
        log.removeHandler(noted)
        for number, handler in before.items():
            signal.signal(number, handler)
    return ended, received[0] if received else None


class Noted(logging.Handler):
    """What the program logs, told as everything else is that nobody waits for: each line by itself."""

    def __init__(self, warn: Callable[[str], None]) -> None:
        """Tell `warn`, which makes one line of what it gets."""
        super().__init__(logging.WARNING)
        self._warn = warn

    def emit(self, record: logging.LogRecord) -> None:
        """Tell the message, and after it the lines of a traceback."""
        try:
            self._warn(record.getMessage())
            if record.exc_info is not None:
                for line in PLAIN.formatException(record.exc_info).splitlines():
                    self._warn(line)
        except OSError:
            self.handleError(record)


@dataclass(frozen=True, slots=True, kw_only=True)
class Teller:
    """Puts into words what the loop tells: one line each, or one JSON document per line."""

    screen: Screen
    now: Callable[[], datetime]
    json: bool = False
    indent: str = ""

    def told(self) -> Told:
        """What the loop calls for files."""
        return Told(problem=self.problem, mended=self.mended, put_back=self.put_back)

    def recorded(self, task_id: str, before: ObservedTask, after: ObservedTask, event: Event) -> None:
        """One transition; a fact that changes no phase is none."""
        if before.phase is after.phase:
            return
        if self.json:
            self.screen.json_line(
                {
                    "at": storage.timestamp(event.at),
                    "task": task_id,
                    "from": before.phase.value,
                    "to": after.phase.value,
                    "why": event.why,
                    "actor": event.actor,
                    "epoch": event.epoch,
                    "reason": after.reason,
                    "needs": after.needs,
                }
            )
            return
        needs = f": {after.needs}" if after.needs else ""
        move = f"{before.phase} -> {after.phase}"
        self._line(f"{event.at:%H:%M:%S} {task_id}: {move} ({event.why}){needs}", pictures.STYLES[after.phase])

    def problem(self, problem: Problem) -> None:
        """A file is wrong; its last good version stays in force."""
        self._line(f"{self._time()} {pictures.problem(problem)}", "red")

    def mended(self, problem: Problem) -> None:
        """A file is good again."""
        self._line(f"{self._time()} mended: {pictures.problem(problem)}", "green")

    def put_back(self, path: str) -> None:
        """Somebody edited what happened."""
        hint = (
            "it is written by the reconciler alone; ask for changes in the task's file (hold, release, cancel, retry)"
        )
        self._line(f"{self._time()} {path} was put back: {hint}", "yellow")

    def said(self, text: str) -> None:
        """Something about the program itself."""
        self._line(text, "dim")

    def warn(self, text: str) -> None:
        """Something that nobody waits for."""
        self.screen.note(f"reconciler: {text}")

    def _time(self) -> str:
        return f"{self.now():%H:%M:%S}"

    def _line(self, text: str, style: str) -> None:
        if self.json:
            self.screen.note(text)
        else:
            self.screen.line(f"{self.indent}{text}", style)
            self.screen.flush()


COMMANDS = (
    Command(
        name="reconcile",
        group="Run",
        does=reconcile,
        takes=Wanted,
        options={
            "once": "do what can be done at once, then stop; runs go on",
            "until_idle": "stop when nothing is running or can start",
            "listen": "where to listen for webhooks and agents: address:port, or :port for this machine alone",
            "no_listen": "listen nowhere",
            "json": "print one JSON document per transition",
        },
        example="reconciler reconcile\nreconciler reconcile --until-idle\nreconciler reconcile --listen :9000",
    ),
)
