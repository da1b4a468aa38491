"""Has a person write a task in their editor.

It writes nothing into the fleet.
"""

import shlex
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from reconciler.commands.session import NotGood, Session, WrongUsage
from reconciler.repo.desired import loading
from reconciler.repo.yaml import documents
from reconciler.repo.yaml.documents import InvalidDocument

ADVICE = """\
# Write the goal: what is to be achieved, in your own words. Save and close to go on; without a goal nothing is made.
# Optional, one point per line: constraints (limits), validation (how success is checked), context (what to read).
"""

FORM = "goal: |\n  \nconstraints: []\nvalidation: []\ncontext: []\n"
EMPTY: tuple[object, ...] = ("", [], None)


def written(session: Session, data: Mapping[str, object]) -> bytes:
    """The task's file as the person left it, begun with `data`.

    Raises WrongUsage where there is no terminal or no editor, NotGood where no goal was written, and InvalidDocument
    for a file that is wrong: it names the draft, which is kept then.
    """
    words = _editor(session)
    with tempfile.NamedTemporaryFile("wb", suffix=".yaml", prefix="task-", delete=False) as file:
        file.write(ADVICE.encode() + documents.dump(data) + FORM.encode())
    draft = Path(file.name)
    try:
        done = subprocess.run([*words, str(draft)], check=False)
        content = draft.read_bytes()
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise WrongUsage(f"the editor {words[0]} cannot be started; set EDITOR, or give --goal TEXT") from error
    kept = {
        key: value for key, value in documents.parse(content, str(draft)).data.items() if value not in ("", [], None)
    }
    if done.returncode != 0 or "goal" not in kept:
        draft.unlink()
        raise NotGood("no goal was written; nothing was changed")
    problems = loading.load("task", documents.dump(kept), str(draft)).problems
    if problems:
        raise InvalidDocument(problems)
    draft.unlink()
    return documents.dump(kept)


def _editor(session: Session) -> list[str]:
    if not (sys.stdin.isatty() and session.screen.terminal):
        raise WrongUsage("a goal is missing: give --goal TEXT, or --goal - to read it from standard input")
    try:
        words = shlex.split(session.env.get("VISUAL") or session.env.get("EDITOR") or "")
    except ValueError:
        words = []
    if not words:
        raise WrongUsage("a goal is missing: give --goal TEXT, or set EDITOR to write it in your editor")
    return words
