"""The commands of this repository: those of every fleet (it is one itself), and the project's own.

It holds no logic: a command of the project starts a tool.
"""

from invoke.context import Context
from invoke.tasks import task

from reconciler.__main__ import namespace


@task(
    name="test",
    help={
        "fault": "the fault suite instead: kills, cuts, full disks",
        "cli": "the real agent CLIs instead, against a scripted model",
        "paths": "files or options for pytest",
    },
)
def run_tests(context: Context, *, fault: bool = False, cli: bool = False, paths: str = "") -> None:
    """Run the tests."""
    marks = "fault" if fault else "cli" if cli else "not fault and not cli"
    context.run(f"python -m pytest -q -n 2 -m '{marks}' {paths}")


@task
def lint(context: Context) -> None:
    """Check format, style, types and layers."""
    context.run("ruff format --check . && ruff check . && mypy && lint-imports")


namespace.add_task(run_tests)
namespace.add_task(lint)
