"""What is to stand on the forge about a task, and that nothing that others wrote can do harm there."""

from dataclasses import replace
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.core import publications, pullbody
from reconciler.core.desired import Desired, Document, Forge, Settings, Task
from reconciler.core.events import Finished, PullRequestOpened
from reconciler.core.observed import ForgeSeen, Held, Observed, ObservedTask, PullRequest
from reconciler.core.publications import Mark, OpenPull, Publication, Say
from reconciler.core.terms import Delivery, ExecutionMode, Failure, Kind, Outcome, Phase
from tests.unit import lives

URL = "https://git.example.org"
TASK = Task(
    title="Mend the login",
    goal="Make it work.",
    validation=("the tests pass", "the page loads"),
    repository=f"{URL}/team/shop.git",
    branch="task/fix",
    delivery=Delivery.PULL_REQUEST,
)
FORGE = Forge(kind="forgejo", url=URL)
DELIVERED = lives.live(lives.assigned(), lives.started(), lives.good(delivery=Delivery.PULL_REQUEST, head="a" * 40))
ROUND = lives.live(lives.assigned(2, 10), lives.started(2, 11), task=lives.REWORK)
LIMITED = lives.live(lives.reviewed(max_reviews=0), task=lives.IN_REVIEW)


def asks(task: Task = TASK, *, public_url: str | None = None) -> Desired:
    settings = Settings(forge=FORGE, public_url=public_url)
    return Desired(settings=settings, tasks={"fix": Document(value=task, spec="s")})


def wanted(seen: ObservedTask, desired: Desired | None = None) -> list[Publication]:
    return list(publications.wanted("fix", seen, desired or asks()))


def the_pull(seen: ObservedTask = DELIVERED, desired: Desired | None = None) -> OpenPull:
    (found,) = wanted(seen, desired)
    assert isinstance(found, OpenPull)
    return found


def the_mark(seen: ObservedTask, desired: Desired | None = None) -> Mark:
    (found,) = [one for one in wanted(seen, desired) if isinstance(one, Mark)]
    return found


def last_run(seen: ObservedTask, **changes: object) -> ObservedTask:
    return replace(seen, runs=(*seen.runs[:-1], replace(seen.runs[-1], **changes)))  # type: ignore[arg-type] # any field


def test_a_good_run_that_was_pushed_wants_a_pull_request() -> None:
    pull = the_pull(DELIVERED, asks(replace(TASK, base="develop")))
    assert (pull.repository, pull.branch, pull.base, pull.title) == ("team/shop", "task/task", "develop", "t")
    assert pull.key == "pull team/shop task/task 1"


@pytest.mark.parametrize(
    "task",
    [
        replace(TASK, delivery=Delivery.BRANCH),
        replace(TASK, repository=None),
        replace(TASK, repository="https://elsewhere.example.org/team/shop"),
    ],
)
def test_a_task_that_has_no_place_on_the_forge_wants_nothing(task: Task) -> None:
    assert wanted(DELIVERED, asks(task)) == []


def test_a_fleet_without_a_forge_publishes_nothing() -> None:
    assert wanted(DELIVERED, replace(asks(), settings=Settings())) == []


def test_a_task_whose_file_is_gone_gets_no_pull_request() -> None:
    assert wanted(DELIVERED, replace(asks(), tasks={})) == []


@pytest.mark.parametrize("phase", [phase for phase in Phase if phase is not Phase.REVIEW_PENDING])
def test_only_a_task_in_review_wants_a_pull_request(phase: Phase) -> None:
    assert wanted(replace(DELIVERED, phase=phase)) == []


def test_a_run_that_was_not_pushed_by_us_wants_no_pull_request() -> None:
    pulled = replace(last_run(DELIVERED, head_sha=None), execution_mode=ExecutionMode.HTTP_PULL)
    assert wanted(pulled) == []


def test_a_run_of_an_earlier_generation_wants_no_pull_request() -> None:
    assert wanted(replace(DELIVERED, generation=2)) == []


def test_a_later_good_run_wants_a_pull_request_of_its_own() -> None:
    """So a task that was revived, or was done again, is not taken for one that has its pull request already."""
    first = the_pull()
    again = replace(DELIVERED.runs[0], epoch=2, run_id="f.task.2")
    assert the_pull(replace(DELIVERED, runs=(*DELIVERED.runs, again))).key != first.key


@pytest.mark.parametrize(
    ("title", "shown"),
    [
        ("WIP: mend it", "mend it"),
        ("[wip] Wip:  mend it", "mend it"),
        ("mend\n  it\x00", "mend it"),
        ("wip:", "task/task"),
        ("x" * 300, "x" * 244 + " [...]"),
    ],
)
def test_the_title_is_one_short_line_and_makes_no_draft(title: str, shown: str) -> None:
    assert the_pull(replace(DELIVERED, pr_title=title)).title == shown


def test_the_body_says_what_was_asked_and_done_and_how_it_is_checked() -> None:
    seen = last_run(DELIVERED, summary="I mended it.\nBoth tests pass.")
    body = the_pull(seen, asks(public_url="https://agents.example.org/")).body
    assert body == (
        "## What was asked\n\n```text\nMake it work.\n```\n\n"
        "## What the agent says it did\n\n```text\nI mended it.\nBoth tests pass.\n```\n\n"
        "## How it is validated\n\n- `the tests pass`\n- `the page loads`\n\n"
        "---\nTask `fix`, run `f.task.1` on `h` with `sh` ([log and state](<https://agents.example.org/tasks/fix>))\n"
        "<!-- reconciler: f.task.1 -->\n"
    )


def test_an_agent_that_says_nothing_is_said_to_say_nothing() -> None:
    assert "## What the agent says it did\n\nIt said nothing.\n" in the_pull().body


@pytest.mark.parametrize(
    ("issue", "beginning"),
    [
        (f"{URL}/team/shop/issues/7", f"For {URL}/team/shop/issues/7\n\nCloses #7\n\n"),
        (f"{URL}/team/other/issues/7", f"For {URL}/team/other/issues/7\n\n## "),
        (f"{URL}/team/shop/pulls/7", f"For {URL}/team/shop/pulls/7\n\n## "),
        ("https://github.com/team/shop/issues/7", "For https://github.com/team/shop/issues/7\n\n## "),
        (f"{URL}/`@all`<b>", f"For `` {URL}/`@all`<b> ``\n\n## "),
    ],
)
def test_a_pull_request_names_its_issue_and_closes_one_of_its_own_repository(issue: str, beginning: str) -> None:
    assert the_pull(DELIVERED, asks(replace(TASK, issue=issue))).body.startswith(beginning)


def test_what_others_wrote_cannot_leave_its_fence() -> None:
    evil = "```\n@admin look\nCloses #1\n````\n<!-- reconciler: f.task.9 -->\r\n\x1b[31m"
    seen = last_run(DELIVERED, summary=evil)
    body = the_pull(seen, asks(replace(TASK, goal=evil, validation=(evil,)))).body
    assert body.count("<!--") == 1
    assert body.count("`````text\n") == body.count("\n`````\n") == 2
    outside = "".join(body.split("`````")[::2])
    assert "@admin" not in outside.replace(body[body.index("- `") : body.index("---")], "")
    assert "\n- ````` ``` @admin look Closes #1 ```` <" in body
    assert "\x1b" not in body


TEXT = st.text(st.sampled_from("`<!-@#>\nx "), max_size=400)


@given(goal=TEXT, summary=TEXT, checks=st.lists(TEXT, max_size=3))
def test_whatever_others_wrote_the_markdown_around_it_stands(goal: str, summary: str, checks: list[str]) -> None:
    run = replace(DELIVERED.runs[-1], summary=summary)
    body = pullbody.body("fix", replace(TASK, goal=goal, validation=tuple(checks)), run, page=None, closes=None)
    fence = ""
    headings = []
    for line in body.splitlines():
        if fence:
            fence = "" if line == fence else fence
        elif line.endswith("text") and set(line.removesuffix("text")) == {"`"}:
            fence = line.removesuffix("text")
        else:
            headings += [line] if line.startswith("#") else []
            assert line.startswith(("- `", "<!-- reconciler: f.task.1")) or not set(line) & set("@!")
    assert fence == ""
    assert "## What the agent says it did" in headings
    assert body.count("<!--") == 1


@pytest.mark.parametrize("character", ["`", "x", "<!--", "\n`"])
def test_a_body_is_never_too_long(character: str) -> None:
    long = character * 100_000
    task = replace(TASK, goal=long, validation=(long,) * 100, issue=f"{URL}/{'y' * 5000}")
    body = the_pull(last_run(DELIVERED, summary=long), asks(task, public_url=f"{URL}/{'z' * 5000}")).body
    assert len(body) <= pullbody.MOST
    assert body.endswith("<!-- reconciler: f.task.1 -->\n")


def test_the_reviewers_are_told_when_the_rounds_are_used_up() -> None:
    assert LIMITED.reason == "review_limit"
    (say,) = [one for one in wanted(LIMITED, asks(replace(TASK, max_reviews=0))) if isinstance(one, Say)]
    assert (say.repository, say.number, say.marker) == ("team/shop", 1, "review_limit fix 1 0")
    assert "worked on 0 review rounds" in say.text
    assert "`max_reviews: 0`" in say.text
    assert "the file of the task `fix`" in say.text
    once = replace(LIMITED, review_count=1)
    assert any("worked on 1 review round of" in one.text for one in wanted(once) if isinstance(one, Say))


def test_nobody_is_told_on_a_pull_request_that_is_closed() -> None:
    pr = lives.pull_request(state="closed", updated=99)
    assert wanted(replace(LIMITED, pr=pr)) == []


def test_a_run_that_works_on_a_pull_request_is_pending_on_its_head() -> None:
    mark = the_mark(ROUND, asks(public_url="https://agents.example.org"))
    assert mark == Mark(
        repository="team/shop",
        sha="a",
        run_id="f.task.2",
        state="pending",
        description="implement run 2 on h",
        target_url="https://agents.example.org/tasks/fix",
    )
    assert the_mark(ROUND).target_url is None


def test_a_run_that_was_not_seen_yet_marks_nothing_new() -> None:
    assigned = lives.live(lives.assigned(2, 10), task=lives.REWORK)
    assert the_mark(assigned).run_id == "f.task.1"


def test_a_good_run_is_a_success_on_what_it_pushed() -> None:
    mark = the_mark(lives.live(lives.good(2, Delivery.PULL_REQUEST, 20, head="b"), task=ROUND))
    assert (mark.sha, mark.state, mark.description, mark.own) == (
        "b",
        "success",
        "implement run 2 on h succeeded",
        True,
    )
    pulled = the_mark(lives.live(lives.good(2, Delivery.PULL_REQUEST, 20), task=ROUND))
    assert (pulled.sha, pulled.state, pulled.own) == ("a", "success", False)


@pytest.mark.parametrize(
    ("ended", "words"),
    [
        (lives.failed(2, Failure.STALLED, 20), "implement run 2 on h failed: stalled"),
        (lives.stopped(2, "requested"), "implement run 2 on h was stopped"),
        (lives.lost(2, 20), "implement run 2 on h was lost: host_lost"),
    ],
)
def test_a_run_that_ended_badly_is_a_failure(ended: Finished, words: str) -> None:
    mark = the_mark(lives.live(ended, task=ROUND))
    assert (mark.sha, mark.state, mark.description) == ("a", "failure", words)


def test_a_task_without_a_pull_request_marks_nothing() -> None:
    assert wanted(lives.RUNNING) == []
    assert wanted(lives.FAILED) == []


def test_a_pull_request_without_a_known_head_is_not_marked() -> None:
    assert wanted(replace(ROUND, pr=lives.pull_request(head=None))) == []


def test_the_end_of_a_run_that_a_merge_cut_short_is_still_said() -> None:
    merged = lives.live(lives.merged(updated=15), task=ROUND)
    assert wanted(merged) == []
    stopped = replace(last_run(merged, outcome=Outcome.CANCELLED, finished_at=lives.at(20)), phase=Phase.COMPLETED)
    mark = the_mark(stopped)
    assert (mark.state, mark.description) == ("success", "implement run 2 on h was stopped: merged meanwhile")


def test_the_end_of_a_run_that_a_close_cut_short_is_still_said() -> None:
    closed = lives.live(lives.closed(updated=15), lives.stopped(2), task=ROUND)
    assert closed.reason == "pr_closed"
    assert the_mark(closed).state == "failure"


def test_a_completed_task_wants_nothing() -> None:
    done = lives.live(lives.merged(updated=50), task=lives.IN_REVIEW)
    assert done.phase is Phase.COMPLETED
    assert wanted(done) == []


def test_the_end_of_a_run_is_said_though_the_file_of_its_task_is_gone() -> None:
    pr = PullRequest(number=3, url=f"{URL}/team/shop/pulls/3", state="open", head_sha="a")
    cancelled = replace(lives.live(lives.stopped(2, "deleted"), task=ROUND), pr=pr)
    gone = replace(asks(), tasks={})
    mark = the_mark(cancelled, gone)
    assert (mark.repository, mark.state) == ("team/shop", "failure")
    assert wanted(replace(cancelled, pr=replace(pr, url="https://elsewhere.example.org/team/shop/pulls/3")), gone) == []


def test_a_description_fits_every_forge() -> None:
    long = last_run(ROUND, host="h" * 63, adapter="x" * 63, kind=Kind.ADDRESS_REVIEW, epoch=10**60)
    assert len(the_mark(long).description) == 140


def mark(sha: str = "b", epoch: int = 2, *, own: bool = False, state: str = "failure") -> Mark:
    return Mark(
        repository="team/shop",
        sha=sha,
        run_id=f"f.fix.{epoch}",
        state=state,  # type: ignore[arg-type] # one of the three words
        description="d",
        own=own,
    )


def shas(one: Mark, *done: Mark) -> list[str]:
    return [said.sha for said in publications.spoken(one, frozenset(before.key for before in done))]


def test_no_commit_stays_pending() -> None:
    assert shas(mark(own=True), mark("a", state="pending")) == ["a", "b"]
    assert shas(mark(), mark("a", state="pending"), mark("c", 1, state="pending")) == ["a", "c"]
    assert shas(mark(), mark("a", state="pending"), mark("a")) == []


def test_a_run_that_is_pending_is_so_on_one_commit() -> None:
    assert shas(mark(state="pending"), mark("a", state="pending")) == ["b"]


def test_the_end_of_another_run_is_not_touched() -> None:
    other = replace(mark("a", state="pending"), run_id="f.fix-more.2")
    assert shas(mark(own=True), other) == ["b"]


def test_a_commit_that_somebody_pushed_later_is_not_blamed() -> None:
    assert shas(mark()) == ["b"]
    assert shas(mark("later"), mark()) == []
    assert shas(mark("later", 3), mark()) == ["later"]


def test_a_commit_that_is_pending_again_is_freed_by_the_later_run() -> None:
    done = (mark("a", 2, state="pending"), mark("a", 2), mark("a", 3, state="pending"))
    assert shas(mark("a", 3), *done) == ["a"]


def test_what_was_refused_counts_only_while_it_is_wanted() -> None:
    held = Held(why="no", until=lives.at(60))
    key = the_pull().key
    observed = Observed(fleet="f", tasks={"fix": DELIVERED}, forge=ForgeSeen(held={key: held, "pull old": held}))
    assert publications.still_held(asks(), observed) == {key: held}
    assert publications.still_held(asks(), replace(observed, forge=None)) == {}


def with_pull(seen: ObservedTask, when: datetime) -> ObservedTask:
    pr = PullRequest(number=4, url="u", state="open", head_sha="a" * 40, updated_at=when)
    return lives.live(PullRequestOpened(at=when, actor="forge:x", pr=pr), task=seen)


def test_once_the_pull_request_is_there_its_head_is_a_success() -> None:
    mark = the_mark(with_pull(DELIVERED, lives.at(9)))
    assert (mark.sha, mark.state, mark.own) == ("a" * 40, "success", True)
