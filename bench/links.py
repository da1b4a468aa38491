"""Measures what an ssh connection is made of: ciphers, acknowledgements that are not delayed, and the event loop.

Everything is bare asyncssh to one sshd, so that what was chosen stands beside what was not. It tests nothing.
"""

import asyncio
import functools
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import asyncssh

from bench import frame, stage
from bench.figures import Figures, Goal, Part, interleaved, rows
from bench.wakeup import CHOSEN, connected
from reconciler.transport.dial import Destination, Dialer
from tests.contract.sshd import Sshd

ROUNDS = 5
MEGABYTES = 50
COLD = 10
COMMANDS = 300
AT_ONCE = 10
LIMIT_S = 120.0
OWN = "asyncssh's own first choice"
OTHERS = ("aes256-gcm@openssh.com", "chacha20-poly1305@openssh.com", "aes256-ctr")
PROMPT, PLAIN = "acknowledged at once", "as the kernel does it"
LOOPS = ("asyncio", "uvloop")


def measure(rounds: int) -> Iterator[Figures]:
    """A table for each choice."""
    with stage.folder("links") as place, stage.server(place) as sshd:
        yield _ciphers(rounds, sshd)
        yield _cold(rounds, sshd)
        yield from _loops(rounds, place, sshd)


def _ciphers(rounds: int, sshd: Sshd) -> Figures:
    takers = {name: functools.partial(_streamed, sshd, name) for name in (CHOSEN, *OTHERS)}
    taken = interleaved(rounds, {**takers, OWN: functools.partial(_streamed, sshd, None)})
    parts: dict[str, Part] = {**dict.fromkeys(OTHERS, "peer"), OWN: "peer"}
    return Figures(
        name="links_ciphers",
        title=f"{MEGABYTES} MB of output over one channel, by cipher",
        unit="MB in a second",
        rows=rows(taken, parts),
        goals=(Goal(wording="at least as fast as asyncssh's own choice", of=CHOSEN, than=OWN, at_least=1),),
    )


def _streamed(sshd: Sshd, cipher: str | None) -> float:
    async def main() -> float:
        async with await connected(sshd, cipher) as connection:
            before_s = time.perf_counter()
            done = await connection.run(f"head -c {MEGABYTES}M /dev/zero", encoding=None, check=True)
            taken_s = time.perf_counter() - before_s
        if len(done.stdout or b"") != MEGABYTES * 1024 * 1024:
            raise RuntimeError("the output is not whole")
        return MEGABYTES / taken_s

    return asyncio.run(main())


def _cold(rounds: int, sshd: Sshd) -> Figures:
    taken = interleaved(rounds, {name: functools.partial(_first, sshd, name == PROMPT) for name in (PROMPT, PLAIN)})
    return Figures(
        name="links_cold",
        title="A new connection and its first command",
        unit="ms",
        rows=rows(taken, {PLAIN: "peer"}),
        goals=(Goal(wording="no slower than without", of=PROMPT, than=PLAIN, at_most=1),),
        note=f"The mean of {COLD} connections in each round.",
    )


def _first(sshd: Sshd, prompt: bool) -> float:  # noqa: FBT001 - one of two
    async def main() -> float:
        dialer, place = Dialer(), Destination(host=sshd.address, port=sshd.port)
        before_s = time.perf_counter()
        for _ in range(COLD):
            sock = await dialer.connect(place, limit_s=15) if prompt else None
            async with await connected(sshd, sock=sock) as connection:
                await connection.run("true", check=True)
        dialer.close()
        return (time.perf_counter() - before_s) / COLD * 1e3

    return asyncio.run(main())


def _loops(rounds: int, place: Path, sshd: Sshd) -> Iterator[Figures]:
    """No dependency, uvloop is installed into a folder of its own, beside the same asyncssh."""
    python = place / "loops" / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", str(place / "loops")], check=True)
    packages = ("uvloop", f"asyncssh=={asyncssh.__version__}")
    subprocess.run([str(python), "-m", "pip", "install", "--quiet", "--quiet", *packages], check=True)
    for name, unit, number in (("commands", "in a second", COMMANDS), ("output", "MB in a second", MEGABYTES)):
        takers = {loop: functools.partial(_in_loop, python, sshd, loop, name, number) for loop in LOOPS}
        yield Figures(
            name=f"links_loop_{name}",
            title=f"Bare asyncssh, {name} over one connection, by event loop",
            unit=unit,
            rows=rows(interleaved(rounds, takers), {"uvloop": "peer"}),
        )


def _in_loop(python: Path, sshd: Sshd, loop: str, what: str, number: int) -> float:
    words = (loop, what, number, AT_ONCE, sshd.address, sshd.port, sshd.user, sshd.client_key_path, CHOSEN)
    command = [str(python), "-c", SCRIPT, *map(str, words)]
    return float(subprocess.run(command, check=True, capture_output=True, timeout=LIMIT_S).stdout)


SCRIPT = """
import asyncio, sys, time
import asyncssh, uvloop
loop, what, number, at_once, address, port, user, key, cipher = sys.argv[1:]
number = int(number)

async def main():
    gate = asyncio.Semaphore(int(at_once))
    way = {"username": user, "client_keys": [key], "encryption_algs": "^" + cipher}
    async with asyncssh.connect(address, int(port), known_hosts=None, config=None, **way) as connection:
        async def one():
            async with gate:
                await connection.run("true", check=True)
        before = time.perf_counter()
        if what == "commands":
            await asyncio.gather(*(one() for _ in range(number)))
        else:
            await connection.run(f"head -c {number}M /dev/zero", encoding=None, check=True)
        print(number / (time.perf_counter() - before))

(uvloop if loop == "uvloop" else asyncio).run(main())
"""


if __name__ == "__main__":
    sys.exit(frame.main(["links"]))
