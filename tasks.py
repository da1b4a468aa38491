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


namespace.add_task(Task(run_tests, name="test", help=HELP))
namespace.add_task(Task(lint))
