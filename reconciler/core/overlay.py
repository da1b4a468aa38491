"""A mapping that never changes, of which a changed copy costs as little as the change, and which tells what changed.

Never holds None: that stands for a key that is taken away.
"""

from collections.abc import Collection, ItemsView, Iterator, Mapping
from typing import TypeVar, overload

T = TypeVar("T")
V = TypeVar("V")

MOST_PATCHED = 256
"""So many changes stand beside what they change; then both become one again."""
MOST_PARENTS = 8


class Overlay(Mapping[str, V]):
    """Values by name: a large part that is shared by many copies, and what differs from it in this one.

    `mark` stands for this very copy, `generation` for the large part. `parents` are the marks of those that it was made
    from, one after the other, and `forebear` is the generation before, each with the names that were changed in it.
    """

    __slots__ = ("_size", "base", "forebear", "generation", "mark", "parents", "patch")

    def __init__(self, values: Mapping[str, V] | None = None) -> None:
        self.base: dict[str, V] = dict(values or {})
        self.patch: dict[str, V | None] = {}
        self._size = len(self.base)
        self.mark = self.generation = object()
        self.parents: tuple[tuple[object, Collection[str]], ...] = ()
        self.forebear: tuple[object, Collection[str]] | None = None

    def changed(self, changes: Mapping[str, V | None]) -> "Overlay[V]":
        """A copy with these values; None takes a key away."""
        if not changes:
            return self
        copy: Overlay[V] = Overlay.__new__(Overlay)
        copy.base, copy.generation, copy.forebear = self.base, self.generation, self.forebear
        copy.patch = {**self.patch, **changes}
        copy._size = self._size + sum((one is not None) - (name in self) for name, one in changes.items())
        copy.mark, copy.parents = object(), (*self.parents[-MOST_PARENTS:], (self.mark, changes.keys()))
        if len(copy.patch) > MOST_PATCHED:
            copy._join()
        return copy

    def differing(self, other: Mapping[str, V]) -> set[str]:
        """The names whose values are not the same objects in the other mapping."""
        names = self._apart(other) if isinstance(other, Overlay) else None
        if names is None:
            names = {*self, *other}
        return {name for name in names if self.get(name) is not other.get(name)}

    def __getitem__(self, name: str) -> V:
        found = self.patch[name] if name in self.patch else self.base[name]
        if found is None:
            raise KeyError(name)
        return found

    def __contains__(self, name: object) -> bool:
        return self.patch[name] is not None if name in self.patch else name in self.base

    @overload
    def get(self, name: str, default: None = None, /) -> V | None: ...
    @overload
    def get(self, name: str, default: V | T, /) -> V | T: ...
    def get(self, name: str, default: V | T | None = None, /) -> V | T | None:
        """As of any mapping; asked so often that a KeyError for each name that is not there would be a large part."""
        if name in self.patch:
            found = self.patch[name]
            return default if found is None else found
        return self.base.get(name, default)

    def items(self) -> ItemsView[str, V]:
        """As of any mapping."""
        return super().items() if self.patch else self.base.items()

    def __iter__(self) -> Iterator[str]:
        if not self.patch:
            return iter(self.base)
        return self._names()

    def __len__(self) -> int:
        return self._size

    def __repr__(self) -> str:
        return f"Overlay({dict(self)!r})"

    def _names(self) -> Iterator[str]:
        for name in self.base:
            if name not in self.patch or self.patch[name] is not None:
                yield name
        for name, value in self.patch.items():
            if value is not None and name not in self.base:
                yield name

    def _join(self) -> None:
        """Let the patch become a part of a large part of its own, which remembers what was changed."""
        self.forebear, self.generation = (self.generation, self.patch.keys()), object()
        base = {**self.base, **{name: value for name, value in self.patch.items() if value is not None}}
        for name, value in self.patch.items():
            if value is None:
                base.pop(name, None)
        self.base, self.patch = base, {}

    def _apart(self, other: "Overlay[V]") -> Collection[str] | None:
        """The names that may differ, None where all may."""
        if self is other:
            return ()
        names: set[str] = set()
        for mark, changed in reversed(self.parents):
            names.update(changed)
            if mark is other.mark:
                return names
        if self.generation is other.generation:
            return {*self.patch, *other.patch}
        if self.forebear is not None and self.forebear[0] is other.generation:
            return {*self.forebear[1], *self.patch, *other.patch}
        return None


def differing(one: Mapping[str, V], other: Mapping[str, V]) -> set[str]:
    """The names whose values are not the same objects in both mappings."""
    if one is other:
        return set()
    if isinstance(one, Overlay):
        return one.differing(other)
    return {name for name in {*one, *other} if one.get(name) is not other.get(name)}
