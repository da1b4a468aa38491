"""Makes inputs out of seeds, tries them on a target, and keeps the smallest one that breaks a promise."""

import hashlib
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from tests.fuzz.targets import Target

CORPUS = Path(__file__).parent / "corpus"
SLOWEST_S = 5.0
"""How much computing one input may cost; the machine may be busy, so it is far more than any input needs."""


class TooSlow(AssertionError):
    """An input costs more than it may."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """An input that broke a promise, as small as it could be made, and how."""

    data: bytes
    error: Exception


def tried(target: Target, data: bytes) -> None:
    """Try one input; raises whatever the target raises, and `TooSlow`."""
    began = time.process_time()
    target.check(data)
    took = time.process_time() - began
    if took > SLOWEST_S:
        raise TooSlow(f"{took:.1f} s for {len(data)} bytes")


def fuzz(target: Target, number: int, inputs: int) -> Broken | None:
    """Try so many inputs, made by chance from this number; what broke a promise, if anything did."""
    broken: list[Broken] = []

    @seed(number)
    @settings(
        max_examples=inputs,
        deadline=None,
        database=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
    )
    @given(mutated(target))
    def attempt(data: bytes) -> None:
        try:
            tried(target, data)
        except Exception as error:
            broken.append(Broken(data=data, error=error))
            raise

    try:
        attempt()
    except Exception:
        if not broken:
            raise
    return broken[-1] if broken else None  # the last one that is tried is the smallest


def mutated(target: Target) -> st.SearchStrategy[bytes]:
    """A seed with a few changes, or anything at all."""
    seeds = target.seeds()
    pieces = st.one_of(st.binary(max_size=8), st.sampled_from(target.words or (b"",)))

    @st.composite
    def changed(draw: st.DrawFn) -> bytes:
        data = draw(st.sampled_from(seeds))
        for _ in range(draw(st.integers(0, 6))):
            data = draw(st.sampled_from(CHANGES))(draw, data, draw(pieces))
        return data

    return st.one_of(changed(), changed(), st.binary(max_size=200))


def _place(draw: st.DrawFn, data: bytes) -> int:
    return draw(st.integers(0, len(data)))


def _inserted(draw: st.DrawFn, data: bytes, piece: bytes) -> bytes:
    at = _place(draw, data)
    return data[:at] + piece + data[at:]


def _replaced(draw: st.DrawFn, data: bytes, piece: bytes) -> bytes:
    at = _place(draw, data)
    return data[:at] + piece + data[at + len(piece) :]


def _cut(draw: st.DrawFn, data: bytes, piece: bytes) -> bytes:
    at = _place(draw, data)
    return data[:at] + piece + data[at + draw(st.integers(0, 80)) :]


def _repeated(draw: st.DrawFn, data: bytes, piece: bytes) -> bytes:
    at = _place(draw, data)
    return data[:at] + (data[at : at + 40] + piece) * draw(st.integers(1, 60)) + data[at:]


CHANGES: tuple[Callable[[st.DrawFn, bytes, bytes], bytes], ...] = (_inserted, _replaced, _cut, _repeated)


def keep(name: str, broken: Broken) -> Path:
    """Keep what broke a promise for ever; every run of the tests tries it again."""
    folder = CORPUS / name
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / hashlib.sha256(broken.data).hexdigest()[:12]
    path.write_bytes(broken.data)
    return path


def fresh() -> int:
    """A number that was most likely never tried."""
    return random.SystemRandom().getrandbits(32)
