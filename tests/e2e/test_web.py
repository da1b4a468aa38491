"""Webhooks and health of the running program: at once whatever else is stuck, and kept whatever happens next."""

import contextlib
import re
import signal
import socket
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.contract.web import KEY, Answer, request, signed
from tests.e2e import program
from tests.e2e.fleets import Fleet
from tests.waiting import until

AT_ONCE_S = 1.0
HOOK = "/webhooks/forgejo"
TOKEN = "FORGE_TOKEN"  # noqa: S105 - the name of its variable
LISTENS = re.compile(r"^listening on http://127\.0\.0\.1:(\d+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Listening:
    """The program while it runs, with what it says in files."""

    process: subprocess.Popen[bytes]
    out: Path
    error: Path

    def said(self) -> str:
        return self.out.read_text() + self.error.read_text()

    @property
    def port(self) -> int:
        def look() -> re.Match[str] | None:
            assert self.process.poll() is None, self.said()
            return LISTENS.search(self.out.read_text())

        found = until(look)
        assert found is not None
        return int(found[1])

    def post(self, body: bytes, key: str = KEY) -> Answer:
        """A delivery; the answer must come at once, counted from when it listens."""
        port = self.port
        began = time.monotonic()
        answer = request(port, "POST", HOOK, body, signed(body, key))
        assert time.monotonic() - began < AT_ONCE_S
        return answer

    def get(self, path: str) -> Answer:
        return request(self.port, "GET", path)


@contextlib.contextmanager
def reconciling(fleet: Fleet, *words: str, **env: str) -> Iterator[Listening]:
    """Run `reconciler reconcile` with a secret for webhooks, until the block ends."""
    out, error = fleet.folder / "out", fleet.folder / "error"
    given = program.environment(fleet.folder / "home", {"HOOK_SECRET": KEY, "PYTHONUNBUFFERED": "1", **env})
    with out.open("wb") as to_out, error.open("wb") as to_error:
        process = program.start(
            "reconciler", "reconcile", *words, cwd=fleet.root, env=given,
            stdin=subprocess.DEVNULL, stdout=to_out, stderr=to_error,
        )  # fmt: skip
    running = Listening(process=process, out=out, error=error)
    try:
        yield running
    finally:
        process.terminate()
        try:
            process.wait(20)
        finally:
            process.kill()
            process.wait()


def settings(fleet: Fleet, **forge: object) -> None:
    named = {"kind": "forgejo", "url": "http://127.0.0.1:1", "webhook_secret_env": "HOOK_SECRET", **forge}
    fleet.write("state/settings.yaml", {"forge": named})


def deliveries(fleet: Fleet) -> int:
    with contextlib.closing(sqlite3.connect(fleet.root / ".reconciler" / "journal.sqlite3")) as journal:
        (number,) = journal.execute("SELECT count(*) FROM deliveries").fetchone()
        return int(number)


def test_an_answer_waits_neither_for_git_nor_for_a_forge_that_hangs(fleet: Fleet) -> None:
    with socket.create_server(("127.0.0.1", 0)) as hanging:
        settings(fleet, url=f"http://127.0.0.1:{hanging.getsockname()[1]}", token_env=TOKEN)
        for lock in ("index.lock", "HEAD.lock", "packed-refs.lock"):
            (fleet.root / ".git" / lock).touch()
        with reconciling(fleet, "--listen", ":0", **{TOKEN: "x"}) as running:
            assert [running.post(b'{"n": %d}' % number).status for number in range(5)] == [202] * 5
            assert running.get("/healthz").status == 200
            assert deliveries(fleet) == 5


def test_what_was_answered_survives_a_kill_at_that_moment(fleet: Fleet) -> None:
    settings(fleet)
    with reconciling(fleet, "--listen", ":0") as running:
        assert running.post(b'{"kept": true}').json == {"status": "stored"}
        running.process.kill()
        running.process.wait()
    assert deliveries(fleet) == 1
    with reconciling(fleet, "--listen", ":0") as running:
        assert running.post(b'{"kept": true}').json == {"status": "known"}


def test_it_says_where_it_listens_and_what_is_missing_and_follows_the_settings(fleet: Fleet) -> None:
    with reconciling(fleet, "--listen", ":0") as running:
        until(lambda: "webhooks are off: state/settings.yaml names no forge" in running.said())
        assert running.post(b"{}").status == 404
        settings(fleet, webhook_secret_env="NOT_THERE")  # noqa: S106 - a variable's name
        off = "webhooks are off: NOT_THERE of settings.forge.webhook_secret_env is not set"
        until(lambda: off in running.said())
        settings(fleet)
        until(lambda: "webhooks: /webhooks/forgejo" in running.said())
        assert running.post(b"{}").status == 202
        assert running.post(b"{}", key="another").status == 401
        line = "reconciler: a webhook from 127.0.0.1 was refused: no header signs this body"
        until(lambda: line in running.error.read_text())
        said = running.error.read_text().splitlines()
        assert all(one.startswith("reconciler: ") and one.isprintable() for one in said)
        assert KEY not in running.said()


def test_ready_means_that_turns_go_round_and_the_forge_answers(fleet: Fleet) -> None:
    settings(fleet)
    with reconciling(fleet, "--listen", ":0") as running:
        until(lambda: running.get("/readyz").status == 200)
        assert running.get("/readyz").json["checks"]["forge"]["status"] == "no token"
    settings(fleet, token_env=TOKEN, repositories=["acme/widgets"])
    with reconciling(fleet, "--listen", ":0", **{TOKEN: "x"}) as running:
        until(lambda: running.get("/readyz").json["checks"]["loop"]["status"] == "ok")
        answer = running.get("/readyz")
        forge = answer.json["checks"]["forge"]
        assert (answer.status, answer.json["status"], forge["status"]) == (503, "not ready", "silent")
        assert forge["since"]
        assert "runs go on" in forge["detail"]
        assert running.get("/healthz").status == 200


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_is_clean_and_quick_with_connections_open(fleet: Fleet, number: signal.Signals) -> None:
    with reconciling(fleet, "--listen", ":0") as running:
        until(lambda: running.get("/readyz").status == 200)
        port = running.port
        with socket.create_connection(("127.0.0.1", port)) as idle:
            idle.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            assert idle.recv(1000).startswith(b"HTTP/1.1 200")
            began = time.monotonic()
            running.process.send_signal(number)
            assert running.process.wait(10) == 0
            assert time.monotonic() - began < 3 * AT_ONCE_S
            socket.create_server(("127.0.0.1", port)).close()
        assert "Traceback" not in running.said()


def test_an_address_in_use_stops_only_who_asked_for_it(fleet: Fleet) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        place = f"127.0.0.1:{taken.getsockname()[1]}"
        asked = program.run("reconcile", "--once", "--listen", place, cwd=fleet.root)
        assert asked.exit == 1
        assert f"{place}: Address already in use; stop what listens there" in asked.complaint
        fleet.write("state/settings.yaml", {"listen": place})
        with reconciling(fleet) as running:
            assert running.process.wait(20) == 1
        assert "Address already in use" in running.error.read_text()
        assert program.run("reconcile", "--once", cwd=fleet.root).exit == 0
        assert program.run("reconcile", "--once", "--no-listen", cwd=fleet.root).exit == 0


def test_the_built_in_address_is_only_missed(fleet: Fleet, built_in_address: tuple[str, int]) -> None:
    with contextlib.ExitStack() as closing:
        with contextlib.suppress(OSError):
            closing.enter_context(socket.create_server(built_in_address))
        with reconciling(fleet) as running:
            until(lambda: "nothing listens: 127.0.0.1:8732: Address already in use" in running.error.read_text())
            fleet.task("works", fleet.ran)
            until(lambda: fleet.phase("works") == "completed")


def test_with_an_end_in_sight_it_listens_only_if_told_to(fleet: Fleet) -> None:
    assert "listening" not in program.run("reconcile", "--until-idle", cwd=fleet.root).out
    assert LISTENS.search(program.run("reconcile", "--until-idle", "--listen", ":0", cwd=fleet.root).out)
    for words in (["--listen", ":0", "--no-listen"], ["--listen", "8732"], ["--listen", ":70000"]):
        assert program.run("reconcile", *words, cwd=fleet.root).exit == 2, words
