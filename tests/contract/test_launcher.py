"""The launches of a host, by a real launcher over this machine: what is asked for at once goes in few commands."""

import asyncio
import os
from dataclasses import replace
from pathlib import Path

from reconciler.acting import launching
from reconciler.acting.launching import MOST_BYTES, Launcher, Order
from reconciler.acting.starting import MOST_IN_VAIN, Starter
from reconciler.core.actions import Launch
from reconciler.core.desired import Adapter, Desired, Document, Engine, Host, Task
from reconciler.core.events import NotStarted
from reconciler.core.terms import Failure
from reconciler.repo.journal import Journal
from tests.contract.test_collectmany import FLEET, Recorded
from tests.edges import Memory, plain
from tests.recording import NOW, assigned, new_fleet, opened, own_git_config

__all__ = ["own_git_config"]

RUNS = 5
GOAL = "x" * (MOST_BYTES // 5)
"""What is sent holds it twice, in the prompt and in `meta.json`: two runs fit one command, and three do not."""


def test_what_many_runs_are_given_goes_in_parts_of_a_bounded_size(tmp_path: Path) -> None:
    root = tmp_path.resolve() / "w" / FLEET
    host = Document(value=Host(transport="local", workdir=str(root.parent)), spec="h")
    names = [f"task-{number}" for number in range(RUNS)]
    fleet, machine = new_fleet(tmp_path / "fleet"), Recorded()

    async def launched(launcher: Launcher, orders: list[Order]) -> list[str]:
        try:
            return [
                one.state
                for one in await asyncio.gather(
                    *(launcher.launch(one, launching.plain(one, str(root))) for one in orders)
                )
            ]
        finally:
            await launcher.close()
            await machine.close()

    with opened(fleet, new_id=lambda: FLEET) as branch:
        branch.record_many([(name, assigned(name)) for name in names])
        orders = [
            Order(
                task_id=name,
                run=seen.runs[-1],
                host=host,
                task=Task(title="t", goal=GOAL),
                adapter=Adapter(run=("true",)),
                seen=seen,
                secrets={},
                fleet_id=FLEET,
            )
            for name, seen in branch.tasks().items()
        ]
        journal = Journal(fleet.journal)
        edges = replace(
            plain(Memory(fleet, branch, journal), lambda: NOW, os.environ.get, lambda: None),
            transports={"local": machine},
        )
        assert set(asyncio.run(launched(Launcher(edges), orders))) <= {"alive", "ended"}
        assert machine.names == ["launch"] * 3
        assert all(journal.meta(f"{FLEET}.{name}.1") for name in names)
        journal.close()


def test_a_job_that_leaves_the_queue_again_and_again_is_given_up_and_not_submitted_without_end(tmp_path: Path) -> None:
    submitted = tmp_path / "submitted"
    engine = Engine(
        submit=("sh", "-c", f"echo >>{submitted}; echo 17"), alive=("false", "{job}"), cancel=("false", "{job}")
    )
    host = Host(transport="local", workdir=str(tmp_path.resolve() / "w"), launcher=engine)
    job = tmp_path / "w" / FLEET / "runs" / "fix.1" / "job"
    fleet, machine = new_fleet(tmp_path / "fleet"), Recorded()
    desired = Desired(
        hosts={"localhost": Document(value=host, spec="h")},
        adapters={"shell": Document(value=Adapter(run=("true",)), spec="a")},
        tasks={"fix": Document(value=Task(title="t", goal="g", branch="b"), spec="a" * 40)},
    )

    async def started(starter: Starter, action: Launch) -> list[NotStarted | None]:
        found = []
        try:
            for _ in range(MOST_IN_VAIN + 1):
                found += [await starter.start(desired, action)]
                os.utime(job, (0, 0))
        finally:
            await starter.close()
            await machine.close()
        return found

    with opened(fleet, new_id=lambda: FLEET) as branch:
        branch.record("fix", assigned("fix"))
        journal = Journal(fleet.journal)
        edges = replace(
            plain(Memory(fleet, branch, journal), lambda: NOW, os.environ.get, lambda: None),
            transports={"local": machine},
        )
        action = Launch(task_id="fix", run=branch.tasks()["fix"].runs[-1], reuse=True)
        *launched, given_up = asyncio.run(started(Starter(edges), action))
        journal.close()
    assert launched == [None] * MOST_IN_VAIN
    assert given_up is not None
    assert (given_up.failure, given_up.error) == (Failure.NO_CAPACITY, "it was launched 3 times, and nothing began")
    assert (submitted.read_text(), (job.parent / "started").read_text()) == ("\n" * MOST_IN_VAIN, "void\n")
