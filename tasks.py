"""The commands of this repository: those of every fleet (it is one itself), and the project's own.

It holds no logic: a command of the project starts a tool.
"""

import shlex
import sys
from pathlib import Path

from invoke.context import Context
from invoke.tasks import Task

from reconciler.__main__ import namespace

PYTHON = shlex.quote(sys.executable)
SCRIPTS = shlex.quote(str(Path(sys.executable).parent))
SAMPLE = {"FAULT_SAMPLE": "1"}
LOCK = "requirements.lock"
HELP = {
    "fault": "the fault suite instead: kills, cuts, full disks",
    "sample": "with --fault: every tenth place of a fault",
    "cli": "the real agent CLIs instead, against a scripted model",
    "browser": "the pages in Chromium instead",
    "paths": "files or options for pytest",
}
SIMULATION_HELP = {
    "seconds": "for how long new worlds begin",
    "seed": "the seed of the first world; each further one has the next",
    "worlds": "at most so many worlds",
    "hosts": "hosts in each world",
    "tasks": "tasks in each world",
    "minutes": "how long the weather of a world lasts, in its own time",
    "severity": "what every chance of a fault is multiplied by; without it each world has its own: 0.024, 1.2 or 2.4",
    "jobs": "worlds at a time",
}
BENCH_HELP = {
    "name": "one measurement, the name of a module in bench/",
    "rounds": "interleaved rounds; without it, what each measurement wants",
    "keep": "keep the results in bench/results and draw the plots of docs/performance.md",
}


def run_tests(  # noqa: PLR0913 - one for each option
    context: Context,
    *,
    fault: bool = False,
    sample: bool = False,
    cli: bool = False,
    browser: bool = False,
    paths: str = "",
) -> None:
    """Run the tests."""
    chosen = "fault" if fault else "cli" if cli else "browser" if browser else ""
    marks = chosen or "not fault and not cli and not browser"
    workers = 2 if browser else 4
    context.run(
        f"{PYTHON} -m pytest -q -n {workers} --dist worksteal -m '{marks}' {paths}", env=SAMPLE if sample else {}
    )


def screenshots(context: Context, *, folder: str = "docs/img") -> None:
    """Make the pictures of the pages anew, with Debian's chromium."""
    context.run(f"{PYTHON} -m tests.browser.pictures {shlex.quote(folder)}")


def docs(context: Context, *, serve: bool = False) -> None:
    """Build the site of the documents into build/docs, strictly."""
    context.run(f"{PYTHON} -m website {'--serve' if serve else ''}")


def lint(context: Context) -> None:
    """Check format, style, types and layers."""
    for tool in ("ruff format --check .", "ruff check .", "mypy", "lint-imports"):
        context.run(f"{SCRIPTS}/{tool}")


def fuzz(context: Context, *, seconds: int = 60, target: str = "") -> None:
    """Fuzz everything that reads what strangers wrote; what breaks is kept in tests/fuzz/corpus."""
    context.run(f"{PYTHON} -m tests.fuzz {seconds} {target}")


def lock(context: Context) -> None:
    """Write requirements.lock anew: every dependency at its newest, with the digests of its files."""
    options = "--all-extras --universal --upgrade --generate-hashes --no-emit-index-url --no-emit-find-links"
    comment = f"--custom-compile-command 'invoke lock' --quiet --output-file {LOCK}"
    context.run(f"{SCRIPTS}/uv pip compile pyproject.toml {options} {comment}")


def audit(context: Context) -> None:
    """Ask the advisory service about every locked dependency; says so where it cannot be asked."""
    context.run(f"{PYTHON} -m tests.auditing {LOCK}")


def simulate(  # noqa: PLR0913 - one for each option
    context: Context,
    *,
    seconds: str = "40",
    seed: str = "",
    worlds: str = "",
    hosts: str = "",
    tasks: str = "",
    minutes: str = "",
    severity: str = "",
    jobs: str = "",
) -> None:
    """Run the program in simulated worlds, in virtual time; at the first broken invariant say how to see it again."""
    options = {"worlds": worlds, "hosts": hosts, "tasks": tasks, "minutes": minutes, "severity": severity, "jobs": jobs}
    given = {"seconds": seconds, "seed": seed, **options}
    words = " ".join(f"--{name} {shlex.quote(value)}" for name, value in given.items() if value)
    context.run(f"{PYTHON} -m tests.simulation {words}")


def bench(context: Context, name: str = "", *, rounds: int = 0, keep: bool = False) -> None:
    """Measure the program beside its peers and limits; without a name, everything there is a measurement for."""
    options = f"{f'--rounds {rounds}' if rounds else ''} {'--keep' if keep else ''}"
    context.run(f"{PYTHON} -m bench {options} {shlex.quote(name) if name else ''}")


namespace.add_task(Task(run_tests, name="test", help=HELP))
namespace.add_task(Task(screenshots, help={"folder": "where they are put"}))
namespace.add_task(Task(docs, help={"serve": "show it while pages are written, at http://127.0.0.1:8000/"}))
namespace.add_task(Task(lint))
namespace.add_task(Task(fuzz, help={"seconds": "for how long", "target": "one or several targets; without any, all"}))
namespace.add_task(Task(lock))
namespace.add_task(Task(audit))
namespace.add_task(Task(bench, help=BENCH_HELP))
namespace.add_task(Task(simulate, help=SIMULATION_HELP))
