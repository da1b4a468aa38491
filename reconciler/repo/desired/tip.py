"""The commit at the ref that counts, and the versions of its files that are in force.

Never reads the work tree, and never looks into a file.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from reconciler.core.desired import Problem
from reconciler.core.overlay import Overlay
from reconciler.repo import git
from reconciler.repo.desired import fleetfiles, history, trust
from reconciler.repo.desired.fleetfiles import SETTINGS, Listing, Place
from reconciler.repo.desired.judging import Judge
from reconciler.repo.desired.refs import Ref
from reconciler.repo.desired.trust import Judged
from reconciler.repo.journal import Journal


@dataclass(frozen=True, slots=True, kw_only=True)
class Tip:
    """The last commit that was judged, and the files in force with it, path -> blob id.

    `wrong` is what is wrong with that, `refused` why tasks are none, by their ids. `moved` is the commit before and the
    paths that are others there, where these are all that is other.
    """

    judged: Judged = field(default_factory=Judged)
    files: Mapping[str, str] = field(default_factory=dict)
    wrong: tuple[Problem, ...] = ()
    settings: bytes = b""
    refused: Mapping[str, str] = field(default_factory=dict)
    moved: tuple[str, frozenset[str]] | None = None

    @property
    def commit(self) -> str | None:
        """The commit's id, None where there is none."""
        return self.judged.commit

    def blob(self, path: str) -> str | None:
        """The version of a file in force."""
        return self.files.get(path)

    def others(self, before: "Tip") -> frozenset[str] | None:
        """The paths that are others than at that tip; None where more than files may be other."""
        if before is self:
            return frozenset()
        return self.moved[1] if self.moved is not None and self.moved[0] == before.commit else None


class Tips:
    """Looks at the ref of the fleet at `root`, again and again, as far as it moved."""

    def __init__(self, root: Path, *, journal: Journal, ref: str) -> None:
        """What is judged is kept in the journal."""
        self._root, self._ref = root, Ref(root, ref)
        self._judge = Judge(root, journal=journal, ref=ref)
        self._prefix = fleetfiles.prefix(root)
        self._tip = Tip()
        self._listing: Listing | None = None
        self._about_rules: tuple[Problem, ...] = ()

    def is_still(self) -> bool:
        """Whether the ref is as it was when it was looked at last."""
        return self._ref.is_still()

    def look(self) -> Tip:
        """The commit that counts now; the same value as before where nothing moved."""
        judged = self._judge.judged(self._ref.tip())
        problems = self._judge.problems(judged)
        if judged is not self._tip.judged or problems != self._about_rules:
            moved = self._moved(judged) if not problems and not self._about_rules else None
            if moved is None or not self._follow(moved):
                self._listing = None
            self._tip, self._about_rules = moved or _tip(self._root, judged), problems
        return self._tip

    def _moved(self, judged: Judged) -> Tip | None:
        """The tip with what became other since the last one, where there are no rules about what counts."""
        last = self._tip
        if judged.commit is None or last.commit is None or judged.rules or last.judged.rules or last.wrong:
            return None
        changes = history.between(self._root, self._prefix, last.commit, judged.commit, fleetfiles.FOLDERS)
        files = Overlay(last.files) if not isinstance(last.files, Overlay) else last.files
        others = {sys.intern(one.path): one.new for one in changes}
        moved = Tip(judged=judged, files=files.changed(others), moved=(last.commit, frozenset(others)))
        return replace(moved, settings=_settings(self._root, moved))

    def _follow(self, moved: Tip) -> bool:
        """Bring the listing up to date; whether that could be done."""
        if self._listing is None or moved.moved is None:
            return False
        listing = self._listing
        for path in moved.moved[1]:
            place, blob = fleetfiles.classify(path), moved.blob(path)
            if not isinstance(place, Place) or place.kind == "archived":
                return False
            listing.files.pop(path, None)
            if blob is not None:
                listing.files[path] = (place, blob)
        return True

    def listing(self) -> Listing:
        """The files in force with that commit, made when it is asked for: where the work tree counts it seldom is."""
        if self._listing is None:
            self._listing = fleetfiles.committed(self._tip.files)
            self._listing.problems.extend((*self._tip.wrong, *self._about_rules))
        return self._listing


def _tip(root: Path, judged: Judged) -> Tip:
    if judged.commit is None:
        return Tip()
    files = fleetfiles.at(root, judged.commit, fleetfiles.FOLDERS)
    found = {path: trust.problem(path, held) for path, held in judged.held.items()}
    added = {path: place for path in found if isinstance(place := fleetfiles.classify(path), Place)}
    refused = {
        place.id: found[path].message
        for path, place in added.items()
        if place.kind == "task" and judged.held[path].blob is None
    }
    in_force = trust.in_force(files, judged.held)
    tip = Tip(judged=judged, files=in_force, wrong=tuple(found.values()), refused=refused)
    return replace(tip, settings=_settings(root, tip))


def _settings(root: Path, tip: Tip) -> bytes:
    blob = tip.blob(SETTINGS)
    return git.read_blobs(root, (blob,)).get(blob, b"") if blob else b""
