"""Says in lines how simulated worlds went: figures, faults by kind, and of a failure its seed, cause and history.

It judges nothing.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from reconciler.core.terms import Scope
from tests.simulation.simulation import Result
from tests.simulation.world import Plan

MOST_LINES = 80
"""How much of a history is shown: its end."""

PEOPLE = "a person"


@dataclass
class Sum:
    """All worlds so far."""

    worlds: int = 0
    figures: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    simulated_s: float = 0.0

    def add(self, result: Result) -> None:
        self.worlds += 1
        self.figures.update(result.figures)
        self.kinds.update(result.kinds)
        self.simulated_s += result.simulated_s

    @property
    def faults(self) -> int:
        """What went wrong, without what people did."""
        return sum(count for kind, count in self.kinds.items() if not kind.startswith(PEOPLE))


def figures(total: Sum, seed: int, took: tuple[float, float]) -> Iterator[str]:
    """Everything that was counted; `took` are seconds, and those of the processor."""
    counted = total.figures
    yield f"seed {seed}: {total.worlds} worlds, {counted['tasks']} tasks, {counted['runs']} runs"
    yield f"simulated {total.simulated_s / 3600:.1f} h in {took[0]:.0f} s, {took[1]:.0f} s of processor time"
    yield (
        f"{counted['starts']} starts of the program, {counted['commands']} commands to hosts, "
        f"{counted['commits']} commits, {counted['taken']} webhooks taken"
    )
    opened = {scope: counted[f"{scope} breakers"] for scope in Scope}
    yield f"{sum(opened.values())} times a breaker opened: {', '.join(f'{scope} {n}' for scope, n in opened.items())}"
    edits = sum(total.kinds.values()) - total.faults
    yield f"{total.faults} faults, {edits} acts of people, {counted['checks']} checks of invariants"
    for kind, count in sorted(total.kinds.items(), key=lambda one: (one[0].startswith(PEOPLE), -one[1])):
        yield f"  {count:7} {kind}"


def failure(first: Result, small: Result) -> Iterator[str]:
    """What broke, and how to see it again."""
    yield f"BROKEN with seed {first.plan.seed}: {first.broken[0].invariant}: {first.broken[0].what}"
    yield f"again: {again(first.plan)}"
    kept = list(dict.fromkeys(f"{struck.at_s:9.1f}  {struck.name}" for struck in small.struck))
    yield f"shrunk from {len(first.struck)} to {len(kept)} decisions:"
    yield from kept
    yield f"history, {small.broken[0].invariant}: {small.broken[0].what}"
    for at_s, line in small.history[-MOST_LINES:]:
        yield f"{at_s:9.2f}  {line}"


def again(plan: Plan) -> str:
    """The command that lives through the same world."""
    severity = f" --severity {plan.severity:g}" if plan.severity is not None else ""
    return (
        f"invoke simulate --seed {plan.seed} --worlds 1 --hosts {plan.hosts} --tasks {plan.tasks} "
        f"--minutes {plan.weather_s / 60:g}{severity}"
    )
