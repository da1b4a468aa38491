"""What happened to one task, step by step: the commits of the branch `observed` that moved it, as they were written.

It reads the words that `messages` wrote, and writes none.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from reconciler.repo import git
from reconciler.repo.fleet import OBSERVED, Fleet
from reconciler.repo.observed import records

MOST = 200
"""How many commits are looked at, newest first."""
TIMEOUT_S = 10.0

_FIRST = {"Task", "Host", "Breaker"}
"""The trailer with which what is said of one step begins."""
_TRAILER = re.compile(r"([A-Z][a-z]+): (.*)")
_MOVE = re.compile(r"[a-z0-9_-]+: (?:([a-z_]+) -> )?([a-z_]+) \((.*)\)", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One thing that happened: when, from which phase to which (the same where it moved nothing), why, by whom."""

    at: datetime
    commit: str
    before: str
    after: str
    why: str
    actor: str
    epoch: int | None
    event: str


def of(fleet: Fleet, task_id: str) -> tuple[Step, ...]:
    """The task's steps, newest first, of at most `MOST` commits. Raises GitFailed. Needs no lock."""
    if git.tip(fleet.top, f"refs/heads/{OBSERVED}") is None:
        return ()
    shape = "--format=%x01%H %ct%n%B%x02"
    words = (
        "log",
        "--first-parent",
        f"--max-count={MOST}",
        shape,
        f"refs/heads/{OBSERVED}",
        "--",
        *_paths(fleet, task_id),
    )
    said = git.run(fleet.top, *words, timeout_s=TIMEOUT_S).stdout.decode(errors="replace")
    commits = re.findall("\x01([0-9a-f]+) ([0-9]+)\n(.*?)\x02", said, re.DOTALL)
    return tuple(
        step
        for commit, seconds, message in commits
        for step in reversed(list(steps(task_id, message, commit, datetime.fromtimestamp(int(seconds), UTC))))
    )


def steps(task_id: str, message: str, commit: str, at: datetime) -> Iterator[Step]:
    """What a commit's message says of one task, in its order."""
    lines = message.strip("\n").split("\n")
    found = list(_groups(lines))
    said = [line for line in lines[1:] if line and not _TRAILER.fullmatch(line)] if len(found) > 1 else lines[:1]
    if len(said) != len(found):
        return
    for line, trailers in zip(said, found, strict=True):
        move = _MOVE.fullmatch(line)
        if trailers.get("Task") != task_id or move is None:
            continue
        epoch = trailers.get("Epoch", "")
        yield Step(
            at=at,
            commit=commit,
            before=move[1] or move[2],
            after=move[2],
            why=move[3],
            actor=trailers.get("Actor", ""),
            epoch=int(epoch) if epoch.isascii() and epoch.isdigit() else None,
            event=trailers.get("Event", ""),
        )


def _groups(lines: Sequence[str]) -> Iterator[dict[str, str]]:
    """The trailers of a message, those of each step together."""
    last = len(lines) - next((number for number, line in enumerate(reversed(lines)) if not line), len(lines))
    group: dict[str, str] = {}
    for line in lines[last:]:
        found = _TRAILER.fullmatch(line)
        if found is None:
            continue
        if found[1] in _FIRST:
            if group:
                yield group
            group = {}
        group[found[1]] = found[2]
    if group:
        yield group


def _paths(fleet: Fleet, task_id: str) -> list[str]:
    """Where the task's record stands and stood; every move out of the hot folder and back touches its path there."""
    name = f"{records.checked_id(task_id)}.yaml"
    done = (fleet.observed / "done").glob(f"*/{name}")
    return [f"{records.ROOT}/tasks/{name}", *sorted(f"{records.ROOT}/done/{path.parent.name}/{name}" for path in done)]
