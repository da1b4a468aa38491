"""Runs that end by the same time, collected by a real dispatcher over this machine, a real branch and journal."""

import asyncio
import os
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from reconciler.core.actions import Collect, Launch, Record
from reconciler.core.command import Command, Completed
from reconciler.core.desired import Adapter, Desired, Document, Host, Settings, Task
from reconciler.core.observed import Meta, Observed, Run, Sighting
from reconciler.core.terms import Delivery, Kind, Phase
from reconciler.dispatch import Dispatcher
from reconciler.repo.fleet import Fleet
from reconciler.repo.journal import Journal
from reconciler.repo.observed.funnel import ObservedBranch
from reconciler.transport.local import Local
from tests.edges import Memory, plain
from tests.recording import NOW, assigned, count, new_fleet, opened, own_git_config
from tests.waiting import until

__all__ = ["own_git_config"]

FLEET = "0123456789ab"
ADAPTER = "shell"
MANY = 200
TASKS = ("one", "two", "three")
UNREAD = "its host could not read stdout from byte 7 on: Input/output error"


class Recorded(Local):
    """This machine, and which commands were sent to it."""

    def __init__(self) -> None:
        super().__init__(os.environ)
        self.names: list[str] = []

    async def run(self, host_id: str, host: Host, command: Command) -> Completed:
        self.names.append(command.name)
        return await super().run(host_id, host, command)


@dataclass(kw_only=True)
class Bench:
    """Tasks without a repository, each with a run on this machine that has ended."""

    fleet: Fleet
    branch: ObservedBranch
    desired: Desired
    machine: Recorded = field(default_factory=Recorded)
    woken: int = 0

    def run(self, task_id: str) -> Run:
        return self.branch.tasks()[task_id].runs[-1]

    def actions(self) -> list[Collect]:
        return [Collect(task_id=task_id, run=self.run(task_id)) for task_id in TASKS]

    def observed(self) -> Observed:
        return Observed(
            fleet=FLEET,
            tasks=self.branch.tasks(),
            sightings={self.run(task_id).run_id: self._ended(task_id) for task_id in TASKS},
        )

    def _ended(self, task_id: str) -> Sighting:
        document = self.desired.tasks[task_id]
        root = f"{self.desired.hosts['localhost'].value.workdir}/{FLEET}"
        meta = Meta(
            run_id=self.run(task_id).run_id,
            task_id=task_id,
            epoch=1,
            kind=Kind.IMPLEMENT,
            task=document.value,
            adapter_id=ADAPTER,
            adapter=Adapter(run=("sh",)),
            run_dir=f"{root}/runs/{task_id}.1",
            workspace=f"{root}/work/{task_id}",
            branch="",
            new_session="n",
        )
        return Sighting(state="ended", exit_code=0, meta=meta, unread=(UNREAD,) if task_id == "two" else ())

    def wake(self) -> None:
        self.woken += 1


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    fleet = new_fleet(tmp_path / "fleet")
    task = Task(title="t", goal="true", branch="task/t", delivery=Delivery.NONE)
    host = Host(transport="local", workdir=str(tmp_path / "w"))
    desired = Desired(
        settings=Settings(),
        tasks={task_id: Document(value=task, spec="a" * 40) for task_id in TASKS},
        hosts={"localhost": Document(value=host, spec="h")},
        adapters={ADAPTER: Document(value=Adapter(run=("true",)), spec="s")},
    )
    with opened(fleet, new_id=lambda: FLEET) as branch:
        for task_id in TASKS:
            branch.record(task_id, assigned(task_id))
        yield Bench(fleet=fleet, branch=branch, desired=desired)


async def idle(dispatcher: Dispatcher) -> None:
    await asyncio.to_thread(until, lambda: not dispatcher.busy)


def dispatcher_of(bench: Bench, journal: Journal) -> Dispatcher:
    made = plain(Memory(bench.fleet, bench.branch, journal), lambda: NOW, os.environ.get, bench.wake)
    edges = replace(made, transports={"local": bench.machine})
    return Dispatcher(edges, lambda _host, _launched: None, lambda _host, _run: None)


def collected(bench: Bench) -> set[str]:
    return {task_id for task_id, seen in bench.branch.tasks().items() if seen.phase is Phase.COMPLETED}


def test_runs_that_end_together_share_a_sweep_and_a_commit(bench: Bench) -> None:
    async def session() -> None:
        dispatcher = dispatcher_of(bench, journal)
        await dispatcher.act(bench.actions(), bench.desired, bench.observed())
        await idle(dispatcher)
        dispatcher.check()
        await dispatcher.close()

    journal, before = Journal(bench.fleet.journal), count(bench.fleet)
    journal.keep_metas({bench.run(task_id).run_id: "{}" for task_id in TASKS})
    asyncio.run(session())
    assert bench.machine.names == ["sweep"]
    assert count(bench.fleet) == before + 1
    assert collected(bench) == set(TASKS)
    assert [bench.run(task_id).warnings for task_id in TASKS] == [(), (UNREAD,), ()]
    assert [journal.meta(f"{FLEET}.{task_id}.1") for task_id in TASKS] == [None] * 3
    journal.close()


def test_a_run_that_cannot_be_judged_holds_up_no_other(bench: Bench) -> None:
    async def session() -> None:
        dispatcher = dispatcher_of(bench, journal)
        await dispatcher.act(bench.actions(), bench.desired, bench.observed())
        await idle(dispatcher)
        dispatcher.check()
        assert collected(bench) == {"one", "three"}
        await dispatcher.act(bench.actions()[1:2], bench.desired, bench.observed())
        await idle(dispatcher)
        with pytest.raises(IsADirectoryError):
            dispatcher.check()

    bench.fleet.logs("two", 1).joinpath("stdout").mkdir(parents=True)
    journal = Journal(bench.fleet.journal)
    asyncio.run(session())
    assert bench.machine.names == ["sweep"]
    journal.close()


def test_what_ended_after_it_was_planned_again_is_not_begun_again(bench: Bench) -> None:
    async def session() -> None:
        dispatcher = dispatcher_of(bench, journal)
        planned, observed = bench.actions(), bench.observed()
        await dispatcher.act(planned, bench.desired, observed)
        number = 0
        while dispatcher.busy:  # one of these ends them while it waits for the commit of its own record
            number += 1
            assert number < MANY
            record = Record(task_id=f"other-{number}", event=assigned(f"other-{number}"))
            await dispatcher.act([record, *planned], bench.desired, observed)
        await dispatcher.close()

    journal = Journal(bench.fleet.journal)
    asyncio.run(session())
    assert bench.machine.names.count("sweep") == 1
    journal.close()


def test_a_launch_among_others_wakes_nobody_and_the_last_one_does(bench: Bench) -> None:
    async def session() -> None:
        dispatcher = dispatcher_of(bench, journal)
        launches = [Launch(task_id=task_id, run=bench.run(task_id), reuse=True) for task_id in TASKS]
        await dispatcher.act(launches, bench.desired, bench.observed())
        await idle(dispatcher)
        await dispatcher.close()

    journal = Journal(bench.fleet.journal)
    asyncio.run(session())
    assert "launch" in bench.machine.names
    assert bench.woken == 1
    journal.close()
