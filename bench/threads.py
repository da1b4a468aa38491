"""Measures updates over HTTP by the number of the server's threads and of the clients that wait at once.

An update is an agent's report that its run has begun: a shared commit and a lease, both on disk before the answer. By
this the number of threads was chosen. It tests nothing.
"""

import sys
from collections.abc import Iterator

from bench import agents, frame, stage
from bench.agents import Took
from bench.figures import Figures, Part, Row
from reconciler import serving

ROUNDS = 1
FILES = 2000
THREADS = (4, 16, 64, 128)
CLIENTS = (1, 16, 64, 200)
UPDATES = 600
ALONE = 60
"""Updates of a client that is alone: each waits for a commit of its own."""


def measure(rounds: int) -> Iterator[Figures]:
    """Three tables: updates in a second, and how long half of the answers and nearly all of them took."""
    taken: dict[tuple[int, int], list[Took]] = {}
    for _ in range(rounds):
        for clients in CLIENTS:
            for threads in THREADS:
                taken.setdefault((clients, threads), []).append(_took(clients, threads))
    for name, unit, values in (
        ("threads", "updates in a second", {key: [one.rate for one in some] for key, some in taken.items()}),
        ("threads_p50", "ms, half of the answers", {key: [one.half_ms for one in some] for key, some in taken.items()}),
        ("threads_p99", "ms, 99 of 100 answers", {key: [one.tail_ms for one in some] for key, some in taken.items()}),
    ):
        yield Figures(
            name=name,
            title="Updates over HTTP by threads of the server",
            unit=unit,
            rows=tuple(Row(name=_name(*key), part=_part(key[1]), values=tuple(some)) for key, some in values.items()),
            note=f"{FILES:,} files, {UPDATES} updates; the program has {serving.THREADS} threads.",
        )


def _name(clients: int, threads: int) -> str:
    return f"{clients} client{'s' if clients > 1 else ''}, {threads} threads"


def _part(threads: int) -> Part:
    """What the program has stands out among what it might have."""
    return "this" if threads == serving.THREADS else "peer"


def _took(clients: int, threads: int) -> Took:
    tasks = ALONE if clients == 1 else UPDATES // clients * clients
    with stage.folder("threads") as place:
        made = agents.fleet(place, FILES, clients, tasks)
        with agents.holding(made, tasks, threads) as holders:
            return agents.reported(holders, ("running",))


if __name__ == "__main__":
    sys.exit(frame.main(["threads"]))
