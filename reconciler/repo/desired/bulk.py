"""Spares the collector of garbage, and memory, while very many values are made that nearly all stay.

Changes nothing for few, and never leaves the collector off.
"""

import ctypes
import gc
from collections.abc import Iterator
from contextlib import contextmanager

MANY = 2000
_MMAP_THRESHOLD = -3
"""The name of a bound in glibc's `mallopt`."""
_LARGE_BYTES = 128 * 1024


@contextmanager
def bulk(count: int) -> Iterator[None]:
    """Make so many values; where they are very many, no later collection looks at what is there at the end.

    What was left alone before, and is garbage now, goes first.
    """
    if count < MANY or not gc.isenabled():
        yield
        return
    if gc.get_freeze_count():
        gc.unfreeze()
        gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def settle(count: int) -> None:
    """The same for what was made of so many values since: a whole collection would take tenths of a second."""
    if count >= MANY:
        gc.freeze()


def give_back() -> None:
    """From now on have large pieces of memory given back to the system as they are freed.

    Each one that is freed teaches glibc to keep pieces of its size for later, in every thread's own heap: a tenth of
    all that 100,000 tasks take. Where the bound is set it learns no more. Another libc has no such function.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, _LARGE_BYTES)
