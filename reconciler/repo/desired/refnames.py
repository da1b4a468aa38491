"""The rules of `git check-ref-format --branch`, without git.

Never asks a repository, so `@{-1}` and the like, which git would look up, are refused.
"""

import re

_PLAIN = re.compile(r"(?:[a-z0-9][a-z0-9_-]*/)*[a-z0-9][a-z0-9_-]*")
"""Nearly all there are: none of the rules is about such a name."""
_FORBIDDEN = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]")


def branch_problem(name: str) -> str | None:
    """Why git would not take `name` for a branch, as the end of a sentence; None when it would."""
    return None if _PLAIN.fullmatch(name) else _problem(name)


def _problem(name: str) -> str | None:
    if not name:
        return "is empty"
    if found := _FORBIDDEN.search(name):
        shown = found[0] if found[0].isprintable() and found[0] != " " else f"U+{ord(found[0]):04X}"
        return f"holds {shown}, which no branch may"
    for part in ("..", "@{", "//"):
        if part in name:
            return f'holds "{part}", which no branch may'
    if name.startswith(("-", "/")) or name.endswith(("/", ".")):
        return "starts with - or /, or ends with / or ."
    if any(part.startswith(".") or part.endswith(".lock") for part in name.split("/")):
        return "has a part that starts with . or ends with .lock"
    return "is a name that git keeps for itself" if name in ("HEAD", "@") else None
