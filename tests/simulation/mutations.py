"""Plants bugs into a copy of the program, one at a time, and has simulated worlds find each of them.

It never changes the program itself; a bug that cannot be planted any more is an error.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
COPIED = ("reconciler", "schemas", "adapters", "tests")
WITHIN_S = 40.0
"""Of the processor, however many others use it at the same time."""
MOST_S = 15 * WITHIN_S


class DoesNotApply(Exception):
    """The text that a bug replaces is not in the program any more, or more than once: mend the bug."""


@dataclass(frozen=True, kw_only=True)
class Change:
    """One place in one module: this text, which stands there once, becomes that."""

    module: str
    text: str
    becomes: str


@dataclass(frozen=True, kw_only=True)
class Bug:
    """A planted bug."""

    name: str
    changes: tuple[Change, ...]


@dataclass(frozen=True, kw_only=True)
class Found:
    """What broke, and after how many worlds and seconds, also those of the processor; `None`: nothing did."""

    invariant: str | None
    worlds: int
    took_s: float
    processor_s: float
    said: str


_LAUNCHED_EARLY = """
        for task_id, event in facts:
            if isinstance(event, Assigned) and event.execution_mode is ExecutionMode.SSH_CLI:
                run = Run(
                    epoch=event.epoch, run_id=event.run_id, host=event.host, adapter=event.adapter, kind=event.kind,
                    assigned_at=event.at, spec=event.spec,
                )
                early = Launch(task_id=task_id, run=run, reuse=True)
                await self._starter.start(self._edges.view.latest().desired, early)
"""

BUGS = (
    Bug(
        name="an epoch is not compared",
        changes=(
            Change(
                module="reconciler/core/lifecycle.py",
                text="if about_a_run and event.epoch != task.epoch and not isinstance(event, Assigned):",
                becomes="if about_a_run and event.epoch is None:",
            ),
            Change(
                module="reconciler/agents/holding.py",
                text="if run is None or epoch != seen.epoch or run.outcome is Outcome.LOST:",
                becomes="if run is None:",
            ),
        ),
    ),
    Bug(
        name="an attempt is charged twice",
        changes=(
            Change(
                module="reconciler/core/ending.py",
                text="attempts=task.attempts + counted)",
                becomes="attempts=task.attempts + 2 * counted)",
            ),
        ),
    ),
    Bug(
        name="a launch comes before its commit",
        changes=(
            Change(
                module="reconciler/dispatch.py",
                text="        pulled: dict[str, Run] = {}\n",
                becomes=f"{_LAUNCHED_EARLY}        pulled: dict[str, Run] = {{}}\n",
            ),
            Change(
                module="reconciler/acting/starting.py",
                text="import asyncio\n",
                becomes="import asyncio\nfrom reconciler.core.observed import ObservedTask\n",
            ),
            Change(
                module="reconciler/acting/starting.py",
                text="seen=edges.branch.tasks()[action.task_id],",
                becomes="seen=edges.branch.tasks().get(action.task_id, ObservedTask()),",
            ),
        ),
    ),
    Bug(
        name="adoption forgets a timer",
        changes=(
            Change(
                module="reconciler/watching/hostwatch.py",
                text="since = known.since if known is not None and out_of_reach else self._edges.now()",
                becomes="since = self._edges.now() if known is not None and out_of_reach else self._edges.now()",
            ),
        ),
    ),
    Bug(
        name="a wake-up is lost",
        changes=(
            Change(
                module="reconciler/watching/hostwatch.py",
                text="        if changed or answered_again:\n            self._edges.changed()\n",
                becomes="",
            ),
        ),
    ),
    Bug(
        name="a lease is taken early",
        changes=(
            Change(
                module="reconciler/core/leases.py",
                text="return lease.until + desired.settings.lost_after.pull if",
                becomes="return lease.until if",
            ),
        ),
    ),
    Bug(
        name="a review is counted twice",
        changes=(
            Change(
                module="reconciler/core/demands.py",
                text="review_count=task.review_count + change)",
                becomes="review_count=task.review_count + 2 * change)",
            ),
        ),
    ),
    Bug(
        name="an exit that cannot be read is taken for 0",
        changes=(
            Change(
                module="reconciler/core/script/poll.py",
                text="int(word) > MOST_EXIT:\n        return None",
                becomes="int(word) > MOST_EXIT:\n        return 0",
            ),
        ),
    ),
    Bug(
        name="a slot is leaked",
        changes=(
            Change(
                module="reconciler/core/index.py",
                text="        if run is not None:\n            self._count(run.host, -1)\n",
                becomes="        if run is not None and not run.started_at:\n            self._count(run.host, -1)\n",
            ),
        ),
    ),
    Bug(
        name="a restart resets the backoff",
        changes=(
            Change(
                module="reconciler/repo/observed/records.py",
                text="        return _structured(ObservedTask, path, content)\n",
                becomes="        return replace(_structured(ObservedTask, path, content), not_before=None)\n",
            ),
        ),
    ),
    Bug(
        name="a restart forgets a breaker",
        changes=(
            Change(
                module="reconciler/repo/observed/records.py",
                text="                breakers[one.name] = one\n",
                becomes="                continue\n",
            ),
        ),
    ),
    Bug(
        name="a breaker does not hold",
        changes=(
            Change(
                module="reconciler/core/trials.py",
                text="if one.holds(now) and _stands_before(one, task, desired):",
                becomes="if one.holds(now) and one.trial and _stands_before(one, task, desired):",
            ),
        ),
    ),
)


def planted(bug: Bug, folder: Path) -> None:
    """Copy the program there with the bug in it. Raises DoesNotApply."""
    for name in COPIED:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for change in bug.changes:
        path = folder / change.module
        before = path.read_text(encoding="utf-8")
        if before.count(change.text) != 1:
            raise DoesNotApply(f"{bug.name}: {change.module} has {change.text!r} {before.count(change.text)} times")
        path.write_text(before.replace(change.text, change.becomes), encoding="utf-8")


def hunt(bug: Bug, seed: int, within_s: float = WITHIN_S) -> Found:
    """Let worlds find the bug, from this seed on."""
    with tempfile.TemporaryDirectory(prefix="planted-") as name:
        folder = Path(name)
        planted(bug, folder)
        words = ("--seed", str(seed), "--seconds", str(within_s), "--busy", "--jobs", "1", "--shrink", "0")
        began_s = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-m", "tests.simulation", *words],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(folder), "PYTHONHASHSEED": "0"},
            capture_output=True,
            text=True,
            timeout=MOST_S,
            check=False,
        )
    took_s = time.monotonic() - began_s
    broken = re.search(r"^BROKEN with seed \d+: ([^:]+):", done.stdout, re.MULTILINE)
    worlds = re.search(r"^seed \d+: (\d+) worlds", done.stdout, re.MULTILINE)
    used = re.search(r", (\d+) s of processor time$", done.stdout, re.MULTILINE)
    if done.returncode not in {0, 1} or worlds is None or used is None:
        raise RuntimeError(f"{bug.name}: the simulation itself failed: {done.stdout}{done.stderr}")
    return Found(
        invariant=broken[1] if broken is not None else None,
        worlds=int(worlds[1]),
        took_s=took_s,
        processor_s=float(used[1]),
        said=done.stdout,
    )


def main(argv: Sequence[str]) -> int:
    """Hunt all bugs, or those whose names hold a word; 1 where one was not found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("words", nargs="*")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=WITHIN_S)
    said = parser.parse_args(argv)
    missed = 0
    for bug in BUGS:
        if said.words and not any(word in bug.name for word in said.words):
            continue
        found = hunt(bug, said.seed, said.seconds)
        missed += found.invariant is None
        took = f"{found.worlds} worlds, {found.took_s:.1f} s, {found.processor_s:.0f} s of processor time"
        sys.stdout.write(f"{bug.name}: {found.invariant or 'NOT FOUND'} ({took})\n")
        sys.stdout.flush()
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
