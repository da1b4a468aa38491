"""Spares the collector of garbage while very many values are made that nearly all stay.

Changes nothing for few, and never leaves the collector off.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

MANY = 2000


@contextmanager
def bulk(count: int) -> Iterator[None]:
    """Make so many values; where they are very many, no later collection looks at what is there at the end.

    What was so before, and is garbage now, goes first.
    """
    if count < MANY or not gc.isenabled():
        yield
        return
    gc.unfreeze()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
