"""A team's day on its forge, through the real program: issue, run, pull request, review, second run, merge."""

import itertools
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.e2e.fleets import git
from tests.forge.recorded import Replay, life
from tests.forge.rest import Answer
from tests.forge.server import FakeForge
from tests.forge.team import HOOK_SECRET, WORKS, Team, files, working
from tests.forge.webhooks import post, signed

ISSUE = """Parse the dates.

## Constraints
- no new dependency

## Validation
- the tests pass
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lived:
    """What was seen of one life."""

    files: dict[str, Any]
    main: dict[str, Any]
    seen: dict[str, Any]
    log: list[str]
    prompts: list[str]
    session: str
    work: str
    heads: list[str]
    states: list[list[str]]
    titles: list[str]
    body: str
    opened: int
    merged_with: dict[str, str]
    leaked: bool


def told_to_people(team: Team) -> Iterator[str]:
    """Everything that stands where secrets must not: what was printed, what was committed."""
    yield team.said()
    yield git(team.fleet.root, "log", "--all", "-p")


def live(folder: Path, *, webhooks: bool) -> Lived:
    """The whole life of one issue; without webhooks the program is started again for each look."""
    with working(folder, webhooks=webhooks) as team:
        forge = team.forge

        def look() -> None:
            if not webhooks:
                team.restart()

        team.agent(f"[ $epoch = 1 ] || waits\n{WORKS}")
        team.start()
        number = forge.issue("Parse dates", ISSUE, labels=["agent"])
        look()
        name = f"widgets-{number}"
        first = team.until_phase(name, "review_pending", review_count=0)
        team.until(lambda: team.seen(name).get("pr"), "no pull request was opened")
        (pull,) = forge.pulls_of(f"task/{name}")
        forge.advance(2)
        forge.request_changes(pull, "Leap years?", [("work.txt", 1, "What of February?")])
        look()
        team.until_waiting(f"{name}.2")
        old = forge.pull(pull)[1].head_sha
        team.until(lambda: forge.states(old)[-1:] == ["pending"], "nothing is said of the run that works")
        team.go(name)
        team.until_phase(name, "review_pending", review_count=1)
        team.until(lambda: "outcome" in team.seen(name)["runs"][1], "the second run did not end")
        look()
        head = forge.pull(pull)[1].head_sha
        team.until(lambda: team.seen(name)["pr"]["head_sha"] == head, "the new head was not seen")
        team.until(lambda: forge.states(head)[-1:] == ["success"], "the new head has no good status")
        forge.advance(2)
        forge.approve(pull, "Fine")
        look()
        team.until(lambda: len(team.seen(name)["reviews"]) == 2, "the approval was not seen")
        forge.merge(pull)
        look()
        seen = team.until_phase(name, "completed")
        team.stop()
        issue = forge.pull(pull)[0]
        heads = [first["runs"][0]["head_sha"], head]
        return Lived(
            files=files(team),
            main=team.tasks_on_main(),
            seen=seen,
            log=team.fleet.log(name),
            prompts=[team.prompt(f"{name}.1"), team.prompt(f"{name}.2")],
            session=team.session(f"{name}.2"),
            work=forge.only.bare.files(head)["work.txt"],
            heads=heads,
            states=[forge.states(sha) for sha in heads],
            titles=[issue.title],
            body=issue.body,
            opened=forge.count("POST", "/pulls"),
            merged_with=forge.only.bare.files("main"),
            leaked=any(secret in text for secret in (forge.token, HOOK_SECRET) for text in told_to_people(team)),
        )


def test_a_day_on_the_forge_comes_out_right_and_the_same_with_all_webhooks_lost(tmp_path: Path) -> None:
    """The same life twice, side by side: told by webhooks, and asked for at every start."""
    with ThreadPoolExecutor(2) as pool:
        telling = pool.submit(live, tmp_path / "told", webhooks=True)
        asking = pool.submit(live, tmp_path / "asked", webhooks=False)
        told, asked = telling.result(), asking.result()
    the_issue_became_a_task_a_pull_request_a_review_round_and_a_merge(told)
    the_second_run_got_the_review_and_went_on_where_the_first_one_ended(told)
    assert told.states[0] == ["success", "pending", "success"]
    for lived in (told, asked):
        what_happened_stands_on_the_forge_and_in_few_commits(lived)
    assert asked.files == told.files
    assert [*asked.main] == [*told.main]


def the_issue_became_a_task_a_pull_request_a_review_round_and_a_merge(lived: Lived) -> None:
    (task,) = lived.main.values()
    assert (task["title"], task["constraints"], task["validation"]) == (
        "Parse dates",
        ["no new dependency"],
        ["the tests pass"],
    )
    assert task["goal"].strip() == "Parse the dates."
    assert task["issue"].endswith("/acme/widgets/issues/1")
    assert lived.titles == ["Parse dates"]
    assert "Parse the dates." in lived.body
    assert "Did it in widgets-1.1" in lived.body
    assert "the tests pass" in lived.body
    seen = lived.seen
    assert (seen["phase"], seen["epoch"], seen["review_count"], seen.get("rework", False)) == ("completed", 2, 1, False)
    assert [run["kind"] for run in seen["runs"]] == ["implement", "address_review"]
    assert [run["outcome"] for run in seen["runs"]] == ["succeeded", "succeeded"]
    assert [run["host"] for run in seen["runs"]] == ["here", "here"]
    assert [review["verdict"] for review in seen["reviews"]] == ["changes_requested", "approved"]
    assert (seen["pr"]["state"], seen["pr"]["head_sha"]) == ("merged", lived.heads[1])
    assert lived.merged_with["work.txt"] == "widgets-1.1\nwidgets-1.2"


def the_second_run_got_the_review_and_went_on_where_the_first_one_ended(lived: Lived) -> None:
    first, second = lived.prompts
    assert "Parse the dates." in first
    assert "Review to address" not in first
    assert second.index("Review to address") < second.index("## Goal")
    for part in ("rex", "changes_requested", "Leap years?", "work.txt:1", "What of February?", "@@"):
        assert part in second, part
    assert lived.session == "session-widgets-1"
    assert lived.work == "widgets-1.1\nwidgets-1.2"
    assert lived.heads[0] != lived.heads[1]


def changed(states: Sequence[str]) -> Iterator[str]:
    """The states without those that were said again after the program had been stopped."""
    return (state for state, _ in itertools.groupby(states))


def what_happened_stands_on_the_forge_and_in_few_commits(lived: Lived) -> None:
    assert [list(changed(states)) for states in lived.states] == [["success", "pending", "success"], ["success"]]
    assert len(lived.log) <= 8 + len(("changes requested", "assigned", "running", "ended", "approved")), lived.log
    for why in ("review_pending -> created (changes requested by rex)", "-> completed (pull request 2 merged)"):
        assert sum(why in subject for subject in lived.log) == 1, lived.log
    assert lived.opened == 1
    assert not lived.leaked


HOME = "/api/v1/repos/maintainer/widgets"
FIRST = "335359cee308bcc92e183a9c7b8ac94a3d939869"
SECOND = ("c1a30d097843c0997f980354494129b22449c18f", "7889853af7dcc358132c333e513fdcafd811fe19")


def gone_through_again(team: Team) -> Replay:
    """The recorded answers over the team's forge: what is shown of the pull request follows the branch."""
    forge = team.forge
    replay = Replay()
    replay.names["http://localhost:13000/maintainer/widgets.git"] = str(forge.only.bare.path)
    replay.names["http://localhost:13000"] = forge.url
    replay.names["task/1-add-json-parser"] = "task/widgets-1"
    replay.show(f"{HOME}/issues/1", "read issue")
    replay.show(f"{HOME}/issues", "create issue WITH label", listed=True)
    replay.show(f"{HOME}/pulls", "create PR", method="POST", status=201)
    first: list[str] = []

    def answer(method: str, target: str) -> Answer | None:
        head = forge.only.heads.get("task/widgets-1")
        if head is not None and not first:
            first.append(head)
            replay.names[FIRST] = head
        if head is not None and head != first[0] and SECOND[0] not in replay.names:
            replay.names.update(dict.fromkeys(SECOND, head))
            shows(replay, "unmark WIP")
        found = replay.answer(method, target)
        if method == "POST" and found is not None:
            shows(replay, "create PR")
        return found

    forge.overlay = answer
    return replay


def shows(replay: Replay, note: str) -> None:
    """From now on the pull request is shown as in this exchange, alone and in the list."""
    replay.show(f"{HOME}/pulls/3", note)
    replay.show(f"{HOME}/pulls", note, listed=True)


def test_the_recorded_life_of_a_pull_request_is_gone_through_again(tmp_path: Path) -> None:
    """Recorded deliveries and REST answers, with this test's own branch, commits and places put in."""
    recorded = {one.name: one for one in life()}
    with FakeForge.running(tmp_path / "forge", "maintainer/widgets") as forge:
        forge.repository("maintainer/widgets", reviewer="read")
        team = Team.make(tmp_path, forge, webhooks=False, label="agent-task")
        replay = gone_through_again(team)

        def arrives(*names: str) -> None:
            for name in names:
                one = recorded[name]
                body = replay.put_in(one.body.decode()).encode()
                url = f"{team.url}/webhooks/gitea"
                assert post(signed(url, HOOK_SECRET, one.event, one.event_type, body, kind="gitea")) == 202

        try:
            team.start()
            arrives("1", "2")
            team.until_phase("widgets-1", "review_pending")
            team.until(lambda: team.seen("widgets-1").get("pr", {}).get("number") == 3, "no pull request was opened")
            arrives("7", "8", "10", "11")
            replay.show(f"{HOME}/pulls/3/reviews", "list reviews", listed=True)
            replay.show(f"{HOME}/pulls/3/reviews/1/comments", "review comments of COMMENT")
            replay.show(f"{HOME}/pulls/3/reviews/2/comments", "review comments of REQUEST_CHANGES")
            arrives("12", "13")
            team.until_phase("widgets-1", "review_pending", review_count=1)
            arrives("14", "16", "20", "21", "22")
            replay.show(f"{HOME}/pulls/3/reviews", "list reviews", "approve", listed=True)
            arrives("23")
            team.until(lambda: len(team.seen("widgets-1")["reviews"]) == 3, "the approval was not seen")
            shows(replay, "get merged PR after its branch was deleted")
            arrives("24", "25", "27")
            seen = team.until_phase("widgets-1", "completed")
            team.stop()
        finally:
            team.end()
    assert (seen["epoch"], seen["review_count"], seen["pr"]["state"]) == (2, 1, "merged")
    assert [review["verdict"] for review in seen["reviews"]] == ["commented", "changes_requested", "approved"]
    assert "Please add tests." in team.prompt("widgets-1.2")
    assert "Docstring please" in team.prompt("widgets-1.2")
    assert "parser.py:1" in team.prompt("widgets-1.2")
    assert forge.count("POST", "/pulls") == 1
    team.no_two_at_once()
