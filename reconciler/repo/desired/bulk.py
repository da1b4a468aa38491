"""Spares the collector of garbage while very many values are made that all stay.

Changes nothing for few, and never leaves the collector off.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

MANY = 2000


@contextmanager
def bulk(count: int) -> Iterator[None]:
    """Make so many values; what is there at the end is not looked at again by every full collection."""
    if count < MANY or not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
