"""What people do on the forge, and what the program makes of it: labels, limits, drafts, forks, merges in mid-run."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.forge.team import WORKS, Team, working

HERE = "hosts/here.yaml"


@pytest.fixture
def team(tmp_path: Path) -> Iterator[Team]:
    with working(tmp_path) as made:
        yield made


def desired(team: Team) -> dict[str, str]:
    """The tasks on `main`, and whether they are wanted."""
    found = {name.rpartition("/")[2].removesuffix(".yaml"): task for name, task in team.tasks_on_main().items()}
    return {task_id: str(task.get("desired", "run")) for task_id, task in found.items()}


def test_only_issues_of_those_who_may_write_become_tasks_and_a_label_taken_away_holds_them(team: Team) -> None:
    team.fleet.write(HERE, {"transport": "local", "drain": {"reason": "nothing is to run yet"}})
    team.fleet.commit("Wait")
    team.start()
    forge = team.forge
    forge.issue("No label", by="ada")
    strange = forge.issue("By a stranger", by="eve", labels=["agent"])
    later = forge.issue("Labelled later", by="ada")
    taken = forge.issue("Taken back", by="rex", labels=["agent", "bug"])
    forge.label(later, "agent")
    team.until(lambda: desired(team).keys() == {f"widgets-{later}", f"widgets-{taken}"}, "the tasks did not come in")
    forge.label(taken, "bug")
    team.until(lambda: desired(team)[f"widgets-{taken}"] == "hold", "the task is not held")
    forge.label(taken, "bug", "agent")
    forge.rename(later, "Labelled and renamed")
    forge.settle()
    team.restart()
    assert desired(team).keys() == {f"widgets-{later}", f"widgets-{taken}"}
    assert f"widgets-{strange}" not in desired(team)
    titles = {task["title"] for task in team.tasks_on_main().values()}
    assert titles == {"Labelled later", "Taken back"}


def test_at_the_limit_of_reviews_the_task_is_blocked_and_the_reviewer_told_once(team: Team) -> None:
    team.task("one", max_reviews=1)
    team.forge.advance(-60)
    team.start()
    team.until_phase("one", "review_pending")
    number = team.until(lambda: team.seen("one").get("pr", {}).get("number"), "no pull request was opened")
    team.forge.push("task/one", {"by-a-person": "1\n"})
    team.forge.advance(1)
    team.forge.request_changes(number, "First")
    seen = team.until_phase("one", "review_pending", review_count=1)
    files = team.forge.only.bare.files(seen["runs"][1]["head_sha"])
    assert (files["work.txt"], files["by-a-person"]) == ("one.1\none.2", "1")
    team.forge.advance(1)
    team.forge.request_changes(number, "Second")
    seen = team.until_phase("one", "blocked")
    assert (seen["reason"], seen["owner"], seen["epoch"]) == ("review_limit", "reviewer", 2)
    team.until(lambda: team.forge.pull(number)[0].comments, "nobody was told")
    team.restart()
    team.forge.settle()
    (comment,) = team.forge.pull(number)[0].comments
    assert comment.author.login == "bot"
    team.task("one", max_reviews=2)
    seen = team.until_phase("one", "review_pending", review_count=2)
    assert "Second" in team.prompt("one.3")
    assert "First" not in team.prompt("one.3")


def test_a_merge_and_a_close_stop_a_live_run_first(team: Team) -> None:
    team.agent(f"git push -q origin HEAD:refs/heads/task/$task\nwaits\n{WORKS}")
    team.task("merged")
    team.task("closed")
    team.start()
    numbers: dict[str, int] = {}
    for task_id in ("merged", "closed"):
        team.until_waiting(f"{task_id}.1")
        team.forge.push(f"task/{task_id}", {task_id: "by a person\n"})
        numbers[task_id] = team.forge.open(f"task/{task_id}", task_id, by="ada")
        team.until_phase(task_id, "review_pending")
    team.forge.merge(numbers["merged"], delete=True)
    team.forge.close(numbers["closed"])
    for task_id, phase in (("merged", "completed"), ("closed", "blocked")):
        team.until_phase(task_id, phase)
        seen = ended(team, task_id)
        assert (seen["phase"], seen["runs"][0]["outcome"]) == (phase, "cancelled")
        assert team.fleet.tagged(f"{task_id}.1") == []
    assert team.fleet.observed("closed")["reason"] == "pr_closed"
    team.no_two_at_once()


def ended(team: Team, task_id: str) -> dict[str, Any]:
    """What is observed of a task once its first run has ended."""
    team.until(lambda: "outcome" in team.seen(task_id)["runs"][0], f"the run of {task_id} did not end")
    return team.fleet.observed(task_id)


def test_drafts_and_pull_requests_of_forks_are_none_until_they_are_ready(team: Team) -> None:
    team.task("one", desired="hold")
    team.fleet.commit("Watch a branch")
    team.start()
    team.forge.push("task/one", {"one": "1\n"})
    fork = team.forge.open("eve:task/one", "From a fork", by="eve")
    draft = team.forge.open("task/one", "WIP: one", by="ada")
    team.forge.settle()
    team.until_acted()
    assert team.fleet.phase("one") == "created"
    team.forge.advance(1)
    team.forge.close(fork)
    team.forge.rename(draft, "One")
    seen = team.until_phase("one", "review_pending")
    assert (seen["pr"]["number"], seen["pr_title"]) == (draft, "One")


def test_until_idle_says_once_that_the_forge_blocked_a_task_that_was_in_review(team: Team) -> None:
    env = {"HOOK_SECRET": team.secret, "FORGE_TOKEN": team.forge.token}

    def idle() -> int:
        return team.fleet.start("--until-idle", **env).process.wait(60)

    team.task("one")
    assert idle() == 0
    number = team.fleet.observed("one")["pr"]["number"]
    team.forge.advance(1)
    team.forge.close(number)
    assert idle() == 1
    assert team.fleet.observed("one")["reason"] == "pr_closed"
    assert idle() == 0
