"""Writes the title and the body of a pull request: what was asked, what the agent says it did, how it is checked.

What people, agents and issues wrote stands there as text: it addresses nobody, closes nothing and hides nothing.
"""

import re
from collections.abc import Iterator

from reconciler.core import markdown
from reconciler.core.desired import Task
from reconciler.core.observed import Run

MOST = 60_000
"""The longest body in characters: forges take 65,535 bytes or more. The bounds below keep it, whatever is in the text:
a fence or span is at most three times as long as what it holds."""

MOST_TITLE = 250
MOST_GOAL = 10_000
MOST_SUMMARY = 4_096
MOST_CHECK = 200
MOST_CHECKS = 20
MOST_LINK = 1_000

_DRAFT = re.compile(r"\s*(\[wip\]|wip:)\s*", re.IGNORECASE)
_PLAIN_URL = re.compile(r"https?://[\w.:/~%?#=&+-]+", re.ASCII)


def title(wanted: str, branch: str) -> str:
    """The title in one line, without the words that would make it a draft; the branch's name where nothing is left."""
    left = markdown.one_line(wanted)
    while (draft := _DRAFT.match(left)) is not None:
        left = left[draft.end() :]
    return markdown.cut(left or markdown.one_line(branch), MOST_TITLE)


def body(task_id: str, task: Task, run: Run, *, page: str | None, closes: int | None) -> str:
    """The body for the task's good run. `page` is the task's page, `closes` the issue that a merge is to close."""
    sections = (
        _issue(task, closes),
        _section("What was asked", markdown.fence(task.goal, most=MOST_GOAL) if task.goal.strip() else ""),
        _section("What the agent says it did", _summary(run)),
        _section("How it is validated", "\n".join(_checks(task))),
        f"---\n{_footer(task_id, run, page)}\n<!-- reconciler: {run.run_id} -->",
    )
    return "\n\n".join(section for section in sections if section) + "\n"


def link(url: str) -> str:
    """A URL as a link where it is a plain one, else as text."""
    plain = len(url) <= MOST_LINK and _PLAIN_URL.fullmatch(url) is not None
    return url if plain else markdown.code(url, most=MOST_LINK)


def _section(heading: str, text: str) -> str:
    return f"## {heading}\n\n{text}" if text else ""


def _issue(task: Task, closes: int | None) -> str:
    if task.issue is None:
        return ""
    named = f"For {link(task.issue)}"
    return named if closes is None else f"{named}\n\nCloses #{closes}"


def _summary(run: Run) -> str:
    if run.summary is None or not run.summary.strip():
        return "It said nothing."
    return markdown.fence(run.summary, most=MOST_SUMMARY)


def _checks(task: Task) -> Iterator[str]:
    checks = [check for check in task.validation if check.strip()]
    yield from (f"- {markdown.code(check, most=MOST_CHECK)}" for check in checks[:MOST_CHECKS])
    if len(checks) > MOST_CHECKS:
        yield f"- and {len(checks) - MOST_CHECKS} more, in the task's file"


def _footer(task_id: str, run: Run, page: str | None) -> str:
    agent = f" with `{run.adapter}`" if run.adapter else ""
    link = f" ([log and state](<{page}>))" if page and len(page) <= MOST_LINK and not set(page) & set("<>") else ""
    return f"Task `{task_id}`, run `{run.run_id}` on `{run.host}`{agent}{link}"
