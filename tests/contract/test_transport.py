"""Every transport passes one suite: bytes, exits, words, timeouts, many at once, and what outlives the connection."""

import asyncio
import functools
import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pytest

from reconciler.core.command import Command, Completed
from reconciler.core.desired import Host
from reconciler.transport import Transport, Unreachable
from reconciler.transport.local import Local
from reconciler.transport.ssh import Ssh
from tests.contract.asyncssh_server import AsyncsshServer
from tests.contract.sshd import Sshd
from tests.waiting import until

T = TypeVar("T")

WAIT_FOR_GO = """
IFS= read -r ready; IFS= read -r go; IFS= read -r secret
: >"$ready"
while [ ! -e "$go" ]; do sleep 0.05; done
printf %s "$secret"
"""


@dataclass(frozen=True, kw_only=True)
class Place:
    """A host that can be reached, and how to make a transport to it."""

    host: Host
    connect: Callable[[], Transport]

    def during(self, work: Callable[[Transport], Awaitable[T]]) -> T:
        """What `work` returns with a transport that is closed afterwards."""

        async def whole() -> T:
            transport = self.connect()
            try:
                return await work(transport)
            finally:
                await transport.close()

        return asyncio.run(whole())

    def run(self, command: Command) -> Completed:
        return self.during(lambda transport: transport.run("h", self.host, command))


def ssh_to(tmp_path: Path) -> Callable[[], Ssh]:
    (tmp_path / "ssh_config").touch()
    return lambda: Ssh(
        env={"HOME": str(tmp_path)},
        find_host=lambda _: None,
        ssh_config=tmp_path / "ssh_config",
        known_hosts=tmp_path / "known_hosts",
    )


@pytest.fixture(params=["local", "sshd", "asyncssh"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    match request.param:
        case "local":
            env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
            yield Place(host=Host(transport="local"), connect=lambda: Local(env))
        case "sshd":
            sshd = Sshd.start(tmp_path / "sshd")
            yield Place(host=sshd.host(), connect=ssh_to(tmp_path))
            sshd.stop()
        case _:
            server = AsyncsshServer.start(tmp_path / "server")
            yield Place(host=server.host(), connect=ssh_to(tmp_path))
            server.stop()


def test_three_megabytes_of_any_bytes_arrive_unchanged_in_both_directions(place: Place) -> None:
    payload = bytes(range(256)) * 12_000 + os.urandom(1000) + b"\0\xff\xfe\r\n\x03\x04"

    completed = place.run(Command(name="echo", script="cat\n", payload=payload))

    assert (completed.exit, completed.stderr) == (0, b"")
    assert completed.stdout == payload


def test_stdout_and_stderr_are_kept_apart(place: Place) -> None:
    completed = place.run(Command(name="both", script="printf out; printf err >&2"))

    assert completed == Completed(exit=0, stdout=b"out", stderr=b"err")


@pytest.mark.parametrize("status", [0, 1, 42, 127, 255])
def test_any_exit_status_is_a_result(place: Place, status: int) -> None:
    assert place.run(Command(name="exit", script=f"exit {status}")).exit == status


@pytest.mark.parametrize(("name", "status"), [("KILL", 137), ("TERM", 143)])
def test_a_death_by_a_signal_is_a_result_of_128_and_its_number(place: Place, name: str, status: int) -> None:
    assert place.run(Command(name="die", script=f"kill -{name} $$; sleep 5")).exit == status


def test_words_arrive_as_they_are_whatever_a_shell_would_make_of_them(place: Place) -> None:
    words = (
        "plain",
        "two  spaces ",
        'it\'s "quoted"',
        "$(id) `id` ${HOME} \\n \\",
        "; rm -rf *",
        "",
        "hé 💡",
        "!event",
    )
    script = 'for _ in 1 2 3 4 5 6 7 8; do IFS= read -r word; printf "<%s>" "$word"; done; cat'

    completed = place.run(Command(name="words", script=script, words=words, payload=b"\0rest"))

    assert completed.stdout == "".join(f"<{word}>" for word in words).encode() + b"\0rest"


def test_a_command_that_does_not_read_its_stdin_still_ends(place: Place) -> None:
    assert place.run(Command(name="deaf", script="exit 3", payload=b"x" * 3_000_000)).exit == 3


def test_no_word_and_no_payload_is_on_any_command_line_while_it_runs(place: Place, tmp_path: Path) -> None:
    ready, go = tmp_path / "ready", tmp_path / "go"
    secret = "sesame-" + "open"
    command = Command(name="secret", script=WAIT_FOR_GO, words=(str(ready), str(go), secret), payload=b"pay-" + b"load")

    async def look(transport: Transport) -> tuple[bytes, Completed]:
        running = asyncio.create_task(transport.run("h", place.host, command))
        await asyncio.to_thread(until, ready.exists)
        seen = await asyncio.to_thread(every_command_line)
        go.touch()
        return seen, await running

    seen, completed = place.during(look)

    assert completed.stdout == secret.encode()
    assert b'eval "$(' in seen
    assert secret.encode() not in seen
    assert b"pay-load" not in seen


def every_command_line() -> bytes:
    lines = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            lines.append((process / "cmdline").read_bytes())
    return b"\n".join(lines)


def test_a_command_that_outlasts_its_time_is_unreachable_and_the_next_one_works(place: Place) -> None:
    async def work(transport: Transport) -> Completed:
        with pytest.raises(Unreachable, match=r"^h: slow did not answer in 0\.5 s$"):
            await transport.run("h", place.host, Command(name="slow", script="sleep 60", timeout_s=0.5))
        return await transport.run("h", place.host, Command(name="next", script="echo next"))

    assert place.during(work).stdout == b"next\n"


@pytest.mark.parametrize("brief", [True, False])
def test_a_local_command_may_be_cancelled_at_any_moment_of_its_start(tmp_path: Path, *, brief: bool) -> None:
    local = Local({"PATH": os.environ["PATH"], "HOME": str(tmp_path)})
    here = Host(transport="local", workdir="~")

    async def cancelled(turns: int) -> bool:
        running = asyncio.create_task(local.run("h", here, Command(name="echo", script="echo", brief=brief)))
        for _ in range(turns):
            await asyncio.sleep(0)
        running.cancel()
        return bool((await asyncio.wait([running], timeout=10))[0])

    async def each() -> list[bool]:
        over = [await cancelled(turns) for turns in range(1, 9)]
        await local.close()
        return over

    assert all(asyncio.run(each()))


def test_a_local_command_that_is_cancelled_or_out_of_time_takes_its_process_group_with_it(tmp_path: Path) -> None:
    local = Local({"PATH": os.environ["PATH"], "HOME": str(tmp_path)})
    here = Host(transport="local")
    script = 'IFS= read -r file; sleep 60 & echo $! >"$file"; wait; exit 0'
    given_up, cancelled = tmp_path / "given_up", tmp_path / "cancelled"

    async def work() -> None:
        with pytest.raises(Unreachable):
            await local.run("h", here, Command(name="slow", script=script, words=(str(given_up),), timeout_s=1))
        running = asyncio.create_task(
            local.run("h", here, Command(name="slow", script=script, words=(str(cancelled),)))
        )
        await asyncio.to_thread(until, lambda: cancelled.exists() and cancelled.read_text())
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    asyncio.run(work())

    for file in (given_up, cancelled):
        until(functools.partial(has_ended, file.read_text().strip()))


def has_ended(pid: str) -> bool:
    try:
        return Path("/proc", pid, "stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_forty_commands_at_once_all_end_with_their_own_output(place: Place) -> None:
    async def work(transport: Transport) -> list[Completed]:
        commands = [
            Command(name="many", script='read -r n; sleep 0.05; echo "$n"', words=(str(n),), timeout_s=20)
            for n in range(40)
        ]
        return await asyncio.gather(*(transport.run("h", place.host, command) for command in commands))

    assert [completed.stdout for completed in place.during(work)] == [f"{n}\n".encode() for n in range(40)]


def test_a_detached_child_outlives_the_command_and_the_connection(place: Place, tmp_path: Path) -> None:
    go, done = tmp_path / "go", tmp_path / "done"
    script = """
IFS= read -r go; IFS= read -r done; export go done
setsid sh -c 'while [ ! -e "$go" ]; do sleep 0.05; done; : >"$done"' </dev/null >/dev/null 2>&1 &
"""

    assert place.run(Command(name="detach", script=script, words=(str(go), str(done)))).exit == 0

    assert not done.exists()
    go.touch()
    until(done.exists)


def test_more_output_than_the_bound_is_an_error_and_no_memory(place: Place) -> None:
    async def work(transport: Transport) -> Completed:
        with pytest.raises(Unreachable, match=r"^h: flood was stopped: it sent more than 67108864 bytes to stdout$"):
            await transport.run("h", place.host, Command(name="flood", script="head -c 200000000 /dev/zero"))
        return await transport.run("h", place.host, Command(name="next", script="echo next"))

    assert place.during(work).stdout == b"next\n"


def test_a_command_has_no_terminal_and_starts_at_home(place: Place) -> None:
    completed = place.run(
        Command(name="where", script='[ -t 0 ] || [ -t 1 ] || echo none; [ "$PWD" -ef "$HOME" ] && echo home')
    )

    assert completed.stdout == b"none\nhome\n"


def test_a_local_child_gets_the_given_environment_and_no_descriptor_of_the_program(tmp_path: Path) -> None:
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "ONLY": "this"}
    lock = os.open(tmp_path / "lock", os.O_CREAT | os.O_RDWR)
    os.set_inheritable(lock, True)  # noqa: FBT003 - the standard library's signature
    try:
        local = Local(env)
        script = "env; for fd in /proc/$$/fd/*; do readlink $fd; done"
        seen = asyncio.run(local.run("h", Host(transport="local"), Command(name="look", script=script))).stdout.decode()
    finally:
        os.close(lock)

    names = {line.partition("=")[0] for line in seen.splitlines() if "=" in line}
    assert {"ONLY", "HOME", "PATH"} <= names <= {"ONLY", "HOME", "PATH", "PWD", "_", "OLDPWD", "SHLVL"}
    assert str(tmp_path / "lock") not in seen
