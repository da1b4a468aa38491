"""A small transport for tests: it runs a command's script in a local shell of choice."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from reconciler.core.command import Command, Completed, command_line, stdin

SHELLS = {"dash": ("dash",), "bash": ("bash", "--posix"), "busybox": ("busybox", "sh")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Runner:
    """A host: a shell, and the environment of the login."""

    words: tuple[str, ...]
    env: Mapping[str, str]

    def run(self, command: Command, **extra: str) -> Completed:
        done = subprocess.run(
            [*self.words, "-c", command_line(command)],
            input=stdin(command),
            capture_output=True,
            env={**self.env, **extra},
            timeout=command.timeout_s + 30,
            check=False,
        )
        code = done.returncode if done.returncode >= 0 else 128 - done.returncode
        return Completed(exit=code, stdout=done.stdout, stderr=done.stderr)


_MOUNTED = """
while [ "$1" != -- ]; do mount --bind /proc/$$/mem "$1" || exit 1; shift; done
shift
exec "$@"
"""


def with_bad_sectors(host: Runner, *files: Path) -> Runner:
    """The same host where these files can be opened and not read: in their place is memory that is not there."""
    aside = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c", _MOUNTED, "sh", *map(str, files), "--")
    return Runner(words=(*aside, *host.words), env=host.env)


def installed(shell: str) -> str:
    """The shell's name; the test is skipped where it is not installed, but never in CI."""
    if shutil.which(SHELLS[shell][0]) is None:
        assert "CI" not in os.environ, f"{shell} is missing: install it"
        pytest.skip(f"{shell} is not installed")
    return shell


def host(tmp_path: Path, shell: str = "dash") -> Runner:
    """A host whose `sh` is the given shell, with a home and an environment of its own."""
    words = SHELLS[shell]
    program = shutil.which(words[0])
    assert program is not None, f"{shell} is not installed"
    home = tmp_path / 'home it\'s "mine"'
    home.mkdir(exist_ok=True)
    tools = tmp_path / f"bin-{shell}"
    if not tools.exists():
        tools.mkdir()
        if shell == "busybox":
            subprocess.run([program, "--install", "-s", str(tools)], check=True)
        else:
            (tools / "sh").symlink_to(program)
    env = {
        "HOME": str(home),
        "PATH": f"{tools}:/usr/local/bin:/usr/bin:/bin",
        "USER": "somebody",
        "LANG": "C.UTF-8",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_AUTHOR_NAME": "Person",
        "GIT_AUTHOR_EMAIL": "person@example.org",
        "GIT_COMMITTER_NAME": "Person",
        "GIT_COMMITTER_EMAIL": "person@example.org",
    }
    return Runner(words=(program, *words[1:]), env=env)
