"""Follows the runs of one host: fetches what they print and left, and looks whether they are done or in a loop.

It polls nothing and stops nothing; what it has read of a live run's output is kept between two polls.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Literal

from reconciler.core import mask, report
from reconciler.core.command import Command, Completed
from reconciler.core.observed import Meta, Run, Sighting
from reconciler.core.output import Events
from reconciler.core.script import poll, read, readmany
from reconciler.core.script.read import Chunk
from reconciler.core.script.readmany import Piece
from reconciler.edges import Edges
from reconciler.repo import logs, metas
from reconciler.repo.desired import assigned
from reconciler.watching import chunks

log = logging.getLogger(__name__)

LITTLE_BYTES = 16 * 1024
"""Up to how much of an output is fetched along with that of other runs."""

Stream = Literal["stdout", "stderr"]
STREAMS: tuple[Stream, ...] = ("stdout", "stderr")

CLAIM_BOOT = 2
"""Which word of a claim is the boot id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Looked:
    aborted: bool = False
    lingering: timedelta | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """One run to look at: `name` is that of its folder, `workdir` the one on the host that it was started under."""

    task_id: str
    run: Run
    workdir: str

    @property
    def name(self) -> str:
        """The name of the run's folder."""
        return f"{self.task_id}.{self.run.epoch}"


class RunWatch:
    """The runs of one host. `run` carries a command there."""

    def __init__(self, edges: Edges, run: Callable[[Command], Awaitable[Completed]]) -> None:
        """Know nothing of any run yet."""
        self._fleet = edges.fleet
        self._fleet_id = edges.branch.fleet_id
        self._journal = edges.journal
        self._hidden = edges.hidden
        self._view = edges.view
        self._run = run
        self._metas: dict[str, Meta | None] = {}
        self._sizes: dict[tuple[str, Stream], int] = {}
        """How much of an output was here when its copy was looked at last."""
        self._outputs: dict[str, Events] = {}
        self._finished_at: dict[str, float] = {}

    def keep_only(self, run_ids: Collection[str]) -> None:
        """Forget whatever is known of other runs."""
        for run_id in self._metas.keys() - run_ids:
            del self._metas[run_id]
            for stream in STREAMS:
                self._sizes.pop((run_id, stream), None)
            self._outputs.pop(run_id, None)
            self._finished_at.pop(run_id, None)

    async def gather(self, group: Sequence[Watched], polled: Mapping[str, poll.Seen]) -> None:
        """Fetch what these runs printed since the last look, where that is little, by one command for many."""
        pieces: list[Piece] = []
        of: list[Watched] = []
        for watched in group:
            for piece in self._little(watched, polled[watched.name]):
                pieces.append(piece)
                of.append(watched)
        for first in range(0, len(pieces) if len(pieces) > 1 else 0, readmany.MOST_PIECES):
            some = pieces[first : first + readmany.MOST_PIECES]
            command = readmany.read_many(of[first].workdir, self._fleet_id, some)
            found = readmany.parse_read_many(await self._run(command), some)
            for watched, piece, data in zip(of[first:], some, found, strict=False):
                meta = await self._meta(watched)
                if piece.stream == "stdout":
                    self._catch_up(watched, meta)
                await self._append(
                    watched, meta, piece.stream, Chunk(offset=piece.offset, size=0, data=memoryview(data))
                )

    def _little(self, watched: Watched, answer: poll.Seen) -> Iterator[Piece]:
        """What is new of a run's output and fits among that of others."""
        if answer.state not in {"alive", "ended"}:
            return
        for stream in STREAMS:
            size = answer.stdout_bytes if stream == "stdout" else answer.stderr_bytes
            offset = self._size(watched, stream, size if answer.state == "alive" else None)
            if 0 < size - offset <= LITTLE_BYTES and size <= chunks.MOST_COPIED:
                yield Piece(run=watched.name, stream=stream, offset=offset, size=size - offset)

    async def see(self, watched: Watched, answer: poll.Seen, boot_id: str) -> Sighting:
        """The sighting that follows from a poll; what the run printed since the last one was fetched."""
        sighting = Sighting(
            state=answer.state,
            elapsed=timedelta(seconds=answer.elapsed_s),
            idle=timedelta(seconds=answer.idle_s),
            stopping=answer.stopping,
        )
        if answer.state in {"absent", "void"}:
            return sighting
        meta = await self._meta(watched)
        lost = answer.state == "gone"
        if answer.state == "alive" and self._has(watched, answer):
            self._catch_up(watched, meta)
        else:
            await self._fetch(watched, meta, "stdout", None if lost else answer.stdout_bytes)
            await self._fetch(watched, meta, "stderr", None if lost else answer.stderr_bytes)
        if answer.state == "alive":
            looked = self._looked(watched, meta)
            return replace(sighting, meta=meta, aborted=looked.aborted, lingering=looked.lingering)
        self._outputs.pop(watched.run.run_id, None)
        await self._fetch_files(watched, meta)
        rebooted = lost and await self._rebooted(watched, boot_id)
        return replace(sighting, meta=meta, exit_code=answer.exit_code, rebooted=rebooted)

    async def _meta(self, watched: Watched) -> Meta | None:
        """What the run was started with, by the journal; the run folder, which the agent may write, is a stopgap."""
        run_id = watched.run.run_id
        if run_id not in self._metas:
            text = self._journal.meta(run_id)
            try:
                self._metas[run_id] = metas.read(text) if text is not None else await self._restored(watched)
            except metas.UnreadableMeta as error:
                log.warning("%s: %s", run_id, error)
                self._metas[run_id] = None
        return self._metas[run_id]

    async def _restored(self, watched: Watched) -> Meta | None:
        """What the run folder holds, with all that git knows better in its place; raises `UnreadableMeta`."""
        command = read.read_meta(watched.workdir, self._fleet_id, watched.name)
        text = read.parse_read_meta(await self._run(command)).meta_json
        run, desired = watched.run, self._view.latest().desired
        task = await asyncio.to_thread(assigned.task, self._fleet, desired, watched.task_id, run)
        adapter = desired.adapters.get(run.adapter or "")
        if text is None or task is None or adapter is None:
            return None
        return metas.restored(text, watched.task_id, run, task, adapter.value)

    async def _rebooted(self, watched: Watched, boot_id: str) -> bool:
        """Whether the run was claimed under another boot of the host."""
        command = read.read_file(watched.workdir, self._fleet_id, watched.name, "started")
        claim = read.parse_read(await self._run(command))
        words = bytes(claim.data).decode(errors="replace").split() if claim is not None else []
        return len(words) > CLAIM_BOOT and words[CLAIM_BOOT] != boot_id

    async def _fetch(self, watched: Watched, meta: Meta | None, stream: Stream, upto: int | None) -> None:
        """Fetch what is new, up to the size that the poll gave; without one up to the size that the file has now.

        A poll takes the sizes before the states: a run that died in between printed more than it says.
        """
        offset = self._size(watched, stream, None)
        if stream == "stdout":
            self._catch_up(watched, meta)

        async def fetched(begin: int, most: int) -> Chunk | None:
            command = read.read(watched.workdir, self._fleet_id, watched.name, stream, begin, most)
            return read.parse_read(await self._run(command), begin)

        async with contextlib.aclosing(chunks.in_order(fetched, offset, upto)) as coming:
            async for chunk in coming:
                await self._append(watched, meta, stream, chunk)

    async def _append(self, watched: Watched, meta: Meta | None, stream: Stream, chunk: Chunk) -> None:
        offset, data = chunk.offset, chunk.data
        copy = logs.Copy(task_id=watched.task_id, epoch=watched.run.epoch, stream=stream)
        self._sizes.pop((watched.run.run_id, stream), None)
        if len(data) > LITTLE_BYTES:
            await asyncio.to_thread(logs.append, self._fleet, copy, offset, data, self._blot(meta))
        else:
            logs.append(self._fleet, copy, offset, data, self._blot(meta))
        if stream == "stdout" and watched.run.run_id in self._outputs:
            self._outputs[watched.run.run_id].feed(bytes(data))

    def _has(self, watched: Watched, answer: poll.Seen) -> bool:
        """Whether all that the run has printed was here at the last look."""
        run_id, sizes = watched.run.run_id, self._sizes
        return (sizes.get((run_id, "stdout")), sizes.get((run_id, "stderr"))) == (
            answer.stdout_bytes,
            answer.stderr_bytes,
        )

    def _size(self, watched: Watched, stream: Stream, believed: int | None) -> int:
        """How many bytes of an output are here; so many as are believed, if they were at the last look."""
        key = (watched.run.run_id, stream)
        if believed is None or self._sizes.get(key) != believed:
            self._sizes[key] = logs.size(self._fleet, watched.task_id, watched.run.epoch, stream)
        return self._sizes[key]

    def _catch_up(self, watched: Watched, meta: Meta | None) -> None:
        """Begin to read a run's events, with what is here already, where its adapter has something to look for."""
        run_id = watched.run.run_id
        if meta is None or run_id in self._outputs or not (meta.adapter.output.finished or meta.adapter.output.abort):
            return
        events = Events(meta.adapter.output.format)
        for chunk in logs.read(self._fleet, watched.task_id, watched.run.epoch, "stdout"):
            events.feed(chunk)
        self._outputs[run_id] = events

    def _looked(self, watched: Watched, meta: Meta | None) -> _Looked:
        """What the output of a live run says so far."""
        events = self._outputs.get(watched.run.run_id)
        if meta is None or events is None:
            return _Looked()
        seen = report.look(meta.adapter, events.read(ended=False))
        if not seen.finished:
            return _Looked(aborted=seen.aborted)
        clock_s = asyncio.get_running_loop().time()
        since_s = self._finished_at.setdefault(watched.run.run_id, clock_s)
        return _Looked(aborted=seen.aborted, lingering=timedelta(seconds=clock_s - since_s))

    async def _fetch_files(self, watched: Watched, meta: Meta | None) -> None:
        """Fetch the adapter's output files of an ended run."""
        for name, path in meta.adapter.output.files.items() if meta is not None else ():
            inside = path.removeprefix("{run_dir}").removeprefix("/")
            try:
                command = read.read_file(watched.workdir, self._fleet_id, watched.name, inside)
                chunk = read.parse_read(await self._run(command))
                if chunk is not None:
                    data = self._blot(meta).out(bytes(chunk.data))
                    logs.keep_file(self._fleet, watched.task_id, watched.run.epoch, name, data)
            except ValueError as error:
                log.warning("%s: output.files of its adapter: %s", watched.run.run_id, error)

    def _blot(self, meta: Meta | None) -> mask.Blot:
        """What keeps a run's secrets out of the copies on this machine."""
        names = (*meta.task.secrets, *meta.adapter.secrets) if meta is not None else ()
        return mask.Blot(self._hidden(names))
