"""Reads what lies in the folder of a run beside its output: what it was started with, under which boot, further files.

It follows no output and judges nothing; what a run was started with is kept between two looks.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass

from reconciler.core import mask
from reconciler.core.command import Command, Completed
from reconciler.core.observed import Meta, Run
from reconciler.core.script import read
from reconciler.edges import Edges
from reconciler.repo import logs, metas
from reconciler.repo.desired import assigned
from reconciler.watching.chunks import Pace

log = logging.getLogger(__name__)

CLAIM_BOOT = 2
"""Which word of a claim is the boot id."""


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


class Folders:
    """The folders of the runs of one host. `run` carries a command there; what it raises is raised here as well."""

    def __init__(self, edges: Edges, run: Callable[[Command], Awaitable[Completed]], pace: Pace) -> None:
        """Know nothing of any run yet. `pace` says how much of a file is asked for at a time."""
        self._edges = edges
        self._fleet_id = edges.branch.fleet_id
        self._run = run
        self._pace = pace
        self._metas: dict[str, Meta | None] = {}

    def keep_only(self, run_ids: Collection[str]) -> None:
        """Forget what other runs were started with."""
        for run_id in self._metas.keys() - run_ids:
            del self._metas[run_id]

    async def meta(self, watched: Watched) -> Meta | None:
        """What the run was started with, by the journal; the run folder, which the agent may write, is a stopgap.

        Raises `Unreadable`.
        """
        run_id = watched.run.run_id
        if run_id not in self._metas:
            text = self._edges.journal.meta(run_id)
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
        run, desired = watched.run, self._edges.view.latest().desired
        task = await asyncio.to_thread(assigned.task, self._edges.fleet, desired, watched.task_id, run)
        adapter = desired.adapters.get(run.adapter or "")
        if text is None or task is None or adapter is None:
            return None
        return metas.restored(text, watched.task_id, run, task, adapter.value)

    async def rebooted(self, watched: Watched, boot_id: str) -> bool:
        """Whether the run was claimed under another boot of the host. Raises `Unreadable`."""
        claim = await self._file(watched, "started") or b""
        words = claim.decode(errors="replace").split()
        return len(words) > CLAIM_BOOT and words[CLAIM_BOOT] != boot_id

    async def fetch_files(self, watched: Watched, meta: Meta | None) -> None:
        """Keep the adapter's output files of an ended run. Raises `Unreadable`, when all others are kept."""
        unread: list[str] = []
        for name, path in meta.adapter.output.files.items() if meta is not None else ():
            inside = path.removeprefix("{run_dir}").removeprefix("/")
            try:
                data = await self._file(watched, inside)
                if data is not None:
                    kept = blot(self._edges, meta).out(data)
                    logs.keep_file(self._edges.fleet, watched.task_id, watched.run.epoch, name, kept)
            except read.Unreadable as error:
                unread.append(str(error))
            except ValueError as error:
                log.warning("%s: output.files of its adapter: %s", watched.run.run_id, error)
        if unread:
            raise read.Unreadable("; ".join(unread))

    async def _file(self, watched: Watched, path: str) -> bytes | None:
        """The beginning of a file, up to the bound; None where there is none. Raises `Unreadable`."""
        found = bytearray()
        while len(found) < read.MOST_BYTES:
            most = min(self._pace.bytes, read.MOST_BYTES - len(found))
            command = read.read_file(watched.workdir, self._fleet_id, watched.name, path, len(found), most)
            chunk = read.parse_read(await self._pace.timed(self._run(command)), len(found))
            if chunk is None:
                return None
            if chunk.error:
                raise read.Unreadable(chunk.error)
            found += chunk.data
            if not chunk.data or chunk.end >= chunk.size:
                break
        return bytes(found)


def blot(edges: Edges, meta: Meta | None) -> mask.Blot:
    """What keeps a run's secrets out of the copies on this machine."""
    names = (*meta.task.secrets, *meta.adapter.secrets) if meta is not None else ()
    return mask.Blot(edges.hidden(names))
