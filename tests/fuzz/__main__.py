"""Fuzzes everything that reads what strangers wrote: `python -m tests.fuzz SECONDS [TARGET...]`.

What breaks a promise is made small, kept in `tests/fuzz/corpus`, and tried again by every run of the tests.
"""

import itertools
import logging
import sys
import time
from collections import Counter

from tests.fuzz import fuzzing
from tests.fuzz.targets import TARGETS, WEB

INPUTS = 200
"""How many inputs a target gets before it is the next one's turn."""


def main(words: list[str]) -> int:
    """Fuzz for so many seconds; 1 where something broke."""
    until = time.monotonic() + float(words[0])
    names = words[1:] or list(TARGETS)
    tried: Counter[str] = Counter()
    for name in itertools.cycle(names):
        if time.monotonic() > until:
            break
        number = fuzzing.fresh()
        broken = fuzzing.fuzz(TARGETS[name], number, INPUTS)
        tried[name] += INPUTS
        if broken is not None:
            path = fuzzing.keep(name, broken)
            say(f"{name}: seed {number}: {type(broken.error).__name__}: {str(broken.error)[:300]}")
            say(f"kept as {path}: {broken.data[:200]!r}")
            WEB.close()
            return 1
    WEB.close()
    say("nothing broke: " + ", ".join(f"{name} {tried[name]}" for name in names))
    return 0


def say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - what a person who fuzzes reads


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)  # the server tells of every request that it refuses
    sys.exit(main(sys.argv[1:]))
