"""What the loop saw last, for those who only read: no reader goes to the disk, and none makes the loop wait.

It changes nothing and decides nothing.
"""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from reconciler.core.census import Census, Counts
from reconciler.core.desired import Desired, Settings
from reconciler.core.observed import Observed, ObservedTask


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """What people want and what happened, at one moment."""

    desired: Desired
    observed: Observed


class View:
    """The last picture. Safe for many threads."""

    def __init__(self, tasks: Callable[[], Mapping[str, ObservedTask]]) -> None:
        """`tasks` gives what is recorded of all tasks now: whoever wrote something sees it in the next picture."""
        self._picture = Picture(desired=Desired(), observed=Observed(fleet=""))
        self._tasks = tasks
        self._census: Census | None = None
        self._counting = threading.Lock()

    def show(self, picture: Picture) -> None:
        """From now on this is what readers see."""
        self._picture = picture
        if self._census is not None:
            with self._counting:
                self._follow(self._census)

    def settings(self) -> Settings:
        """The settings that the last turn saw."""
        return self._picture.desired.settings

    def latest(self) -> Picture:
        """What the last turn saw, with the tasks as they are recorded now."""
        picture, tasks = self._picture, self._tasks()
        if picture.observed.tasks is not tasks:
            newer = replace(picture, observed=replace(picture.observed, tasks=tasks))
            if self._picture is picture:  # else a turn has just shown another one
                self._picture = newer
            return newer
        return picture

    def counted(self) -> tuple[Picture, Counts]:
        """The last picture and what is counted in it: from the first time on that somebody asks, that is kept."""
        with self._counting:  # one after the other: a run that has ended is counted once
            census = self._census or Census()
            picture = self._follow(census)
            self._census = census  # only now: no turn waits for the first count
            return picture, census.counts()

    def _follow(self, census: Census) -> Picture:
        picture = self.latest()
        census.follow(picture.desired, picture.observed.tasks)
        return picture
