"""Whose pull request a task's is, what happens when nothing was delivered, and what a forge that is away changes."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e import program
from tests.forge.team import WORKS, Team, working
from tests.waiting import until

PUSHES = """echo "$run" >>work.txt
git add -A && git -c user.name=Agent -c user.email=agent@example.org commit -qm "Work by myself"
git push -q origin HEAD:refs/heads/task/one
waits
"""


@pytest.fixture
def team(tmp_path: Path) -> Iterator[Team]:
    with working(tmp_path) as made:
        yield made


def test_a_pull_request_that_the_agent_opened_is_adopted(team: Team) -> None:
    team.agent(PUSHES)
    team.task("one")
    team.start()
    team.until_waiting("one.1")
    number = team.forge.open("task/one", "By the agent itself", by="ada")
    seen = team.until_phase("one", "review_pending")
    assert (seen["pr"]["number"], seen["pr_title"]) == (number, "By the agent itself")
    team.go("one")
    team.until(lambda: team.seen("one")["runs"][0].get("outcome"), "the run's end was not seen")
    seen = team.until_phase("one", "review_pending")
    assert (seen["runs"][0]["outcome"], seen["pr"]["number"]) == ("succeeded", number)
    team.forge.merge(number)
    team.until_phase("one", "completed")
    assert team.forge.count("POST", "/pulls") == 0
    assert team.forge.pulls_of("task/one") == [number]


def test_a_pull_request_that_is_open_before_the_run_has_ended_is_not_opened_again(team: Team) -> None:
    team.webhooks = False
    team.agent(PUSHES)
    team.task("one")
    team.start()
    team.until_waiting("one.1")
    number = team.forge.open("task/one", "By the agent itself", by="ada")
    team.go("one")
    team.until(lambda: team.seen("one").get("pr"), "the pull request was not adopted")
    assert team.until_phase("one", "review_pending")["pr"]["number"] == number
    assert team.forge.pulls_of("task/one") == [number]


def test_a_run_that_delivered_nothing_is_nudged_once_in_its_session_and_then_blocks(team: Team) -> None:
    fleet = team.fleet
    fleet.env = {"FORGE_TOKEN": team.forge.token}
    team.agent("")
    team.task("one")
    with fleet.reconciling() as reconciler:
        until(lambda: fleet.first_run("one").get("outcome"))
        assert fleet.phase("one") == "created"
        fleet.move_clock(11)
        seen = reconciler.until_phase("one", "blocked")
    assert (seen["reason"], seen["epoch"], seen["owner"]) == ("not_delivered", 2, "author")
    assert [run["failure"] for run in seen["runs"]] == ["not_delivered", "not_delivered"]
    assert (team.session("one.1"), team.session("one.2")) == ("new", "session-one")
    assert team.prompt("one.2") != team.prompt("one.1")
    assert team.forge.pulls_of("task/one") == []
    assert team.forge.count("POST", "/pulls") == 0


@pytest.mark.parametrize("how", ["refuses", pytest.param("unavailable", marks=pytest.mark.fault)])
def test_runs_go_on_while_the_forge_is_down_and_the_pull_request_is_opened_when_it_is_back(
    tmp_path: Path, how: str
) -> None:
    with working(tmp_path) as team:
        team.agent(f"waits\n{WORKS}")
        team.task("one")
        team.start()
        team.until_waiting("one.1")
        assert team.get("/readyz")[0] == 200
        team.forge.down("refuses" if how == "refuses" else "unavailable")
        team.go("one")
        seen = team.until_phase("one", "review_pending")
        assert (seen["runs"][0]["outcome"], seen.get("pr")) == ("succeeded", None)
        status, document = team.until(lambda: _not_ready(team), "it never said that the forge is silent")
        assert status == 503
        assert "forge" in str(document)
        assert team.get("/healthz")[0] == 200
        said = program.run("--fleet", str(team.fleet.root), "status", cwd=team.fleet.root)
        assert "forge" in said.out
        team.forge.up()
        team.restart()
        team.until(lambda: team.seen("one").get("pr"), "it did not catch up")
        team.until(lambda: team.get("/readyz")[0] == 200, "it is not ready again")
    assert team.forge.pulls_of("task/one") == [1]


def _not_ready(team: Team) -> tuple[int, object] | None:
    status, document = team.get("/readyz")
    return (status, document) if status != 200 else None
