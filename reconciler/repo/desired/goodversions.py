"""The last good version of a file that is broken or gone: from the journal, else from the history of the branch.

Never takes a version that does not load today.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from reconciler.core.desired import Document, Host
from reconciler.repo import git
from reconciler.repo.desired import history, loading
from reconciler.repo.desired.checks import Value
from reconciler.repo.desired.trust import Judged
from reconciler.repo.journal import Journal

MAX_VERSIONS = 50
FEW = 20
"""So many notes are written anew without a look whether they say so already."""


class Good(NamedTuple):
    """A valid version of a file: its blob id and its value; whether what a task's file leaves open is filled in."""

    blob: str
    value: Value
    filled: bool = False


@dataclass(slots=True, kw_only=True)
class GoodVersions:
    """Knows the newest valid version of every file.

    A version that is the committed one needs no note in the journal: the history of the branch tells it.
    """

    root: Path
    journal: Journal
    ref: str
    _judged: Judged | None = None
    _searched: dict[tuple[str, str | None, str | None], Good | None] = field(default_factory=dict)

    def go_by(self, judged: Judged) -> None:
        """Where there are rules of trust, take only versions that the history ever put in force by them."""
        by = judged if judged.rules is not None else None
        if by is not self._judged:
            self._judged = by
            self._searched.clear()

    def keep(self, valid: Mapping[str, str], committed: Callable[[str], str | None]) -> None:
        """Note that these versions of files are valid; `committed` gives the blob id at the branch's tip."""
        news = {}
        asked = [path for path, blob in valid.items() if len(valid) > FEW or committed(path) == blob]
        noted = self.journal.good_versions(asked)
        for path, blob in valid.items():
            known = noted.get(path)
            if known != blob and not (known is None and committed(path) == blob):
                news[path] = blob
        if news:
            self.journal.keep_good_versions(news)

    def find(self, kind: str, path: str, tip: str | None) -> Good | None:
        """The newest valid version of a file; None when none is known to the journal or to the branch at `tip`."""
        noted = self.journal.good_version(path)
        key = (path, noted, tip)
        if key not in self._searched:
            if len(self._searched) > 10 * MAX_VERSIONS:
                self._searched.clear()
            self._searched[key] = self._search(kind, path, noted, tip)
        return self._searched[key]

    def hosts(self, names: Iterable[str], tip: str | None) -> dict[str, Document[Host]]:
        """The hosts of these names in their newest valid versions, as far as one is known."""
        found = {name: self.find("host", f"hosts/{name}.yaml", tip) for name in names}
        return {
            name: Document(value=good.value, spec=good.blob)
            for name, good in found.items()
            if good is not None and isinstance(good.value, Host)
        }

    def _search(self, kind: str, path: str, noted: str | None, tip: str | None) -> Good | None:
        if self._judged is not None:
            past = history.versions(self.root, self._judged, path)
        elif noted is not None and (good := self._valid(kind, path, noted)):
            return good
        else:
            past = git.history(self.root, self.ref, path) if tip else ()
        versions = (self._valid(kind, path, blob) for blob in past[:MAX_VERSIONS])
        return next((good for good in versions if good), None)

    def _valid(self, kind: str, path: str, blob: str) -> Good | None:
        content = git.read_blobs(self.root, (blob,)).get(blob)
        loaded = loading.load(kind, content, path) if content is not None else None
        return Good(blob=blob, value=loaded.value) if loaded and loaded.value else None
