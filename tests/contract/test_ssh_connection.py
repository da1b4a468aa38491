"""What holds for ssh alone: one connection, its loss, host keys, identities, jump hosts, agent and ssh config."""

import asyncio
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from reconciler.core.command import Command, Completed
from reconciler.core.desired import Host
from reconciler.transport import Misconfigured, Unreachable
from reconciler.transport.ssh import Ssh
from tests.contract.sshd import Sshd, free_port, make_key, required_tool
from tests.waiting import until

T = TypeVar("T")

HELLO = Command(name="hello", script="echo hello")
LONG = Command(name="long", script="sleep 60", timeout_s=50)


@pytest.fixture
def sshd(tmp_path: Path) -> Iterator[Sshd]:
    server = Sshd.start(tmp_path / "sshd")
    yield server
    server.stop()


@pytest.fixture
def bastion(tmp_path: Path) -> Iterator[Sshd]:
    server = Sshd.start(tmp_path / "bastion")
    yield server
    server.stop()


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[str]:
    """The socket of an ssh agent without keys."""
    socket_path = tmp_path / "agent"
    process = subprocess.Popen(
        [required_tool("ssh-agent"), "-D", "-a", str(socket_path)], stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL
    )
    until(socket_path.exists)
    yield str(socket_path)
    process.kill()
    process.wait()


def add_to_agent(agent: str, key: Path) -> None:
    env = {**os.environ, "SSH_AUTH_SOCK": agent}
    subprocess.run([required_tool("ssh-add"), "-q", str(key)], env=env, check=True, stdin=subprocess.DEVNULL)


def with_ssh(work: Callable[[Ssh], Awaitable[T]], home: Path, **changes: object) -> T:
    """What `work` returns with a transport whose HOME is `home` and whose limits are short."""
    defaults: dict[str, object] = {
        "env": {"HOME": str(home)},
        "find_host": {}.get,
        "known_hosts": home / "known_hosts",
        "connect_timeout_s": 5,
    }

    async def whole() -> T:
        ssh = Ssh(**{**defaults, **changes})  # type: ignore[arg-type]  # a test chooses any of the arguments
        try:
            return await work(ssh)
        finally:
            await ssh.close()

    return asyncio.run(whole())


def hello(home: Path, host: Host, **changes: object) -> bytes:
    return with_ssh(lambda ssh: ssh.run("h", host, HELLO), home, **changes).stdout


def test_forty_commands_share_one_connection_of_a_server_that_allows_ten_sessions(sshd: Sshd, tmp_path: Path) -> None:
    async def work(ssh: Ssh) -> list[Completed]:
        return await asyncio.gather(*(ssh.run("h", sshd.host(), HELLO) for _ in range(40)))

    assert {completed.stdout for completed in with_ssh(work, tmp_path)} == {b"hello\n"}
    assert sshd.accepted() == 1


def test_waiting_for_a_channel_does_not_count_against_the_time_of_a_command(sshd: Sshd, tmp_path: Path) -> None:
    async def work(ssh: Ssh) -> list[Completed]:
        turn = Command(name="turn", script="sleep 1", timeout_s=5)
        return await asyncio.gather(*(ssh.run("h", sshd.host(), turn) for _ in range(6)))

    assert {completed.exit for completed in with_ssh(work, tmp_path, max_channels=1)} == {0}


def test_everybody_who_asks_first_shares_one_failed_attempt(tmp_path: Path, sshd: Sshd) -> None:
    wrong = sshd.host(identity_file=str(make_key(tmp_path / "wrong")))
    begun = until(sshd.connections)

    async def work(ssh: Ssh) -> list[Completed | BaseException]:
        return await asyncio.gather(*(ssh.run("h", wrong, HELLO) for _ in range(20)), return_exceptions=True)

    assert {type(result) for result in with_ssh(work, tmp_path)} == {Misconfigured}
    assert sshd.connections() == begun + 1


def test_a_killed_session_is_unreachable_at_once_and_the_next_command_connects_anew(sshd: Sshd, tmp_path: Path) -> None:
    async def work(ssh: Ssh) -> tuple[list[Completed | BaseException], Completed]:
        await ssh.run("h", sshd.host(), HELLO)
        running = [asyncio.create_task(ssh.run("h", sshd.host(), LONG)) for _ in range(8)]
        await asyncio.sleep(0.3)
        sshd.kill_sessions()
        async with asyncio.timeout(5):
            ended = await asyncio.gather(*running, return_exceptions=True)
        return ended, await ssh.run("h", sshd.host(), HELLO)

    ended, after = with_ssh(work, tmp_path)

    assert {type(result) for result in ended} == {Unreachable}
    assert after.stdout == b"hello\n"
    assert sshd.accepted() == 2


def test_a_frozen_peer_is_given_up_by_keepalive_and_delays_no_other_host(
    sshd: Sshd, bastion: Sshd, tmp_path: Path
) -> None:
    async def work(ssh: Ssh) -> float:
        await ssh.run("frozen", sshd.host(), HELLO)
        await ssh.run("other", bastion.host(), HELLO)
        sshd.signal_sessions(signal.SIGSTOP)
        stuck = [asyncio.create_task(ssh.run("frozen", sshd.host(), HELLO)) for _ in range(12)]
        began = time.monotonic()
        await ssh.run("other", bastion.host(), HELLO)
        took_s = time.monotonic() - began
        async with asyncio.timeout(10):
            ended = await asyncio.gather(*stuck, return_exceptions=True)
        assert {type(result) for result in ended} == {Unreachable}
        assert (await ssh.run("frozen", sshd.host(), HELLO)).stdout == b"hello\n"
        return took_s

    assert with_ssh(work, tmp_path, keepalive_interval_s=0.5, keepalive_count_max=2) < 2


def test_a_command_out_of_time_on_a_silent_connection_drops_the_connection(sshd: Sshd, tmp_path: Path) -> None:
    async def work(ssh: Ssh) -> Completed:
        await ssh.run("h", sshd.host(), HELLO)
        sshd.signal_sessions(signal.SIGSTOP)
        with pytest.raises(Unreachable, match="did not answer"):
            await ssh.run("h", sshd.host(), Command(name="late", script="echo", timeout_s=0.5))
        with pytest.raises(Unreachable, match="lost"):
            await ssh.run("h", sshd.host(), LONG)
        return await ssh.run("h", sshd.host(), HELLO)

    assert with_ssh(work, tmp_path).stdout == b"hello\n"


def test_a_restarted_server_is_reached_again(sshd: Sshd, tmp_path: Path) -> None:
    async def work(ssh: Ssh) -> Completed:
        await ssh.run("h", sshd.host(), HELLO)
        sshd.stop()
        with pytest.raises(Unreachable):
            await ssh.run("h", sshd.host(), HELLO)
        with pytest.raises(Unreachable, match=r"^h: 127\.0\.0\.1 port \d+ cannot be reached: .*Connect call failed"):
            await ssh.run("h", sshd.host(), HELLO)
        sshd.restart()
        return await ssh.run("h", sshd.host(), HELLO)

    assert with_ssh(work, tmp_path).stdout == b"hello\n"


def test_a_name_that_does_not_resolve_is_unreachable(tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match=r"^h: no-such-host\.invalid port 22 cannot be reached"):
        hello(tmp_path, Host(transport="ssh", address="no-such-host.invalid"))


def test_a_server_that_opens_no_more_sessions_is_unreachable_and_then_reached_anew(tmp_path: Path) -> None:
    sshd = Sshd.start(tmp_path / "narrow", {"MaxSessions": "2"})

    async def work(ssh: Ssh) -> Completed:
        running = [asyncio.create_task(ssh.run("h", sshd.host(), LONG)) for _ in range(2)]
        await asyncio.sleep(0.5)
        with pytest.raises(Unreachable, match="got no channel in 4 attempts"):
            await ssh.run("h", sshd.host(), HELLO)
        assert not any(task.done() for task in running)
        return await ssh.run("h", sshd.host(), HELLO)

    try:
        assert with_ssh(work, tmp_path).stdout == b"hello\n"
    finally:
        sshd.stop()


def test_forgetting_a_host_ends_its_connection(sshd: Sshd, tmp_path: Path) -> None:
    async def work(ssh: Ssh) -> None:
        await ssh.run("h", sshd.host(), HELLO)
        running = asyncio.create_task(ssh.run("h", sshd.host(), LONG))
        await asyncio.sleep(0.2)
        await ssh.forget("h")
        with pytest.raises(Unreachable):
            await running
        await asyncio.to_thread(until, lambda: not sshd.sessions())

    with_ssh(work, tmp_path)


def test_a_host_whose_file_leads_elsewhere_is_not_served_by_its_old_connection(
    sshd: Sshd, bastion: Sshd, tmp_path: Path
) -> None:
    async def work(ssh: Ssh) -> None:
        await ssh.run("h", sshd.host(), HELLO)
        await ssh.run("h", bastion.host(), HELLO)

    with_ssh(work, tmp_path)

    assert (sshd.accepted(), bastion.accepted()) == (1, 1)


def known_as(sshd: Sshd) -> str:
    return f"[127.0.0.1]:{sshd.port} {sshd.host_key_public}\n"


def test_a_key_in_known_hosts_is_accepted_plain_and_hashed(sshd: Sshd, tmp_path: Path) -> None:
    known_hosts = tmp_path / "known_hosts"
    known_hosts.write_text("this line is broken\n" + known_as(sshd))
    unpinned = sshd.host(host_keys=())

    assert hello(tmp_path, unpinned) == b"hello\n"

    subprocess.run([required_tool("ssh-keygen"), "-q", "-H", "-f", str(known_hosts)], capture_output=True, check=False)
    known_hosts.write_text(known_hosts.read_text().replace("this line is broken\n", ""))
    subprocess.run([required_tool("ssh-keygen"), "-q", "-H", "-f", str(known_hosts)], capture_output=True, check=True)
    assert "127.0.0.1" not in known_hosts.read_text()
    assert hello(tmp_path, unpinned) == b"hello\n"


def test_an_unknown_key_is_refused_with_its_fingerprint_whatever_the_ssh_config_says(
    sshd: Sshd, tmp_path: Path
) -> None:
    (tmp_path / "ssh_config").write_text("Host *\n UserKnownHostsFile none\n StrictHostKeyChecking no\n")

    with pytest.raises(Misconfigured, match=r"shows the host key ssh-ed25519 SHA256:.*not one in known_hosts"):
        hello(tmp_path, sshd.host(host_keys=()), known_hosts=None, ssh_config=tmp_path / "ssh_config")

    assert sshd.accepted() == 0


def test_a_revoked_key_is_refused(sshd: Sshd, tmp_path: Path) -> None:
    (tmp_path / "known_hosts").write_text(known_as(sshd) + f"@revoked * {sshd.host_key_public}\n")

    with pytest.raises(Misconfigured, match="revoked"):
        hello(tmp_path, sshd.host(host_keys=()))


def test_a_changed_key_is_refused(sshd: Sshd, tmp_path: Path) -> None:
    pinned = sshd.host()
    assert hello(tmp_path, pinned) == b"hello\n"
    (sshd.folder / "host_key").unlink()
    make_key(sshd.folder / "host_key")
    sshd.restart()

    with pytest.raises(Misconfigured, match=r"^h: .*not one pinned in host_keys .*compare it on the host"):
        hello(tmp_path, pinned)


def test_only_pinned_keys_count_even_where_known_hosts_knows_the_host(sshd: Sshd, tmp_path: Path) -> None:
    (tmp_path / "known_hosts").write_text(known_as(sshd))
    other = make_key(tmp_path / "other").with_suffix(".pub").read_text()

    with pytest.raises(Misconfigured, match="not one pinned in host_keys"):
        hello(tmp_path, sshd.host(host_keys=(other,)))


def test_a_pinned_key_may_carry_host_and_comment_but_must_be_a_key(sshd: Sshd, tmp_path: Path) -> None:
    assert hello(tmp_path, sshd.host(host_keys=(f"gpu-1 {sshd.host_key_public} root@gpu-1",))) == b"hello\n"

    with pytest.raises(Misconfigured, match="host_keys holds 'SHA256:abc', which is no public key"):
        hello(tmp_path, sshd.host(host_keys=("SHA256:abc",)))


def test_a_known_key_is_found_among_several_that_the_server_has(tmp_path: Path) -> None:
    rsa = make_key(tmp_path / "rsa", kind="rsa")
    sshd = Sshd.start(tmp_path / "sshd")
    config = sshd.folder / "sshd_config"
    config.write_text(config.read_text() + f"HostKey {rsa}\n")
    sshd.restart()
    try:
        assert hello(tmp_path, sshd.host()) == b"hello\n"
        assert hello(tmp_path, sshd.host(host_keys=(Path(f"{rsa}.pub").read_text(),))) == b"hello\n"
    finally:
        sshd.stop()


def test_a_wrong_identity_is_misconfigured_and_says_what_to_do(sshd: Sshd, tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match=r"^h: .* refuses user .*authorized_keys"):
        hello(tmp_path, sshd.host(identity_file=str(make_key(tmp_path / "wrong"))))

    with pytest.raises(Misconfigured, match=r"^h: identity_file .* cannot be used: No such file"):
        hello(tmp_path, sshd.host(identity_file=str(tmp_path / "missing")))


def test_an_encrypted_identity_needs_the_agent_and_never_asks(sshd: Sshd, agent: str, tmp_path: Path) -> None:
    encrypted = tmp_path / "encrypted"
    shutil.copy(sshd.client_key_path, encrypted)
    add_to_agent(agent, encrypted)
    ssh_keygen = required_tool("ssh-keygen")
    subprocess.run([ssh_keygen, "-q", "-p", "-P", "", "-N", "secret", "-f", str(encrypted)], check=True)

    with pytest.raises(Misconfigured, match="is encrypted and no ssh agent holds its key"):
        hello(tmp_path, sshd.host(identity_file=str(encrypted)))

    with_agent = {"HOME": str(tmp_path), "SSH_AUTH_SOCK": agent}
    assert hello(tmp_path, sshd.host(identity_file=str(encrypted)), env=with_agent) == b"hello\n"


def test_too_many_keys_in_the_agent_do_no_harm_where_the_identity_is_named(
    sshd: Sshd, agent: str, tmp_path: Path
) -> None:
    for number in range(8):
        add_to_agent(agent, make_key(tmp_path / f"key{number}"))
    with_agent = {"HOME": str(tmp_path), "SSH_AUTH_SOCK": agent}

    assert hello(tmp_path, sshd.host(), env=with_agent) == b"hello\n"

    with pytest.raises(Misconfigured, match=r"(?i)too many authentication failures"):
        hello(tmp_path, sshd.host(identity_file=None), env=with_agent)


LOOK_FOR_AGENT = 'printf "%s" "${SSH_AUTH_SOCK-none}"'


@pytest.mark.parametrize("case", ["lent", "not needed", "not allowed"])
def test_the_agent_is_lent_only_to_commands_that_need_it_on_hosts_that_may_have_it(
    sshd: Sshd, agent: str, tmp_path: Path, case: str
) -> None:
    lent = case == "lent"
    (tmp_path / "ssh_config").write_text("Host *\n ForwardAgent yes\n")
    host = sshd.host(forward_agent=case != "not allowed")
    command = Command(name="look", script=LOOK_FOR_AGENT, lends_agent=case != "not needed")

    async def work(ssh: Ssh) -> bytes:
        assert (await ssh.run("h", host, Command(name="look", script=LOOK_FOR_AGENT))).stdout == b"none"
        seen = (await ssh.run("h", host, command)).stdout
        assert (await ssh.run("h", host, Command(name="look", script=LOOK_FOR_AGENT))).stdout == b"none"
        return seen

    env = {"HOME": str(tmp_path), "SSH_AUTH_SOCK": agent}
    seen = with_ssh(work, tmp_path, env=env, ssh_config=tmp_path / "ssh_config")

    assert (seen != b"none") is lent
    assert sshd.accepted() == (2 if lent else 1)


def test_a_host_is_reached_over_jump_hosts_by_id_and_by_address(sshd: Sshd, bastion: Sshd, tmp_path: Path) -> None:
    hosts = {"bastion": bastion.host()}
    assert hello(tmp_path, sshd.host(jump=("bastion",)), find_host=hosts.get) == b"hello\n"
    assert (bastion.accepted(), sshd.accepted()) == (1, 1)

    (tmp_path / "known_hosts").write_text(known_as(bastion))
    (tmp_path / ".ssh").mkdir()
    shutil.copy(bastion.client_key_path, tmp_path / ".ssh" / "id_ed25519")
    by_address = f"{bastion.user}@127.0.0.1:{bastion.port}"
    assert hello(tmp_path, sshd.host(jump=(by_address,))) == b"hello\n"
    assert (bastion.accepted(), sshd.accepted()) == (2, 2)


def test_a_jump_host_that_fails_is_named(sshd: Sshd, bastion: Sshd, tmp_path: Path) -> None:
    nobody = f"me@[127.0.0.1]:{free_port()}"
    with pytest.raises(Unreachable, match=r"^h: jump host me@\[127\.0\.0\.1\]:\d+: .*cannot be reached"):
        hello(tmp_path, sshd.host(jump=(nobody,)))

    refused = {"bastion": bastion.host(identity_file=str(make_key(tmp_path / "wrong")))}
    with pytest.raises(Misconfigured, match=r"^h: jump host bastion: .*refuses user"):
        hello(tmp_path, sshd.host(jump=("bastion",)), find_host=refused.get)

    with pytest.raises(Misconfigured, match=r"^h: jump host bastion: .*not one in known_hosts"):
        hello(tmp_path, sshd.host(jump=("bastion",)), find_host={"bastion": bastion.host(host_keys=())}.get)

    circle = {"a": bastion.host(jump=("b",)), "b": bastion.host(jump=("a",))}
    with pytest.raises(Misconfigured, match=r"^h: more than 8 jump hosts, or they lead in a circle"):
        hello(tmp_path, sshd.host(jump=("a",)), find_host=circle.get)

    with pytest.raises(Misconfigured, match=r"^h: the jump host 'me@' is neither"):
        hello(tmp_path, sshd.host(jump=("me@",)))


def test_an_address_may_be_an_alias_of_the_ssh_config(sshd: Sshd, bastion: Sshd, tmp_path: Path) -> None:
    (tmp_path / "known_hosts").write_text(known_as(sshd) + known_as(bastion))
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "config").write_text(
        f"Host gpu\n HostName 127.0.0.1\n Port {sshd.port}\n User {sshd.user}\n"
        f" IdentityFile {sshd.client_key_path}\n ProxyJump gate\n"
        f"Host gate\n HostName 127.0.0.1\n Port {bastion.port}\n IdentityFile {bastion.client_key_path}\n"
    )

    assert hello(tmp_path, Host(transport="ssh", address="gpu")) == b"hello\n"
    assert (bastion.accepted(), sshd.accepted()) == (1, 1)


def test_a_proxy_command_of_the_ssh_config_is_used(sshd: Sshd, tmp_path: Path) -> None:
    netcat = """
import os, socket, sys, threading
server = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
def up():
    while data := os.read(0, 65536):
        server.sendall(data)
threading.Thread(target=up, daemon=True).start()
while data := server.recv(65536):
    os.write(1, data)
"""
    (tmp_path / "netcat.py").write_text(netcat)
    (tmp_path / "ssh_config").write_text(f"Host far\n ProxyCommand python3 {tmp_path}/netcat.py {sshd.port}\n")

    far = sshd.host(address="far", port=22)
    assert hello(tmp_path, far, ssh_config=tmp_path / "ssh_config") == b"hello\n"


def test_a_broken_ssh_config_is_misconfigured(sshd: Sshd, tmp_path: Path) -> None:
    (tmp_path / "ssh_config").write_text("Host *\n Port many\n")

    with pytest.raises(Misconfigured, match=r"^h: the ssh config cannot be used: .*line 2"):
        hello(tmp_path, sshd.host(), ssh_config=tmp_path / "ssh_config")
