"""The watch over a run, with real processes: what it copies of an output that has no end."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest

from reconciler.core.command import Command, Completed
from reconciler.core.observed import Run
from reconciler.core.script import launch, poll
from reconciler.core.script.launch import Launch
from reconciler.core.terms import Kind
from reconciler.repo import logs
from reconciler.watching import runwatch
from reconciler.watching.runwatch import RunWatch, Watched
from tests.contract import runner
from tests.pulling import Clock, working
from tests.recording import new_fleet, own_git_config
from tests.waiting import until

__all__ = ["own_git_config"]

MOST = 9_000_000


def test_an_output_without_end_is_copied_up_to_the_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runwatch, "MOST_COPIED", MOST)
    fleet, host = new_fleet(tmp_path / "fleet"), runner.host(tmp_path)
    with working(fleet, Clock()) as work:
        fleet_id = work.edges.branch.fleet_id
        order = Launch(
            workdir="~/w",
            fleet=fleet_id,
            run="t.1",
            workspace="/",
            meta_json=b"{}",
            prompt=b"",
            words=("truncate", "-s", "1T", f"{host.env['HOME']}/w/{fleet_id}/runs/t.1/stdout"),
            variables={},
        )
        host.run(launch.launch([order]))

        async def run(command: Command) -> Completed:
            return await asyncio.to_thread(host.run, command)

        def seen() -> poll.Polled:
            return poll.parse_poll(host.run(poll.poll("~/w", fleet_id, ["t.1"])))

        until(lambda: seen().runs["t.1"].state == "ended")
        polled = seen()
        assert polled.runs["t.1"].stdout_bytes == 1024**4
        watched = Watched(
            task_id="t",
            run=Run(
                epoch=1,
                run_id=f"{fleet_id}.t.1",
                host="h",
                adapter="x",
                kind=Kind.IMPLEMENT,
                assigned_at=datetime(2026, 11, 22, tzinfo=UTC),
            ),
            workdir="~/w",
        )
        sighting = asyncio.run(RunWatch(work.edges, run).see(watched, polled.runs["t.1"], polled.boot_id))
        assert (sighting.state, sighting.exit_code) == ("ended", 0)
        assert logs.size(fleet, "t", 1, "stdout") == MOST
