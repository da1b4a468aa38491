"""Makes fleets of many tasks to measure with: files of about 530 bytes, committed, none of them under way.

It measures nothing.
"""

import os
from pathlib import Path

from reconciler.repo import git

PER_FOLDER = 400
"""Files in a folder of tasks, as in a fleet that somebody keeps in order."""

_TASK = """title: Repair the flaky test number {number}
goal: |
  tests/test_cart_{number}.py fails about once in ten runs since the upgrade. Find the cause, repair it, and say in
  the commit message what it was. Do not raise the timeouts: they hide it.
constraints:
  - Keep the public interface of the cart as it is
  - No new dependency
validation:
  - pytest tests/test_cart_{number}.py passes 50 times in a row
repository: https://git.example.org/team/shop-{number}.git
adapter: shell
requires: [word-{word}]
priority: {priority}
timeout: 1h30m
"""


def task_id(number: int) -> str:
    """The id of a fleet's task."""
    return f"task-{number:06}"


def task_path(number: int) -> str:
    """Where the file of a task stands in its fleet."""
    return f"state/tasks/{number // PER_FOLDER:03}/{task_id(number)}.yaml"


def task_text(number: int) -> str:
    """A task file."""
    return _TASK.format(number=number, word=number % 20, priority=number % 5)


def make(root: Path, tasks: int, hosts: int = 1) -> Path:
    """A fleet of so many waiting tasks and hosts, in one commit on `main`; its root."""
    os.environ.update(GIT_CONFIG_GLOBAL=os.devnull, GIT_CONFIG_NOSYSTEM="1")
    root.mkdir(parents=True)
    git.run(root, "init", "--quiet", "--initial-branch=main", ".")
    for folder in ("hosts", "adapters"):
        (root / folder).mkdir()
    (root / "adapters" / "shell.yaml").write_text('run: [sh, "{prompt_file}"]\nprompt_text: goal\n')
    for number in range(hosts):
        (root / "hosts" / f"host-{number:04}.yaml").write_text("transport: local\ndrain: {reason: it is measured}\n")
    for number in range(tasks):
        path = root / task_path(number)
        if number % PER_FOLDER == 0:
            path.parent.mkdir(parents=True)
        path.write_text(task_text(number))
    git.run(root, "add", "--all", timeout_s=600)
    git.run(root, "-c", "user.name=bench", "-c", "user.email=bench@localhost", "commit", "--quiet", "-m", "A fleet")
    return root
