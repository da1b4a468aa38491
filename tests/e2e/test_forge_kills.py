"""The program is killed between two things that belong together; the next start puts it right."""

from pathlib import Path

import pytest

from tests.forge.team import Team, working
from tests.waiting import until


def held(team: Team) -> int:
    """A task that is only watched, and a pull request of its branch that nobody was told of."""
    team.task("one", desired="hold")
    team.fleet.commit("Watch a branch")
    team.forge.outbox.hold = True
    team.start()
    team.forge.push("task/one", {"one": "1\n"})
    return team.forge.open("task/one", "One", by="ada")


def test_a_webhook_that_was_answered_is_acted_on_after_a_kill(tmp_path: Path) -> None:
    with working(tmp_path, token=False) as team:
        number = held(team)
        team.forge.advance(1)
        team.forge.request_changes(number, "Please")
        team.forge.advance(1)
        team.forge.merge(number)
        team.forge.outbox.release()
        team.forge.settle()
        team.kill()
        assert set(team.forge.outbox.answers) == {202}
        team.webhooks = False
        team.start()
        seen = team.until_phase("one", "completed")
        assert (seen["pr"]["number"], seen["pr"]["state"], seen["review_count"]) == (number, "merged", 1)


def test_a_webhook_that_waits_for_a_silent_forge_is_acted_on_after_a_kill(tmp_path: Path) -> None:
    with working(tmp_path) as team:
        number = held(team)
        team.forge.down("hangs")
        team.forge.outbox.release()
        team.forge.outbox.settle()
        team.kill()
        assert set(team.forge.outbox.answers) == {202}
        team.forge.up()
        team.webhooks = False
        team.start()
        seen = team.until_phase("one", "review_pending")
        assert seen["pr"]["number"] == number


@pytest.mark.parametrize("answered", [pytest.param(True, marks=pytest.mark.fault), False])
def test_a_pull_request_whose_opening_was_not_recorded_is_not_opened_again(tmp_path: Path, answered: bool) -> None:  # noqa: FBT001 - a parameter of the test
    with working(tmp_path, webhooks=False) as team:
        team.task("one")
        team.forge.at("POST", "/pulls", team.kill, late=answered)
        team.start()
        until(lambda: team.process is None, seconds=40)
        team.start()
        team.until(lambda: team.seen("one").get("pr"), "the pull request was not adopted")
        seen = team.until_phase("one", "review_pending")
        (number,) = team.forge.pulls_of("task/one")
        assert (seen["pr"]["number"], seen["epoch"]) == (number, 1)
        team.until(lambda: team.forge.states(seen["pr"]["head_sha"]) == ["success"], "the commit has no status")
        assert team.forge.count("POST", "/pulls") == 1
        team.no_two_at_once()
