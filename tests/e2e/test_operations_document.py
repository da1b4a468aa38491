"""`docs/operations.md`: its commands exist, its files are what programs take, and its proxy keeps strangers out."""

import contextlib
import http.client
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.commands import arguments, everything
from tests.e2e.fleets import PROJECT
from tests.e2e.pullers import Pull, pulling
from tests.waiting import until

DOCUMENT = (PROJECT / "docs" / "operations.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```(?P<kind>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"(?:^`?|/bin/)reconciler (?P<words>[^`\n&|]+)", re.MULTILINE)


def block(kind: str) -> str:
    """The document's one block of this kind."""
    (text,) = (found["text"] for found in BLOCK.finditer(DOCUMENT) if found["kind"] == kind)
    return text


def needs(program: str) -> str:
    """Where a program is that not every machine has."""
    found = shutil.which(program, path=f"{os.environ['PATH']}{os.pathsep}/usr/sbin")
    if found is None:
        pytest.skip(f"{program} is missing")
    return found


def test_every_command_of_the_page_is_one_that_can_be_typed() -> None:
    known = {command.name: command for command in everything.commands()}
    text = "\n".join(found["text"] for found in BLOCK.finditer(DOCUMENT) if found["kind"] in {"sh", "systemd"})
    spoken = "\n".join(re.findall(r"`[^`\n]+`", BLOCK.sub("", DOCUMENT)))
    typed = [found["words"].split() for found in COMMAND.finditer(f"{text}\n{spoken}")]
    assert {words[0] for words in typed} >= {"reconcile", "status", "why", "validate", "doctor", "report", "archive"}
    for words in typed:
        assert arguments.read(words, known).command is known[words[0]]


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    unit = tmp_path / "reconciler.service"
    unit.write_text(block("systemd").replace("/opt/reconciler/bin/reconciler", sys.executable))
    words = [needs("systemd-analyze"), "verify", str(unit)]
    done = subprocess.run(words, capture_output=True, check=False, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_caddy_takes_its_file(tmp_path: Path) -> None:
    file = tmp_path / "Caddyfile"
    file.write_text(block("caddyfile"))
    words = [needs("caddy"), "validate", "--adapter", "caddyfile", "--config", str(file)]
    done = subprocess.run(words, capture_output=True, check=False, text=True, env={**os.environ, "HOME": str(tmp_path)})
    assert done.returncode == 0, done.stderr
    assert "Valid configuration" in done.stdout + done.stderr


@pytest.fixture(name="pull")
def _pull(tmp_path: Path) -> Iterator[Pull]:
    with pulling(tmp_path / "fleet") as pull:
        pull.start()
        yield pull


@contextlib.contextmanager
def proxied(folder: Path, port: int) -> Iterator[int]:
    """The document's nginx in front of a reconciler, with a certificate of its own; the port that it listens on."""
    nginx, openssl = needs("nginx"), needs("openssl")
    folder.mkdir()
    names = ("-keyout", f"{folder}/key", "-out", f"{folder}/pem", "-subj", "/CN=agents.example.org")
    made = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", *names]
    subprocess.run(made, capture_output=True, check=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        free = probe.getsockname()[1]
    server = (
        block("nginx").replace("127.0.0.1:8732", f"127.0.0.1:{port}").replace("listen 443", f"listen 127.0.0.1:{free}")
    )
    server = re.sub(r"/etc/ssl/agents\.example\.org\.(\w+)", rf"{folder}/\1", server)
    paths = "".join(
        f"{name}_temp_path {folder}/{name};\n" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "conf").write_text(
        f"daemon off;\nmaster_process off;\npid {folder}/pid;\nerror_log {folder}/error;\nevents {{}}\n"
        f"http {{\naccess_log off;\n{paths}{server}}}\n"
    )
    with subprocess.Popen([nginx, "-p", str(folder), "-c", f"{folder}/conf"], stderr=subprocess.PIPE) as process:
        try:
            until(lambda: answers(free) or process.poll() is not None)
            assert process.poll() is None, process.stderr and process.stderr.read()
            yield free
        finally:
            process.terminate()


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def status(port: int, method: str, path: str, **headers: str) -> int:
    """What is answered to a stranger who comes by TLS."""
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=20, context=trusting)
    with contextlib.closing(connection):
        connection.request(method, path, headers={"Host": "agents.example.org", **headers})
        return connection.getresponse().status


def test_the_proxy_lets_agents_and_webhooks_in_and_shows_strangers_nothing(pull: Pull, tmp_path: Path) -> None:
    agent = pull.agent("bot")
    pull.task("mend")
    with proxied(tmp_path / "proxy", pull.port) as port:
        assert status(port, "GET", "/healthz") == 200
        assert status(port, "GET", "/api/v1/tasks") == 401
        assert status(port, "GET", "/api/v1/tasks", Host="localhost") == 401
        until(lambda: status(port, "GET", "/api/v1/tasks", Authorization=f"Bearer {agent.token}") == 200)
        assert status(port, "POST", "/webhooks/forgejo") == 404  # no secret is set here
        assert status(port, "GET", "/metrics") == 404
        assert status(port, "GET", "/") == 404
