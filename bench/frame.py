"""Runs measurements and shows them: a table each, JSON below `bench/results/`, a plot below `docs/plots/`.

It measures nothing itself. A measurement is a module with `measure(rounds) -> Iterable[Figures]`, `ROUNDS`, and
a docstring that says what it does.
"""

import argparse
import importlib
import json
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

from rich.console import Console
from rich.table import Table

from bench import plots
from bench.figures import Figures, Reached

HERE = Path(__file__).parent
RESULTS = HERE / "results"
PLOTS = HERE.parent / "docs" / "plots"
FRAME = {"__init__", "__main__", "figures", "frame", "peers", "plots", "stage", "wishes"}

Measure = Callable[[int], Iterable[Figures]]


def names() -> list[str]:
    """The measurements that there are: every module with a `measure`."""
    found = (path.stem for path in sorted(HERE.glob("*.py")) if path.stem not in FRAME)
    return [name for name in found if re.search(r"^def measure\(", (HERE / f"{name}.py").read_text(), re.MULTILINE)]


def main(asked: Sequence[str] | None = None, words: Sequence[str] | None = None) -> int:
    """Run measurements (those `asked` for, else those that are named by `words`, else all); 0, reached or not."""
    parser = argparse.ArgumentParser(prog="bench", description="Measure this program beside peers and limits.")
    parser.add_argument("--rounds", type=int, default=0, help="interleaved rounds; without it, what each one wants")
    parser.add_argument("--keep", action="store_true", help="keep the results as JSON, and draw the plots")
    if asked is None:
        parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(names())}; without any, all")
    given = parser.parse_args(words)
    wanted = [*asked] if asked is not None else given.names or names()
    if unknown := sorted({*wanted} - {*names()}):
        parser.error(f"there is no measurement {', '.join(unknown)}; there are {', '.join(names())}")
    console = Console(soft_wrap=True)
    for name in wanted:
        module = importlib.import_module(f"bench.{name}")
        measure, rounds = cast("Measure", module.measure), given.rounds or int(module.ROUNDS)
        before = os.getloadavg()[0]
        for figures in measure(rounds):
            show(figures, console)
            if given.keep:
                keep(figures, before)
    return 0


def show(figures: Figures, console: Console) -> None:
    """One table: medians and spreads, then what was to be reached."""
    table = Table("", "", "median", "least - most", title=f"{figures.title} ({figures.unit})", title_justify="left")
    for row in figures.rows:
        spread = f"{plots.short(min(row.values))} - {plots.short(max(row.values))}"
        table.add_row(row.name, row.part, plots.short(row.median), spread)
    console.print(table)
    for reached in figures.reached():
        console.print(f"  {'reached    ' if reached.good else 'NOT reached'}  {verdict(reached)}")
    if figures.note:
        console.print(f"  {figures.note}")
    console.print()


def verdict(reached: Reached) -> str:
    """A goal and what came of it, in a line."""
    spread = f"[{plots.short(min(reached.values))} - {plots.short(max(reached.values))}]"
    return f"{reached.goal.wording}: {plots.short(reached.median)} {spread}"


def keep(figures: Figures, load: float) -> None:
    """Keep the figures as JSON and as a plot; what is there of an earlier time is replaced."""
    RESULTS.mkdir(exist_ok=True)
    PLOTS.mkdir(parents=True, exist_ok=True)
    document = {
        "measured_at": f"{datetime.now(UTC):%Y-%m-%d}",
        "machine": machine(),
        "load_before": round(load, 1),
        "title": figures.title,
        "unit": figures.unit,
        "note": figures.note,
        "rows": [{"name": row.name, "part": row.part, "values": [*map(rounded, row.values)]} for row in figures.rows],
        "goals": [
            {"wording": one.goal.wording, "reached": one.good, "values": [*map(rounded, one.values)]}
            for one in figures.reached()
        ],
    }
    text = json.dumps(document, indent=1, ensure_ascii=False)
    flat = re.sub(r"\[\s+([-\d.,\s]+?)\s+\]", lambda found: f"[{' '.join(found[1].split())}]", text)
    (RESULTS / f"{figures.name}.json").write_text(f"{flat}\n")
    (PLOTS / f"{figures.name}.svg").write_text(plots.svg(figures))


def rounded(value: float) -> float:
    """With five digits that count."""
    return float(f"{value:.5g}")


def machine() -> dict[str, object]:
    """What the figures were measured on; nothing that tells which machine it was."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    return {
        "cores": os.cpu_count(),
        "memory_gb": round(memory),
        "system": f"{platform.system()} {'.'.join(platform.release().split('.')[:2])}",
        "python": platform.python_version(),
        "git": _said("git", "version"),
        "ssh": _said("ssh", "-V"),
    }


def _said(*command: str) -> str:
    if shutil.which(command[0]) is None:
        return "none"
    done = subprocess.run(command, capture_output=True, check=False, text=True)
    return (done.stdout or done.stderr).strip().partition(",")[0]
