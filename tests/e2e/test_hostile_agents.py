"""Agents that write into their own run folder, as their user may: nothing there is believed, and nothing hangs."""

import json
from pathlib import Path

import pytest

from tests.e2e.fleets import Fleet, git, project
from tests.e2e.test_edits import let_go, waits
from tests.e2e.test_local import forget_journal
from tests.waiting import until

SECRET = "s3cr3t-of-the-task"  # noqa: S105 - of this test
TOKEN = "the-token-of-the-forge"  # noqa: S105 - likewise

FORGES = """
folder=$(dirname "$0")
python3 - "$folder/meta.json" <<'END'
import json, sys
path = sys.argv[1]
with open(path) as file:
    meta = json.load(file)
meta["branch"] = "main"
meta["task"] |= {"secrets": [], "branch": "main", "delivery": "none", "title": "Anything"}
meta["adapter"]["output"] = {"files": {"../../../../planted": "planted"}}
with open(path, "w") as file:
    json.dump(meta, file)
END
echo owned >"$folder/planted"
"""
"""What an agent does that would like another branch, no masking, and a file on the reconciler's machine."""


def forged(fleet: Fleet) -> dict[str, object]:
    """What the forging agent's meta.json says now."""
    found: dict[str, object] = json.loads((fleet.run_folder("one", 1) / "meta.json").read_text())
    return found


@pytest.mark.parametrize("journal", ["kept", "lost"])
def test_an_agent_that_forges_its_meta_gains_nothing(fleet: Fleet, journal: str) -> None:
    bare = project(fleet.folder)
    main = git(bare, "rev-parse", "main")
    fleet.env["TASK_TOKEN"] = SECRET
    goal = f'{FORGES}{waits(fleet, "one")}\necho "$TASK_TOKEN"; echo >new'
    fleet.task("one", goal, repository=str(bare), secrets=["TASK_TOKEN"])
    reconciler = fleet.start()
    reconciler.until_phase("one", "running")
    until((fleet.run_folder("one", 1) / "planted").exists)  # it is the last that the agent does
    assert forged(fleet)["branch"] == "main"
    reconciler.kill()
    if journal == "lost":
        forget_journal(fleet)
    let_go(fleet, "one")

    ended = fleet.until_idle()

    assert ended.process.returncode == 0, ended.said()
    assert git(bare, "rev-parse", "main") == main
    assert git(bare, "show", "task/one:new") == ""
    assert SECRET not in fleet.kept_output("one", 1).decode()
    assert SECRET not in json.dumps(fleet.observed("one"))
    assert "*" * len(SECRET) in fleet.kept_output("one", 1).decode()
    assert [path for path in fleet.folder.rglob("planted") if "runs" not in path.parts] == []


LINKS = 'for name in stdout stderr meta.json exit; do ln -sf "$secret" "$folder/$name"; done'
PIPES = 'for name in agent stop activity workspace meta.json; do rm -f "$folder/$name"; mkfifo "$folder/$name"; done'


def test_links_and_pipes_in_a_run_folder_show_nothing_and_hold_up_nobody(fleet: Fleet, tmp_path: Path) -> None:
    fleet.write("hosts/here.yaml", {"transport": "local", "slots": 4, "workdir": str(fleet.folder / "work")})
    hidden = tmp_path / "id_ed25519"
    hidden.write_text("a private key\n")
    begin = f'folder=$(dirname "$0"); secret={hidden}\n'
    fleet.task("pipes", f"{begin}{PIPES}\n{waits(fleet, 'pipes')}", max_attempts=1)
    with fleet.reconciling() as reconciler:
        reconciler.until_phase("pipes", "running")
        fleet.task("links", f"{begin}{LINKS}\nsleep 300", max_attempts=1)
        reconciler.until_phase("links", "failed", seconds=60)  # a pipe made under a poll's hands costs that poll
        fleet.task("honest", f"{fleet.ran}echo done")
        reconciler.until_phase("honest", "completed", seconds=15)
        let_go(fleet, "pipes")
        reconciler.until_phase("pipes", "completed")
        assert "Traceback" not in reconciler.said()
    assert fleet.tagged("links.1") == []
    everything = [path for path in (fleet.root / ".reconciler").rglob("*") if path.is_file()]
    assert [path for path in everything if b"a private key" in path.read_bytes()] == []
    assert "a private key" not in git(fleet.root, "log", "-p", "observed")
    assert hidden.read_text() == "a private key\n"


def test_no_secret_of_the_reconciler_is_kept_when_an_agent_prints_it(fleet: Fleet) -> None:
    fleet.env |= {"TASK_TOKEN": SECRET, "FORGE_TOKEN": TOKEN}
    forge = {"kind": "forgejo", "url": "http://127.0.0.1:9", "token_env": "FORGE_TOKEN"}
    fleet.write("state/settings.yaml", {"forge": forge})
    half = len(SECRET) // 2
    goal = "; ".join(
        [
            f'printf %s "$TASK_TOKEN" | head -c {half}; sleep 0.5; printf %s "$TASK_TOKEN" | tail -c +{half + 1}',
            'echo; printf %s "$TASK_TOKEN" | base64',
            'printf %s "x:$TASK_TOKEN" | base64 >&2',
            f'echo "the forge: {TOKEN[:9]}""{TOKEN[9:]}"',
        ]
    )
    fleet.task("prints", goal, secrets=["TASK_TOKEN"])
    with fleet.reconciling() as reconciler:
        reconciler.until_phase("prints", "completed")
    kept = b"".join(path.read_bytes() for path in (fleet.root / ".reconciler" / "logs").rglob("std*"))
    assert kept.count(b"****") >= 4
    told = kept.decode() + git(fleet.root, "log", "-p", "observed") + reconciler.said()
    said = json.dumps(fleet.observed("prints"))
    assert [word for word in (SECRET, TOKEN, "czNjcjN0LW9mLXRoZS10YXNr") if word in told + said] == []
