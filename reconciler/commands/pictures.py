"""How a board, a task and hosts look to people.

It reads no file and decides nothing.
"""

from collections.abc import Iterator
from datetime import datetime

from reconciler.commands import surroundings
from reconciler.commands.reading import View
from reconciler.commands.screen import Cell, Rows, Screen
from reconciler.core import notes
from reconciler.core.ages import age, span
from reconciler.core.desired import Problem
from reconciler.core.notes import HostState
from reconciler.core.observed import ObservedTask, Review, Run
from reconciler.core.terms import TERMINAL, Outcome, Phase
from reconciler.repo import shapes, storage

STYLES = {
    Phase.CREATED: "",
    Phase.ASSIGNED: "cyan",
    Phase.RUNNING: "cyan",
    Phase.REVIEW_PENDING: "magenta",
    Phase.COMPLETED: "green",
    Phase.BLOCKED: "yellow",
    Phase.FAILED: "red",
    Phase.CANCELLED: "dim",
}
ORDER = (
    Phase.BLOCKED, Phase.RUNNING, Phase.ASSIGNED, Phase.REVIEW_PENDING, Phase.CREATED, Phase.FAILED,
    Phase.COMPLETED, Phase.CANCELLED,
)  # fmt: skip
"""What wants a person first, then what moves, then what is over."""

HOST_STYLES = {
    HostState.MISCONFIGURED: "red",
    HostState.DRAINING: "yellow",
    HostState.REACHABLE: "green",
    HostState.UNREACHABLE: "red",
    HostState.PULLS: "",
    HostState.NOT_ASKED: "dim",
}

FINISHED_SHOWN = 20
"""How many finished tasks a terminal shows; a pipe gets them all."""


def board(screen: Screen, view: View, now: datetime) -> None:
    """Tasks, hosts, and what is wrong with files."""
    ids = sorted(view.task_ids(), key=lambda task_id: (ORDER.index(_seen(view, task_id).phase), task_id))
    shown = _fitting(screen, view, ids)
    rows = [_task_row(view, task_id, now) for task_id in shown]
    if rows:
        screen.table(Rows(headings=("TASK", "PHASE", "HOST", "RUNS", "ACTIVE", "TITLE", "NOTE"), rows=rows, whole=5))
    else:
        screen.line('no tasks yet: reconciler new "What is to be done"')
    if len(shown) < len(ids):
        screen.line(f"and {len(ids) - len(shown)} more that are finished: `reconciler status | cat` shows all", "dim")
    screen.line()
    hosts(screen, view)
    surroundings.breakers(screen, view, now)
    surroundings.remote(screen, view, now)
    surroundings.forge(screen, view)
    problems(screen, view.desired.problems)


def hosts(screen: Screen, view: View) -> None:
    """Hosts with load, versions and health."""
    rows = [_host_row(view, host_id) for host_id in sorted(view.desired.hosts)]
    if rows:
        screen.table(Rows(headings=("HOST", "STATE", "RUNNING", "TRANSPORT", "VERSIONS", "NOTE"), rows=rows, whole=4))
    else:
        screen.line("no hosts yet: add hosts/<id>.yaml")


def problems(screen: Screen, found: tuple[Problem, ...]) -> None:
    """What is wrong with files, one line each."""
    if found:
        screen.line()
    for one in found:
        screen.line(problem(one), style="red")


def problem(one: Problem) -> str:
    """File, place and message, as compilers print them."""
    place = f":{one.line}:{one.column}" if one.line else ""
    return f"{one.file}{place}: {one.message}"


def annotation(one: Problem, prefix: str) -> str:
    """The same as a line by which a workflow of Forgejo or GitHub shows an error at a file, below `prefix`."""
    places = {"file": prefix + one.file, **({"line": one.line, "col": one.column} if one.line else {})}
    named = ",".join(f"{name}={_escaped(str(value), '%:,')}" for name, value in places.items())
    return f"::error {named}::{_escaped(problem(one), '%')}"


def _escaped(text: str, special: str) -> str:
    return "".join(f"%{ord(one):02X}" if one in special or one in "\r\n" else one for one in text)


def task(screen: Screen, view: View, task_id: str, now: datetime) -> None:
    """One task whole: what is wanted, where it stands, its runs."""
    for text, style in task_lines(view, task_id, now):
        screen.line(text, style=style)


def task_lines(view: View, task_id: str, now: datetime, *, newest_first: bool = False) -> Iterator[tuple[str, str]]:
    """The lines of that, each with its style; the oldest run comes first unless it is to be otherwise."""
    seen = _seen(view, task_id)
    yield f"{task_id}: {notes.title(task_id, view.desired, view.observed)}", "bold"
    yield standing(seen), STYLES[seen.phase]
    for name, value in _facts(view, task_id, seen, now):
        yield f"{name.ljust(10)}  {value}", ""
    for run in reversed(seen.runs) if newest_first else seen.runs:
        yield "", ""
        yield _run_line(run, now), _run_style(run)
        yield from ((f"  {line}", "") for line in _run_details(run))


def standing(seen: ObservedTask) -> str:
    """Where a task stands, why, and who must act."""
    reason = f" ({seen.reason})" if seen.reason else ""
    needs = f": {seen.needs}" if seen.needs else ""
    owner = f" [{seen.owner} must act]" if seen.owner else ""
    return f"{seen.phase}{reason}{needs}{owner}"


def _fitting(screen: Screen, view: View, ids: list[str]) -> list[str]:
    if not screen.terminal:
        return ids
    finished = [task_id for task_id in ids if _seen(view, task_id).phase in TERMINAL]
    newest = sorted(finished, key=lambda task_id: _last_moved(_seen(view, task_id)), reverse=True)[:FINISHED_SHOWN]
    kept = {*newest, *(set(ids) - set(finished))}
    return [task_id for task_id in ids if task_id in kept]


def _last_moved(seen: ObservedTask) -> float:
    return seen.last_activity_at.timestamp() if seen.last_activity_at else 0.0


def _seen(view: View, task_id: str) -> ObservedTask:
    return view.observed.tasks.get(task_id, ObservedTask())


def _task_row(view: View, task_id: str, now: datetime) -> list[Cell]:
    seen = _seen(view, task_id)
    active = age(seen.last_activity_at, now) if seen.last_activity_at else ""
    return [
        Cell(text=task_id),
        Cell(text=seen.phase.value, style=STYLES[seen.phase]),
        Cell(text=(seen.assigned_host or "") if seen.live_run else ""),
        Cell(text=str(len(seen.runs) or "")),
        Cell(text=active, style="dim"),
        Cell(text=notes.title(task_id, view.desired, view.observed)),
        Cell(text=notes.note(task_id, view.desired, view.observed, now), style="yellow"),
    ]


def _host_row(view: View, host_id: str) -> list[Cell]:
    host, state = (
        shapes.host(host_id, view.desired, view.observed),
        notes.host_state(host_id, view.desired, view.observed),
    )
    versions = host["versions"] if isinstance(host["versions"], dict) else {}
    return [
        Cell(text=str(host["id"])),
        Cell(text=state.value, style=HOST_STYLES[state]),
        Cell(text=f"{host['running']}/{host['slots']}"),
        Cell(text=str(host["transport"])),
        Cell(text=", ".join(f"{name} {version}" for name, version in sorted(versions.items())), style="dim"),
        Cell(text=str(host["reason"] or ""), style="yellow"),
    ]


def _facts(view: View, task_id: str, seen: ObservedTask, now: datetime) -> Iterator[tuple[str, str]]:
    document = view.desired.tasks.get(task_id)
    if document is not None:
        task_file = document.value
        yield "desired", f"{task_file.desired}, generation {task_file.generation}, priority {task_file.priority}"
        yield "agent", " ".join(filter(None, (task_file.adapter or "-", task_file.model)))
        if task_file.repository:
            yield "repository", f"{task_file.repository} (branch {task_file.branch})"
        if task_file.depends_on:
            yield "depends on", ", ".join(task_file.depends_on)
    if task_id in view.desired.refused:
        yield "refused", view.desired.refused[task_id]
    if seen.pr is not None:
        yield "pull", f"{seen.pr.url} ({seen.pr.state})"
    if seen.reviews:
        allowed = f" of {document.value.max_reviews}" if document is not None else ""
        yield "rounds", f"{seen.review_count}{allowed} that reviews asked for"
    for review in seen.reviews:
        yield "review", _review(review)
    if seen.not_before is not None and seen.not_before > now:
        yield "waits", f"until {storage.timestamp(seen.not_before)}"


def _review(review: Review) -> str:
    said = review.verdict.value.replace("_", " ")
    counted = ", counted" if review.counted else ""
    return f"{review.reviewer}: {said}{counted}, {storage.timestamp(review.submitted_at)}"


def _run_line(run: Run, now: datetime) -> str:
    started = run.started_at or run.assigned_at
    ended = run.finished_at or now
    outcome = run.outcome.value if run.outcome else "under way"
    failure = f" ({run.failure})" if run.failure else ""
    took = span((ended - started).total_seconds())
    return f"run {run.epoch}: {outcome}{failure} on {run.host}, {run.kind}, {storage.timestamp(started)}, {took}"


def _run_style(run: Run) -> str:
    if run.outcome is None:
        return "cyan"
    return "green" if run.outcome is Outcome.SUCCEEDED else "red"


def _run_details(run: Run) -> Iterator[str]:
    tokens = (run.input_tokens, run.output_tokens)
    if any(one is not None for one in tokens):
        cost = f", {run.cost_usd:.2f} USD" if run.cost_usd is not None else ""
        yield f"tokens {tokens[0] or 0} in, {tokens[1] or 0} out{cost}"
    if run.head_sha:
        yield f"delivered {run.head_sha}"
    if run.error:
        yield f"error: {run.error}"
    yield from (f"warning: {one}" for one in run.warnings)
    yield from (run.summary or "").splitlines()
