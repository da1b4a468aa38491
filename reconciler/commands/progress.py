"""Shows on a terminal that something which takes long is under way, and how far it is; it goes away again.

It writes to standard error alone, nothing where that is no terminal, and nothing beside JSON.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from reconciler.commands.screen import Screen

DELAY_S = 1.0
"""What takes less is not spoken of."""

Told = Callable[[int], None]
"""Is told how many are done."""


@contextmanager
def working(screen: Screen, text: str, total: int | None = None) -> Iterator[Told]:
    """Say what is being done, and how many of `total` are, for as long as the block takes."""
    if not screen.tells:
        yield _nobody
        return
    shown = _Shown(screen, text, total)
    try:
        yield shown.tell
    finally:
        shown.end()


def _nobody(_: int) -> None:
    """Nobody looks."""


class _Shown:
    """A line that appears after a while, and is drawn by a thread of its own."""

    def __init__(self, screen: Screen, text: str, total: int | None) -> None:
        self._screen = screen
        self._text = text
        self._total = total
        self._done = 0
        self._drawn: Told | None = None
        self._gone: Callable[[], None] | None = None
        self._timer = threading.Timer(DELAY_S, self._begin)
        self._timer.daemon = True
        self._timer.start()

    def tell(self, done: int) -> None:
        self._done = done
        if self._drawn is not None:
            self._drawn(done)

    def end(self) -> None:
        self._timer.cancel()
        self._timer.join()
        if self._gone is not None:
            self._gone()

    def _begin(self) -> None:
        from rich import progress  # noqa: PLC0415 - only what takes long has any use for it

        counted = (progress.BarColumn(), progress.MofNCompleteColumn()) if self._total is not None else ()
        bar = progress.Progress(
            progress.SpinnerColumn(),
            progress.TextColumn("{task.description}", markup=False),
            *counted,
            progress.TimeElapsedColumn(),
            console=self._screen.beside,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        task = bar.add_task(self._text, total=self._total)
        bar.start()
        self._drawn, self._gone = lambda done: bar.update(task, completed=done), bar.stop
        self._drawn(self._done)
