"""The repository that agents work on, as its remote has it: branches, commits and their parents.

It knows nothing of who pushes.
"""

import hashlib
import heapq
from collections.abc import Callable
from dataclasses import dataclass, field

MAIN = "main"


@dataclass
class Remote:
    """Branch -> commit; every commit with its parents, and as the how-manieth it was made: parents come first.

    `moved` hears of branches that were pushed.
    """

    url: str
    refs: dict[str, str] = field(default_factory=dict)
    parents: dict[str, tuple[str, ...]] = field(default_factory=dict)
    numbers: dict[str, int] = field(default_factory=dict)
    moved: Callable[[str], None] = lambda _: None

    def __post_init__(self) -> None:
        if not self.refs:
            self.refs[MAIN] = self.commit()

    def commit(self, *parents: str) -> str:
        """A new commit on top of these."""
        sha = hashlib.sha1(f"{self.url} {len(self.parents)}".encode(), usedforsecurity=False).hexdigest()
        self.numbers[sha], self.parents[sha] = len(self.parents), parents
        return sha

    def push(self, branch: str, sha: str) -> None:
        """Move a branch."""
        self.refs[branch] = sha
        self.moved(branch)

    def contains(self, tip: str, ancestor: str) -> bool:
        return self.ahead(ancestor, tip) == 0

    def ahead(self, tip: str, base: str) -> int:
        """How many commits of the tip's history are not in the base's; what is older than both need is not read."""
        of_base, others, found = {base}, {tip} - {base}, 0
        newest = [(-self.numbers[sha], sha) for sha in (*of_base, *others)]
        heapq.heapify(newest)
        while others:
            sha = heapq.heappop(newest)[1]
            before = self.parents[sha]
            for parent in set(before) - of_base - others:
                heapq.heappush(newest, (-self.numbers[parent], parent))
            if sha in others:
                found += 1
                others.remove(sha)
                others.update(set(before) - of_base)
            else:
                of_base.update(before)
                others.difference_update(before)
        return found

    def merge(self, branch: str) -> str:
        """Merge a branch into the default one."""
        merged = self.commit(self.refs[MAIN], self.refs[branch])
        self.refs[MAIN] = merged
        return merged
