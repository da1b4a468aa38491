"""The watch over runs, with real processes: what it copies of an output that has no end, or comes over a bad line."""

import asyncio
import fcntl
import random
import signal
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from reconciler.core.command import Command, Completed
from reconciler.core.desired import Adapter, Document, Host, Output, Task
from reconciler.core.observed import Meta, Run, Sighting
from reconciler.core.script import launch, poll
from reconciler.core.script.launch import Launch
from reconciler.core.terms import Kind
from reconciler.edges import Edges
from reconciler.repo import logs, metas
from reconciler.transport import Unreachable
from reconciler.watching import chunks, hostwatch, runwatch
from reconciler.watching.folders import Watched
from reconciler.watching.hostwatch import HostWatch
from reconciler.watching.runwatch import RunWatch
from tests.contract import runner
from tests.pulling import Clock, working
from tests.recording import new_fleet, own_git_config
from tests.waiting import until

__all__ = ["own_git_config"]

MOST = 9_000_000
VALUE = "hunter-22-and-more"
SMALL = 64 * 1024

Carry = Callable[[Command], Awaitable[Completed]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """Runs that have ended on a host, and what is needed to look at them."""

    edges: Edges
    host: runner.Runner
    folder: Path
    watched: tuple[Watched, ...]
    polled: poll.Polled

    async def run(self, command: Command) -> Completed:
        return await asyncio.to_thread(self.host.run, command)

    async def look(self, watch: RunWatch) -> dict[str, Sighting]:
        """What is seen of the runs, by their tasks."""
        seen = await watch.look(self.watched, self.polled)
        return {watched.task_id: seen[watched.run.run_id] for watched in self.watched if watched.run.run_id in seen}

    async def end(self, watch: RunWatch) -> Sighting:
        """The end of the first run, as soon as a look sees it."""
        while (seen := (await self.look(watch)).get(self.watched[0].task_id)) is None:
            pass
        return seen

    def copied(self, task_id: str = "t", stream: str = "stdout") -> bytes:
        return b"".join(logs.read(self.edges.fleet, task_id, 1, stream))


@contextmanager
def ended(tmp_path: Path, *words: str, **others: tuple[str, ...]) -> Iterator[Ended]:
    """A run `t.1` of these words, and others by their tasks; `{run_dir}` is the folder of a run."""
    fleet, host = new_fleet(tmp_path / "fleet"), runner.host(tmp_path)
    with working(fleet, Clock()) as work:
        fleet_id = work.edges.branch.fleet_id
        folder = Path(host.env["HOME"], "w", fleet_id, "runs")
        agents = {"t": words, **others}
        orders = [
            Launch(
                workdir="~/w",
                fleet=fleet_id,
                run=f"{task_id}.1",
                workspace="/",
                meta_json=b"{}",
                prompt=b"",
                words=tuple(word.replace("{run_dir}", f"{folder}/{task_id}.1") for word in agent),
                variables={},
            )
            for task_id, agent in agents.items()
        ]
        host.run(launch.launch(orders))

        def seen() -> poll.Polled:
            return poll.parse_poll(host.run(poll.poll("~/w", fleet_id, [order.run for order in orders])))

        until(lambda: all(run.state == "ended" for run in seen().runs.values()))
        watched = tuple(
            Watched(
                task_id=task_id,
                run=Run(
                    epoch=1,
                    run_id=f"{fleet_id}.{task_id}.1",
                    host="h",
                    adapter="x",
                    kind=Kind.IMPLEMENT,
                    assigned_at=datetime(2026, 11, 22, tzinfo=UTC),
                ),
                workdir="~/w",
            )
            for task_id in agents
        )
        yield Ended(edges=work.edges, host=host, folder=folder, watched=watched, polled=seen())


def test_an_output_without_end_is_copied_up_to_the_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "MOST_COPIED", MOST)
    with ended(tmp_path, "truncate", "-s", "1T", "{run_dir}/stdout") as one:
        assert one.polled.runs["t.1"].stdout_bytes == 1024**4
        sighting = asyncio.run(one.end(RunWatch(one.edges, one.run)))
        assert (sighting.state, sighting.exit_code) == ("ended", 0)
        assert logs.size(one.edges.fleet, "t", 1, "stdout") == MOST


def test_an_output_is_whole_and_shows_no_secret_though_its_host_is_lost_time_and_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chunks, "CHUNK_BYTES", SMALL)
    monkeypatch.setattr(chunks, "LEAST_BYTES", SMALL)
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
                return await one.run(command)
            finally:
                under_way.append(under_way[-1] - 1)

        edges = replace(one.edges, secret={"KEY": VALUE}.get)
        edges.journal.keep_metas({one.watched[0].run.run_id: metas.text(started(one.watched[0].run))})
        watch, lost = RunWatch(edges, run), 0
        while True:
            try:
                assert asyncio.run(one.end(watch)).exit_code == 0
                break
            except Unreachable:
                lost += 1
    assert one.copied() == bytes(printed).replace(VALUE.encode(), b"*" * len(VALUE))
    assert max(under_way) == chunks.AT_ONCE
    assert lost > 1


def test_over_a_slow_link_each_look_is_short_all_runs_get_on_and_no_end_is_told_early(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chunks, "LEAST_BYTES", SMALL)
    monkeypatch.setattr(chunks, "LOOK_S", 0.1)
    monkeypatch.setattr(chunks, "CHUNK_S", 0.05)
    sizes = {"t": 24 * SMALL, "u": 24 * SMALL, "v": SMALL, "w": 100}
    whole = {task_id: random.Random(size).randbytes(size) for task_id, size in sizes.items()}  # noqa: S311 - any bytes do
    for task_id, printed in whole.items():
        (tmp_path / task_id).write_bytes(printed)
    others = {task_id: ("cat", str(tmp_path / task_id)) for task_id in "uvw"}
    with ended(tmp_path, "cat", str(tmp_path / "t"), **others) as some:
        asyncio.run(_over_a_slow_link(some, whole))


async def _over_a_slow_link(some: Ended, whole: dict[str, bytes]) -> None:
    link, waited_s = asyncio.Lock(), 0.0

    async def run(command: Command) -> Completed:
        nonlocal waited_s
        completed = await some.run(command)
        async with link:
            took_s = len(completed.stdout) / (64 * SMALL)
            waited_s += took_s
            await asyncio.sleep(took_s)
        return completed

    watch, longest_s = RunWatch(some.edges, run), 0.0
    looks: list[dict[str, Sighting]] = []
    while not looks or watch.is_behind:
        waited_s = 0.0
        looks.append(await some.look(watch))
        longest_s = max(longest_s, waited_s)
        for task_id, printed in whole.items():
            here = some.copied(task_id)
            assert printed.startswith(here)
            assert (task_id in looks[-1]) == (here == printed)
    assert longest_s < 3 * chunks.LOOK_S
    assert looks[0].keys() == {"w"}
    assert "v" in looks[2]
    assert not {"t", "u"} & looks[len(looks) // 2].keys()
    assert looks[-1].keys() == whole.keys()


def test_what_a_host_cannot_read_is_no_end_of_an_output_and_told_when_it_lasts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ended(tmp_path, "seq", "10000", u=("echo", "fine")) as one:
        broken = replace(one, host=runner.with_bad_sectors(one.host, one.folder / "t.1" / "stdout"))

        async def mended() -> Sighting:
            hosts = [one, broken]

            async def run(command: Command) -> Completed:
                return await hosts[-1].run(command)

            watch = RunWatch(one.edges, run)
            assert (await one.look(watch)).keys() == {"u"}
            hosts.pop()
            return (await one.look(watch))["t"]

        assert asyncio.run(mended()).unread == ()
        assert one.copied() == b"".join(b"%d\n" % number for number in range(1, 10001))
        (one.edges.fleet.logs("t", 1) / "stdout").unlink()
        monkeypatch.setattr(runwatch, "READ_AGAIN_S", 0.0)
        (unread,) = asyncio.run(one.end(RunWatch(one.edges, broken.run))).unread
        assert unread.startswith("its host could not read stdout from byte 0 on: dd: ")
        assert unread.endswith("Input/output error")


def test_a_look_without_time_left_fetches_no_files_of_an_adapter_and_the_next_one_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    noted = random.Random(7).randbytes(3 * chunks.LEAST_BYTES)  # noqa: S311 - any bytes do
    (tmp_path / "noted").write_bytes(noted)
    with ended(tmp_path, "cp", str(tmp_path / "noted"), "{run_dir}/note") as one:
        run = one.watched[0].run
        adapter = Adapter(run=("sh",), output=Output(files={"note": "{run_dir}/note"}))
        one.edges.journal.keep_metas({run.run_id: metas.text(replace(started(run), adapter=adapter))})
        watch = RunWatch(one.edges, one.run)
        with monkeypatch.context() as hurried:
            hurried.setattr(chunks, "LOOK_S", 0.0)
            assert (asyncio.run(one.look(watch)), watch.is_behind) == ({}, True)
        assert asyncio.run(one.look(watch))["t"].exit_code == 0
        assert not watch.is_behind
        assert logs.files(one.edges.fleet, "t", 1)["note"].read_bytes() == noted


@dataclass(slots=True, kw_only=True)
class Carried:
    """The transport to the host of these runs."""

    ended: Ended
    polls: int = 0

    async def run(self, host_id: str, host: Host, command: Command) -> Completed:  # noqa: ARG002 - the protocol's
        self.polls += command.name == "poll"
        return await self.ended.run(command)

    async def forget(self, host_id: str) -> None:
        """Nothing is kept."""

    async def close(self) -> None:
        """Nothing is kept."""


def test_a_watch_that_is_behind_goes_on_without_a_rest_and_never_says_that_nothing_was_launched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ended(tmp_path, "seq", "10000") as one:
        run_id = one.watched[0].run.run_id

        async def watched() -> None:
            carried = Carried(ended=one)
            edges = replace(one.edges, transports={"local": carried})
            watch = HostWatch("h", Document(value=Host(transport="local", workdir="~/w"), spec="s"), edges)
            watch.runs = {run_id: one.watched[0]}
            watch.expect(run_id)
            watching = asyncio.create_task(watch.watch())
            with monkeypatch.context() as hurried:
                hurried.setattr(chunks, "LOOK_S", 0.0)
                hurried.setattr(hostwatch, "FASTEST_S", 3600.0)
                await asyncio.to_thread(until, lambda: carried.polls > 2)
                assert watch.sightings == {}
            await asyncio.to_thread(until, lambda: run_id in watch.sightings)
            assert watch.sightings[run_id].state == "ended"
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)

        asyncio.run(watched())
        assert one.copied() == b"".join(b"%d\n" % number for number in range(1, 10001))


@pytest.fixture
def no_signal_of_leases() -> Iterator[None]:
    """The kernel tells who holds a lease, by a signal that ends a program, that somebody waits for it."""
    before = signal.signal(signal.SIGIO, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGIO, before)


@pytest.mark.usefixtures("no_signal_of_leases")
def test_a_write_that_hangs_while_its_watch_is_given_up_is_not_made_twice(tmp_path: Path) -> None:
    printed = random.Random(7).randbytes(20 * SMALL)  # noqa: S311 - any bytes do
    (tmp_path / "printed").write_bytes(printed)
    with ended(tmp_path, "cat", str(tmp_path / "printed")) as one:
        copy = one.edges.fleet.logs("t", 1) / "stdout"
        copy.parent.mkdir(parents=True)
        copy.touch()
        with copy.open("rb") as held:
            fcntl.fcntl(held, fcntl.F_SETLEASE, fcntl.F_RDLCK)
            asyncio.run(_given_up(one, held.fileno()))
    assert one.copied() == printed


async def _given_up(one: Ended, held: int) -> None:
    """Have two watches copy one output, the first of them given up while it opens the copy, which hangs for both."""

    def copying(read: asyncio.Event) -> asyncio.Task[Sighting]:
        async def run(command: Command) -> Completed:
            completed = await one.run(command)
            read.set()
            return completed

        return asyncio.create_task(one.end(RunWatch(one.edges, run)))

    read_once, read_again = asyncio.Event(), asyncio.Event()
    first = copying(read_once)
    await read_once.wait()
    await asyncio.to_thread(until, lambda: fcntl.fcntl(held, fcntl.F_GETLEASE) != fcntl.F_RDLCK)
    first.cancel()
    assert isinstance((await asyncio.gather(first, return_exceptions=True))[0], asyncio.CancelledError)
    second = copying(read_again)
    await read_again.wait()
    fcntl.fcntl(held, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    assert (await second).exit_code == 0


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
