"""A term as a commit, and back: what the ref `refs/reconciler/leader` of the remote points at.

It moves no ref. The same term always makes the same commit, so that renewals can use the old ones again.
"""

from pathlib import Path

from reconciler.core import printable
from reconciler.core.desired import Identity
from reconciler.core.leadership import Term
from reconciler.repo import git
from reconciler.repo.fleet import OBSERVED

MAX_NAME = 200
SEARCHED = 1000
"""How many of the newest commits of `observed` are looked through for the last term."""
KNOWN = "refs/reconciler/term"
"""The term with the highest number that this clone ever saw, so that no number is given twice."""
MAX_DIGITS = 15
RELEASED = "released"
HELD = "held"


def write(repository: Path, term: Term, identity: Identity) -> str:
    """The id of the commit that says this; made where it is not there yet."""
    tree = git.run(repository, "hash-object", "-t", "tree", "-w", "--stdin").text
    name = printable.short(term.name, MAX_NAME)
    state = RELEASED if term.released else HELD
    trailers = f"Term: {term.number}\nHolder: {term.holder}\nTurn: {term.turn}\nState: {state}\nName: {name}"
    message = f"Term {term.number} {'is over' if term.released else f'is held by {name}'}\n\n{trailers}\n"
    who = f"{_plain(identity.name)} <{_plain(identity.email)}> 0 +0000"
    text = f"tree {tree}\nauthor {who}\ncommitter {who}\n\n{message}"
    return git.run(repository, "hash-object", "-t", "commit", "-w", "--stdin", stdin=text.encode(errors="replace")).text


def read(repository: Path, commit: str) -> Term | None:
    """The term that a commit says; `None` where it is not here, or says none."""
    found = git.run(repository, "cat-file", "commit", commit, check=False)
    said = dict(
        pair for line in found.stdout.decode(errors="replace").splitlines() if len(pair := line.split(": ", 1)) > 1
    )
    number, turn = _number(said.get("Term", "")), _number(said.get("Turn", ""))
    if found.exit != 0 or number is None or "Holder" not in said:
        return None
    return Term(
        number=number,
        holder=said["Holder"],
        name=printable.short(said.get("Name", said["Holder"]), MAX_NAME),
        turn=turn or 0,
        released=said.get("State") == RELEASED,
    )


def remember(repository: Path, commit: str, term: Term) -> None:
    """Keep a term that was seen, where none with a higher number was."""
    known = _known(repository)
    if known is None or known.number < term.number:
        git.run(repository, "update-ref", KNOWN, commit)


def highest(repository: Path, ref: str = f"refs/heads/{OBSERVED}") -> int:
    """The highest number of a term that was seen here, or told of on the branch `observed`; 0 where there is none."""
    known = _known(repository)
    seen = known.number if known is not None else 0
    if git.tip(repository, ref) is None:
        return seen
    shape = "--format=%(trailers:key=Term,valueonly,separator=%x20)"
    words = git.run(repository, "log", f"--max-count={SEARCHED}", shape, ref).text.split()
    return max((seen, *(number for word in words if (number := _number(word)) is not None)))


def _known(repository: Path) -> Term | None:
    commit = git.tip(repository, KNOWN)
    return read(repository, commit) if commit is not None else None


def _number(word: str) -> int | None:
    return int(word) if word.isascii() and word.isdigit() and len(word) <= MAX_DIGITS else None


def _plain(text: str) -> str:
    return printable.short(text.translate({ord("<"): None, ord(">"): None}), MAX_NAME)
