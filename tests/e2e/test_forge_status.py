"""What people see of the forge while the program runs, and beside it: silent, refusing, without a token, and well."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import program
from tests.forge.team import WORKS, Team, working

PULLS = "/repos/acme/widgets/pulls"


@pytest.fixture
def team(tmp_path: Path) -> Iterator[Team]:
    with working(tmp_path) as made:
        yield made


def ask(team: Team, *words: str, **env: str) -> program.Done:
    """What a person gets to see, who has no token in the environment unless it is given."""
    return program.run(*words, cwd=team.fleet.root, env=env)


def forge_of(team: Team, **env: str) -> Any:  # noqa: ANN401 - a JSON document
    return ask(team, "status", "--json", **env).json["forge"]


def why(team: Team, **env: str) -> list[dict[str, Any]]:
    conditions: list[dict[str, Any]] = ask(team, "why", "one", "--json", **env).json["conditions"]
    return conditions


def test_a_silent_forge_is_seen_by_everybody_until_it_answers(team: Team) -> None:
    team.agent(f"waits\n{WORKS}")
    team.task("one", max_reviews=2)
    team.start()
    team.until_waiting("one.1")
    team.forge.down()
    team.go("one")
    team.until_phase("one", "review_pending")
    seen = team.until(lambda: (found := forge_of(team))["silent_since"] and found, "the silence was not seen")
    assert (seen["kind"], seen["url"], seen["reachable"], seen["held"]) == ("forgejo", team.forge.url, False, [])
    assert seen["reason"]
    (condition,) = why(team)
    assert condition["who"] == "operator"
    assert condition["why"].startswith(f"{team.forge.url} has not answered since {seen['silent_since']} (")
    assert condition["why"].endswith(": its pull request waits for that")
    assert f"\nforge {team.forge.url} has not answered since {seen['silent_since']}: " in ask(team, "status").out

    team.stop()
    assert forge_of(team) == seen
    team.forge.up()
    team.start()
    team.until(lambda: team.seen("one").get("pr"), "its pull request was not opened")
    (number,) = team.forge.pulls_of("task/one")
    seen = forge_of(team)
    assert (seen["reachable"], seen["silent_since"], seen["held"]) == (True, None, [])
    url = team.seen("one")["pr"]["url"]
    assert [one["why"] for one in why(team)] == [f"it waits for a review or merge of {url}"]
    team.forge.approve(number, "good")
    team.until(lambda: team.seen("one").get("reviews"), "the review was not seen")
    assert [one["why"] for one in why(team)] == [f"it waits for the merge of {url}: rex approved it"]
    whole = ask(team, "status", "one").out
    assert (
        f"pull        {url} (open)\nrounds      0 of 2 that reviews asked for\nreview      rex: approved, 20" in whole
    )
    assert "has not answered" not in ask(team, "status").out


def test_what_the_forge_refuses_is_shown_with_its_words(team: Team) -> None:
    team.forge.fails(403, "POST", PULLS, times=9)
    team.task("one")
    team.start()
    team.until_phase("one", "review_pending")
    (held,) = team.until(lambda: forge_of(team)["held"], "the refusal was not seen")
    assert held["key"] == "pull acme/widgets task/one 1"
    assert "403" in held["why"]
    (condition,) = why(team)
    assert condition["until"] == held["until"]
    assert condition["why"].endswith(held["why"])
    board = ask(team, "status").out
    assert f"\nforge {team.forge.url} refused {held['key']}, tried again after {held['until']}: " in board
    assert team.said().count("no pull request for task/one") == 1
    number = team.forge.open("task/one", "By a person", by="ada")
    team.until_phase("one", "review_pending", pr_title="By a person")
    assert forge_of(team)["held"] == []
    team.forge.merge(number)
    team.until_phase("one", "completed")


def test_without_a_token_the_pull_request_is_left_to_people(tmp_path: Path) -> None:
    with working(tmp_path, token=False) as team:
        assert forge_of(team) == {
            "kind": "forgejo",
            "url": team.forge.url,
            "reachable": None,
            "silent_since": None,
            "reason": None,
            "held": [],
        }
        team.task("one")
        team.start()
        team.until_phase("one", "review_pending")
        (condition,) = why(team)
        assert condition["who"] == "operator"
        assert condition["why"] == (
            f"the settings name no token_env for {team.forge.url}: open a pull request for task/one by hand"
        )
        assert condition["why"] in ask(team, "status").out
        number = team.forge.open("task/one", "By a person", by="ada")
        team.until_phase("one", "review_pending", pr_title="By a person")
        assert team.seen("one")["pr"]["url"] in ask(team, "status").out
        team.forge.merge(number)
        team.until_phase("one", "completed")


def test_what_would_be_published_is_planned(team: Team) -> None:
    team.forge.fails(403, "POST", PULLS, times=9)
    team.task("one")
    team.start()
    team.until_phase("one", "review_pending")
    team.until(lambda: forge_of(team)["held"], "the refusal was not seen")
    team.stop()
    team.fleet.root.joinpath(".reconciler", "journal.sqlite3").unlink()
    (action,) = ask(team, "plan", "--json", FORGE_TOKEN="t").json["actions"]  # noqa: S106 - any token: nothing is asked
    assert (action["action"], action["task"]) == ("publish", "one")
    assert (action["publication"], action["key"]) == ("openpull", "pull acme/widgets task/one 1")
    said = ask(team, "plan", FORGE_TOKEN="t").out  # noqa: S106 - likewise
    assert said.startswith("one: publish (key pull acme/widgets task/one 1)\n")
    (condition,) = why(team, FORGE_TOKEN="t")  # noqa: S106 - likewise
    assert condition["why"] == "its pull request for task/one is to be opened by the reconciler"
    (condition,) = why(team)
    assert condition["why"].startswith("FORGE_TOKEN, the token for ")


def test_a_fleet_without_a_forge_says_so(tmp_path: Path) -> None:
    assert program.run("init", "fleet", cwd=tmp_path).exit == 0
    board = program.run("status", "--json", cwd=tmp_path / "fleet").json
    assert board["forge"] is None
    assert list(board) == ["tasks", "hosts", "breakers", "forge", "remote", "problems"]
