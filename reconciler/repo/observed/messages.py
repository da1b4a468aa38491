"""The messages of commits on `observed`: a subject that says what moved, and trailers that programs read.

Text that people or agents wrote never breaks a line here, so that no title can pass for a trailer.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from reconciler.core import printable
from reconciler.core.breaker import Breaker, Switch
from reconciler.core.events import Event, Finished, NotStarted
from reconciler.core.observed import ObservedHost, ObservedTask

MAX_SUBJECT = 100
MAX_TRAILER = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskStep:
    """What one event did to one task."""

    id: str
    before: ObservedTask
    after: ObservedTask
    event: Event


@dataclass(frozen=True, slots=True, kw_only=True)
class HostStep:
    """What became of one host; `after` is None when it is forgotten."""

    id: str
    before: ObservedHost | None
    after: ObservedHost | None
    actor: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerStep:
    """What became of one circuit breaker."""

    before: Breaker | None
    switch: Switch


Step = TaskStep | HostStep | BreakerStep


def message(steps: Sequence[Step], term: int | None = None) -> str:
    """Subject, a line for each step where there are several, and the trailers; without a newline at the end.

    `term` is the one in which it is written, where the fleet lives on a remote.
    """
    lines = [_line(step) for step in steps]
    body = ["", *lines] if len(steps) > 1 else []
    trailers = [trailer for step in steps for trailer in _trailers(step)]
    trailers += [f"Term: {term}"] if term is not None else []
    return "\n".join([_subject(steps), *body, "", *trailers])


def _subject(steps: Sequence[Step]) -> str:
    tasks = [step for step in steps if isinstance(step, TaskStep)]
    hosts = [step for step in steps if isinstance(step, HostStep)]
    breakers = [step for step in steps if isinstance(step, BreakerStep)]
    names = dict.fromkeys(step.id for step in tasks)
    if breakers and not names:
        return _line(breakers[0]) if len(breakers) == 1 else f"{len(breakers)} breakers: {_states(breakers)}"
    if len(names) == 1:
        moving = [step for step in tasks if step.before.phase is not step.after.phase] or tasks
        whole = TaskStep(id=tasks[0].id, before=tasks[0].before, after=tasks[-1].after, event=moving[-1].event)
        return _line(whole)
    if not names and len({step.id for step in hosts}) == 1:
        return _line(hosts[-1])
    last = {step.id: str(step.after.phase) for step in tasks}
    moves = Counter(last.values()) if names else Counter(_standing(step.after) for step in hosts)
    counted = ", ".join(f"{number} {word}" for word, number in moves.items())
    return printable.short(f"{len(names)} tasks: {counted}" if names else f"{len(hosts)} hosts: {counted}", MAX_SUBJECT)


def _line(step: Step) -> str:
    match step:
        case TaskStep():
            before, after, why = str(step.before.phase), str(step.after.phase), step.event.why
        case HostStep():
            before, after = _standing(step.before), _standing(step.after)
            why = (step.after.reason if step.after else None) or f"seen by {step.actor}"
        case BreakerStep():
            before, after, why = _state(step.before), _state(step.switch.breaker), step.switch.why
    move = after if before == after else f"{before} -> {after}"
    head = f"{_name(step)}: {move}"
    return f"{head} ({printable.short(why, MAX_SUBJECT - len(head) - 3)})"


def _name(step: Step) -> str:
    return f"breaker {step.switch.name}" if isinstance(step, BreakerStep) else step.id


def _state(breaker: Breaker | None) -> str:
    return breaker.state if breaker is not None else "closed"


def _states(steps: Sequence[BreakerStep]) -> str:
    counted = Counter(_state(step.switch.breaker) for step in steps)
    return ", ".join(f"{number} {word}" for word, number in counted.items())


def _standing(host: ObservedHost | None) -> str:
    if host is None:
        return "unknown"
    if host.misconfigured:
        return "misconfigured"
    return "reachable" if host.reachable else "unreachable"


def _trailers(step: Step) -> list[str]:
    match step:
        case HostStep():
            pairs = [("Host", step.id), ("Actor", step.actor), ("Reason", step.after.reason if step.after else None)]
        case BreakerStep(switch=switch):
            pairs = [("Breaker", switch.name), ("Actor", switch.actor), ("Reason", switch.why)]
        case TaskStep():
            event = step.event
            runs = {run.epoch: run.run_id for run in step.after.runs}
            pairs = [
                ("Task", step.id),
                ("Run", runs.get(event.epoch) if event.epoch is not None else None),
                ("Epoch", None if event.epoch is None else str(event.epoch)),
                ("Actor", event.actor),
                ("Reason", _reason(step.after, event)),
                ("Event", type(event).__name__),
            ]
    return [f"{name}: {printable.short(value, MAX_TRAILER)}" for name, value in pairs if value]


def _reason(after: ObservedTask, event: Event) -> str:
    failure = event.failure if isinstance(event, Finished | NotStarted) else None
    return after.reason or (str(failure) if failure else event.why)
