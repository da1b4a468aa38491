"""Publishing over real HTTP: what should stand there stands there once, and a forge that refuses blocks nobody."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from reconciler.acting import publishing
from reconciler.core import plan
from reconciler.core.actions import Publish
from reconciler.core.desired import Desired, Document, Forge, Settings, Task
from reconciler.core.events import Event, PullRequestOpened, PullRequestUpdated, Regenerated, Reviewed
from reconciler.core.observed import Observed, ObservedTask, PullRequest, Review
from reconciler.core.publications import OpenPull
from reconciler.core.terms import Delivery, Failure, Outcome, Phase, Verdict
from reconciler.edges import Edges
from reconciler.forge.client import Client, NewPull
from reconciler.forge.rest import Patience
from reconciler.repo.fleet import Fleet
from reconciler.repo.journal import Journal
from reconciler.repo.observed.funnel import ObservedBranch
from tests.edges import Memory, plain
from tests.forge.server import FakeForge
from tests.recording import NOW, assigned, new_fleet, opened, own_git_config, started, succeeded

__all__ = ["own_git_config"]

PULLS = "/repos/acme/widgets/pulls"
HASTE = Patience(connect_s=1.0, whole_s=2.0, pauses_s=())


@dataclass(kw_only=True)
class Bench:
    """One task of a real fleet, and the way from what the planner wants to what stands on the forge."""

    forge: FakeForge
    branch: ObservedBranch
    fleet: Fleet
    now: datetime = NOW
    task: Task = field(default_factory=lambda: Task(title="t", goal="Mend it."))
    warned: list[str] = field(default_factory=list)

    @property
    def settings(self) -> Settings:
        forge = Forge(kind="forgejo", url=self.forge.url, token_env="TOKEN", repositories=("acme/widgets",))  # noqa: S106 - a name
        return Settings(forge=forge, public_url="https://agents.example.org")

    @property
    def desired(self) -> Desired:
        return Desired(settings=self.settings, tasks={"fix": Document(value=self.task, spec="s")})

    @property
    def seen(self) -> ObservedTask:
        return self.branch.tasks()["fix"]

    def record(self, *events: Event) -> None:
        for event in events:
            self.branch.record("fix", event)

    def delivered(self) -> str:
        """A good run that was pushed; the commit."""
        sha = self.forge.push("task/fix", {"file": "mended\n"})
        good = replace(succeeded(), delivery=Delivery.PULL_REQUEST, head_sha=sha, summary="I mended it.")
        self.record(assigned("fix"), started(), good)
        return sha

    def in_review(self) -> str:
        """A good run with its pull request; the commit."""
        sha = self.delivered()
        number = self.forge.open("task/fix", "Mend it")
        self.record(PullRequestOpened(at=NOW, actor="forge:bot", pr=self.pr(number, sha)))
        return sha

    def pr(self, number: int, sha: str) -> PullRequest:
        url = f"{self.forge.url}/acme/widgets/pulls/{number}"
        return PullRequest(number=number, url=url, state="open", head_sha=sha, updated_at=self.now)

    def demand(self, *, max_reviews: int) -> None:
        """A review that asks for changes."""
        review = Review(id="1", reviewer="rex", verdict=Verdict.CHANGES_REQUESTED, submitted_at=NOW)
        self.record(Reviewed(at=NOW, actor="forge:rex", review=review, max_reviews=max_reviews))

    @asynccontextmanager
    async def edges(self) -> AsyncIterator[Edges]:
        """What a reconciler that was just started has in its hands."""
        journal = Journal(self.fleet.journal)
        token = {"TOKEN": self.forge.token}.get
        made = plain(Memory(self.fleet, self.branch, journal), lambda: self.now, token)
        edges = replace(made, warn=self.warned.append)
        link = edges.forge
        link.use(self.settings)
        assert self.settings.forge is not None
        link.client = Client(self.settings.forge, self.forge.token, patience=HASTE)
        try:
            yield edges
        finally:
            await link.close()
            journal.close()

    def wanted(self, edges: Edges) -> list[Publish]:
        """What the planner has published now."""
        observed = Observed(fleet="f", tasks=self.branch.tasks(), forge=edges.forge.seen())
        return [one for one in plan.plan(self.desired, observed, self.now).actions if isinstance(one, Publish)]

    async def publish(self, edges: Edges) -> list[str]:
        """Do what is wanted now, and record what follows; what it was."""
        actions = self.wanted(edges)
        for action in actions:
            self.record(*await publishing.publish(edges, action))
        return [type(action.publication).__name__ for action in actions]

    def working(self, do: Callable[[Edges], Awaitable[None]]) -> None:
        """Do this in a reconciler of its own."""

        async def session() -> None:
            async with self.edges() as edges:
                await do(edges)

        asyncio.run(session())

    def held(self, edges: Edges) -> dict[str, str]:
        """What was refused, by the first word of its key."""
        known = edges.forge.seen()
        assert known is not None
        return {key.partition(" ")[0]: held.why for key, held in known.held.items()}

    def is_silent(self, edges: Edges) -> bool:
        known = edges.forge.seen()
        assert known is not None
        return known.silent_since is not None


@contextmanager
def at_work(folder: Path) -> Iterator[Bench]:
    with FakeForge.running(folder / "forge") as forge:
        fleet = new_fleet(folder / "fleet")
        with opened(fleet) as branch:
            path = str(forge.only.bare.path)
            task = Task(
                title="Mend it", goal="Mend it.", repository=path, branch="task/fix", delivery=Delivery.PULL_REQUEST
            )
            yield Bench(forge=forge, branch=branch, fleet=fleet, task=task)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with at_work(tmp_path) as made:
        yield made


def test_a_good_run_gets_its_pull_request_and_nothing_is_published_twice(bench: Bench) -> None:
    sha = bench.delivered()

    async def work(edges: Edges) -> None:
        assert await bench.publish(edges) == ["OpenPull"]
        assert await bench.publish(edges) == ["Mark"]
        assert await bench.publish(edges) == []

    bench.working(work)
    (number,) = bench.forge.pulls_of("task/fix")
    issue, pull = bench.forge.pull(number)
    assert (issue.title, pull.base) == ("fix", "main")
    assert "I mended it." in issue.body
    assert "https://agents.example.org/tasks/fix" in issue.body
    assert bench.seen.phase is Phase.REVIEW_PENDING
    assert bench.seen.pr is not None
    assert (bench.seen.pr.number, bench.seen.pr.state, bench.seen.pr.head_sha) == (number, "open", sha)
    assert bench.forge.states(sha) == ["success"]
    assert bench.warned == []

    async def after_a_restart(edges: Edges) -> None:
        assert await bench.publish(edges) == []

    bench.working(after_a_restart)


def test_a_pull_request_that_was_opened_just_before_a_crash_is_found(bench: Bench) -> None:
    bench.delivered()

    async def until_the_crash(edges: Edges) -> None:
        (action,) = bench.wanted(edges)
        wanted, client = action.publication, edges.forge.client
        assert isinstance(wanted, OpenPull)
        assert client is not None
        new = NewPull(repository=wanted.repository, branch=wanted.branch, title=wanted.title, body=wanted.body)
        await client.open_pull(new)

    bench.working(until_the_crash)
    assert bench.seen.pr is None

    async def again(edges: Edges) -> None:
        assert await bench.publish(edges) == ["OpenPull"]

    bench.working(again)
    assert len(bench.forge.pulls_of("task/fix")) == 1
    assert bench.forge.count("POST", PULLS) == 1
    assert bench.seen.pr is not None


def test_the_pull_request_that_the_agent_opened_is_taken(bench: Bench) -> None:
    bench.delivered()
    number = bench.forge.open("task/fix", "By the agent")

    async def work(edges: Edges) -> None:
        assert await bench.publish(edges) == ["OpenPull"]

    bench.working(work)
    assert bench.forge.pulls_of("task/fix") == [number]
    assert bench.seen.pr is not None
    assert (bench.seen.pr.number, bench.seen.pr_title) == (number, "By the agent")


@pytest.mark.parametrize("how", ["refuses", "unavailable"])
def test_a_silent_forge_is_noted_and_left_alone(bench: Bench, how: str) -> None:
    bench.delivered()

    async def work(edges: Edges) -> None:
        bench.forge.down("refuses" if how == "refuses" else "unavailable")
        assert await bench.publish(edges) == ["OpenPull"]
        known = edges.forge.seen()
        assert known is not None
        assert known.silent_since == NOW
        assert known.reason
        assert known.held == {}
        assert await bench.publish(edges) == []
        bench.forge.up()
        edges.forge.answered()
        assert await bench.publish(edges) == ["OpenPull"]

    bench.working(work)
    assert bench.seen.pr is not None
    assert bench.warned == []


def test_a_refusal_is_told_once_and_tried_again_later(bench: Bench) -> None:
    bench.delivered()
    bench.forge.fails(403, "POST", PULLS, times=2)

    async def work(edges: Edges) -> None:
        assert await bench.publish(edges) == ["OpenPull"]
        assert await bench.publish(edges) == []
        assert "403" in bench.held(edges)["pull"]
        bench.now += timedelta(minutes=1)
        assert await bench.publish(edges) == ["OpenPull"]
        assert not bench.is_silent(edges)
        bench.now += timedelta(minutes=2)
        assert await bench.publish(edges) == ["OpenPull"]
        assert bench.held(edges) == {}

    bench.working(work)
    (line,) = bench.warned
    assert line.startswith("fix: no pull request for task/fix: ")
    assert "\n" not in line
    assert bench.seen.pr is not None


def test_a_pull_request_of_what_was_asked_before_is_not_taken(bench: Bench) -> None:
    first = bench.in_review()
    (old,) = bench.forge.pulls_of("task/fix")
    bench.demand(max_reviews=0)
    bench.record(Regenerated(at=NOW, actor="person:ada", generation=2))
    assert bench.seen.past_prs == (old,)
    good = replace(succeeded(2), delivery=Delivery.PULL_REQUEST, head_sha=first)
    bench.record(replace(assigned("fix", 2), generation=2), started(2), good)

    async def work(edges: Edges) -> None:
        assert await bench.publish(edges) == ["OpenPull"]
        assert "close it, or merge it by hand" in bench.held(edges)["pull"]
        assert bench.seen.pr is None
        bench.forge.close(old)
        bench.now += timedelta(minutes=1)
        assert await bench.publish(edges) == ["OpenPull"]

    bench.working(work)
    assert bench.seen.pr is not None
    assert [old, bench.seen.pr.number] == bench.forge.pulls_of("task/fix")


def test_a_draft_in_the_way_is_named(bench: Bench) -> None:
    bench.delivered()
    number = bench.forge.open("task/fix", "WIP: by the agent")

    async def work(edges: Edges) -> None:
        assert await bench.publish(edges) == ["OpenPull"]
        assert "as a draft" in bench.held(edges)["pull"]
        bench.forge.rename(number, "By the agent")
        bench.now += timedelta(minutes=1)
        assert await bench.publish(edges) == ["OpenPull"]

    bench.working(work)
    assert bench.seen.pr is not None
    assert bench.seen.pr.number == number


def test_the_reviewers_are_told_once_that_the_rounds_are_used_up(bench: Bench) -> None:
    bench.in_review()
    bench.demand(max_reviews=0)
    bench.task = replace(bench.task, max_reviews=0)

    async def work(edges: Edges) -> None:
        assert sorted(await bench.publish(edges)) == ["Mark", "Say"]
        assert await bench.publish(edges) == []

    bench.working(work)
    bench.fleet.journal.unlink()
    for beside in ("-wal", "-shm"):  # the branch has the file open, and goes on with what it has
        Path(f"{bench.fleet.journal}{beside}").unlink(missing_ok=True)

    async def without_memory(edges: Edges) -> None:
        assert sorted(await bench.publish(edges)) == ["Mark", "Say"]

    bench.working(without_memory)
    (number,) = bench.forge.pulls_of("task/fix")
    (comment,) = bench.forge.pull(number)[0].comments
    assert "max_reviews: 0" in comment.body
    assert comment.body.endswith("<!-- reconciler: review_limit fix 1 0 -->")


def review_round(bench: Bench) -> str:
    """A review round that runs; the commit that it began with."""
    sha = bench.in_review()
    bench.demand(max_reviews=3)
    bench.record(assigned("fix", 2), started(2))
    return sha


def test_no_commit_is_left_pending_when_a_round_moved_the_head(bench: Bench) -> None:
    before = review_round(bench)

    async def work(edges: Edges) -> None:
        assert await bench.publish(edges) == ["Mark"]
        assert bench.forge.states(before) == ["pending"]
        after = bench.forge.push("task/fix", {"file": "better\n"})
        bench.record(replace(succeeded(2), delivery=Delivery.PULL_REQUEST, head_sha=after))
        assert await bench.publish(edges) == ["Mark"]
        assert bench.forge.states(before) == ["pending", "success"]
        assert bench.forge.states(after) == ["success"]
        (number,) = bench.forge.pulls_of("task/fix")
        bench.record(PullRequestUpdated(at=NOW, actor="forge:bot", pr=bench.pr(number, after)))
        assert await bench.publish(edges) == []

    bench.working(work)
    (status, *_) = [one for one in bench.forge.only.statuses if one.sha == before]
    assert status.context == "reconciler"
    assert status.description == "implement run 2 on localhost"
    assert status.target_url == "https://agents.example.org/tasks/fix"


def test_a_commit_that_a_person_pushed_after_a_failure_is_not_blamed(bench: Bench) -> None:
    before = review_round(bench)

    async def work(edges: Edges) -> None:
        await bench.publish(edges)
        bench.record(replace(succeeded(2), outcome=Outcome.FAILED, failure=Failure.WAITING_INPUT))
        assert await bench.publish(edges) == ["Mark"]
        assert bench.forge.states(before) == ["pending", "failure"]
        later = bench.forge.push("task/fix", {"file": "by hand\n"})
        (number,) = bench.forge.pulls_of("task/fix")
        bench.record(PullRequestUpdated(at=NOW, actor="forge:ada", pr=bench.pr(number, later)))
        await bench.publish(edges)
        assert bench.forge.states(later) == []
        assert await bench.publish(edges) == []

    bench.working(work)


@pytest.mark.parametrize("status", [404, 422, 500])
def test_a_commit_that_the_forge_does_not_have_holds_up_nothing(bench: Bench, status: int) -> None:
    bench.in_review()
    bench.forge.fails(status, "POST", "/statuses/[0-9a-f]+", times=1)

    async def work(edges: Edges) -> None:
        assert await bench.publish(edges) == ["Mark"]
        assert list(bench.held(edges)) == ["status"]
        assert not bench.is_silent(edges)
        assert await bench.publish(edges) == []
        bench.now += timedelta(minutes=1)
        assert await bench.publish(edges) == ["Mark"]
        assert bench.held(edges) == {}

    bench.working(work)
    assert bench.warned == []


def test_a_forge_that_fails_at_one_thing_only_is_not_silent(bench: Bench) -> None:
    bench.delivered()
    bench.forge.fails(500, "POST", PULLS)

    async def work(edges: Edges) -> None:
        assert await bench.publish(edges) == ["OpenPull"]
        assert list(bench.held(edges)) == ["pull"]
        assert not bench.is_silent(edges)

    bench.working(work)
    assert len(bench.warned) == 1


def test_a_forge_that_only_refuses_is_not_silent_either(bench: Bench) -> None:
    bench.delivered()
    bench.forge.fails(500, "POST", PULLS)
    bench.forge.fails(403, "GET", "/user")

    async def work(edges: Edges) -> None:
        assert await bench.publish(edges) == ["OpenPull"]
        assert list(bench.held(edges)) == ["pull"]
        assert not bench.is_silent(edges)

    bench.working(work)


def test_a_comment_and_a_status_that_may_not_be_written_are_told(bench: Bench) -> None:
    sha = bench.in_review()
    bench.demand(max_reviews=0)
    bench.forge.fails(403, "POST", "/comments")
    bench.forge.fails(403, "POST", f"/statuses/{sha}")

    async def work(edges: Edges) -> None:
        await bench.publish(edges)
        assert sorted(bench.held(edges)) == ["comment", "status"]

    bench.working(work)
    (number,) = bench.forge.pulls_of("task/fix")
    begins = (f"fix: no comment on pull request {number}: ", f"fix: no status for commit {sha}: ")
    assert len(bench.warned) == 2
    assert all(line.startswith(begins) for line in bench.warned)


@pytest.mark.parametrize(("status", "held"), [(404, []), (403, ["status"])])
def test_a_commit_that_was_pushed_over_needs_no_end(bench: Bench, status: int, held: list[str]) -> None:
    before = review_round(bench)

    async def work(edges: Edges) -> None:
        assert await bench.publish(edges) == ["Mark"]
        after = bench.forge.push("task/fix", {"file": "better\n"})
        bench.record(replace(succeeded(2), delivery=Delivery.PULL_REQUEST, head_sha=after))
        bench.forge.fails(status, "POST", f"/statuses/{before}")
        assert await bench.publish(edges) == ["Mark"]
        assert list(bench.held(edges)) == held
        bench.now += timedelta(minutes=1)
        await bench.publish(edges)
        assert bench.forge.states(after)[-1:] == ["success"]
        assert await bench.publish(edges) == []

    bench.working(work)


def test_nothing_is_published_where_there_is_no_token_any_more(bench: Bench) -> None:
    bench.delivered()

    async def work(edges: Edges) -> None:
        (action,) = bench.wanted(edges)
        edges.forge.client = None
        assert await publishing.publish(edges, action) == ()
        assert bench.wanted(edges) == []

    bench.working(work)
    assert bench.forge.pulls_of("task/fix") == []
