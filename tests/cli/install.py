"""Installs the real agent CLIs into a folder, by npm; `python -m tests.cli.install FOLDER` does it by hand."""

import fcntl
import subprocess
import sys
from pathlib import Path

PACKAGES = ("@openai/codex", "@anthropic-ai/claude-code")
INSTALL_S = 600


def install(folder: Path) -> Path:
    """The folder of their commands. What is there already is not fetched again; who comes second waits."""
    commands = folder / "node_modules" / ".bin"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not all((commands / name).exists() for name in ("codex", "claude")):
            argv = ["npm", "install", "--prefix", str(folder), "--no-audit", "--no-fund", *PACKAGES]
            subprocess.run(argv, check=True, timeout=INSTALL_S, stdout=sys.stderr)
    return commands


if __name__ == "__main__":
    sys.stdout.write(f"{install(Path(sys.argv[1]))}\n")
