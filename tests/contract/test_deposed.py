"""A reconciler that another one has taken over from: what it still tries on hosts is refused, and left to the other."""

import asyncio
import logging
import math
import os
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from reconciler.core.actions import Action, Collect, GiveUp, Launch, Stop
from reconciler.core.command import Command, Completed
from reconciler.core.desired import Adapter, Desired, Document, Host, Settings, Task
from reconciler.core.observed import Meta, Observed, ObservedTask, Run, Sighting
from reconciler.core.script import poll
from reconciler.core.terms import Delivery, Kind, Outcome, Phase, StopReason
from reconciler.dispatch import Dispatcher
from reconciler.edges import Edges
from reconciler.edges.lead import Held, Lead
from reconciler.repo import git
from reconciler.repo.fleet import Fleet
from reconciler.repo.journal import Journal
from reconciler.repo.observed.funnel import ObservedBranch
from reconciler.transport.local import Local
from reconciler.watching.folders import Watched
from reconciler.watching.hostwatch import HostWatch
from tests.edges import Memory, plain
from tests.recording import NOW, assigned, count, new_fleet, opened, own_git_config, person_commits, started
from tests.waiting import until

__all__ = ["own_git_config"]

FLEET = "0123456789ab"
NEWER = 9
READING = {"read", "read-meta", "inspect"}


class Recorded(Local):
    """This machine, and what was sent to it."""

    def __init__(self) -> None:
        super().__init__(os.environ)
        self.sent: list[Command] = []

    async def run(self, host_id: str, host: Host, command: Command) -> Completed:
        self.sent.append(command)
        return await super().run(host_id, host, command)


class Leading(Lead):
    """A term that is certain for ever, as far as its holder knows; counts how often that is put in doubt."""

    def __init__(self, bench: "Bench", term: int) -> None:
        held = Held(number=term, until_s=math.inf, remote="origin", url="")
        super().__init__(held, time.monotonic, lambda: None)
        self._bench = bench

    def doubt(self) -> None:
        super().doubt()
        self._bench.deposed += 1


@dataclass(kw_only=True)
class Bench:
    """One assigned task of a real fleet, whose host is this machine."""

    fleet: Fleet
    branch: ObservedBranch
    host: Host
    task: Task
    machine: Recorded = field(default_factory=Recorded)
    deposed: int = 0

    @property
    def root(self) -> Path:
        return Path(self.host.workdir) / FLEET

    @property
    def seen(self) -> ObservedTask:
        return self.branch.tasks()["fix"]

    @property
    def run(self) -> Run:
        return self.seen.runs[-1]

    @property
    def desired(self) -> Desired:
        return Desired(
            settings=Settings(keep_runs=0),
            tasks={"fix": Document(value=self.task, spec="a" * 40)},
            hosts={"localhost": Document(value=self.host, spec="h")},
            adapters={"shell": Document(value=Adapter(run=("sh",), prompt_text="goal"), spec="s")},
        )

    @asynccontextmanager
    async def dispatching(self, term: int) -> AsyncIterator[tuple[Edges, Dispatcher]]:
        """A reconciler that leads for the term, or believes so."""
        journal = Journal(self.fleet.journal)
        made = plain(Memory(self.fleet, self.branch, journal), lambda: NOW, os.environ.get)
        edges = replace(made, transports={"local": self.machine}, lead=Leading(self, term))
        dispatcher = Dispatcher(edges, lambda _host, _launched: None, lambda _host, _run: None)
        try:
            yield edges, dispatcher
        finally:
            await dispatcher.close()
            journal.close()

    def actions(self) -> list[Action]:
        """Everything that is done on hosts, at once."""
        return [
            Launch(task_id="fix", run=self.run, reuse=True),
            GiveUp(task_id="fix", run=self.run),
            Stop(task_id="fix", run=self.run, reason=StopReason.CANCELLED),
            Collect(task_id="fix", run=self.run),
        ]

    def ended(self) -> Observed:
        meta = Meta(
            run_id=self.run.run_id,
            task_id="fix",
            epoch=1,
            kind=Kind.IMPLEMENT,
            task=self.task,
            adapter_id="shell",
            adapter=Adapter(run=("sh",)),
            run_dir=str(self.root / "runs/fix.1"),
            workspace=str(self.root / "work/fix"),
            branch="task/fix",
            new_session="n",
        )
        return self.observed(Sighting(state="ended", exit_code=0, meta=meta))

    def observed(self, sighting: Sighting) -> Observed:
        return Observed(fleet=FLEET, tasks=self.branch.tasks(), sightings={self.run.run_id: sighting})

    async def done(self, dispatcher: Dispatcher, action: Action, observed: Observed) -> None:
        await dispatcher.act([action], self.desired, observed)
        await asyncio.to_thread(until, lambda: not dispatcher.busy)
        dispatcher.check()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    fleet = new_fleet(tmp_path / "fleet")
    new_fleet(tmp_path / "project")
    person_commits(tmp_path / "project", "README", "first\n")
    project = tmp_path / "project.git"
    git.run(tmp_path, "clone", "--quiet", "--bare", str(tmp_path / "project"), str(project))
    task = Task(title="t", goal="echo 1 >made", repository=str(project), branch="task/fix", delivery=Delivery.BRANCH)
    with opened(fleet, new_id=lambda: FLEET) as branch:
        branch.record("fix", assigned("fix"))
        yield Bench(fleet=fleet, branch=branch, host=Host(transport="local", workdir=str(tmp_path / "w")), task=task)


def test_effects_that_a_host_refuses_are_left_and_the_lease_is_looked_at(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    async def session() -> None:
        async with bench.dispatching(NEWER - 1) as (_, dispatcher):
            await bench.machine.run("localhost", bench.host, poll.poll(bench.host.workdir, FLEET, [], term=NEWER))
            await dispatcher.act(bench.actions(), bench.desired, bench.ended())
            await asyncio.to_thread(until, lambda: bench.deposed == len(bench.actions()))
            sent = len(bench.machine.sent)
            await dispatcher.act(bench.actions(), bench.desired, bench.ended())
            dispatcher.check()
            assert dispatcher.busy
            assert len(bench.machine.sent) == sent

    commits = count(bench.fleet)
    asyncio.run(session())
    assert {command.name for command in bench.machine.sent} == {"poll", "prepare", "give-up", "stop", "sweep"}
    assert count(bench.fleet) == commits
    assert bench.seen.phase is Phase.ASSIGNED
    assert sorted(path.name for path in bench.root.iterdir()) == ["runs", f"term.{NEWER}"]
    assert list((bench.root / "runs").iterdir()) == []
    warned = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(warned) == 1
    assert f"told of term {NEWER}" in warned[0]


def test_a_leader_puts_its_term_on_everything_that_it_sends_but_questions(bench: Bench) -> None:
    async def session() -> None:
        async with bench.dispatching(5) as (edges, dispatcher):
            await bench.done(dispatcher, Launch(task_id="fix", run=bench.run, reuse=True), bench.observed(_NOTHING))
            bench.branch.record("fix", started())
            watch = HostWatch("localhost", Document(value=bench.host, spec="h"), edges)
            watch.runs = {bench.run.run_id: Watched(task_id="fix", run=bench.run, workdir=bench.host.workdir)}
            watching = asyncio.create_task(watch.watch())
            await asyncio.to_thread(until, lambda: watch.sightings.get(bench.run.run_id, _NOTHING).state == "ended")
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
            seen = bench.observed(watch.sightings[bench.run.run_id])
            stopping = Stop(task_id="fix", run=bench.run, reason=StopReason.CANCELLED)
            await bench.done(dispatcher, stopping, seen)
            await bench.done(dispatcher, GiveUp(task_id="fix", run=bench.run), seen)
            await bench.done(dispatcher, Collect(task_id="fix", run=bench.run), seen)

    asyncio.run(session())
    terms = {command.name: command.words[2] for command in bench.machine.sent if command.name not in READING}
    changing = ("prepare", "launch", "probe", "poll", "stop", "give-up", "sweep", "deliver", "clean")
    assert terms == dict.fromkeys(changing, "5")
    assert bench.run.outcome is Outcome.SUCCEEDED
    assert bench.deposed == 0
    assert "term.5" in {path.name for path in bench.root.iterdir()}


_NOTHING = Sighting(state="absent")
