"""The repository that agents work on, as its remote has it: branches, commits and their parents.

It knows nothing of who pushes.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field

MAIN = "main"


@dataclass
class Remote:
    """Branch -> commit; every commit with its parents. `moved` hears of branches that were pushed."""

    url: str
    refs: dict[str, str] = field(default_factory=dict)
    parents: dict[str, tuple[str, ...]] = field(default_factory=dict)
    moved: Callable[[str], None] = lambda _: None

    def __post_init__(self) -> None:
        if not self.refs:
            self.refs[MAIN] = self.commit()

    def commit(self, *parents: str) -> str:
        """A new commit on top of these."""
        sha = hashlib.sha1(f"{self.url} {len(self.parents)}".encode(), usedforsecurity=False).hexdigest()
        self.parents[sha] = parents
        return sha

    def push(self, branch: str, sha: str) -> None:
        """Move a branch."""
        self.refs[branch] = sha
        self.moved(branch)

    def contains(self, tip: str, ancestor: str) -> bool:
        return ancestor in self.history(tip)

    def history(self, tip: str) -> set[str]:
        """The commit and everything before it."""
        found: set[str] = set()
        left = [tip]
        while left:
            sha = left.pop()
            if sha not in found:
                found.add(sha)
                left.extend(self.parents.get(sha, ()))
        return found

    def ahead(self, tip: str, base: str) -> int:
        return len(self.history(tip) - self.history(base))

    def merge(self, branch: str) -> str:
        """Merge a branch into the default one."""
        merged = self.commit(self.refs[MAIN], self.refs[branch])
        self.refs[MAIN] = merged
        return merged
