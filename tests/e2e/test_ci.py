"""`init --ci` and what its workflow does: in a new fleet, in one that is there, and in a forge's checkout of it."""

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.e2e.program import environment, git, run

WORKFLOW = ".forgejo/workflows/validate.yaml"
JOB_KEYS = {"runs-on", "container", "env", "steps"}
STEP_KEYS = {"name", "uses", "run"}


def workflow(top: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = YAML(typ="safe").load((top / WORKFLOW).read_text())
    return loaded


def checked(top: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """Check the repository as a runner does: the last step, in a shallow clone without a branch."""
    git(top, "clone", "--quiet", "--depth=1", top.as_uri(), str(folder))
    git(folder, "checkout", "--quiet", "--detach")
    env = environment(
        folder.parent / "runner", {"GITHUB_ACTIONS": "true", "GIT_CONFIG_GLOBAL": str(folder.parent / "git")}
    )
    (step,) = (one["run"] for one in workflow(folder)["jobs"]["validate"]["steps"][-1:])
    return subprocess.run(
        ["bash", "-e", "-c", step], cwd=folder, env=env, capture_output=True, check=False, text=True, timeout=60
    )


def test_a_new_fleet_comes_with_a_workflow_that_forgejo_and_github_take(tmp_path: Path) -> None:
    assert run("init", "fleet", "--ci", cwd=tmp_path).exit == 0
    fleet = tmp_path / "fleet"
    assert git(fleet, "status", "--porcelain") == ""
    assert WORKFLOW in git(fleet, "show", "--format=", "--name-only", "HEAD").splitlines()
    found = workflow(fleet)
    assert list(found) == ["name", "on", "jobs"]
    assert found["on"] == ["push", "pull_request"]
    (job,) = found["jobs"].values()
    assert job.keys() == JOB_KEYS
    assert job["runs-on"] == "docker"
    assert all(step.keys() < STEP_KEYS and ("uses" in step) != ("run" in step) for step in job["steps"])
    assert {"uses": "actions/checkout@v4"} in job["steps"]
    assert "pip install reconciler" in [step.get("run") for step in job["steps"]]
    assert not (tmp_path / "other").exists()
    assert run("init", "other", cwd=tmp_path).exit == 0
    assert not (tmp_path / "other" / WORKFLOW).exists()


@pytest.mark.parametrize("below", ["", "ops/our fleet"])
def test_the_forge_shows_what_is_wrong_at_its_place(tmp_path: Path, below: str) -> None:
    top = tmp_path / "top"
    fleet = top / below
    if below:
        top.mkdir()
        git(top, "init", "--quiet", "--initial-branch=main", ".")
        git(top, "commit", "--quiet", "--allow-empty", "--message", "Begin")
        fleet.mkdir(parents=True)
        (fleet / "tracked").touch()
        git(top, "add", ".")
        git(top, "commit", "--quiet", "--message", "A folder")
    assert run("init", str(fleet), "--ci", cwd=tmp_path).exit == 0
    good = checked(top, tmp_path / "good")
    assert good.returncode == 0, good.stdout + good.stderr
    assert good.stdout.endswith(" files, nothing wrong\n")
    (fleet / "state/tasks/bad.yaml").write_text('title: Bad\ngoal: x\nadaptor: "100%"\n')
    git(top, "add", ".")
    git(top, "commit", "--quiet", "--message", "Break it")
    bad = checked(top, tmp_path / "bad")
    place = f"file={below and below + '/'}state/tasks/bad.yaml,line=3,col=1"
    assert bad.returncode == 1
    assert bad.stdout.startswith(f"::error {place}::state/tasks/bad.yaml:3:1: ")
    assert bad.stdout.count("\n") == bad.stdout.count("::error ")
    assert run("validate", cwd=fleet).out.startswith("state/tasks/bad.yaml:3:1: ")


def test_a_fleet_that_is_there_gets_the_workflow_alone_and_once(tmp_path: Path) -> None:
    assert run("init", "fleet", cwd=tmp_path).exit == 0
    fleet = tmp_path / "fleet"
    (fleet / "README.md").write_text("mine\n")
    made = run("init", ".", "--ci", "--json", cwd=fleet)
    assert made.json == {"path": str(fleet), "written": [WORKFLOW], "kept": []}
    assert git(fleet, "show", "--format=%s", "--name-only", "HEAD").split("\n\n") == [
        "Have the forge check the fleet's files",
        WORKFLOW,
    ]
    assert git(fleet, "status", "--porcelain") == " M README.md"
    (fleet / WORKFLOW).write_text("on: push\n")
    again = run("init", os.curdir, "--ci", cwd=fleet)
    assert again.exit == 0
    assert f"{WORKFLOW} was there already and stays as it is." in again.out
    assert (fleet / WORKFLOW).read_text() == "on: push\n"
    assert "exists already" in run("init", ".", cwd=fleet).complaint
