"""The files of a new fleet, as text, and what to do next with it.

It writes nothing.
"""

import shlex

from reconciler.repo import shipped

AGENTS = (("codex", "codex"), ("claude-code", "claude"))
"""Adapters that may be a new fleet's default, and the command that each one runs."""

SCHEMAS = ("task", "host", "adapter", "settings")

TASKS_PY = b'''"""The fleet's commands: `invoke --list` shows them; `reconciler` runs the same ones."""
from reconciler.__main__ import namespace as namespace
'''

SETTINGS = """# yaml-language-server: $schema=../schemas/settings.schema.json
#
# Everything here is optional. `default_adapter` is the agent for tasks that name none: codex, claude-code, or
# another file of adapters/. `shell` runs a task's goal as a sh script.
default_adapter: {agent}
"""

LOCALHOST = b"""# yaml-language-server: $schema=../schemas/host.schema.json
#
# This machine. More hosts are more files: see README.md.
transport: local
slots: 2
"""

EXAMPLE = b"""# yaml-language-server: $schema=../../schemas/task.schema.json
#
# The file's name is the task's id. It is on hold: nothing happens before you say
#   reconciler release example
title: Say hello
goal: |
  echo "Hello from $(uname -n), where git is $(git --version)."
validation:
  - The greeting stands in `reconciler logs example`.
adapter: shell # runs the goal as a sh script; use codex or claude-code for work in plain words
desired: hold
"""

README = b"""# A fleet of coding agents

What is wanted stands here, in files; what happened is on the branch `observed` (`git log observed`) and, as
plain files, in `state/observed/`.

| path | what |
|---|---|
| `state/tasks/` | one YAML file per task; its name is the task's id |
| `state/settings.yaml` | defaults for all tasks |
| `hosts/` | machines that runs happen on |
| `adapters/` | how to run each agent CLI and read its output |
| `schemas/` | what editors use to complete and check these files |

## The first three commands

    reconciler release example         # take the example task off hold
    reconciler reconcile --until-idle  # run what is to be run
    reconciler logs example            # what it printed

## Your own work

    reconciler new "Fix the login form" --repository URL --adapter codex
    reconciler reconcile               # runs until Ctrl-C; runs that are under way go on without it
    reconciler status --watch          # in another terminal
    reconciler why fix-the-login-form  # when something does not move

`reconciler` alone lists all commands; `invoke --list` shows the same ones.
Another machine is a file `hosts/NAME.yaml` with `transport: ssh` and `address: ...`; it needs sh, git and the agent.
"""


def files(agent: str = AGENTS[0][0]) -> dict[str, bytes]:
    """Path -> content, for every file of a new fleet whose tasks are for `agent` unless they name another adapter."""
    adapters = {
        f"adapters/{file.name}": file.read_bytes()
        for file in sorted(shipped.folder("adapters").iterdir(), key=lambda one: one.name)
        if file.name.endswith((".yaml", ".md"))
    }
    schemas = {f"schemas/{kind}.schema.json": _schema(kind) for kind in SCHEMAS}
    return {
        "README.md": README,
        "tasks.py": TASKS_PY,
        "state/settings.yaml": SETTINGS.format(agent=agent).encode(),
        "state/tasks/example.yaml": EXAMPLE,
        "hosts/localhost.yaml": LOCALHOST,
        **adapters,
        **schemas,
    }


def next_steps(place: str) -> tuple[str, ...]:
    """The commands that lead from a new fleet to a first run."""
    return (
        f"cd {place}",
        "reconciler release example         # take the example task off hold",
        "reconciler reconcile --until-idle  # run it",
        "reconciler logs example            # see what it printed",
    )


def shell_word(text: str) -> str:
    """The text as one word for a person's shell."""
    return shlex.quote(text)


def _schema(kind: str) -> bytes:
    return (shipped.folder("schemas") / f"{kind}.schema.json").read_bytes()
