"""`/tasks/{id}/diff`: what a task's branch changed, where this machine has it.

It fetches nothing: what another machine has is said to be there.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import falcon

from reconciler.core.observed import ObservedTask, Run
from reconciler.edges.reads import Reads
from reconciler.repo import changes, git, given
from reconciler.repo.changes import Changes
from reconciler.repo.git import GitFailed
from reconciler.repo.given import Given
from reconciler.web.pages import answers, cards, frames, rendering, taskpage
from reconciler.web.pages.access import Access

_KINDS = {"+": "added", "-": "removed", "@": "place", "d": "file", "\\": "place"}
_HEADER = re.compile(r"(index|---|\+\+\+|new file|deleted file|old mode|new mode|Binary) ?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The diff, from where to where; or why there is none here."""

    changes: Changes | None = None
    base: str = ""
    head: str = ""
    why: str = ""


class DiffPage:
    """`/tasks/{task_id}/diff`."""

    def __init__(self, reads: Reads, access: Access) -> None:
        """Show what `reads` gives to whom `access` lets in."""
        self._reads = reads
        self._access = access

    def on_get(self, req: falcon.Request, resp: falcon.Response, task_id: str) -> None:
        """The page; 404 where there is no such task."""
        if not self._access.admits(req, resp):
            return
        seeing = cards.scene(self._reads)
        if not taskpage.is_known(task_id, seeing.picture):
            frames.missing(req, resp, self._reads, "There is no task with this id")
            return
        found = of(task_id, seeing.picture.observed.tasks.get(task_id, ObservedTask()), self._reads)
        lines = list(marked(found.changes.text)) if found.changes is not None else []
        frame = frames.values(self._reads, leaves=self._access.knows_cookie(req))
        values = {"one": cards.card(task_id, seeing), "now": seeing.now, "found": found, "lines": lines}
        answers.page(req, resp, rendering.render("diff.html", {**frame, **values}))

    on_head = on_get


def of(task_id: str, seen: ObservedTask, reads: Reads) -> Found:
    """What the newest run's branch has beyond what it started from."""
    run = seen.last_run
    if run is None:
        return Found(why="it has had no run yet")
    document = reads.view.latest().desired.tasks.get(task_id)
    if document is not None and document.value.repository is None:
        return Found(why="the task has no repository")
    started = given.read(reads.fleet, task_id, run.epoch)
    if started is None or started.clone is None:
        return Found(why=f"its clone is not on this machine; run {run.epoch} was on {run.host}")
    try:
        return _read(run, started, Path(started.clone))
    except GitFailed as error:
        return Found(why=f"it cannot be read: {error}")


def _read(run: Run, started: Given, clone: Path) -> Found:
    if started.base_sha is None or not clone.is_dir():
        return Found(why=f"its clone on {run.host} is gone")
    head = git.tip(clone, f"refs/heads/{started.branch}") or run.head_sha
    if head is None:
        return Found(why=f"its branch {started.branch} has no commit yet")
    return Found(changes=changes.between(clone, started.base_sha, head), base=started.base_sha, head=head)


def marked(text: str) -> Iterator[tuple[str, str]]:
    """The lines of a diff, each with its class."""
    inside = False
    for line in text.splitlines():
        if line.startswith("diff --git "):
            inside = False
            yield "file", line
        elif not inside and _HEADER.match(line):
            yield "head", line
        else:
            inside = True
            yield _KINDS.get(line[:1], ""), line
