"""Notifying over real HTTP and a real journal: once, at least once over crashes, and without waiting for anybody."""

import asyncio
import functools
import math
import sqlite3
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from reconciler.acting.notifying import Notifier
from reconciler.core.channels import Notify, Ntfy, Webhook
from reconciler.core.desired import Desired, Document, Settings, Task
from reconciler.core.notifications import Pace
from reconciler.core.observed import Observed, ObservedTask
from reconciler.core.standing import Standing
from reconciler.core.terms import Phase
from reconciler.edges import Edges
from reconciler.edges.lead import Held, Lead
from reconciler.edges.view import Picture
from reconciler.repo.fleet import Fleet
from reconciler.repo.journal import Journal, JournalFailed
from reconciler.repo.notified import Channels
from reconciler.repo.observed.funnel import ObservedBranch
from tests import waiting
from tests.contract.scripted import Reply, Scripted, scripted
from tests.edges import Memory, plain
from tests.recording import NOW, new_fleet, opened, own_git_config

__all__ = ["own_git_config"]

HASTE = Pace(gather=timedelta(0), apart=timedelta(0), retry_first=timedelta(0), retry_most=timedelta(0))
SECRET = "t0ken-that-nobody-may-see"  # noqa: S105 - of no server


@dataclass(kw_only=True)
class Bench:
    """A fleet whose tasks stand as a test says, and two channels to one server."""

    fleet: Fleet
    branch: ObservedBranch
    server: Scripted
    now: datetime = NOW
    tasks: dict[str, ObservedTask] = field(default_factory=dict)
    settings: Settings = field(default_factory=Settings)
    lead: Lead | None = None
    warned: list[str] = field(default_factory=list)
    make_journal: Callable[[Path], Journal] = Journal
    notifier: Notifier | None = None

    def hook(self, token: str | None = None) -> Webhook:
        return Webhook(url=f"{self.server.url}/hook", token_env=token)

    def use(self, **hooks: Webhook) -> None:
        self.settings = Settings(notify=Notify(webhook=hooks))

    def blocked(self, *task_ids: str, **keys: object) -> None:
        seen = ObservedTask(phase=Phase.BLOCKED, reason="auth", epoch=1, last_activity_at=self.now)
        self.tasks |= {name: replace(seen, **keys) for name in task_ids}  # type: ignore[arg-type] # any field

    def look(self) -> None:
        """What the loop does after a turn."""
        assert self.notifier is not None
        self.notifier.check()
        tasks = {name: Document(value=Task(title=f"Do {name}", goal="g"), spec="s") for name in self.tasks}
        self.notifier.look(Desired(settings=self.settings, tasks=tasks), Observed(fleet="f", tasks=dict(self.tasks)))

    def told(self, path: str = "/hook") -> list[list[str]]:
        """What each message told, by task."""
        return [[one["about"] for one in asked.body["notices"]] for asked in self.server.of(f"POST {path}")]

    def working(self, do: Callable[[], Awaitable[None]], pace: Pace = HASTE) -> None:
        """Do this beside a reconciler of its own."""

        async def session() -> None:
            async with AsyncExitStack() as closing:
                journal = self.make_journal(self.fleet.journal)
                closing.callback(journal.close)
                edges = self._edges(journal)
                edges.view.show(Picture(desired=Desired(settings=self.settings), observed=Observed(fleet="f")))
                self.notifier = Notifier(edges, pace)
                closing.push_async_callback(self.notifier.close)
                await do()

        asyncio.run(session())

    def _edges(self, journal: Journal) -> Edges:
        secret = {"TOKEN": SECRET}.get
        made = plain(Memory(self.fleet, self.branch, journal), lambda: self.now, secret)
        return replace(made, warn=self.warned.append, lead=self.lead)

    def kept(self, name: str = "a") -> Mapping[str, bool]:
        """What the journal says was told by the channel."""
        journal = Journal(self.fleet.journal)
        try:
            found = Channels(journal).known([f"webhook/{name}"]).get(f"webhook/{name}")
            return found.told if found is not None else {}
        finally:
            journal.close()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    fleet = new_fleet(tmp_path / "fleet")
    with scripted() as server, opened(fleet) as branch:
        server.script = {"POST /hook": Reply(data={}), "POST /": Reply(data={})}
        made = Bench(fleet=fleet, branch=branch, server=server)
        made.use(a=made.hook())
        yield made


async def until(look: Callable[[], object]) -> None:
    await asyncio.to_thread(waiting.until, look)


async def turning(bench: Bench, look: Callable[[], object]) -> None:
    """Turn as the loop does until that is so."""
    async with asyncio.timeout(20):
        while not look():
            bench.look()
            await asyncio.sleep(0.01)


def test_what_stands_is_told_once_over_turns_and_restarts_and_again_when_it_comes_again(bench: Bench) -> None:
    bench.blocked("fix", "other")

    async def turns() -> None:
        for _ in range(3):
            bench.look()
        await until(bench.told)
        bench.blocked("third")
        bench.look()
        await until(lambda: len(bench.told()) == 2)
        del bench.tasks["fix"]
        bench.look()
        await until(lambda: "blocked/fix/1.1.0/auth" not in bench.kept())
        bench.blocked("fix")
        bench.look()
        await until(lambda: len(bench.told()) == 3 and "blocked/fix/1.1.0/auth" in bench.kept())

    async def after_a_restart() -> None:
        bench.look()
        bench.blocked("last")
        bench.look()
        await until(lambda: len(bench.told()) == 4)

    bench.working(turns)
    bench.working(after_a_restart)
    assert bench.told() == [["fix", "other"], ["third"], ["fix"], ["last"]]
    assert bench.warned == []


def test_a_mass_of_causes_is_one_message_and_old_ones_are_none_for_a_fresh_journal(bench: Bench) -> None:
    bench.blocked(*(f"old{n}" for n in range(300)))
    bench.now += timedelta(hours=2)
    bench.blocked(*(f"t{n:03}" for n in range(60)))

    async def first_look() -> None:
        bench.look()
        await until(lambda: len(bench.kept()) == 360)

    bench.working(first_look)
    assert bench.told() == [sorted(f"t{n:03}" for n in range(60))]
    assert "And 40 more" in bench.server.asked[0].body["text"]
    assert len(bench.kept()) == 360


class Dying(Journal):
    """A journal that dies before or after its write with this number, as a killed process does."""

    def __init__(self, path: Path, at: int, *, after: bool) -> None:
        self._left, self._after = at, after
        super().__init__(path)

    def close(self) -> None:
        self._left = 0
        super().close()

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        self._left -= 1
        if self._left == 0 and not self._after:
            raise JournalFailed("killed")
        with super().writing() as connection:
            yield connection
        if self._left == 0:
            raise JournalFailed("killed")


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_killed_around_any_write_it_tells_at_least_once_and_with_the_same_id(bench: Bench, *, after: bool) -> None:
    died = []
    for number in range(1, 5):
        name, bench.tasks = f"c{number}", {}
        bench.use(**{name: bench.hook()})
        bench.blocked(name)

        def done(channel: str = name) -> bool:
            return f"blocked/{channel}/1.1.0/auth" in bench.kept(channel)

        async def until_the_crash(done: Callable[[], bool] = done, number: int = number) -> None:
            try:
                await turning(bench, done)
                await asyncio.sleep(0)
                bench.look()
            except JournalFailed:
                died.append(number)

        async def after_it(done: Callable[[], bool] = done) -> None:
            await turning(bench, done)

        bench.make_journal = functools.partial(Dying, at=number, after=after)
        bench.working(until_the_crash)
        bench.make_journal = Journal
        bench.working(after_it)
        messages = [asked.body["id"] for asked in bench.server.asked if asked.body["notices"][0]["about"] == name]
        assert messages
        assert len(set(messages)) == 1, "whoever compares ids sees one message"
    assert died[:2] == [1, 2], "the first are those that begin a channel; the third is that it took a message"
    if not after:
        assert len(bench.told()) == 5, "what was sent and not written down is sent once more"


def test_a_channel_that_hangs_delays_neither_the_loop_nor_another_channel(bench: Bench) -> None:
    released = threading.Event()
    bench.server.script["POST /slow"] = Reply(hang=released)
    bench.use(a=bench.hook(), slow=Webhook(url=f"{bench.server.url}/slow"))
    bench.blocked("fix")

    async def turns() -> None:
        began = time.monotonic()
        bench.look()
        assert time.monotonic() - began < 1.0
        await until(lambda: bench.told() and bench.told("/slow"))
        bench.blocked("other")
        bench.look()
        await until(lambda: len(bench.told()) == 2)
        assert bench.told("/slow") == [["fix"]]

    bench.working(turns)
    released.set()


def test_a_channel_that_refuses_is_a_problem_until_it_takes_what_waits(bench: Bench) -> None:
    bench.server.script["POST /hook"] = Reply(status=401, data={"error": f"not with {SECRET}"})
    bench.use(a=bench.hook("TOKEN"))
    bench.blocked("fix", needs=f"the agent printed {SECRET}")

    async def turns() -> None:
        notifier = bench.notifier
        assert notifier is not None
        bench.look()
        await until(lambda: notifier.problems(bench.now))
        (problem,) = notifier.problems(bench.now)
        assert problem.message.startswith("webhook/a takes no notifications since 2026-11-22T10:00:00Z: 127.0.0.1:")
        assert "refused it (401: not with ***)" in problem.message
        bench.server.script["POST /hook"] = Reply(data={})
        await until(lambda: not notifier.problems(bench.now))

    bench.working(turns)
    assert bench.told()[-1] == ["fix"]
    assert bench.server.asked[-1].body["notices"][0]["needs"] == "the agent printed ***"
    (warned,) = bench.warned
    assert warned.startswith("webhook/a was not told of blocked/fix/1.1.0/auth: ")
    assert SECRET not in warned


def test_a_secret_that_is_missing_is_named_and_nothing_is_sent(bench: Bench) -> None:
    bench.settings = Settings(notify=Notify(ntfy={"b": Ntfy(topic="t", server=bench.server.url, token_env="NO")}))  # noqa: S106 - a name
    bench.blocked("fix")

    async def turns() -> None:
        bench.look()
        await until(lambda: bench.warned)

    bench.working(turns, Pace(gather=timedelta(0)))
    assert bench.server.asked == []
    assert "NO is not set where the reconciler runs" in bench.warned[0]


class Doubtful(Lead):
    """A term that may have been taken by another one."""

    def __init__(self, *, certain: bool) -> None:
        until_s = math.inf if certain else -math.inf
        super().__init__(Held(number=1, until_s=until_s, remote="origin", url=""), time.monotonic, lambda: None)
        self.stand(Standing(role="leader", remote="origin", behind=1, behind_since=NOW - timedelta(minutes=6)))


def test_while_another_one_may_lead_only_the_lag_is_told_and_by_a_deposed_one_nothing(bench: Bench) -> None:
    bench.blocked("fix")

    async def in_doubt() -> None:
        bench.lead = Doubtful(certain=False)

    async def finished() -> None:
        bench.look()
        assert bench.notifier is not None
        await bench.notifier.finish()

    asyncio.run(in_doubt())
    bench.working(finished)
    assert bench.told() == [["origin"]]

    async def deposed() -> None:
        bench.lead = Doubtful(certain=True)
        bench.lead.depose("another one")

    asyncio.run(deposed())
    bench.working(finished)
    assert len(bench.told()) == 1

    async def certain() -> None:
        bench.lead = Doubtful(certain=True)

    asyncio.run(certain())
    bench.working(finished)
    assert bench.told() == [["origin"], ["fix"]]


def test_a_program_that_ends_by_itself_tells_first_and_waits_for_no_dead_channel(bench: Bench) -> None:
    bench.use(a=bench.hook(), b=Webhook(url="http://127.0.0.1:1/"))
    bench.blocked("fix")

    async def turns() -> None:
        bench.look()
        assert bench.notifier is not None
        await bench.notifier.finish()
        assert bench.told() == [["fix"]]

    bench.working(turns, Pace())
