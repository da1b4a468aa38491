"""Installs peers into a folder of their own and has each run empty commands over ssh, as its manual says.

They are no part of the program: what is installed goes with the folder.
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tests.contract.sshd import Sshd

PACKAGES = ("ansible-core", "pyinfra", "fabric", "parallel-ssh")
LIMIT_S = 600.0

FABRIC = """
import sys
from fabric import Connection
number, address, port, user, key = int(sys.argv[1]), *sys.argv[2:]
with Connection(address, user=user, port=int(port), connect_kwargs={"key_filename": key}) as far:
    for _ in range(number):
        far.run("true", hide=True)
"""

PARALLEL_SSH = """
import sys
from pssh.clients import SSHClient
number, address, port, user, key = int(sys.argv[1]), *sys.argv[2:]
far = SSHClient(address, user=user, port=int(port), pkey=key)
for _ in range(number):
    output = far.run_command("true")
    far.wait_finished(output)
"""

PYINFRA = """
from pyinfra.operations import server
for number in range({number}):
    server.shell(name=f"task {{number}}", commands=["true"])
"""

PLAYBOOK = """
- hosts: far
  gather_facts: false
  tasks:
    - command: "true"
      loop: "{{{{ range({number}) | list }}}}"
"""


class Peers:
    """Tools that run commands over ssh, installed below `place`, all with the same server."""

    def __init__(self, place: Path, sshd: Sshd) -> None:
        """Install nothing yet."""
        self._place = place
        self._sshd = sshd
        self._bin = place / "peers" / "bin"
        self._env = {
            **{name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ},
            "HOME": str(place),
            "ANSIBLE_HOST_KEY_CHECKING": "False",
            "ANSIBLE_PIPELINING": "True",
        }

    def install(self) -> None:
        """Get them from where pip gets packages, and GNU parallel from where apt does, unless it is there."""
        python = self._bin / "python"
        subprocess.run([sys.executable, "-m", "venv", str(self._place / "peers")], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", "--quiet", *PACKAGES], check=True)
        config = self._place / ".ssh" / "config"
        config.parent.mkdir(exist_ok=True)
        config.write_text(
            f"Host far\n HostName {self._sshd.address}\n Port {self._sshd.port}\n User {self._sshd.user}\n"
            f" IdentityFile {self._sshd.client_key_path}\n StrictHostKeyChecking no\n UserKnownHostsFile /dev/null\n"
            f" LogLevel ERROR\n ControlMaster auto\n ControlPath {self._place}/control\n ControlPersist 600\n"
        )
        config.chmod(0o600)
        (self._place / "inventory").write_text(f"far ansible_ssh_common_args='-F {config}'\n")

    def parallel(self, number: int, at_once: int = 50) -> float:
        """GNU parallel with a shared control socket; at most ten at once, more sessions it does not get going."""
        words = ["--sshlogin", f"{min(at_once, 10)}/far", "--ssh", f"ssh -F {self._place}/.ssh/config"]
        self._run(["ssh", "-F", f"{self._place}/.ssh/config", "far", "true"])
        return self._per_s(number, ["parallel", "--will-cite", *words, "true", ":::", *map(str, range(number))])

    def fabric(self, number: int) -> float:
        """Fabric, one connection."""
        return self._script(number, FABRIC)

    def parallel_ssh(self, number: int) -> float:
        """parallel-ssh, one connection."""
        return self._script(number, PARALLEL_SSH)

    def pyinfra(self, number: int) -> float:
        """Operations of one deploy of pyinfra."""
        deploy = self._place / "deploy.py"
        deploy.write_text(PYINFRA.format(number=number))
        (self._place / "inventory.py").write_text(
            f"far = [('{self._sshd.address}', {{'ssh_port': {self._sshd.port}, 'ssh_user': '{self._sshd.user}', "
            f"'ssh_key': '{self._sshd.client_key_path}', 'ssh_strict_host_key_checking': 'off'}})]\n"
        )
        return self._per_s(number, [str(self._bin / "pyinfra"), "-y", "inventory.py", "deploy.py"])

    def ansible(self, number: int) -> float:
        """One task of a playbook, in a loop, with pipelining and a shared control socket."""
        book = self._place / "book.yaml"
        book.write_text(PLAYBOOK.format(number=number))
        return self._per_s(number, [str(self._bin / "ansible-playbook"), "-i", "inventory", "book.yaml"])

    def has_parallel(self) -> bool:
        """Whether GNU parallel is there; it comes from Debian."""
        return shutil.which("parallel") is not None

    def _script(self, number: int, script: str) -> float:
        server = self._sshd
        place = (server.address, str(server.port), server.user, str(server.client_key_path))
        return self._per_s(number, [str(self._bin / "python"), "-c", script, str(number), *place])

    def _per_s(self, number: int, command: Sequence[str]) -> float:
        before_s = time.perf_counter()
        self._run(command)
        return number / (time.perf_counter() - before_s)

    def _run(self, command: Sequence[str]) -> None:
        done = subprocess.run(
            command, cwd=self._place, env=self._env, capture_output=True, check=False, timeout=LIMIT_S, text=True
        )
        if done.returncode != 0:
            raise RuntimeError(f"{command[:3]}: {done.stdout[-1000:]}{done.stderr[-1000:]}")
