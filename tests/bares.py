"""A bare repository as a fleet's remote, clones of it, and what people do with them."""

from dataclasses import dataclass
from pathlib import Path

from reconciler.repo import fleet as fleets
from reconciler.repo import git
from reconciler.repo.fleet import Fleet
from tests.recording import PERSON, foreign_commit, new_fleet, person_commits

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
