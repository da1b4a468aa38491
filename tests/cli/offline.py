"""A scripted model on loopback, and a home folder in which the real CLIs talk to it and to nothing else."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.waiting import until

SERVER = Path(__file__).parents[3] / "shared" / "tools" / "mock_model_server.py"
"""The scripted model server. It is not part of this repository: where it is not there, the suite is skipped."""

CODEX_CONFIG = """\
model_provider = "mock"
[model_providers.mock]
name = "mock"
base_url = "http://127.0.0.1:{port}/s/{scenario}/v1"
env_key = "MOCK_API_KEY"
wire_api = "responses"
request_max_retries = 1
stream_max_retries = 1
"""


@contextmanager
def model(folder: Path, workdir: Path) -> Iterator[int]:
    """The port of a scripted model whose tool calls write `hello.txt` into `workdir`."""
    port_file = folder / "port"
    argv = [sys.executable, str(SERVER), "--port-file", str(port_file), "--workdir", str(workdir)]
    with (folder / "server.log").open("wb") as log, subprocess.Popen(argv, stdout=log, stderr=log) as server:
        try:
            yield int(until(lambda: port_file.exists() and port_file.read_text().strip()))
        finally:
            server.kill()


def environment(home: Path, commands: Path, port: int, scenario: str) -> dict[str, str]:
    """A clean environment with dummy keys; `home` gets the settings that have no variable."""
    codex = home / ".codex" / "config.toml"
    codex.parent.mkdir(parents=True, exist_ok=True)
    codex.write_text(CODEX_CONFIG.format(port=port, scenario=scenario))
    return {
        "HOME": str(home),
        "PATH": f"{commands}:{os.environ['PATH']}",
        "LANG": "C.UTF-8",
        "MOCK_API_KEY": "dummy",
        "ANTHROPIC_API_KEY": "dummy",
        "ANTHROPIC_BASE_URL": f"http://127.0.0.1:{port}/s/{scenario}",
        "CLAUDE_CODE_MAX_RETRIES": "1",
    }
