"""Which tasks' files are gone: since when that is certain, and why it is not.

Never touches a file.
"""

from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path

from reconciler.repo import git
from reconciler.repo.desired.fleetfiles import Listing

_STILL_COMMITTED = "the file is gone from the work tree but still committed: commit its removal, or restore it"


class Absence:
    """The recorded, unfinished tasks without a file in the fleet at `root`; `missing` are all of them."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._gone: dict[str, datetime] = {}
        self.missing: set[str] = set()

    def begin(self, missing: Iterable[str]) -> None:
        """These are without a file."""
        self.missing = set(missing)

    def note(self, names: Iterable[str], is_missing: Callable[[str], bool]) -> None:
        """Look again at these tasks."""
        for name in names:
            if is_missing(name):
                self.missing.add(name)
            else:
                self.missing.discard(name)

    def since(
        self, now: datetime, at_tip: Listing, *, committed: bool, known: bool
    ) -> tuple[dict[str, datetime], dict[str, str]]:
        """Since when files are certainly gone, and why the other tasks without one may not start.

        `at_tip` are the files of the commit that counts, `known` whether there is one; `committed`: only that counts.
        """
        if not self.missing:
            self._gone = {}
            return {}, {}
        busy = self._busy(committed=committed, known=known)
        tasks = {place.id for place, _ in at_tip.files.values() if place.kind == "task"}
        certain = () if busy else [name for name in sorted(self.missing) if name not in tasks]
        self._gone = {name: self._gone.get(name, now) for name in certain}
        said = f"the file is gone, and {busy} is under way: finish it" if busy else _STILL_COMMITTED
        return dict(self._gone), {name: said for name in self.missing if name not in self._gone}

    def _busy(self, *, committed: bool, known: bool) -> str | None:
        """What makes it uncertain whether a file is gone."""
        if committed:
            return None if known else "a change of the branch"
        if step := git.in_progress(self._root):
            return f"a {step}"
        return "a git command" if git.index_locked(self._root) else None
