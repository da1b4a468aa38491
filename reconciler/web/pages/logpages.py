"""`/tasks/{id}/runs/{epoch}/{stream}`: what a run printed, a window at a time, searched or whole to be kept.

A page of it is as large as any other, however much was printed.
"""

from dataclasses import dataclass

import falcon

from reconciler.core.observed import ObservedTask, Run
from reconciler.edges.reads import Reads
from reconciler.repo import logs
from reconciler.repo.logs import Copy
from reconciler.web.pages import answers, frames, logview, rendering
from reconciler.web.pages.access import Access
from reconciler.web.pages.logview import Place

STREAMS = ("stdout", "stderr")
MOST_WORD = 200
MOST_DIGITS = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """A run's output that there is."""

    copy: Copy
    run: Run


class LogPage:
    """`/tasks/{task_id}/runs/{epoch}/{stream}`."""

    def __init__(self, reads: Reads, access: Access) -> None:
        """Show what `reads` gives to whom `access` lets in."""
        self._reads = reads
        self._access = access

    def on_get(self, req: falcon.Request, resp: falcon.Response, task_id: str, epoch: int, stream: str) -> None:
        """A window of it, or the lines in which a word stands; with `part` the window alone, for one who follows."""
        if not self._access.admits(req, resp):
            return
        asked = _asked(self._reads, task_id, epoch, stream)
        if asked is None:
            frames.missing(req, resp, self._reads, "There is no such output")
            return
        start, word = _number(req, "from"), _word(req, "find")
        live = asked.run.finished_at is None
        place = Place(start=start, pen=_word(req, "pen"), live=live)
        window = logview.window(self._reads.fleet, asked.copy, place)
        values = {
            "task_id": task_id,
            "epoch": epoch,
            "stream": stream,
            "live": live,
            "window": window,
        }
        if _word(req, "part"):
            answers.page(req, resp, rendering.render("logpart.html", values))
            return
        found = logview.find(self._reads.fleet, asked.copy, word, start or 0) if word else None
        frame = frames.values(self._reads, leaves=self._access.knows_cookie(req))
        more = {
            "found": found,
            "word": word,
            "now": self._reads.now(),
            "run": asked.run,
            "whole_window": logview.WINDOW,
        }
        answers.page(req, resp, rendering.render("log.html", {**frame, **values, **more}))

    on_head = on_get


class RawLog:
    """`/tasks/{task_id}/runs/{epoch}/{stream}/raw`."""

    def __init__(self, reads: Reads, access: Access) -> None:
        """Hand out what `reads` gives to whom `access` lets in."""
        self._reads = reads
        self._access = access

    def on_get(self, req: falcon.Request, resp: falcon.Response, task_id: str, epoch: int, stream: str) -> None:
        """All of it, to be kept as a file: it is handed on from the disk, as fast as somebody takes it."""
        if not self._access.admits(req, resp):
            return
        asked = _asked(self._reads, task_id, epoch, stream)
        path = self._reads.fleet.logs(task_id, epoch) / stream
        if asked is None or not path.exists():
            frames.missing(req, resp, self._reads, "There is no such output")
            return
        answers.secured(resp)
        resp.cache_control = ["private", "no-store"]
        resp.content_type = falcon.MEDIA_TEXT
        resp.downloadable_as = f"{task_id}.{epoch}.{stream}.txt"
        file = path.open("rb")
        resp.set_stream(file, logs.size(self._reads.fleet, task_id, epoch, stream))


def _asked(reads: Reads, task_id: str, epoch: int, stream: str) -> _Asked | None:
    """The output, if it is that of a run that there was: nothing else names a file."""
    seen = reads.view.latest().observed.tasks.get(task_id, ObservedTask())
    run = next((one for one in seen.runs if one.epoch == epoch), None)
    if run is None or stream not in STREAMS:
        return None
    return _Asked(copy=Copy(task_id=task_id, epoch=epoch, stream=stream), run=run)


def _word(req: falcon.Request, name: str) -> str:
    given = req.params.get(name, "")
    return str(given[-1] if isinstance(given, list) else given)[:MOST_WORD]


def _number(req: falcon.Request, name: str) -> int | None:
    text = _word(req, name)
    return int(text) if text.isascii() and text.isdigit() and len(text) <= MOST_DIGITS else None
