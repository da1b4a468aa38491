"""Which tasks a page is asked for, read from its address and written into one. Pure.

What it does not know it leaves out: an address that somebody keeps goes on working.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from urllib.parse import urlencode

from reconciler.core.desired import Desired
from reconciler.core.observed import ObservedTask
from reconciler.core.terms import Phase

MOST_LETTERS = 200
MOST_PAGES = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """What is asked for; empty values ask for all. `page` counts from 1 and is of use where phases are named."""

    phases: frozenset[Phase] = frozenset()
    host: str = ""
    adapter: str = ""
    text: str = ""
    page: int = 1

    @property
    def narrows(self) -> bool:
        """Whether it asks for less than all."""
        return self != Filter(page=self.page)


def read(params: Mapping[str, object]) -> Filter:
    """The filter in an address."""
    known = {phase.value: phase for phase in Phase}
    page = _last(params, "page")
    number = int(page) if page.isascii() and page.isdigit() and len(page) <= len(str(MOST_PAGES)) else 1
    return Filter(
        phases=frozenset(known[word] for word in _all(params, "phase") if word in known),
        host=_last(params, "host"),
        adapter=_last(params, "adapter"),
        text=_last(params, "q").strip(),
        page=min(max(number, 1), MOST_PAGES),
    )


def address(wanted: Filter) -> str:
    """The address of the board that asks for it."""
    words = [("phase", phase.value) for phase in Phase if phase in wanted.phases]
    named = (("host", wanted.host), ("adapter", wanted.adapter), ("q", wanted.text))
    words += [(name, value) for name, value in named if value]
    words += [("page", str(wanted.page))] if wanted.page > 1 else []
    return f"/?{urlencode(words, errors='replace')}" if words else "/"


def of_phases(wanted: Filter, phases: frozenset[Phase], page: int = 1) -> Filter:
    """The same for these phases alone."""
    return replace(wanted, phases=phases, page=page)


def fits(wanted: Filter, task_id: str, desired: Desired, seen: ObservedTask) -> bool:
    """Whether a task is asked for, phases apart."""
    document = desired.tasks.get(task_id)
    task = document.value if document is not None else None
    if wanted.host and wanted.host not in {seen.assigned_host, task.host if task is not None else None}:
        return False
    if wanted.adapter and wanted.adapter != (seen.adapter or (task.adapter if task is not None else None)):
        return False
    if not wanted.text:
        return True
    title = task.title if task is not None else seen.pr_title or ""
    where = (task.repository or "") if task is not None else ""
    return wanted.text.casefold() in f"{task_id}\n{title}\n{where}\n{seen.branch_name or ''}".casefold()


def _all(params: Mapping[str, object], name: str) -> list[str]:
    given = params.get(name, [])
    words = given if isinstance(given, list) else [given]
    return [str(word)[:MOST_LETTERS] for word in words]


def _last(params: Mapping[str, object], name: str) -> str:
    return next(reversed(_all(params, name)), "")
