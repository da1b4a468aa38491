"""The check of a fleet on its forge, as a workflow: every push and pull request shows whether the files are good.

It writes nothing.
"""

import json
import shlex

PATH = ".forgejo/workflows/validate.yaml"
"""Where Forgejo looks for it, from the top of the repository."""

_WORKFLOW = """# Checks the fleet's files, so that a push and a pull request show whether they are good.
#
# Forgejo runs it from here, on a runner with the label `docker`. For Gitea move it to .gitea/workflows/. For GitHub
# move it to .github/workflows/ and say `runs-on: ubuntu-latest`; nothing else changes. Where the rules of `main`
# require this check, nothing that is not good is merged.
name: validate
on: [push, pull_request]
jobs:
  validate:
    runs-on: docker
    container: node:22-bookworm # has git and Python 3.11, and what actions/checkout needs
    env:
      PIP_BREAK_SYSTEM_PACKAGES: "1" # the container is thrown away
    steps:
      - uses: actions/checkout@v4
      - name: Install Python's installer
        run: apt-get update -qq && apt-get install -qq --yes python3-pip
      - name: Install reconciler
        run: pip install reconciler
      - name: Validate the fleet
        run: {validate}
"""
_OWNED = "git config --global --add safe.directory '*'"
"""The checkout may belong to the runner's user, and git reads nothing there before it is told that this is meant so."""


def workflow(prefix: str) -> bytes:
    """The file's content for a fleet at that place in its repository: empty, or a path that ends with a slash."""
    fleet = f" --fleet {shlex.quote(prefix)}" if prefix else ""
    return _WORKFLOW.format(validate=json.dumps(f"{_OWNED} && reconciler validate{fleet}")).encode()
