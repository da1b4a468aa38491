"""Walks the history of a ref, oldest commit first, and judges each commit by the rules that were in force before it.

What comes of it depends on the history alone, and on this machine's files of allowed signers where the rules name them.
"""

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from reconciler.core.desired import Problem, Settings, Trust
from reconciler.repo import git
from reconciler.repo.desired import fleetfiles, history, loading, signers, trust
from reconciler.repo.desired.fleetfiles import SETTINGS
from reconciler.repo.desired.signers import Machine
from reconciler.repo.desired.trust import Commit, Judged
from reconciler.repo.desired.verdicts import Verdicts
from reconciler.repo.journal import Journal


class Judge:
    """Judges what a ref's history puts in force, as far as it grew. Not for two threads at a time."""

    def __init__(self, root: Path, *, journal: Journal, ref: str) -> None:
        """Judge for the fleet at `root`; what was judged is kept in the journal."""
        self._root = root
        self._prefix = fleetfiles.prefix(root)
        self._verdicts = Verdicts(journal=journal, ref=ref, prefix=self._prefix)
        self._machine = Machine(root)
        self._last: tuple[str, Judged] | None = None

    def judged(self, tip: str | None) -> Judged:
        """What the history up to this commit puts in force; GitFailed as git has it.

        It ends before the tip where the tip puts other commits in the place of those that were judged by rules.
        """
        if tip is None:
            return Judged()
        if self._last is None or self._last[0] != tip or self._machine.has_changed():
            self._machine.forget()
            kept = self._last[1] if self._last is not None else self._verdicts.read()
            judged = self._on_from(kept, tip)
            if judged != kept:
                self._verdicts.keep(judged)
            self._last = (tip, judged)
        return self._last[1]

    def problems(self, judged: Judged) -> tuple[Problem, ...]:
        """What keeps commits from being judged, and signatures from being good."""
        found = []
        if self._last is not None and self._last[1] is judged and self._last[0] != judged.commit:
            found.append(_turned(self._last[0], str(judged.commit)))
        if judged.rules is not None and not self._has_signers(judged, judged.rules):
            found.extend(_no_signers(judged.rules))
        return tuple(found)

    def _on_from(self, kept: Judged | None, tip: str) -> Judged:
        start, end = Judged(), tip
        if kept is not None and kept.commit is not None:
            goes_on = history.follows(self._root, kept.commit, tip)
            turned = not goes_on and kept.rules is not None and history.contains(self._root, kept.commit, tip)
            start = kept if (goes_on or turned) and self._is_as_it_was(kept) else start
            end = kept.commit if turned else tip
        return Walk(self._root, self._prefix, self._machine, start).to(end)

    def _has_signers(self, judged: Judged, rules: Trust) -> bool:
        source = signers.on_machine(rules)
        return judged.signers is not None if source is None else self._machine.content(source) is not None

    def _is_as_it_was(self, kept: Judged) -> bool:
        """Whether the files outside of the history say today what they said."""
        return all(self._machine.digest(source) == digest for source, digest in kept.machine.items())


@dataclass(slots=True)
class _Asked:
    """The commits whose signatures were looked at under the rules as they are, and the good ones among them."""

    commits: set[str] = field(default_factory=set)
    good: set[str] = field(default_factory=set)


class Walk:
    """A walk from what is judged already to a later commit."""

    def __init__(self, root: Path, prefix: str, machine: Machine, start: Judged) -> None:
        """Begin at `start`."""
        self._root, self._prefix, self._machine = root, prefix, machine
        self._at = start
        self._held = dict(start.held)
        self._untrusted = set(start.untrusted)
        self._asked = _Asked()
        self._loaded: dict[str, Settings | None] = {}

    def to(self, tip: str) -> Judged:
        """What the history up to `tip` puts in force."""
        while self._at.commit != tip:
            if self._at.rules is None:
                self._without_rules(tip)
            else:
                self._under_rules(tip)
        return replace(self._at, held=dict(sorted(self._held.items())), untrusted=frozenset(self._untrusted))

    def _without_rules(self, tip: str) -> None:
        """As long as there are no rules only the settings are looked at."""
        for commit in history.commits(self._root, self._prefix, self._span(tip), (SETTINGS,)):
            self._follow_settings(commit)
            if self._at.rules is not None:
                self._at = replace(self._at, commit=commit.id)
                return
        self._at = replace(self._at, commit=tip)

    def _under_rules(self, tip: str) -> None:
        """Judge on, until the rules are gone or look at other files."""
        path = signers.in_fleet(self._at.rules)
        commits = _relevant(path, history.commits(self._root, self._prefix, self._span(tip), _covered(path)))
        for number, commit in enumerate(commits):
            trusted = self._is_trusted(commit, itertools.islice(commits, number, None))
            trust.apply(self._held, commit, trusted=trusted)
            if not trusted:
                self._untrusted.add(commit.id)
            if trusted and _touches(commit, path):
                self._follow_settings(commit)
                if self._at.rules is None or signers.in_fleet(self._at.rules) != path:
                    self._at = replace(self._at, commit=commit.id)
                    return
        self._at = replace(self._at, commit=tip)

    def _span(self, tip: str) -> str:
        return tip if self._at.commit is None else f"{self._at.commit}..{tip}"

    def _is_trusted(self, commit: Commit, coming: Iterable[Commit]) -> bool:
        rules = self._at.rules
        if rules is None or trust.is_listed(rules, commit):
            return True
        if rules.signed is not None and commit.id not in self._asked.commits:
            self._ask(rules, coming)
        return commit.id in self._asked.good

    def _ask(self, rules: Trust, coming: Iterable[Commit]) -> None:
        """Look at the signatures of the commits to come for which these rules are certain to hold."""
        batch = [one.id for one in _until_rules(coming, signers.in_fleet(rules)) if not trust.is_listed(rules, one)]
        self._asked.commits.update(batch)
        sources = {signers.REVOKED, signers.on_machine(rules)} - {None}
        digests = {source: self._machine.digest(source) for source in sources if source is not None}
        self._at = replace(self._at, machine=dict(sorted({**self._at.machine, **digests}.items())))
        allowed = _allowed(self._root, self._machine, self._at)
        if allowed is not None:
            self._asked.good |= signers.good(self._root, batch, allowed)

    def _follow_settings(self, commit: Commit) -> None:
        """Take over the rules from a commit that counts."""
        self._asked = _Asked()
        before = signers.in_fleet(self._at.rules)
        for change in commit.changes:
            if change.path == SETTINGS:
                self._use(change.new)
        path = signers.in_fleet(self._at.rules)
        if self._at.rules is None:
            self._held.clear()
        elif before is not None and before != path and not _matters(before, path):
            self._held.pop(before, None)
        self._at = replace(self._at, signers=self._in_force(commit.id, path) if path is not None else None)

    def _use(self, blob: str | None) -> None:
        """Put a version of the settings in force, the last valid one in place of a broken one."""
        if blob is None:
            self._at = replace(self._at, rules=None)
            return
        known = blob if self._settings(blob) is not None else self._at.settings
        settings = self._settings(known) if known is not None else None
        self._at = replace(self._at, settings=known, rules=settings.trust if settings is not None else None)

    def _settings(self, blob: str) -> Settings | None:
        if blob not in self._loaded:
            content = git.read_blobs(self._root, (blob,)).get(blob)
            value = loading.load("settings", content, SETTINGS).value if content is not None else None
            self._loaded[blob] = value if isinstance(value, Settings) else None
        return self._loaded[blob]

    def _in_force(self, commit: str, path: str) -> str | None:
        held = self._held.get(path)
        return history.blob(self._root, self._prefix, commit, path) if held is None else held.blob


def _allowed(root: Path, machine: Machine, judged: Judged) -> bytes | None:
    """The allowed signers by the rules in force, None where there are none."""
    if judged.rules is None:
        return None
    source = signers.on_machine(judged.rules)
    if source is not None:
        return machine.content(source)
    return git.read_blobs(root, (judged.signers,)).get(judged.signers) if judged.signers is not None else None


def _no_signers(rules: Trust) -> Iterator[Problem]:
    match rules.signed:
        case None:
            return
        case True:
            said = f"is true, and git's {signers.CONFIGURED} names no file here that can be read"
        case path if signers.in_fleet(rules):
            said = f"names {path}, which is not in force: commit that file"
        case path:
            said = f"names {path}, which cannot be read here"
    yield Problem(file=SETTINGS, line=0, column=0, message=f'"trust.signed" {said}; no signature counts')


def _turned(tip: str, judged: str) -> Problem:
    """People most often get there by `git pull`, which makes their own commits the first parent."""
    old, new = judged[: trust.ABBREVIATED], tip[: trust.ABBREVIATED]
    said = f"commit {new} is not judged: what came before it by first parents is no longer {old}"
    todo = f"have somebody of settings.trust push a merge of {new} into {old}"
    return Problem(file=SETTINGS, line=0, column=0, message=f"{said}, after which nothing is in force: {todo}")


def _covered(signers_path: str | None) -> tuple[str, ...]:
    return fleetfiles.FOLDERS if signers_path is None else (*fleetfiles.FOLDERS, signers_path)


def _relevant(signers_path: str | None, commits: Iterable[Commit]) -> list[Commit]:
    """The commits with those of their changes that can mean anything, and without the ones that have none."""
    kept = (
        replace(one, changes=tuple(change for change in one.changes if _matters(change.path, signers_path)))
        for one in commits
    )
    return [one for one in kept if one.changes]


def _matters(path: str, signers_path: str | None) -> bool:
    return path == signers_path or fleetfiles.classify(path) is not None


def _touches(commit: Commit, signers_path: str | None) -> bool:
    return any(change.path in {SETTINGS, signers_path} for change in commit.changes)


def _until_rules(commits: Iterable[Commit], signers_path: str | None) -> Iterator[Commit]:
    """The commits up to the first that may change the rules, which is itself still judged by those before."""
    for commit in commits:
        yield commit
        if _touches(commit, signers_path):
            return
