"""What simulated agents do: how long they work, what they print, how they end, what they leave.

Nothing here knows the reconciler; `Act.good` and `Act.counts` are the truth that its records are compared with.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from reconciler.core.desired import Adapter, FailurePattern, Output
from reconciler.core.terms import Failure
from tests.simulation.weather import Weather

SECRET_NAME = "AGENT_TOKEN"  # noqa: S105 - a name
SECRET = "tok-5f0a9a570d8c5b6f"  # noqa: S105 - that of simulated agents
FOREVER_S = 1e9

JSONL = Adapter(
    run=("agent", "--session", "{new_session}"),
    resume=("agent", "--resume", "{session}"),
    secrets=(SECRET_NAME,),
    output=Output(
        format="jsonl",
        summary=("events[?type=='result'].text | [-1]",),
        session=("events[?type=='start'].session | [0]",),
        error=("events[?type=='result' && error].text | [-1]",),
        failed="events[?type=='result'].error | [-1]",
        finished="events[?type=='result'] | [0]",
        abort="events[?type=='loop'] | [0]",
    ),
    failures=(
        FailurePattern(failure=Failure.USAGE_LIMIT, pattern=r"usage limit(?:, until (?P<until>\S+))?", resets="until"),
        FailurePattern(failure=Failure.PROVIDER, pattern="overloaded"),
        FailurePattern(failure=Failure.WAITING_INPUT, pattern="which of the two"),
        FailurePattern(failure=Failure.AUTH, pattern="not logged in"),
        FailurePattern(failure=Failure.LIMIT, pattern="turn limit"),
    ),
)
TEXT = Adapter(run=("sh", "{prompt_file}"), prompt="file", prompt_text="goal", secrets=(SECRET_NAME,))
ADAPTERS: Mapping[str, Adapter] = {"jsonl": JSONL, "text": TEXT}


@dataclass(frozen=True, kw_only=True)
class Chunk:
    """Bytes that are printed so long after the start."""

    after_s: float
    stream: str
    data: bytes


@dataclass(frozen=True, kw_only=True)
class Act:
    """What one agent does. `exit` is what its exit file holds, `None`: there is none.

    `good`: it did its work and says so. `counts`: ended like this, it uses up an attempt. `dies_of_term_s`: how long
    after TERM it is gone, `None`: it ignores it. `busy`: it uses the processor when it prints nothing.
    `until`: when the usage limit ends that it met, where it says so.
    """

    name: str
    lasts_s: float
    chunks: tuple[Chunk, ...]
    exit: bytes | None = b"0"
    good: bool = False
    counts: bool = False
    works: bool = True
    busy: bool = True
    dies_of_term_s: float | None = 0.2
    strays: int = 0
    until: datetime | None = None


KINDS: Mapping[str, float] = {
    "good": 46,
    "fails": 6,
    "crashes": 4,
    "lies": 3,
    "garbage": 3,
    "vanishes": 3,
    "unreadable exit": 4,
    "empty exit": 2,
    "lingers": 4,
    "exceeds": 2,
    "silent": 2,
    "loops": 2,
    "usage limit": 4,
    "provider": 4,
    "asks": 1,
    "logged out": 1,
    "turn limit": 2,
    "tells the secret": 3,
    "forks": 4,
    "stubborn": 3,
    "does nothing": 2,
}
"""How often agents behave how, of a hundred or so."""

SOON = ("usage limit", "provider", "logged out")
"""The kinds that give up at once."""

_SAID = {
    "usage limit": ("you hit the usage limit", False),
    "provider": ("the model is overloaded", False),
    "asks": ("which of the two do you mean", False),
    "logged out": ("you are not logged in", False),
    "turn limit": ("the turn limit was reached", True),
    "fails": ("the tests do not pass", True),
    "lies": ("something went wrong", True),
}
"""What agents say that give up, and whether that uses up an attempt."""

_WITHOUT_RESULT: Mapping[str, tuple[bytes | None, bool]] = {
    "crashes": (b"139", True),
    "garbage": (b"0", True),
    "vanishes": (None, True),
    "unreadable exit": (b"0x0 \xff", True),
    "empty exit": (b"", True),
}
"""The exit files of those that say nothing at the end, or whose end nobody can read."""


def act(weather: Weather, name: str, session: str, kind: str, *, text: bool) -> Act:
    """What an agent of this kind does in the run `name`."""
    lengths = {4.0: 1} if kind in SOON else {4.0: 5, 20.0: 4, 90.0: 2, 400.0: 0.3}
    lasts_s = weather.choose(lengths, f"lasts {name}")
    lasts_s *= weather.between(0.3, 1.2, f"lasts exactly {name}")
    begins = () if text else (Chunk(after_s=0.0, stream="stdout", data=_line(type="start", session=session)),)
    steps = tuple(
        Chunk(after_s=lasts_s * part, stream=stream, data=_line(type="step", part=part) if not text else b"step\n")
        for part, stream in ((0.2, "stdout"), (0.5, "stderr"), (0.8, "stdout"))
    )
    working = Act(name=kind, lasts_s=lasts_s, chunks=(*begins, *steps))
    return _ended(working, kind, text=text)


def limited(weather: Weather, name: str, session: str, until: datetime | None) -> Act:
    """What an agent does whose account is at its limit: it may say until when."""
    met = act(weather, name, session, "usage limit", text=False)
    if until is None:
        return met
    said = f"{_SAID['usage limit'][0]}, until {until:%Y-%m-%dT%H:%M:%SZ}"
    last = replace(met.chunks[-1], data=_line(type="result", text=said, error=True))
    return replace(met, chunks=(*met.chunks[:-1], last), until=until)


def _ended(working: Act, kind: str, *, text: bool) -> Act:
    said, counts = _SAID.get(kind, ("", False))
    if said:
        failed = replace(_saying(working, said, error=True, text=text), counts=counts, works=False)
        lies = kind == "lies" and not text
        return replace(failed, exit=b"0" if lies else b"1", counts=counts or text)
    if kind in _WITHOUT_RESULT:
        code, counts = _WITHOUT_RESULT[kind]
        if kind == "garbage" and text:
            return replace(working, exit=b"3", counts=True)
        noise = Chunk(after_s=working.lasts_s, stream="stdout", data=b'{"type": "resu\xff\n')
        ended = working if text or kind not in {"garbage", "crashes"} else _with(working, noise)
        if kind in {"unreadable exit", "empty exit"}:
            ended = _saying(ended, "done", error=False, text=text)
        return replace(ended, exit=code, counts=counts)
    return _special(working, kind, text=text)


def _special(working: Act, kind: str, *, text: bool) -> Act:  # noqa: PLR0911 - one line for each kind
    done = replace(_saying(working, "done", error=False, text=text), good=True)
    match kind:
        case "lingers" if not text:
            return replace(done, lasts_s=FOREVER_S)
        case "exceeds" | "lingers":
            return replace(working, lasts_s=FOREVER_S, counts=True)
        case "silent":
            return replace(working, lasts_s=FOREVER_S, counts=True, busy=False)
        case "loops" if not text:
            again = Chunk(after_s=working.lasts_s, stream="stdout", data=_line(type="loop", text="connection refused"))
            return replace(_with(working, again), lasts_s=FOREVER_S)
        case "tells the secret":
            half = len(SECRET) // 2
            first = Chunk(after_s=working.lasts_s * 0.3, stream="stdout", data=f"token {SECRET[:half]}".encode())
            rest = Chunk(after_s=working.lasts_s * 0.6, stream="stdout", data=f"{SECRET[half:]}\n".encode())
            told = tuple(sorted((*done.chunks, first, rest), key=lambda chunk: chunk.after_s))
            return replace(
                done, chunks=tuple(one for one in told if one.stream != "stdout" or not _splits(one, first, rest))
            )
        case "forks":
            return replace(done, strays=2)
        case "stubborn":
            return replace(working, lasts_s=FOREVER_S, counts=True, dies_of_term_s=None)
        case "does nothing":
            return replace(done, works=False)
        case _:
            return done


def _splits(chunk: Chunk, first: Chunk, rest: Chunk) -> bool:
    """Whether a chunk would stand between the two halves of a secret."""
    return first.after_s < chunk.after_s < rest.after_s


def _saying(working: Act, said: str, *, error: bool, text: bool) -> Act:
    line = f"{said}\n".encode() if text else _line(type="result", text=said, error=error)
    return _with(working, Chunk(after_s=working.lasts_s, stream="stdout", data=line))


def _with(working: Act, chunk: Chunk) -> Act:
    return replace(working, chunks=(*working.chunks, chunk))


def _line(**said: object) -> bytes:
    return json.dumps(said).encode() + b"\n"
