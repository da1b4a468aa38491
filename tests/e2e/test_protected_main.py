"""From a labelled issue to an agent's pull request, where the fleet's main takes nothing but merges of people."""

from pathlib import Path

from reconciler.repo.yaml import documents
from tests import remotes
from tests.e2e.fleets import Fleet, git
from tests.forge.server import FakeForge
from tests.waiting import until

FLEET = "acme/fleet"
HELLO = "echo hello >greeting && git add greeting && git -c user.name=A -c user.email=a@x commit -qm Hello"


def test_an_issue_is_asked_for_by_a_pull_request_and_a_merge_of_it_starts_the_agent(tmp_path: Path) -> None:
    with FakeForge.running(tmp_path / "forge", FLEET) as forge:
        bare = forge.only.bare.path
        seed = Fleet.make(tmp_path / "seed")
        service = {"kind": "forgejo", "url": forge.url, "token_env": "TOKEN", "repositories": [FLEET]}
        seed.write("state/settings.yaml", {"default_adapter": "shell", "remote": "origin", "forge": service})
        seed.commit("Live on a forge")
        git(seed.root, "push", "-q", "--force", str(bare), "main")
        remotes.protect(bare)
        git(tmp_path, "clone", "-q", str(bare), "clone")
        fleet = Fleet(folder=tmp_path, root=tmp_path / "clone", env={"TOKEN": forge.token, "PACE": "10"})
        number = forge.issue("Say hello", HELLO, labels=["agent"])
        task = f"fleet-{number}"
        with fleet.reconciling() as reconciler:
            asked = until(lambda: forge.pulls_of(f"reconciler/{task}"), seconds=40)
            assert forge.pulls_of(f"task/{task}") == []
            remotes.protect(bare, on=False)
            forge.merge(asked[0], how="merge")
            remotes.protect(bare)
            done = until(lambda: forge.pulls_of(f"task/{task}"), seconds=60)
            assert "wait to be taken in" not in reconciler.said()
        assert (len(asked), len(done)) == (1, 1)
        written = documents.parse(git(bare, "show", f"main:state/tasks/{task}.yaml").encode(), task).data
        assert (written["goal"], git(bare, "show", f"task/{task}:greeting")) == (HELLO, "hello")
        assert git(fleet.root, "status", "--porcelain") == ""
