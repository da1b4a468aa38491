"""The watch over a run, with real processes: what it copies of an output that has no end, or comes over a bad line."""

import asyncio
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from reconciler.core.command import Command, Completed
from reconciler.core.desired import Adapter, Task
from reconciler.core.observed import Meta, Run, Sighting
from reconciler.core.script import launch, poll
from reconciler.core.script.launch import Launch
from reconciler.core.terms import Kind
from reconciler.edges import Edges
from reconciler.repo import logs, metas
from reconciler.transport import Unreachable
from reconciler.watching import chunks
from reconciler.watching.runwatch import RunWatch, Watched
from tests.contract import runner
from tests.pulling import Clock, working
from tests.recording import new_fleet, own_git_config
from tests.waiting import until

__all__ = ["own_git_config"]

MOST = 9_000_000
VALUE = "hunter-22-and-more"
SMALL = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A run that has ended on a host, and what is needed to look at it."""

    edges: Edges
    host: runner.Runner
    watched: Watched
    polled: poll.Polled

    async def see(self, watch: RunWatch) -> Sighting:
        return await watch.see(self.watched, self.polled.runs[self.watched.name], self.polled.boot_id)


@contextmanager
def ended(tmp_path: Path, *words: str) -> Iterator[Ended]:
    """A run of these words; `{run_dir}` is its folder."""
    fleet, host = new_fleet(tmp_path / "fleet"), runner.host(tmp_path)
    with working(fleet, Clock()) as work:
        fleet_id = work.edges.branch.fleet_id
        folder = f"{host.env['HOME']}/w/{fleet_id}/runs/t.1"
        order = Launch(
            workdir="~/w",
            fleet=fleet_id,
            run="t.1",
            workspace="/",
            meta_json=b"{}",
            prompt=b"",
            words=tuple(word.replace("{run_dir}", folder) for word in words),
            variables={},
        )
        host.run(launch.launch([order]))

        def seen() -> poll.Polled:
            return poll.parse_poll(host.run(poll.poll("~/w", fleet_id, ["t.1"])))

        until(lambda: seen().runs["t.1"].state == "ended")
        run = Run(
            epoch=1,
            run_id=f"{fleet_id}.t.1",
            host="h",
            adapter="x",
            kind=Kind.IMPLEMENT,
            assigned_at=datetime(2026, 11, 22, tzinfo=UTC),
        )
        watched = Watched(task_id="t", run=run, workdir="~/w")
        yield Ended(edges=work.edges, host=host, watched=watched, polled=seen())


def test_an_output_without_end_is_copied_up_to_the_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "MOST_COPIED", MOST)
    with ended(tmp_path, "truncate", "-s", "1T", "{run_dir}/stdout") as one:

        async def run(command: Command) -> Completed:
            return await asyncio.to_thread(one.host.run, command)

        assert one.polled.runs["t.1"].stdout_bytes == 1024**4
        sighting = asyncio.run(one.see(RunWatch(one.edges, run)))
        assert (sighting.state, sighting.exit_code) == ("ended", 0)
        assert logs.size(one.edges.fleet, "t", 1, "stdout") == MOST


def test_an_output_is_whole_and_shows_no_secret_though_its_host_is_lost_time_and_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chunks, "CHUNK_BYTES", SMALL)
    printed = bytearray(random.Random(7).randbytes(20 * SMALL + 4321))  # noqa: S311 - any bytes do
    for border in range(SMALL // 2, len(printed), SMALL // 2):
        printed[border - 5 : border - 5 + len(VALUE)] = VALUE.encode()
    (tmp_path / "printed").write_bytes(printed)
    under_way: list[int] = [0]
    with ended(tmp_path, "cat", str(tmp_path / "printed")) as one:

        async def run(command: Command) -> Completed:
            under_way.append(under_way[-1] + 1)
            try:
                if len(under_way) % 9 == 0:
                    raise Unreachable("h: the connection was lost")
                return await asyncio.to_thread(one.host.run, command)
            finally:
                under_way.append(under_way[-1] - 1)

        edges = replace(one.edges, secret={"KEY": VALUE}.get)
        edges.journal.keep_metas({one.watched.run.run_id: metas.text(started(one.watched.run))})
        watch, lost = RunWatch(edges, run), 0
        while True:
            try:
                assert asyncio.run(one.see(watch)).exit_code == 0
                break
            except Unreachable:
                lost += 1
        copy = b"".join(logs.read(edges.fleet, "t", 1, "stdout"))
    assert copy == bytes(printed).replace(VALUE.encode(), b"*" * len(VALUE))
    assert max(under_way) == chunks.AT_ONCE
    assert lost > 1


def started(run: Run) -> Meta:
    return Meta(
        run_id=run.run_id,
        task_id="t",
        epoch=run.epoch,
        kind=run.kind,
        task=Task(title="t", goal="g", secrets=("KEY",)),
        adapter_id="x",
        adapter=Adapter(run=("cat",)),
        run_dir="/w/runs/t.1",
        workspace="/",
        branch="",
    )
