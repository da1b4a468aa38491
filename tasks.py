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
    "paths": "files or options for pytest",
}


def run_tests(
    context: Context, *, fault: bool = False, sample: bool = False, cli: bool = False, paths: str = ""
) -> None:
    """Run the tests."""
    marks = "fault" if fault else "cli" if cli else "not fault and not cli"
    context.run(f"{PYTHON} -m pytest -q -n 2 -m '{marks}' {paths}", env=SAMPLE if sample else {})


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


namespace.add_task(Task(run_tests, name="test", help=HELP))
namespace.add_task(Task(lint))
namespace.add_task(Task(fuzz, help={"seconds": "for how long", "target": "one or several targets; without any, all"}))
namespace.add_task(Task(lock))
namespace.add_task(Task(audit))
