"""The launches of a host, by a real launcher over this machine: what is asked for at once goes in few commands."""

import asyncio
import os
from dataclasses import replace
from pathlib import Path

from reconciler.acting import launching
from reconciler.acting.launching import MOST_BYTES, Launcher, Order
from reconciler.core.desired import Adapter, Document, Host, Task
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
