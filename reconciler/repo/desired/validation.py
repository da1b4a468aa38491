"""Everything that is wrong with the files of a work tree, as `validate` says it.

It needs no journal, no history and no running reconciler, and it writes nothing.
"""

import os
from collections.abc import Callable, Collection
from pathlib import Path

from reconciler.core.desired import Problem
from reconciler.repo.desired import entries, fleetfiles, positions
from reconciler.repo.desired.assembly import Assembly, Files, Resolved
from reconciler.repo.desired.entries import Entry
from reconciler.repo.desired.fleetfiles import Listing
from reconciler.repo.desired.goodversions import Good
from reconciler.repo.yaml.yamlnodes import Path as KeyPath

_NOT_OURS = "not a file of this fleet: tasks are state/tasks/**/*.yaml, hosts hosts/*.yaml, adapters adapters/*.yaml"


def validate_paths(
    root: Path,
    paths: Collection[Path] = (),
    listing: Listing | None = None,
    told: Callable[[int], None] | None = None,
    recorded: tuple[frozenset[str], frozenset[str]] = (frozenset(), frozenset()),
) -> tuple[Problem, ...]:
    """Everything that is wrong with these files or folders of the work tree at `root`; none: of all of it.

    `listing` is what the work tree holds, where that is known; `told` hears how many files have been read; `recorded`
    are the tasks of which something is recorded, and the finished ones, beside those that `state/observed/` shows.
    """
    listing = listing or fleetfiles.work_tree(root)
    known, finished = fleetfiles.observed(root)
    read = _read(root, listing, told)
    problems = {path: one.problems for path, one in read.items()} | {one.file: (one,) for one in listing.problems}
    values = {path: one.value for path, one in read.items()}
    good = {path: Good(blob=read[path].blob, value=value) for path, value in values.items() if value}
    everything = Files(
        places={path: one.place for path, one in read.items()},
        good=good.get,
        problems=lambda path: problems.get(path, ()),
        locate=lambda path, key: _position_in_file(root, path, key),
        wrong=read,
        known=known | listing.archived | recorded[0],
        finished=finished | recorded[1],
        misnamed=tuple(listing.problems),
    )
    found = Assembly(everything, Resolved()).problems
    if not paths:
        return found
    asked = {path: Path(os.path.relpath(path.resolve(), root.resolve())).as_posix() for path in paths}
    some = tuple(one for one in found if any(_within(one.file, name) for name in asked.values()))
    names = {*read, *problems}
    return some + tuple(
        Problem(file=str(path), line=0, column=0, message=_NOT_OURS)
        for path, name in asked.items()
        if not path.is_dir() and name not in names
    )


def _read(root: Path, listing: Listing, told: Callable[[int], None] | None) -> dict[str, Entry]:
    reader, read = entries.Reader(root=root, algorithm="sha1"), dict[str, Entry]()
    for some in entries.portions(listing.files):
        read |= reader.from_work_tree(some, 0).entries
        if told is not None:
            told(len(read))
    return read


def _within(path: str, name: str) -> bool:
    return name in (".", path) or path.startswith(f"{name}/")


def _position_in_file(root: Path, path: str, key: KeyPath) -> tuple[int, int]:
    try:
        return positions.position(fleetfiles.read(root, path), path, key)
    except OSError:
        return 1, 1
