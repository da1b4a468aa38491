"""`reconciler doctor`: a real process looks at a fleet and its surroundings, and says what would mend them."""

import fcntl
import json
import os
import socket
from pathlib import Path
from typing import Any

from tests.contract.scripted import Reply, Scripted
from tests.e2e.program import git, run
from tests.forge.server import FakeForge

OLD_CLI = '#!/bin/sh\necho "old-cli 1.9.0"\n'
NUMBER = {"pattern": r"(\d+\.\d+\.\d+)"}


def write(root: Path, path: str, document: object) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(json.dumps(document))


def fleet(folder: Path, **settings: object) -> Path:
    """A fleet with one host, here, and nothing wrong."""
    root = folder / "fleet"
    root.mkdir()
    git(root, "init", "--quiet", "--initial-branch=main", ".")
    write(root, "hosts/here.yaml", {"transport": "local", "workdir": str(folder / "work")})
    write(root, "state/settings.yaml", settings)
    return root


def told(root: Path, **env: str) -> dict[tuple[str, str], list[str]]:
    """What the doctor found: the messages about each part in each state."""
    done = run("doctor", "--json", cwd=root, env=env)
    findings: list[dict[str, Any]] = done.json["findings"]
    assert done.exit == any(one["state"] == "wrong" for one in findings)
    found: dict[tuple[str, str], list[str]] = {}
    for one in findings:
        found.setdefault((one["about"], one["state"]), []).append(one["message"])
    return found


def test_a_fleet_with_nothing_wrong_is_said_to_be_right(tmp_path: Path) -> None:
    root = fleet(tmp_path)
    done = run("doctor", cwd=root)
    assert done.exit == 0, done.out
    assert "host here   right  fit; it answered in " in done.out
    assert "files       right  0 tasks, 1 host, 0 adapters, nothing wrong\n" in done.out
    assert "reconciler  note   none works on this fleet here: reconciler reconcile\n" in done.out
    assert done.out.endswith("4 right, 0 wrong, 1 to know\n")
    assert git(root, "for-each-ref") == ""


def test_everything_that_is_wrong_comes_with_what_mends_it(tmp_path: Path, server: Scripted) -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        silent = busy.getsockname()[1]
    server.script["GET /healthz"] = Reply(status=502)
    root = fleet(
        tmp_path,
        remote="origin",
        public_url=server.url,
        forge={"kind": "forgejo", "url": "https://git.example.org", "token_env": "FORGE_TOKEN"},
    )
    git(root, "remote", "add", "origin", str(tmp_path / "nowhere.git"))
    bin_ = tmp_path / "bin"
    bin_.mkdir()
    (bin_ / "old-cli").write_text(OLD_CLI)
    (bin_ / "old-cli").chmod(0o755)
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJmkVfLcLGNqAVkWF8uDrQkBo4F1kYk3v1lY0a9XyQ0x"
    away = {"transport": "ssh", "address": "127.0.0.1", "port": silent, "user": "ada", "host_keys": [key]}
    write(root, "hosts/away.yaml", away)
    write(root, "hosts/bot.yaml", {"transport": "pull", "token_sha256": ["0" * 64]})
    write(root, "hosts/full.yaml", {"transport": "local", "workdir": "/proc/nothing"})
    for name in ("old", "missing"):
        version = {"run": [f"{name}-cli", "--version"], "minimum": "2.0", **NUMBER}
        write(root, f"adapters/{name}.yaml", {"run": ["true"], "version": version, "secrets": ["CLI_KEY"]})
        write(root, f"state/tasks/{name}.yaml", {"title": name, "goal": name, "adapter": name})
    write(root, "state/tasks/broken.yaml", {"title": "t"})
    git(root, "add", ".")
    git(root, "commit", "--quiet", "--message", "Add what is wrong")
    found = told(root, PATH=f"{bin_}{os.pathsep}{os.environ['PATH']}")
    assert ("files", "wrong") in found, found
    (files,) = found["files", "wrong"]
    assert files.endswith("; see reconciler validate")
    assert "state/tasks/broken.yaml" in files
    (remote,) = found["remote origin", "wrong"]
    assert "nowhere.git" in remote
    (away_said,) = found["host away", "wrong"]
    assert away_said.startswith(f"127.0.0.1 port {silent} cannot be reached: ")
    assert away_said.endswith("; see that it is up, and that ssh gets there from here")
    (full,) = found["host full", "wrong"]
    assert "/proc/nothing cannot be used" in full
    assert found["host bot", "note"] == ["its agent never asked for work: docs/pull-agent.md says how one does"]
    assert "old-cli 1.9.0 on here is older than 2.0: update it there" in found["adapter old", "wrong"]
    (missing,) = found["adapter missing", "wrong"]
    assert missing.startswith("missing-cli does not answer on ")
    assert found["adapter missing", "note"] == [
        "its secret CLI_KEY is not set here; it has to be where reconciler reconcile runs"
    ]
    (token,) = found["forge forgejo", "wrong"]
    assert token.startswith("FORGE_TOKEN is not set: put a token for the forge's API into it")
    (webhooks,) = found["webhooks", "wrong"]
    assert webhooks.startswith(f"{server.url}/healthz answers 502: ")


def test_the_forge_the_address_for_webhooks_and_a_living_reconciler_are_seen(
    tmp_path: Path, forge: FakeForge, server: Scripted
) -> None:
    server.script["GET /healthz"] = Reply(data={"status": "alive"})
    settings = {"kind": "forgejo", "url": forge.url, "token_env": "FORGE_TOKEN", "repositories": ["acme/widgets"]}
    root = fleet(tmp_path, public_url=server.url, forge=settings)
    lock = root / ".reconciler" / "lock"
    lock.parent.mkdir()
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        held.write(f"{os.getpid()} {socket.gethostname()}\n")
        held.flush()
        found = told(root, FORGE_TOKEN=forge.token)
    name = f"a reconciler (process {os.getpid()} on {socket.gethostname()})"
    assert found["reconciler", "right"] == [f"{name} works on this fleet"]
    assert found["forge forgejo", "right"] == ["the token is that of bot"]
    (hook,) = found["acme/widgets", "wrong"]
    assert hook.startswith(f"no webhook goes to {server.url}/webhooks/forgejo; run `reconciler forge setup`")
    assert found["webhooks", "right"] == [f"{server.url}/healthz answers"]
