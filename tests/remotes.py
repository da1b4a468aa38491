"""Remotes for tests: a real bare repository, people with clones of it, and a program that pushes there with git."""

from dataclasses import dataclass, field, replace
from pathlib import Path

from reconciler.core.desired import Identity
from reconciler.repo import fleet as fleets
from reconciler.repo import git
from reconciler.repo.fleet import IN_FORCE, Fleet
from reconciler.repo.main.upstream import Upstream
from reconciler.repo.remote import Pushed, RemoteFailed

MAIN = "refs/heads/main"
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


@dataclass(kw_only=True)
class Remote:
    """The program's way to a bare repository; what came of a push is read from the ref, not from git's words."""

    bare: Path
    fleet: Fleet
    pushes: list[tuple[str, Pushed]] = field(default_factory=list)

    def upstream(self, repository: str | None = None) -> Upstream:
        """What the mainline calls."""
        return Upstream(push=self.push, follow=self.follow, at=self.at, repository=repository)

    def at(self, ref: str) -> str | None:
        """Where a ref stands there."""
        try:
            said = git.run(self.fleet.top, "ls-remote", str(self.bare), ref).text
        except git.GitFailed as error:
            raise RemoteFailed(f"the remote cannot be reached: {error}") from error
        return said.split()[0] if said else None

    def push(self, ref: str, new: str, onto: str | None) -> Pushed:
        """Move a ref there by compare-and-swap."""
        lease = f"--force-with-lease={ref}:{onto or ''}"
        git.run(self.fleet.top, "push", "--quiet", lease, str(self.bare), f"{new}:{ref}", check=False)
        pushed = self._seen(self.at(ref), new, onto)
        self.pushes.append((ref, pushed))
        return pushed

    def follow(self) -> None:
        """Fetch, and put in force what is ahead."""
        if self.at(MAIN) is not None:
            git.run(self.fleet.top, "fetch", "--quiet", str(self.bare), f"+{MAIN}:refs/reconciler/fetched/main")
            known = git.tip(self.fleet.top, self.fleet.ref)
            if known is None or self._contains("refs/reconciler/fetched/main", known):
                git.run(self.fleet.top, "update-ref", self.fleet.ref, "refs/reconciler/fetched/main")

    def _seen(self, now: str | None, new: str, onto: str | None) -> Pushed:
        if now == new:
            return Pushed.LANDED
        if now == onto:
            return Pushed.REFUSED
        git.run(self.fleet.top, "fetch", "--quiet", str(self.bare))
        return Pushed.LANDED if now is not None and self._contains(now, new) else Pushed.MOVED

    def _contains(self, ref: str, commit: str) -> bool:
        return git.run(self.fleet.top, "merge-base", "--is-ancestor", commit, ref, check=False).exit == 0


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
