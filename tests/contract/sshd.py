"""A real sshd with its own configuration and keys on a free port, run by the current user, ended by its pid.

It never reads or changes the machine's own ssh configuration.
"""

import getpass
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from reconciler.core.desired import Host
from tests.waiting import until

PRIVILEGE_SEPARATION = Path("/run/sshd")


def required_tool(name: str) -> str:
    """The path of a tool; where it is missing the test is skipped, and fails on CI."""
    path = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if path is None:
        if os.environ.get("CI"):
            pytest.fail(f"{name} is missing on CI")
        pytest.skip(f"{name} is not installed")
    return path


def make_key(path: Path, *, kind: str = "ed25519", passphrase: str = "") -> Path:
    """A new private key at `path`, its public half at `path.pub`."""
    ssh_keygen = required_tool("ssh-keygen")
    subprocess.run([ssh_keygen, "-q", "-t", kind, "-N", passphrase, "-C", "test", "-f", str(path)], check=True)
    return path


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(kw_only=True)
class Sshd:
    """A running server: where it listens, which host key it shows, and the key that it lets in."""

    folder: Path
    port: int
    host_key_public: str
    client_key_path: Path
    user: str
    process: subprocess.Popen[bytes]
    address: str = "127.0.0.1"
    inside: Sequence[str] = ()

    @classmethod
    def start(
        cls,
        folder: Path,
        settings: Mapping[str, str] | None = None,
        *,
        address: str = "127.0.0.1",
        inside: Sequence[str] = (),
    ) -> "Sshd":
        """A server whose files are in `folder`. `settings` win over its configuration; `inside` precedes its argv."""
        folder.mkdir(parents=True, exist_ok=True)
        host_key = make_key(folder / "host_key")
        client_key = make_key(folder / "client_key")
        shutil.copy(f"{client_key}.pub", folder / "authorized_keys")
        port = free_port()
        _configure(folder, port, {"ListenAddress": address, **(settings or {})})
        server = cls(
            folder=folder,
            port=port,
            host_key_public=" ".join(Path(f"{host_key}.pub").read_text().split()[:2]),
            client_key_path=client_key,
            user=getpass.getuser(),
            process=_launch(folder, inside),
            address=address,
            inside=inside,
        )
        server.wait_until_it_listens()
        return server

    def host(self, **changes: object) -> Host:
        """The host's file that leads here, with the host key pinned, unless `changes` say otherwise."""
        keys: dict[str, object] = {
            "transport": "ssh",
            "address": self.address,
            "port": self.port,
            "user": self.user,
            "identity_file": str(self.client_key_path),
            "host_keys": (self.host_key_public,),
        }
        return Host(**{**keys, **changes})  # type: ignore[arg-type]  # a test chooses any of the keys

    def accepted(self) -> int:
        """How many connections were authenticated so far."""
        return (self.folder / "log").read_text().count("Accepted publickey")

    def connections(self) -> int:
        """How many connections were begun so far, authenticated or not."""
        return (self.folder / "log").read_text().count("Connection from ")

    def sessions(self) -> list[int]:
        """The pids of the processes that serve connections now, the listener's children first."""
        return _descendants(self.process.pid)

    def kill_sessions(self) -> None:
        """Kill what serves connections, and nothing that was started through them."""
        self.signal_sessions(signal.SIGKILL)

    def signal_sessions(self, number: signal.Signals) -> None:
        for pid in self.sessions():
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def restart(self) -> None:
        """End the listener and all connections, and listen again on the same port with the files as they are now."""
        self.stop()
        self.process = _launch(self.folder, self.inside)
        self.wait_until_it_listens()

    def stop(self) -> None:
        self.signal_sessions(signal.SIGCONT)
        self.kill_sessions()
        self.process.kill()
        self.process.wait()

    def wait_until_it_listens(self) -> None:
        def listens() -> bool:
            assert self.process.poll() is None, (self.folder / "log").read_text()
            with socket.socket() as probe:
                return probe.connect_ex((self.address, self.port)) == 0

        until(listens)


def _configure(folder: Path, port: int, settings: Mapping[str, str]) -> None:
    keys = {
        "Port": str(port),
        "HostKey": str(folder / "host_key"),
        "AuthorizedKeysFile": str(folder / "authorized_keys"),
        "PidFile": "none",
        "UsePAM": "no",
        "StrictModes": "no",
        "PasswordAuthentication": "no",
        "KbdInteractiveAuthentication": "no",
        "PermitRootLogin": "prohibit-password",
        "MaxSessions": "10",
        "MaxStartups": "100",
        "LogLevel": "VERBOSE",
        **settings,
    }
    (folder / "sshd_config").write_text("".join(f"{key} {value}\n" for key, value in keys.items()))


def _launch(folder: Path, inside: Sequence[str]) -> subprocess.Popen[bytes]:
    if os.getuid() == 0:
        PRIVILEGE_SEPARATION.mkdir(mode=0o755, exist_ok=True)
    sshd = required_tool("sshd")
    return subprocess.Popen(
        [*inside, sshd, "-D", "-f", str(folder / "sshd_config"), "-E", str(folder / "log")],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def _descendants(pid: int) -> list[int]:
    """The children of sshd that are sshd themselves, and theirs."""
    found = []
    with suppress(OSError):
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            if Path(f"/proc/{child}/comm").read_text().startswith("sshd"):
                found += [int(child), *_descendants(int(child))]
    return found
