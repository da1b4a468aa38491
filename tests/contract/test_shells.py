"""Brief commands share long-lived shells, and see and leave nothing of each other."""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.core.command import Command, Completed
from reconciler.core.desired import Host
from reconciler.transport import Transport, Unreachable, shells
from reconciler.transport.local import Local
from tests.contract.sshd import Sshd
from tests.contract.test_transport import Place, ssh_to


@pytest.fixture(params=["local", "sshd"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    if request.param == "local":
        yield here(tmp_path)
        return
    sshd = Sshd.start(tmp_path / "sshd")
    yield Place(host=sshd.host(), connect=ssh_to(tmp_path))
    sshd.stop()


def here(tmp_path: Path) -> Place:
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    return Place(host=Host(transport="local"), connect=lambda: Local(env))


def brief(script: str, *words: str, payload: bytes = b"", timeout_s: float = 20) -> Command:
    return Command(name="order", script=script, words=words, payload=payload, timeout_s=timeout_s, brief=True)


def test_any_bytes_arrive_unchanged_and_both_streams_apart(place: Place) -> None:
    payload = bytes(range(256)) * 12_000 + os.urandom(1000) + b"\0\xff\n0123\n"
    echo = brief('IFS= read -r word; printf %s "$word" >&2; cat; exit 7', "$(id) `id` \\n 'x'", payload=payload)

    async def work(transport: Transport) -> list[Completed]:
        return [await transport.run("h", place.host, echo) for _ in range(2)]

    assert place.during(work) == [Completed(exit=7, stdout=payload, stderr=b"$(id) `id` \\n 'x'")] * 2


def test_a_command_leaves_nothing_to_the_next_and_need_not_read_what_it_gets(place: Place) -> None:
    script = 'printf %s "${left-nothing}"; IFS= read -r left; cd /; umask 0; exec 3>&1; set -u; trap "exit 9" EXIT'

    async def work(transport: Transport) -> list[Completed]:
        return [await transport.run("h", place.host, brief(script, str(n), payload=b"x" * 10**6)) for n in range(3)]

    assert place.during(work) == [Completed(exit=9, stdout=b"nothing", stderr=b"")] * 3


def test_a_command_that_takes_its_shell_along_or_outlasts_its_time_harms_no_other(place: Place) -> None:
    async def work(transport: Transport) -> list[int]:
        orders = ("exit 1", "kill -TERM $$; sleep 0.2", "exit 2", "kill -KILL $$; sleep 0.2", "exit 3")
        exits = [(await transport.run("h", place.host, brief(order))).exit for order in orders]
        with pytest.raises(Unreachable, match=r"^h: order did not answer in 0\.3 s$"):
            await transport.run("h", place.host, brief("sleep 60", timeout_s=0.3))
        with pytest.raises(Unreachable, match="was stopped: it sent more than 67108864 bytes"):
            await transport.run("h", place.host, brief("head -c 200000000 /dev/zero"))
        return [*exits, (await transport.run("h", place.host, brief("exit 4"))).exit]

    assert place.during(work) == [1, 143, 2, 137, 3, 4]


def test_many_at_once_share_a_few_shells_and_get_their_own_output(place: Place) -> None:
    async def work(transport: Transport) -> list[Completed]:
        orders = [brief('read -r n; sleep 0.02; echo "$n $$"', str(n)) for n in range(40)]
        return await asyncio.gather(*(transport.run("h", place.host, order) for order in orders))

    answers = [completed.stdout.split() for completed in place.during(work)]
    assert [int(number) for number, _ in answers] == [*range(40)]
    assert len({pid for _, pid in answers}) == shells.MOST


def test_a_server_with_few_sessions_serves_shells_and_channels_by_turns(tmp_path: Path) -> None:
    sshd = Sshd.start(tmp_path / "narrow", {"MaxSessions": "1"})

    async def work(transport: Transport) -> list[int]:
        orders = (brief("exit 1"), Command(name="alone", script="exit 2"), brief("exit 3"))
        return [(await transport.run("h", sshd.host(), order)).exit for order in orders]

    try:
        assert Place(host=sshd.host(), connect=ssh_to(tmp_path)).during(work) == [1, 2, 3]
    finally:
        sshd.stop()


def test_a_stale_shell_is_replaced_by_a_new_login(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shells, "RENEW_AFTER_S", 0.0)
    place = here(tmp_path)

    async def work(transport: Transport) -> set[bytes]:
        return {(await transport.run("h", place.host, brief("echo $$"))).stdout for _ in range(4)}

    assert len(place.during(work)) == 4
