"""A reconciler's loop over a real fleet, for agents that ask for work: they are threads, and the clock can be set."""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from reconciler.core.events import Event
from reconciler.core.observed import Asking, ObservedTask
from reconciler.edges import Edges
from reconciler.edges.desk import Given
from reconciler.loop import Ended, Loop, Options, Told
from reconciler.repo.desired.files import DesiredFiles
from reconciler.repo.fleet import Fleet
from reconciler.repo.journal import Journal
from tests.edges import Memory, nothing, plain
from tests.recording import opened

LONG_S = 60.0
FOR_EVER = Options()
TASK = "title: t\ngoal: g\nexecution_mode: http_pull\n"
HOST = f"transport: pull\ntoken_sha256: ['{'0' * 64}']\n"


@dataclass
class Clock:
    """The time, as far ahead of the real one as a test wants."""

    ahead: timedelta = timedelta(0)

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead


@dataclass
class Working:
    """A loop that turns in a thread of its own."""

    edges: Edges
    pool: ThreadPoolExecutor
    stop: threading.Event = field(default_factory=threading.Event)
    ended: Future[Ended] = field(default_factory=Future)

    def asks(self, host: str = "bot", *, key: str | None = None, wait_s: float = 0.0) -> Future[Given | None]:
        """An agent asks, in a thread of its own."""
        return self.pool.submit(self.edges.desk.ask, Asking(host=host, claim=key), wait_s)

    def gets(self, host: str = "bot", *, key: str | None = None, wait_s: float = 0.0) -> Given | None:
        """What an agent gets that asks."""
        return self.asks(host, key=key, wait_s=wait_s).result(LONG_S)

    def says(self, task_id: str, event: Event) -> ObservedTask:
        """An agent reports, and the loop hears of it."""
        after = self.edges.branch.record(task_id, event)
        self.edges.changed()
        return after

    def seen(self, task_id: str) -> ObservedTask:
        return self.edges.branch.tasks().get(task_id, ObservedTask())


def write(fleet: Fleet, *, task: str = "", host: str = "", text: str) -> None:
    """A person writes a file of the fleet."""
    path = fleet.root / (f"state/tasks/{task}.yaml" if task else f"hosts/{host}.yaml")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(f"{path}.new")
    temporary.write_text(text)
    temporary.rename(path)


@contextmanager
def working(fleet: Fleet, clock: Clock, options: Options = FOR_EVER, *, reachable: bool = True) -> Iterator[Working]:
    """The loop at work, ended with the block."""
    with opened(fleet) as branch, ThreadPoolExecutor(64) as pool:
        journal = Journal(fleet.journal)
        ready: Future[Working] = Future()
        thread = threading.Thread(
            target=lambda: asyncio.run(
                _turning(_Memory(fleet, branch, journal, reachable), clock, pool, ready, options)
            ),
            daemon=True,
        )
        thread.start()
        work = ready.result(LONG_S)
        try:
            yield work
        finally:
            work.stop.set()
            work.edges.changed()
            work.edges.desk.close()
            thread.join(LONG_S)
            journal.close()


@dataclass(frozen=True, slots=True)
class _Memory(Memory):
    reachable: bool


async def _turning(
    memory: _Memory, clock: Clock, pool: ThreadPoolExecutor, ready: Future[Working], options: Options
) -> None:
    here, wake, stop = asyncio.get_running_loop(), asyncio.Event(), asyncio.Event()

    def changed() -> None:
        if not here.is_closed():
            here.call_soon_threadsafe(wake.set)

    edges = plain(memory, clock.now, changed=changed)
    if memory.reachable:
        edges.desk.open()
    work = Working(edges, pool)
    files = DesiredFiles(memory.fleet.root, journal=memory.journal, secret=nothing, key=b"")
    told = Told(problem=lambda _: None, mended=lambda _: None, put_back=lambda _: None)
    loop = Loop(edges, files, told, wake, lambda _: stop.set() if work.stop.is_set() else None)
    ready.set_result(work)
    try:
        work.ended.set_result(await loop.run(options, stop))
    except Exception as error:
        work.ended.set_exception(error)
        raise
    finally:
        edges.desk.close()
