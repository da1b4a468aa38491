"""Reads lists of a forge page by page, also from servers that page in their own way or not at all.

It trusts neither a page's length nor a header alone, and it always comes to an end.
"""

import json
import re
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from typing import TypeVar

from reconciler.forge.answers import Answer
from reconciler.forge.fields import Unreadable
from reconciler.forge.rest import Call, Rest

PAGE = 50
"""What forges give at most by default; one that gives less says how many there are."""

MOST_PAGES = 40
MOST_ENTRIES = 20_000
"""After so many no further page is asked for, whatever a server takes a page to be."""

T = TypeVar("T")
Enough = Callable[[list[object]], Awaitable[bool]]
"""Given the entries of each page in turn: whether no more are wanted."""

_COUNT = re.compile(r"[0-9]{1,9}")
_NEXT = re.compile(r'rel="?next\b')


async def listed(rest: Rest, call: Call, doing: str, enough: Enough | None = None) -> list[object]:
    """The entries of a list, each once, in the order in which they came; raises what `rest` raises."""
    found: dict[str, object] = {}
    came = 0
    for number in range(1, MOST_PAGES + 1):
        answer = rest.must(await rest.ask(replace(call, query={**call.query, **rest.page(number, PAGE)})), doing)
        entries = answer.data if answer.data is not None else []
        if not isinstance(entries, list):
            raise rest.unreadable(doing, "it is no list")
        before = len(found)
        came += len(entries)
        for entry in entries:
            found.setdefault(_identity(entry), entry)
        if len(found) == before or len(found) >= MOST_ENTRIES or _last(answer, len(entries), came):
            break
        if enough is not None and await enough(entries):
            break
    return list(found.values())


def readable(entries: Iterable[object], read: Callable[[object], T]) -> list[T]:
    """What can be read of them: one entry of another shape does not hide the others."""
    values = []
    for entry in entries:
        try:
            values.append(read(entry))
        except Unreadable:
            continue
    return values


def _last(answer: Answer, length: int, came: int) -> bool:
    """Whether nothing speaks for another page: it is not full, none is announced, and as many came as there are."""
    total = answer.headers.get("x-total-count", "").strip()
    more = _COUNT.fullmatch(total) is not None and came < int(total)
    return length < PAGE and not more and _NEXT.search(answer.headers.get("link", "")) is None


def _identity(entry: object) -> str:
    """What names an entry; two of one id are still two where their numbers differ."""
    named = entry.get("id") if isinstance(entry, dict) else None
    if isinstance(entry, dict) and isinstance(named, int | str):
        return f"id {named} number {entry.get('number')}"
    return json.dumps(entry, sort_keys=True)
