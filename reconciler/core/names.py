"""Makes ids of what people wrote, and free ones of those that are taken.

It knows no task: which ids are taken is asked for.
"""

import re
import unicodedata
from collections.abc import Collection
from itertools import count

MAX_SLUG = 50
"""Letters of a title that go into an id; an id may have 63, which leaves room for a number."""


def slug(title: str, most: int = MAX_SLUG) -> str:
    """An id for a title: its letters and digits in ASCII, small, with `-` between; `task` where it has none."""
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:most].strip("-") or "task"


def unused(wanted: str, taken: Collection[str]) -> str:
    """The id, with a number behind it where it is taken."""
    if wanted not in taken:
        return wanted
    return next(name for number in count(2) if (name := f"{wanted}-{number}") not in taken)
