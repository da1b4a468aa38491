"""Remotes for tests: a real bare repository, people with clones of it, and a program that pushes there with git."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from reconciler.core.desired import Identity
from reconciler.repo import fleet as fleets
from reconciler.repo import git
from reconciler.repo.fleet import IN_FORCE, Fleet
from reconciler.repo.main.origin import Origin
from reconciler.repo.remote.door import Move, Remote

GUARD = '#!/bin/sh\n[ "$1" != refs/heads/main ] || { echo main is protected >&2; exit 1; }\n'


def clone(bare: Path, to: Path, *, below: str = "") -> Fleet:
    """The program's own clone of a fleet, with what is in force at the ref that only it moves."""
    git.run(bare, "clone", "--quiet", str(bare), str(to))
    git.run(to, "update-ref", IN_FORCE, "HEAD")
    return replace(fleets.find(to / below), ref=IN_FORCE)


def protect(bare: Path, *, on: bool = True) -> None:
    """Have the remote keep its `main` to itself, or not any more."""
    hook = bare / "hooks" / "update"
    hook.parent.mkdir(exist_ok=True)
    hook.unlink(missing_ok=True)
    if on:
        hook.write_text(GUARD)
        hook.chmod(0o755)


class Line(Remote):
    """The program's way to a bare repository; `cut` is called before and after each push, and may raise."""

    def __init__(self, bare: Path, fleet: Fleet) -> None:
        super().__init__(fleet.top, str(bare))
        self.bare = bare
        self.fleet = fleet
        self.pushes: list[str] = []
        self.cut: Callable[[str], None] = lambda _: None

    def origin(self) -> Origin:
        """What the mainline calls."""
        return Origin(self.fleet, self)

    def push(self, moves: Sequence[Move]) -> None:
        (move,) = moves
        self.cut(f"before {move.ref}")
        self.pushes.append(move.ref)
        super().push(moves)
        self.cut(f"after {move.ref}")


@dataclass(frozen=True, kw_only=True)
class Person:
    """Somebody with a clone, who commits and pushes, and takes what others did first when that is refused."""

    top: Path
    name: str

    @classmethod
    def joins(cls, bare: Path, top: Path) -> "Person":
        git.run(bare, "clone", "--quiet", str(bare), str(top))
        return cls(top=top, name=top.name)

    def git(self, *words: str, check: bool = True) -> git.GitResult:
        one = Identity(name=self.name, email=f"{self.name}@example.org")
        return git.run(self.top, *git.identity_words(one), *words, check=check)

    def writes(self, path: str, content: str | None, message: str | None = None) -> None:
        """One commit with one file on the remote's `main`, on top of whatever is there; `None` removes the file."""
        self.git("fetch", "--quiet", "origin")
        if self.git("rev-parse", "--verify", "--quiet", "origin/main", check=False).exit == 0:
            self.git("reset", "--quiet", "--hard", "origin/main")
        file = self.top / path
        if content is None:
            file.unlink()
        else:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(content)
        self.git("add", "--", path)
        self.git("commit", "--quiet", "--message", message or f"Change {path}")
        while self.git("push", "--quiet", "origin", "HEAD:refs/heads/main", check=False).exit:
            self.git("pull", "--quiet", "--rebase", "origin", "main")
