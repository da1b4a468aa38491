"""Remotes for tests: a real bare repository, clones of it, people who push there, and a program that does with git."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from reconciler.core.desired import Identity
from reconciler.repo import fleet as fleets
from reconciler.repo import git
from reconciler.repo.fleet import IN_FORCE, Fleet
from reconciler.repo.main.origin import Origin
from reconciler.repo.remote.door import Move, Remote
from tests.recording import PERSON, foreign_commit, new_fleet, person_commits

GUARD = '#!/bin/sh\n[ "$1" != refs/heads/main ] || { echo main is protected >&2; exit 1; }\n'
"""A hook under which `main` takes no push."""
SHIM = """#!/bin/sh
# the far side of a connection lives on when the near one is killed
for word; do last=$word; done
exec setsid sh -c "$last"
"""
"""What git starts instead of ssh: the command of the far side, on this machine."""
WAITING = """#!/bin/sh
while [ -e blocked ]; do sleep 0.02; done
"""
"""A hook under which pushes wait for as long as the repository holds the file `blocked`."""
SPEECHLESS = """#!/bin/sh
[ ! -e speechless ] || kill -9 $PPID
"""
"""A hook under which pushes land without an answer while the repository holds the file `speechless`."""


@dataclass(frozen=True, kw_only=True)
class Bare:
    """The remote's repository."""

    path: Path

    @classmethod
    def make(cls, folder: Path) -> "Bare":
        """An empty one."""
        folder.mkdir(parents=True, exist_ok=True)
        git.run(folder, "init", "--quiet", "--bare", "--initial-branch=main", "fleet.git")
        return cls(path=folder / "fleet.git")

    def tip(self, ref: str) -> str | None:
        return git.tip(self.path, ref)

    def git(self, *words: str) -> str:
        return git.run(self.path, *git.identity_words(PERSON), *words).text

    def hook(self, name: str, text: str) -> None:
        """Have git run this at the remote."""
        path = self.path / "hooks" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)

    def fleet(self, top: Path) -> Fleet:
        """A new fleet whose `origin` this is, pushed."""
        made = new_fleet(top)
        git.run(top, "remote", "add", "origin", str(self.path))
        person_commits(top, "state/settings.yaml", "remote: origin\n")
        git.run(top, "push", "--quiet", "origin", "main")
        return made

    def clone(self, top: Path) -> Fleet:
        """A clone, as a fleet."""
        git.run(self.path, "clone", "--quiet", str(self.path), str(top))
        return fleets.find(top)

    def rewrite(self, ref: str) -> str:
        """Somebody puts another commit in the place of the newest one; its id."""
        parent = self.tip(f"{ref}~1") or self.tip(ref)
        assert parent is not None
        made = foreign_commit(self.path, parent)
        self.git("update-ref", ref, made)
        return made


def push(fleet: Fleet, name: str, content: str) -> str:
    """Somebody commits a file in this clone and pushes; the commit."""
    person_commits(fleet.top, name, content)
    git.run(fleet.top, "push", "--quiet", "origin", "main")
    return str(git.tip(fleet.top, "refs/heads/main"))


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
