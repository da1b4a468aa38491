"""A scripted model on loopback, and a home folder in which the real CLIs talk to it and to nothing else."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.waiting import until

SERVER = Path(__file__).parents[3] / "shared" / "tools" / "mock_model_server.py"
"""The scripted model server. It is not part of this repository: where it is not there, the suite is skipped."""

CODEX_CONFIG = """\
model_provider = "mock"
[model_providers.mock]
name = "mock"
base_url = "{url}/v1"
env_key = "MOCK_API_KEY"
wire_api = "responses"
request_max_retries = {retries}
stream_max_retries = {retries}
"""


@dataclass(kw_only=True)
class Model:
    """A scripted model whose tool calls write into `workdir`; it may be stopped and come back at the same address."""

    folder: Path
    workdir: Path
    port: int = 0
    servers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self, scenario: str = "edit", *, file: str = "hello.txt") -> None:
        """Answer by this scenario from now on; whoever is being answered is cut off."""
        self.stop()
        port_file, requests = self.folder / "port", self.folder / "requests"
        port_file.unlink(missing_ok=True)
        requests.unlink(missing_ok=True)
        options = {"--port": self.port, "--port-file": port_file, "--workdir": self.workdir, "--log": requests}
        options |= {"--scenario": scenario, "--file": file, "--sleep": 300}
        words = [str(word) for option in options.items() for word in option]
        with (self.folder / "server.log").open("ab") as log:
            self.servers.append(subprocess.Popen([sys.executable, str(SERVER), *words], stdout=log, stderr=log))
        self.port = int(until(lambda: port_file.exists() and port_file.read_text().strip()))

    def stop(self) -> None:
        """Refuse every connection."""
        while self.servers:
            server = self.servers.pop()
            server.kill()
            server.wait()

    def was_asked(self) -> bool:
        """Whether anybody asked for an answer since the scenario began."""
        requests = self.folder / "requests"
        return requests.exists() and '"method": "POST"' in requests.read_text()


@contextmanager
def model(folder: Path, workdir: Path) -> Iterator[Model]:
    """A scripted model that edits `hello.txt`, and ends with the block."""
    started = Model(folder=folder, workdir=workdir)
    started.start()
    try:
        yield started
    finally:
        started.stop()


def log_in(home: Path, url: str, *, retries: int = 1) -> None:
    """Write what Codex reads in the home folder of whoever runs it; Claude Code needs variables alone."""
    codex = home / ".codex" / "config.toml"
    codex.parent.mkdir(parents=True, exist_ok=True)
    codex.write_text(CODEX_CONFIG.format(url=url, retries=retries))


def path(commands: Path) -> str:
    """A PATH on which the CLIs are found."""
    return f"{commands}:{os.environ['PATH']}"


def environment(home: Path, commands: Path, port: int, scenario: str) -> dict[str, str]:
    """A clean environment with dummy keys; `home` gets the settings that have no variable."""
    url = f"http://127.0.0.1:{port}/s/{scenario}"
    log_in(home, url)
    return {
        "HOME": str(home),
        "PATH": path(commands),
        "LANG": "C.UTF-8",
        "MOCK_API_KEY": "dummy",
        "ANTHROPIC_API_KEY": "dummy",
        "ANTHROPIC_BASE_URL": url,
        "CLAUDE_CODE_MAX_RETRIES": "1",
    }
