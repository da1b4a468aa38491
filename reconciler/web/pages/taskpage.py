"""`/tasks/{id}`: one task whole: what is asked, what it waits for, its runs, reviews and story, and what would be next.

Nothing on it changes anything; the commands that do are there to be copied.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import falcon

from reconciler.core import conditions, upcoming
from reconciler.core.observed import ObservedTask, Run
from reconciler.core.terms import TERMINAL, Phase, Wish
from reconciler.edges.reads import Reads
from reconciler.edges.view import Picture
from reconciler.repo import given, logs
from reconciler.repo.logs import Copy
from reconciler.web.pages import answers, cards, frames, logview, rendering
from reconciler.web.pages.access import Access
from reconciler.web.pages.cards import Scene
from reconciler.web.pages.foresight import Foresight
from reconciler.web.pages.histories import Histories
from reconciler.web.pages.logview import Place, Window

MOST_RUNS = 40
MOST_REVIEWS = 30
TAIL = 16 * 1024
MOST_PROMPT = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """One run as the page shows it: how long it took so far, and how much output of it is here."""

    run: Run
    took: timedelta | None
    stdout: int
    stderr: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Tail:
    """The end of what the newest run printed."""

    epoch: int
    stream: str
    live: bool
    window: Window


class TaskPage:
    """`/tasks/{task_id}`."""

    def __init__(self, reads: Reads, access: Access, histories: Histories, foresight: Foresight) -> None:
        """Show what `reads` gives to whom `access` lets in."""
        self._reads = reads
        self._access = access
        self._histories = histories
        self._foresight = foresight

    def on_get(self, req: falcon.Request, resp: falcon.Response, task_id: str) -> None:
        """The page; 404 where there is no such task."""
        if not self._access.admits(req, resp):
            return
        seeing = cards.scene(self._reads)
        if not is_known(task_id, seeing.picture):
            frames.missing(req, resp, self._reads, "There is no task with this id")
            return
        answers.page(req, resp, self._page(task_id, seeing, leaves=self._access.knows_cookie(req)))

    on_head = on_get

    def _page(self, task_id: str, seeing: Scene, *, leaves: bool) -> bytes:
        reads, picture, now = self._reads, seeing.picture, seeing.now
        seen = picture.observed.tasks.get(task_id, ObservedTask())
        document = picture.desired.tasks.get(task_id)
        upcoming_lines, wake_at = self._foresight.about(task_id)
        return rendering.render(
            "task.html",
            {
                **frames.values(reads, leaves=leaves),
                "now": now,
                "one": cards.card(task_id, seeing),
                "task": document.value if document is not None else None,
                "seen": seen,
                "conditions": conditions.waiting(task_id, picture.desired, picture.observed, now, seeing.used),
                "nothing_keeps": seen.phase is Phase.CREATED,
                "next_lines": upcoming_lines,
                "wake_at": wake_at,
                "runs": [_ran(task_id, run, reads, now) for run in reversed(seen.runs[-MOST_RUNS:])],
                "more_runs": max(0, len(seen.runs) - MOST_RUNS),
                "reviews": list(reversed(seen.reviews[-MOST_REVIEWS:])),
                "tail": _tail(task_id, seen, reads),
                "steps": self._histories.of(task_id, seen),
                "prompt": _prompt(task_id, seen, reads),
                "next_prompt": _next_prompt(task_id, seen, picture),
                "commands": list(commands(task_id, seen, picture)),
            },
        )


def is_known(task_id: str, picture: Picture) -> bool:
    """Whether there is, or was, such a task."""
    desired = picture.desired
    return task_id in desired.tasks or task_id in desired.refused or task_id in picture.observed.tasks


def commands(task_id: str, seen: ObservedTask, picture: Picture) -> Iterator[tuple[str, str]]:
    """What changes the task from where it is, and what that does."""
    document = picture.desired.tasks.get(task_id)
    wish = document.value.desired if document is not None else None
    over = seen.phase in TERMINAL
    if wish is Wish.HOLD:
        yield f"reconciler release {task_id}", "let it run"
    elif wish is Wish.RUN and not over:
        yield f"reconciler hold {task_id}", "start nothing new of it; what runs goes on"
    if wish is not None and (over or seen.phase is Phase.BLOCKED):
        yield f"reconciler retry {task_id}", "have it done again, with fresh attempts"
    if wish is not None and wish is not Wish.CANCEL and not over:
        yield f"reconciler cancel {task_id}", "stop it, and do it no more"
    yield f"reconciler logs {task_id} --follow", "what its agent prints, on a terminal"
    yield f"reconciler why {task_id}", "what keeps it, on a terminal"


def _ran(task_id: str, run: Run, reads: Reads, now: datetime) -> Ran:
    began = run.started_at or run.assigned_at
    return Ran(
        run=run,
        took=(run.finished_at or now) - began,
        stdout=logs.size(reads.fleet, task_id, run.epoch, "stdout"),
        stderr=logs.size(reads.fleet, task_id, run.epoch, "stderr"),
    )


def _tail(task_id: str, seen: ObservedTask, reads: Reads) -> Tail | None:
    run = seen.last_run
    if run is None:
        return None
    sizes = {stream: logs.size(reads.fleet, task_id, run.epoch, stream) for stream in ("stdout", "stderr")}
    stream = "stderr" if sizes["stderr"] and not sizes["stdout"] else "stdout"
    copy = Copy(task_id=task_id, epoch=run.epoch, stream=stream)
    live = run.finished_at is None
    window = logview.window(reads.fleet, copy, Place(most=TAIL, live=live))
    return Tail(epoch=run.epoch, stream=stream, live=live, window=window)


def _prompt(task_id: str, seen: ObservedTask, reads: Reads) -> tuple[int, str] | None:
    """The newest prompt of which a copy was kept, and the epoch of its run."""
    kept = ((run.epoch, given.read(reads.fleet, task_id, run.epoch)) for run in reversed(seen.runs[-MOST_RUNS:]))
    return next(((epoch, one.prompt[:MOST_PROMPT]) for epoch, one in kept if one is not None), None)


def _next_prompt(task_id: str, seen: ObservedTask, picture: Picture) -> str | None:
    """What the next run would get to read, where there may be one."""
    document = picture.desired.tasks.get(task_id)
    if document is None or seen.phase in TERMINAL:
        return None
    adapter = picture.desired.adapters.get(document.value.adapter or "")
    return upcoming.text(document.value, adapter.value if adapter is not None else None, seen)[:MOST_PROMPT]
