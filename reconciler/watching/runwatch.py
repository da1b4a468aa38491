"""Follows the runs of one host: fetches what they print and left, and looks whether they are done or in a loop.

It polls nothing and stops nothing; what it has read of a live run's output is kept between two polls.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import accumulate
from typing import Literal

from reconciler.core import printable, report
from reconciler.core.command import Command, Completed
from reconciler.core.observed import Meta, Sighting
from reconciler.core.output import Events
from reconciler.core.script import poll, read, readmany, shell
from reconciler.core.script.read import Chunk, Unreadable
from reconciler.core.script.readmany import Piece
from reconciler.edges import Edges
from reconciler.repo import logs
from reconciler.watching import chunks
from reconciler.watching.chunks import Pace
from reconciler.watching.folders import Folders, Watched, blot

log = logging.getLogger(__name__)

LITTLE_BYTES = 16 * 1024
"""Up to how much of an output is fetched along with that of other runs."""

READ_AGAIN_S = 60.0
"""For how long a host is asked again for what it could not read of a run that has ended."""

UNCLAIMED = frozenset({"absent", "queued", "void"})

Stream = Literal["stdout", "stderr"]
STREAMS: tuple[Stream, ...] = ("stdout", "stderr")


@dataclass(slots=True, kw_only=True)
class _Turn:
    """One run in one look: what the poll said, what it was started with, and what of it could not be read just now."""

    watched: Watched
    answer: poll.Seen
    meta: Meta | None = None
    unread: list[str] = field(default_factory=list)

    @property
    def run_id(self) -> str:
        """The run's id."""
        return self.watched.run.run_id

    def printed(self, stream: Stream) -> int:
        """How much of an output there was."""
        return self.answer.stdout_bytes if stream == "stdout" else self.answer.stderr_bytes

    @contextlib.contextmanager
    def reading(self, what: str) -> Iterator[None]:
        """Go on where this could not be read, and note it."""
        try:
            yield
        except Unreadable as error:
            self.note(what, str(error))

    def note(self, what: str, error: str) -> None:
        """This could not be read."""
        self.unread.append(printable.short(f"its host could not read {what}: {error}", shell.MOST_MESSAGE))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Looked:
    aborted: bool = False
    lingering: timedelta | None = None


class RunWatch:
    """The runs of one host. `run` carries a command there."""

    def __init__(self, edges: Edges, run: Callable[[Command], Awaitable[Completed]]) -> None:
        """Know nothing of any run yet."""
        self._edges = edges
        self._fleet = edges.fleet
        self._fleet_id = edges.branch.fleet_id
        self._run = run
        self._pace = Pace(_clock_s)
        self._folders = Folders(edges, run, self._pace)
        self._sizes: dict[tuple[str, Stream], int] = {}
        """How much of an output was here when its copy was looked at last."""
        self._served_s: dict[str, float] = {}
        """When something of a run's output was asked for last."""
        self._behind: set[str] = set()
        """Runs of which a look had no time to fetch all."""
        self._outputs: dict[str, Events] = {}
        self._finished_at: dict[str, float] = {}
        self._unread_since: dict[str, float] = {}

    @property
    def is_behind(self) -> bool:
        """Whether more was printed than the last look had time to fetch."""
        return bool(self._behind)

    def keep_only(self, run_ids: Collection[str]) -> None:
        """Forget whatever is known of other runs."""
        self._folders.keep_only(run_ids)
        self._behind &= {*run_ids}
        for known in (self._served_s, self._outputs, self._finished_at, self._unread_since):
            for run_id in known.keys() - run_ids:
                del known[run_id]
        for run_id, stream in [key for key in self._sizes if key[0] not in run_ids]:
            del self._sizes[run_id, stream]

    async def look(self, group: Sequence[Watched], polled: poll.Polled) -> dict[str, Sighting]:
        """What is seen of these runs, which were just polled; what they printed since the last look is fetched.

        That takes little more than twice `chunks.LOOK_S`: what was not asked for by then comes with the next looks,
        first of the run whose turn is longest ago. Nothing is said of a run that has ended before all of it is here.
        """
        in_turn = sorted(group, key=lambda watched: self._served_s.get(watched.run.run_id, 0.0))
        turns = [await self._turn(watched, polled.runs[watched.name]) for watched in in_turn]
        self._pace.begin()
        await self._gather(turns)
        self._pace.begin()
        seen = {turn.run_id: await self._see(turn, polled.boot_id) for turn in turns}
        return {run_id: sighting for run_id, sighting in seen.items() if sighting is not None}

    async def _turn(self, watched: Watched, answer: poll.Seen) -> _Turn:
        turn = _Turn(watched=watched, answer=answer)
        if answer.state not in UNCLAIMED:
            with turn.reading("meta.json"):
                turn.meta = await self._folders.meta(watched)
        return turn

    async def _gather(self, turns: Sequence[_Turn]) -> None:
        """Fetch what these runs printed since the last look, where that is little, by one command for many.

        What is new alone is left to a chunk, which also brings what came since the poll.
        """
        new = [(turn, piece) for turn in turns for piece in self._new(turn)]
        little = [(turn, piece) for turn, piece in new if piece.size <= LITTLE_BYTES]
        begin = 0
        while begin < len(little) and len(new) > 1 and not self._pace.is_over:
            some = little[begin : begin + self._fitting(little[begin:])]
            await self._fetch_many(some)
            begin += len(some)

    def _new(self, turn: _Turn) -> Iterator[Piece]:
        """What is new of a run's output, where all of it is copied and it can be read."""
        state = turn.answer.state
        if state not in {"alive", "ended"} or turn.unread or turn.run_id in self._unread_since:
            return
        for stream in STREAMS:
            size = turn.printed(stream)
            offset = self._size(turn.watched, stream, size if state == "alive" else None)
            if offset < size <= chunks.MOST_COPIED:
                yield Piece(run=turn.watched.name, stream=stream, offset=offset, size=size - offset)

    def _fitting(self, little: Sequence[tuple[_Turn, Piece]]) -> int:
        """How many of these pieces one command is to bring."""
        sizes = accumulate(piece.size for _, piece in little[: readmany.MOST_PIECES])
        return max(sum(size <= self._pace.bytes for size in sizes), 1)

    async def _fetch_many(self, little: Sequence[tuple[_Turn, Piece]]) -> None:
        pieces = [piece for _, piece in little]
        command = readmany.read_many(little[0][0].watched.workdir, self._fleet_id, pieces)
        found = readmany.parse_read_many(await self._pace.timed(self._run(command)), pieces)
        for (turn, piece), data in zip(little, found, strict=False):
            self._served_s[turn.run_id] = _clock_s()
            if piece.stream == "stdout":
                self._catch_up(turn)
            await self._append(turn, piece.stream, piece.offset, data)

    async def _see(self, turn: _Turn, boot_id: str) -> Sighting | None:
        """The sighting that follows from a poll; None of a run that has ended and left more than is here."""
        answer, run_id = turn.answer, turn.run_id
        sighting = Sighting(
            state=answer.state,
            elapsed=timedelta(seconds=answer.elapsed_s),
            idle=timedelta(seconds=answer.idle_s),
            stopping=answer.stopping,
        )
        self._behind.discard(run_id)
        if answer.state in UNCLAIMED:
            return sighting
        if not turn.unread and not await self._fetch_new(turn):
            self._behind.add(run_id)
        if answer.state == "alive":
            self._may_be_read_yet(turn)
            looked = self._looked(turn)
            return replace(sighting, meta=turn.meta, aborted=looked.aborted, lingering=looked.lingering)
        if self._pace.is_over and turn.meta is not None and turn.meta.adapter.output.files:
            self._behind.add(run_id)
        if run_id in self._behind:
            return None
        rebooted = False
        with turn.reading("what its adapter names in output.files"):
            await self._folders.fetch_files(turn.watched, turn.meta)
        with turn.reading("its claim"):
            rebooted = answer.state == "gone" and await self._folders.rebooted(turn.watched, boot_id)
        if self._may_be_read_yet(turn):
            return None
        self._outputs.pop(run_id, None)
        unread = tuple(turn.unread)
        return replace(sighting, meta=turn.meta, exit_code=answer.exit_code, rebooted=rebooted, unread=unread)

    def _may_be_read_yet(self, turn: _Turn) -> bool:
        """Whether there is something that could not be read, and it is too soon to go on without it."""
        if not turn.unread:
            if turn.run_id not in self._behind:
                self._unread_since.pop(turn.run_id, None)
            return False
        if turn.run_id not in self._unread_since:
            log.warning("%s: %s", turn.run_id, "; ".join(turn.unread))
        return _clock_s() - self._unread_since.setdefault(turn.run_id, _clock_s()) < READ_AGAIN_S

    async def _fetch_new(self, turn: _Turn) -> bool:
        """Fetch what is new, up to the sizes that the poll gave; false where the look had no time for all of it.

        A poll takes the sizes before the states: a run that died in between printed more than it says, and is fetched
        up to the sizes that the files have now.
        """
        state = turn.answer.state
        if state == "alive" and self._has(turn):
            self._catch_up(turn)
            return True
        return all([await self._fetch(turn, one, None if state == "gone" else turn.printed(one)) for one in STREAMS])

    async def _fetch(self, turn: _Turn, stream: Stream, upto: int | None) -> bool:
        watched, offset = turn.watched, self._size(turn.watched, stream, None)
        if stream == "stdout":
            self._catch_up(turn)

        async def fetch(begin: int, most: int) -> Chunk | None:
            command = read.read(watched.workdir, self._fleet_id, watched.name, stream, begin, most)
            return read.parse_read(await self._pace.timed(self._run(command)), begin)

        async def take(chunk: Chunk) -> None:
            self._served_s[turn.run_id] = _clock_s()
            await self._append(turn, stream, chunk.offset, chunk.data)
            if chunk.error:
                turn.note(f"{stream} from byte {chunk.end} on", chunk.error)

        return await chunks.bring(fetch, take, offset, upto, self._pace)

    async def _append(self, turn: _Turn, stream: Stream, offset: int, data: bytes | memoryview) -> None:
        watched, hidden = turn.watched, blot(self._edges, turn.meta)
        copy = logs.Copy(task_id=watched.task_id, epoch=watched.run.epoch, stream=stream)
        self._sizes.pop((turn.run_id, stream), None)
        # what a write fails at is not in the copy, or only in part: its events are read from there then
        events = self._outputs.pop(turn.run_id, None) if stream == "stdout" else None
        if len(data) > LITTLE_BYTES:
            await asyncio.to_thread(logs.append, self._fleet, copy, offset, data, hidden)
        else:
            logs.append(self._fleet, copy, offset, data, hidden)
        if events is not None:
            events.feed(bytes(data))
            self._outputs[turn.run_id] = events

    def _has(self, turn: _Turn) -> bool:
        """Whether all that the run has printed was here at the last look."""
        return all(self._sizes.get((turn.run_id, stream)) == turn.printed(stream) for stream in STREAMS)

    def _size(self, watched: Watched, stream: Stream, believed: int | None) -> int:
        """How many bytes of an output are here; so many as are believed, if they were at the last look."""
        key = (watched.run.run_id, stream)
        if believed is None or self._sizes.get(key) != believed:
            self._sizes[key] = logs.size(self._fleet, watched.task_id, watched.run.epoch, stream)
        return self._sizes[key]

    def _catch_up(self, turn: _Turn) -> None:
        """Begin to read a run's events, with what is here already, where its adapter has something to look for."""
        watched, meta = turn.watched, turn.meta
        if meta is None or turn.run_id in self._outputs:
            return
        if not (meta.adapter.output.finished or meta.adapter.output.abort):
            return
        events = Events(meta.adapter.output.format)
        for chunk in logs.read(self._fleet, watched.task_id, watched.run.epoch, "stdout"):
            events.feed(chunk)
        self._outputs[turn.run_id] = events

    def _looked(self, turn: _Turn) -> _Looked:
        """What the output of a live run says so far."""
        events = self._outputs.get(turn.run_id)
        if turn.meta is None or events is None:
            return _Looked()
        seen = report.look(turn.meta.adapter, events.read(ended=False))
        if not seen.finished:
            return _Looked(aborted=seen.aborted)
        clock_s = _clock_s()
        since_s = self._finished_at.setdefault(turn.run_id, clock_s)
        return _Looked(aborted=seen.aborted, lingering=timedelta(seconds=clock_s - since_s))


def _clock_s() -> float:
    """What looks and pauses are measured by: the clock of whoever runs them."""
    return asyncio.get_running_loop().time()
