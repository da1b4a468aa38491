"""A link that drops packets, in network namespaces of the test's own: what hangs is given up and delays nobody."""

import asyncio
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from reconciler.core.command import Command, Completed
from reconciler.core.desired import Host
from reconciler.transport import Unreachable
from reconciler.transport.ssh import Ssh
from tests.contract.sshd import Sshd, required_tool

pytestmark = pytest.mark.fault

HELLO = Command(name="hello", script="echo hello")


@dataclass(frozen=True, kw_only=True)
class Link:
    """A cable to a namespace with an sshd in it. Its names come from the pid, so that tests may run beside."""

    name: str
    far: str
    near: str

    def ip(self, *words: str) -> None:
        subprocess.run([required_tool("ip"), *words], check=True, capture_output=True)

    def cut(self) -> None:
        """Swallow everything that the far side says, without a word to either."""
        self.ip("-n", self.name, "route", "add", "blackhole", f"{self.near}/32")

    def mend(self) -> None:
        self.ip("-n", self.name, "route", "del", "blackhole", f"{self.near}/32")


@contextmanager
def cable(number: int = 0) -> Iterator[Link]:
    """A cable to a namespace of its own; a test may have a few, by number."""
    if os.getuid() != 0:
        pytest.skip("network namespaces need root")
    third, fourth = divmod((4 * os.getpid() + number) % 16384, 64)  # 198.18.0.0/16 is set aside for such tests
    network = f"198.18.{third}"
    name = f"reach{os.getpid()}n{number}"
    made = Link(name=name, near=f"{network}.{fourth * 4 + 1}", far=f"{network}.{fourth * 4 + 2}")
    made.ip("netns", "add", made.name)
    try:
        made.ip("link", "add", made.name, "type", "veth", "peer", "name", "far", "netns", made.name)
        try:
            made.ip("addr", "add", f"{made.near}/30", "dev", made.name)
            made.ip("link", "set", made.name, "up")
            made.ip("-n", made.name, "addr", "add", f"{made.far}/30", "dev", "far")
            made.ip("-n", made.name, "link", "set", "far", "up")
            made.ip("-n", made.name, "link", "set", "lo", "up")
            yield made
        finally:
            # a namespace takes its end of the cable down later, when the next test may already want the name
            made.ip("link", "del", made.name)
    finally:
        made.ip("netns", "del", made.name)


@pytest.fixture
def link() -> Iterator[Link]:
    with cable() as made:
        yield made


@pytest.fixture
def far(link: Link, tmp_path: Path) -> Iterator[Sshd]:
    inside = (required_tool("ip"), "netns", "exec", link.name)
    server = Sshd.start(tmp_path / "far", address=link.far, inside=inside)
    yield server
    server.stop()


@pytest.fixture
def near(tmp_path: Path) -> Iterator[Sshd]:
    server = Sshd.start(tmp_path / "near")
    yield server
    server.stop()


def impatient(tmp_path: Path) -> Ssh:
    return Ssh(
        env={"HOME": str(tmp_path)},
        find_host=lambda _: None,
        known_hosts=tmp_path / "known_hosts",
        connect_timeout_s=1.5,
        keepalive_interval_s=0.5,
        keepalive_count_max=2,
    )


def test_a_host_whose_packets_are_dropped_is_given_up_and_delays_no_other(
    link: Link, far: Sshd, near: Sshd, tmp_path: Path
) -> None:
    async def work() -> None:
        ssh = impatient(tmp_path)
        there, here = far.host(), near.host()
        await ssh.run("far", there, HELLO)
        await ssh.run("near", here, HELLO)
        link.cut()
        stuck = [asyncio.create_task(ssh.run("far", there, HELLO)) for _ in range(20)]
        assert await slowest_of(ssh, here) < 1
        async with asyncio.timeout(10):
            assert {type(end) for end in await asyncio.gather(*stuck, return_exceptions=True)} == {Unreachable}
        again = asyncio.create_task(ssh.run("far", there, HELLO))
        assert await slowest_of(ssh, here) < 1
        with pytest.raises(Unreachable, match="did not answer"):
            await again
        link.mend()
        assert (await ssh.run("far", there, HELLO)).stdout == b"hello\n"
        await ssh.close()

    asyncio.run(work())


async def slowest_of(ssh: Ssh, host: Host) -> float:
    """Seconds that the slowest of ten commands took, one after the other."""
    took = []
    for _ in range(10):
        began = time.monotonic()
        await ssh.run("near", host, HELLO)
        took.append(time.monotonic() - began)
    return max(took)


def test_a_short_loss_of_packets_costs_nothing(link: Link, far: Sshd, tmp_path: Path) -> None:
    async def work() -> Completed:
        ssh = impatient(tmp_path)
        await ssh.run("far", far.host(), HELLO)
        link.cut()
        running = asyncio.create_task(ssh.run("far", far.host(), HELLO))
        await asyncio.sleep(0.4)
        link.mend()
        try:
            return await running
        finally:
            await ssh.close()

    assert asyncio.run(work()).stdout == b"hello\n"
    assert far.accepted() == 1
