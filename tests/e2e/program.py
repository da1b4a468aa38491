"""Runs `reconciler` and `invoke` as processes, with an environment of their own, and looks at what people would see."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """How a command ended."""

    exit: int
    raw: bytes
    error: str

    @property
    def out(self) -> str:
        return self.raw.decode()

    @property
    def json(self) -> Any:  # noqa: ANN401 - a JSON document has whatever shape it has
        return json.loads(self.raw)

    @property
    def complaint(self) -> str:
        """The one line of an error: nothing on standard output, one line on standard error."""
        assert self.error.count("\n") == 1, self.error
        return self.error.rstrip("\n")


def environment(home: Path, more: Mapping[str, str] | None = None) -> dict[str, str]:
    """A clean environment: the PATH of this machine, a home of its own, and no configuration of git."""
    home.mkdir(parents=True, exist_ok=True)
    return {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_CONFIG_NOSYSTEM": "1",
        **(more or {}),
    }


def start(module: str, *args: str | bytes, cwd: Path, env: Mapping[str, str], **how: Any) -> subprocess.Popen[bytes]:  # noqa: ANN401 - what Popen takes
    """Start `python -m MODULE` on its own; pipes for all three streams unless `how` says otherwise."""
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen([sys.executable, "-m", module, *args], cwd=cwd, env=dict(env), **{**pipes, **how})


def run(
    *args: str | bytes, cwd: Path, env: Mapping[str, str] | None = None, stdin: bytes = b"", module: str = "reconciler"
) -> Done:
    """Run a command to its end; it may neither show a traceback nor report a defect."""
    process = start(module, *args, cwd=cwd, env=environment(cwd.parent / "home", env))
    try:
        out, error = process.communicate(stdin, timeout=TIMEOUT_S)
    finally:
        process.kill()
        process.wait()
    text = error.decode(errors="replace")
    assert "Traceback" not in text, text
    assert "a defect" not in text, text
    return Done(exit=process.returncode, raw=out, error=text)


def git(folder: Path, *args: str) -> str:
    """Run git there as a person would, who has no configuration."""
    person = ("-c", "user.name=Ada", "-c", "user.email=ada@localhost")
    env = environment(folder.parent / "home")
    done = subprocess.run(["git", *person, *args], cwd=folder, env=env, capture_output=True, check=True)
    return done.stdout.decode().rstrip("\n")
