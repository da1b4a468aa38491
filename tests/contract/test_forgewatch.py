"""The watch over the forge with a real journal, a real branch, and a forge over real HTTP."""

import asyncio
import itertools
import random
import threading
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import pytest

from reconciler.core import watched
from reconciler.core.desired import Desired, Document, Forge, Identity, Settings, Task, with_settings
from reconciler.core.events import Cancelled, Finished, Regenerated
from reconciler.core.observed import ObservedTask
from reconciler.core.terms import Delivery as DeliveryWish
from reconciler.core.terms import Phase, Verdict
from reconciler.edges import Edges
from reconciler.repo import git, lock
from reconciler.repo.fleet import Fleet
from reconciler.repo.inbox import Delivery
from reconciler.repo.journal import Journal
from reconciler.repo.observed.branch import BranchMoved
from reconciler.repo.observed.funnel import ObservedBranch, Setting
from reconciler.watching import forgeplaces, forgewatch
from reconciler.watching.forgewatch import ForgeWatch
from tests import recording
from tests.edges import Memory, plain
from tests.forge import webhooks
from tests.forge.server import FakeForge
from tests.recording import own_git_config  # noqa: F401 - a fixture that every test uses
from tests.waiting import until

T = TypeVar("T")

BRANCH = "task/fix"
NOBODY = "http://127.0.0.1:9/webhooks/forgejo"


@dataclass(kw_only=True)
class World:
    """A fleet's memory, a forge, and the watch between them, in a loop of its own."""

    edges: Edges
    forge: FakeForge
    loop: asyncio.AbstractEventLoop
    watch: ForgeWatch
    env: dict[str, str]
    warnings: list[str]
    settings: Settings
    tasks: dict[str, Task] = field(default_factory=dict)

    def call(self, does: Callable[..., T], *arguments: object) -> T:
        """What a function returns in the loop's thread."""

        async def called() -> T:
            return does(*arguments)

        return self.wait_for(called())

    def wait_for(self, what: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(what, self.loop).result(30)

    def follow(self, **changes: object) -> None:
        """Have the watch follow what people want now, with other settings of the forge where some are given."""
        if changes:
            assert self.settings.forge is not None
            self.settings = replace(self.settings, forge=replace(self.settings.forge, **changes))  # type: ignore[arg-type]
        documents = {
            name: Document(value=with_settings(name, task, self.settings), spec="s")
            for name, task in self.tasks.items()
        }
        desired = Desired(settings=self.settings, tasks=documents)

        def both() -> None:
            self.edges.forge.use(self.settings)
            self.watch.follow(desired)

        self.call(both)

    def look(self) -> None:
        """Have everything asked and acted on at least once more."""
        self.follow()
        self.wait_for(self.watch.first_look())
        self.call(self.watch.check)

    def task(self, name: str = "fix") -> ObservedTask:
        return self.edges.branch.tasks().get(name, ObservedTask())

    def phase(self, name: str = "fix") -> Phase:
        return self.task(name).phase

    def deliver(self, *made: webhooks.Delivery) -> None:
        """Have these taken, as the web application does."""
        for one in made:
            delivery = Delivery(
                kind="forgejo",
                event=one.event,
                event_type=one.event_type,
                id=one.headers["X-Forgejo-Delivery"],
                body=one.body,
                received_at=datetime.now(UTC),
            )
            self.edges.inbox.keep(delivery)
        self.call(self.edges.delivered.set)

    def waiting(self) -> int:
        return len(self.edges.inbox.waiting(1000))

    def settle(self) -> None:
        """Return once everything that was delivered is acted on."""
        until(lambda: not self.waiting() and not self.call(self.watch.pending))
        self.call(self.watch.check)


@pytest.fixture
def forge(tmp_path: Path) -> Iterator[FakeForge]:
    with FakeForge.running(tmp_path / "forge") as one:
        one.outbox.hold = True
        one.hook(NOBODY, "secret")
        one.push(BRANCH, {"a": "1"})
        one.outbox.made.clear()
        yield one


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    found = recording.new_fleet(tmp_path / "fleet")
    recording.person_commits(found.top, "state/settings.yaml", "{}\n")
    return found


@contextmanager
def watching(fleet: Fleet, forge: FakeForge, *, token: bool = True, begun: bool = True) -> Iterator[World]:
    """The watch over a task whose branch is on the forge; its first run has ended well unless it never began."""
    held, journal, numbers = lock.acquire(fleet.lock), Journal(fleet.journal), itertools.count()
    env = {"TOKEN": forge.token} if token else {}
    told: list[str] = []
    setting = Setting(
        fleet=fleet,
        journal=journal,
        lock=held,
        identity=Identity(),
        new_id=lambda: f"{next(numbers):012x}",
        on_record=lambda *_: None,
        warn=told.append,
    )
    branch = ObservedBranch(setting, recording.NOW)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    edges = replace(plain(Memory(fleet, branch, journal), now, env.get), warn=told.append)
    named = Forge(kind="forgejo", url=forge.url, token_env="TOKEN")  # noqa: S106 - the name of a variable
    world = World(
        edges=edges,
        forge=forge,
        loop=loop,
        watch=ForgeWatch(edges),
        env=env,
        warnings=told,
        settings=Settings(forge=named),
        tasks={"fix": Task(title="Fix it", goal="g", repository=f"{forge.url}/acme/widgets.git")},
    )
    if begun and not branch.tasks():
        branch.record("fix", recording.assigned("fix"))
        branch.record("fix", recording.started())
    try:
        yield world
        world.call(world.watch.check)
    finally:
        world.wait_for(world.watch.close())
        world.wait_for(edges.forge.close())
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
        branch.close()
        journal.close()
        held.release()


def good_end() -> Finished:
    return replace(recording.succeeded(), delivery=DeliveryWish.PULL_REQUEST)


def now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


def life(forge: FakeForge) -> list[webhooks.Delivery]:
    """One pull request from its opening to its merge, a minute between the steps."""
    number = forge.open(BRANCH, "Fix it")
    forge.advance(60)
    forge.request_changes(number, "Not like this", [("a", 1, "why?")])
    forge.advance(60)
    forge.push(BRANCH, {"a": "2"})
    forge.rename(number, "Fix it better")
    forge.advance(60)
    forge.approve(number, "Fine")
    forge.advance(60)
    forge.merge(number)
    forge.notice()
    return list(forge.outbox.made)


def test_what_happened_while_nobody_watched_is_known_after_the_first_look(fleet: Fleet, forge: FakeForge) -> None:
    life(forge)
    with watching(fleet, forge) as world:
        world.look()
        assert world.phase() is Phase.COMPLETED
        assert [review.verdict for review in world.task().reviews] == [Verdict.CHANGES_REQUESTED, Verdict.APPROVED]
        assert world.task().reviews[0].comments[0].body == "why?"
        assert world.task().pr_title == "Fix it better"


def test_without_a_token_the_first_look_asks_nobody(fleet: Fleet, forge: FakeForge) -> None:
    life(forge)
    with watching(fleet, forge, token=False) as world:
        world.look()
        assert world.phase() is Phase.RUNNING
        assert not forge.asked


def again(made: webhooks.Delivery) -> webhooks.Delivery:
    """The same once more, in other bytes: the inbox would take it for the same."""
    return replace(made, body=made.body + b"\n")


ORDERS: dict[str, Callable[[Sequence[webhooks.Delivery]], list[webhooks.Delivery]]] = {
    "twice": lambda made: [twice for one in made for twice in (one, again(one))],
    "all of it twice": lambda made: [*made, *map(again, made)],
    "reversed": lambda made: list(reversed(made)),
    "shuffled": lambda made: random.Random(7).sample(list(made), len(made)),  # noqa: S311 - the same every time
    "shuffled otherwise": lambda made: random.Random(8).sample(list(made), len(made)),  # noqa: S311 - likewise
}


def file_after(top: Path, forge: FakeForge, sent: Sequence[webhooks.Delivery], *, token: bool) -> ObservedTask:
    """What is recorded after these deliveries, but for times of ours."""
    with watching(recording.new_fleet(top), forge, token=token) as world:
        world.look()
        for delivery in sent:
            world.deliver(delivery)
        world.settle()
        return replace(world.task(), last_activity_at=None)


@pytest.mark.parametrize("token", [True, False], ids=["with a token", "without"])
@pytest.mark.parametrize("order", ORDERS)
def test_deliveries_in_any_order_end_in_the_same_file(
    tmp_path: Path, forge: FakeForge, order: str, *, token: bool
) -> None:
    made = life(forge)
    straight = file_after(tmp_path / "straight", forge, made, token=token)
    assert file_after(tmp_path / order, forge, ORDERS[order](made), token=token) == straight
    assert straight.phase is Phase.COMPLETED
    assert straight.review_count == 1
    assert len(straight.reviews) == 2


def test_lost_deliveries_change_nothing_where_the_forge_can_be_asked(tmp_path: Path, forge: FakeForge) -> None:
    made = life(forge)
    assert file_after(tmp_path / "none", forge, [], token=True) == file_after(tmp_path / "all", forge, made, token=True)


def test_a_review_sends_the_task_back_to_work_whoever_tells(fleet: Fleet, forge: FakeForge) -> None:
    with watching(fleet, forge) as world:
        number = forge.open(BRANCH, "Fix it")
        world.edges.branch.record("fix", good_end())
        world.look()
        forge.outbox.made.clear()
        assert world.phase() is Phase.REVIEW_PENDING
        forge.request_changes(number, "Not like this")
        world.deliver(*forge.outbox.made)
        world.settle()
        assert (world.phase(), world.task().rework, world.task().review_count) == (Phase.CREATED, True, 1)


def test_several_hints_about_one_pull_request_cause_one_reading(fleet: Fleet, forge: FakeForge) -> None:
    with watching(fleet, forge) as world:
        world.look()
        number = forge.open(BRANCH, "Fix it")
        for word in ("one", "two", "three"):
            forge.rename(number, word)
        before = len(forge.asked)
        world.deliver(*forge.outbox.made)
        world.settle()
        asked = [one.path.rpartition("/acme/widgets/")[2] for one in forge.asked[before:]]
        assert asked == [f"pulls/{number}", f"pulls/{number}/reviews"]
        assert world.task().pr_title == "three"


def test_a_merge_without_a_webhook_is_seen_by_the_poll(
    fleet: Fleet, forge: FakeForge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watched, "OFTEN_S", 0.1)
    with watching(fleet, forge) as world:
        world.look()
        number = forge.open(BRANCH, "Fix it")
        until(lambda: world.phase() is Phase.REVIEW_PENDING)
        forge.merge(number)
        until(lambda: world.phase() is Phase.COMPLETED)


def test_the_poll_commits_nothing_when_nothing_is_new(
    fleet: Fleet, forge: FakeForge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watched, "OFTEN_S", 0.05)
    number = forge.open(BRANCH, "Fix it")
    forge.remark(number, "Hm")
    with watching(fleet, forge) as world:
        world.look()
        commits, asked = recording.count(fleet), forge.count("GET", "/pulls")
        until(lambda: forge.count("GET", "/pulls") > asked + 12)
        assert recording.count(fleet) == commits
        assert forge.count("GET", "/reviews") < 8


def test_a_reopened_pull_request_of_an_earlier_generation_is_seen_by_the_poll(
    fleet: Fleet, forge: FakeForge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watched, "OFTEN_S", 0.1)
    number = forge.open(BRANCH, "Fix it")
    forge.close(number)
    with watching(fleet, forge) as world:
        world.edges.branch.record("fix", good_end())
        world.look()
        assert (world.phase(), world.task().reason) == (Phase.BLOCKED, "pr_closed")
        world.edges.branch.record("fix", Regenerated(at=now(), actor="person:ada", generation=2))
        assert world.task().past_prs == (number,)
        forge.reopen(number)
        until(lambda: world.phase() is Phase.REVIEW_PENDING)
        assert world.task().past_prs == ()


def test_a_silent_forge_leaves_deliveries_waiting_and_is_caught_up_with(fleet: Fleet, forge: FakeForge) -> None:
    with watching(fleet, forge) as world:
        world.look()
        number = forge.open(BRANCH, "Fix it")
        forge.down("unavailable")
        world.deliver(*forge.outbox.made)
        silent = until(lambda: (seen := world.call(world.edges.forge.seen)) and seen.reason)
        assert "503" in str(silent)
        assert world.waiting()
        assert not world.call(world.watch.pending)
        assert world.phase() is Phase.RUNNING
        forge.merge(number)
        forge.up()
        until(lambda: world.phase() is Phase.COMPLETED)
        world.settle()
        seen = world.call(world.edges.forge.seen)
        assert seen is not None
        assert seen.silent_since is None


def test_the_first_look_does_not_wait_for_a_silent_forge(fleet: Fleet, forge: FakeForge) -> None:
    life(forge)
    forge.down()
    with watching(fleet, forge) as world:
        world.deliver(*forge.outbox.made)
        world.look()
        assert not world.call(world.watch.pending)
        assert world.waiting()
        forge.up()
        until(lambda: world.phase() is Phase.COMPLETED)


def test_deliveries_that_waited_are_acted_on_before_the_first_look_is_over(fleet: Fleet, forge: FakeForge) -> None:
    made = life(forge)
    with watching(fleet, forge, token=False) as world:
        world.deliver(*made)
        world.look()
        assert world.phase() is Phase.COMPLETED
        assert not world.waiting()


@pytest.mark.parametrize("token", [True, False], ids=["with a token", "without"])
def test_an_unreadable_delivery_stands_in_nobodys_way(fleet: Fleet, forge: FakeForge, *, token: bool) -> None:
    forge.open(BRANCH, "Fix it")
    (opened,) = forge.outbox.made
    bodies = (b"", b"{", b"[" * 100_000, b"\xff", b"null", b'{"action": "opened", "pull_request": 3}', b"{}")
    with watching(fleet, forge, token=token) as world:
        world.follow()
        world.deliver(*[replace(opened, body=body) for body in bodies], opened)
        world.settle()
        assert world.phase() is Phase.REVIEW_PENDING


@pytest.mark.parametrize("token", [True, False], ids=["with a token", "without"])
def test_a_crash_after_recording_is_followed_by_nothing_new(fleet: Fleet, forge: FakeForge, *, token: bool) -> None:
    made = life(forge)
    with watching(fleet, forge, token=token) as world:
        world.follow()
        world.deliver(*made)
        world.settle()
        commits = recording.count(fleet)
    with watching(fleet, forge, token=token) as world:
        world.deliver(*map(again, made))
        world.look()
        world.settle()
        assert recording.count(fleet) == commits


def test_a_pull_request_that_is_refused_is_told_once_and_let_go(fleet: Fleet, forge: FakeForge) -> None:
    with watching(fleet, forge) as world:
        world.look()
        number = forge.open(BRANCH, "Fix it")
        forge.fails(403, "GET", f"/pulls/{number}", times=2)
        for delivery in (*forge.outbox.made, *map(again, forge.outbox.made)):
            world.deliver(delivery)
            world.settle()
        assert len(world.warnings) == 1
        assert "403" in world.warnings[0]
        assert forge.token not in world.warnings[0]


def test_a_repository_that_fails_leaves_the_others_alone(fleet: Fleet, forge: FakeForge) -> None:
    forge.open(BRANCH, "Fix it")
    forge.fails(503, "GET", "/acme/broken/pulls", times=1000)
    with watching(fleet, forge) as world:
        world.follow(repositories=("acme/broken", "acme/missing", "acme/widgets"))
        world.look()
        assert world.phase() is Phase.REVIEW_PENDING
        assert any("acme/missing" in line for line in world.warnings)
        seen = world.call(world.edges.forge.seen)
        assert seen is not None
        assert seen.silent_since is None


def test_a_refused_token_is_told_as_a_forge_that_says_nothing_until_one_is_good(fleet: Fleet, forge: FakeForge) -> None:
    forge.open(BRANCH, "Fix it")
    forge.fails(401, "GET", "/acme/widgets/pulls", times=1)
    with watching(fleet, forge) as world:
        world.look()
        seen = world.call(world.edges.forge.seen)
        assert seen is not None
        assert seen.silent_since is not None
        assert "401" in str(seen.reason)
        assert not world.call(world.watch.pending)
        world.follow(label="another")
        until(lambda: world.phase() is Phase.REVIEW_PENDING)
        until(lambda: (known := world.call(world.edges.forge.seen)) and known.silent_since is None)


def test_changes_that_a_stranger_requests_do_not_count(
    fleet: Fleet, forge: FakeForge, caplog: pytest.LogCaptureFixture
) -> None:
    number = forge.open(BRANCH, "Fix it")
    forge.advance(60)
    forge.request_changes(number, "Do it my way", by="ada")
    forge.advance(60)
    forge.request_changes(number, "Not like this", by="rex")
    with watching(fleet, forge) as world:
        world.follow(reviewers=("Rex",))
        world.look()
        assert [review.reviewer for review in world.task().reviews] == ["rex"]
    assert [record.getMessage() for record in caplog.records if "ada requests" in record.getMessage()] != []


def test_a_push_to_the_tasks_branch_is_activity_and_no_commit(fleet: Fleet, forge: FakeForge) -> None:
    with watching(fleet, forge) as world:
        world.look()
        commits = recording.count(fleet)
        forge.push(BRANCH, {"a": "2"})
        forge.push("other", {"a": "2"})
        world.deliver(*forge.outbox.made)
        world.settle()
        activity = world.edges.journal.activity("fix")
        assert activity is not None
        assert activity > recording.NOW
        assert recording.count(fleet) == commits


def test_a_push_has_the_known_pull_request_read_again(fleet: Fleet, forge: FakeForge) -> None:
    number = forge.open(BRANCH, "Fix it")
    with watching(fleet, forge) as world:
        world.look()
        forge.outbox.made.clear()
        sha = forge.push(BRANCH, {"a": "2"})
        world.deliver(*[one for one in forge.outbox.made if one.event == "push"])
        world.settle()
        pr = world.task().pr
        assert pr is not None
        assert (pr.number, pr.head_sha) == (number, sha)


def test_the_settings_may_name_a_forge_and_a_token_while_the_watch_runs(fleet: Fleet, forge: FakeForge) -> None:
    made = life(forge)
    with watching(fleet, forge, token=False) as world:
        named, world.settings = world.settings, Settings()
        world.follow()
        world.deliver(*made[:1])
        world.look()
        assert world.waiting() == 1
        assert not world.call(world.watch.pending)
        world.settings = named
        world.look()
        until(lambda: world.phase() is Phase.REVIEW_PENDING)
        world.env["TOKEN"] = forge.token
        world.follow()
        until(lambda: world.phase() is Phase.COMPLETED)
        world.env.clear()
        world.follow()
        world.settings = Settings()
        world.follow()
        assert not world.call(world.watch.pending)


def test_a_repository_that_is_not_listed_is_ignored(fleet: Fleet, forge: FakeForge) -> None:
    made = life(forge)
    with watching(fleet, forge, token=False) as world:
        world.follow(repositories=("acme/other",))
        world.deliver(*made)
        world.settle()
        assert world.phase() is Phase.RUNNING


@pytest.mark.parametrize("token", [True, False], ids=["with a token", "without"])
def test_a_pull_request_of_a_fork_is_nobodys(fleet: Fleet, forge: FakeForge, *, token: bool) -> None:
    forge.open(f"stranger:{BRANCH}", "Mine", by="eve")
    with watching(fleet, forge, token=token) as world:
        world.deliver(*forge.outbox.made)
        world.look()
        world.settle()
        assert world.phase() is Phase.RUNNING
        assert world.task().pr is None


@pytest.mark.parametrize("webhook", [True, False], ids=["told", "polled"])
def test_a_labelled_issue_becomes_a_task_file(fleet: Fleet, forge: FakeForge, *, webhook: bool) -> None:
    with watching(fleet, forge) as world:
        if webhook:
            world.follow(repositories=("acme/widgets",))
            world.look()
        number = forge.issue("Mend the door", "It squeaks.", labels=("agent",))
        world.deliver(*[one for one in forge.outbox.made if webhook])
        world.look()
        world.settle()
        found = until(lambda: list((fleet.top / "state/tasks").rglob("*.yaml")))
        assert [f"/issues/{number}" in path.read_text() for path in found] == [True]


def test_a_branch_that_moved_ends_the_watch(fleet: Fleet, forge: FakeForge) -> None:
    with watching(fleet, forge) as world:
        world.look()
        forge.open(BRANCH, "Fix it")
        git.run(fleet.top, "update-ref", "-d", "refs/heads/observed")
        world.deliver(*forge.outbox.made)

        def failed() -> str | None:
            try:
                world.call(world.watch.check)
            except BranchMoved as error:
                return str(error)
            return None

        assert until(failed)
        assert not world.call(world.watch.pending)
        world.watch = ForgeWatch(world.edges)


@pytest.mark.parametrize("token", [True, False], ids=["with a token", "without"])
def test_an_issue_waits_in_the_inbox_until_its_file_can_be_written(
    fleet: Fleet, forge: FakeForge, monkeypatch: pytest.MonkeyPatch, *, token: bool
) -> None:
    for module in (forgewatch, forgeplaces):
        monkeypatch.setattr(module, "LATER_S", 0.1)
    merging = fleet.common / "MERGE_HEAD"
    with watching(fleet, forge, token=token) as world:
        world.follow(authors=("ada",))
        world.look()
        merging.write_text(git.run(fleet.top, "rev-parse", "HEAD").text)
        forge.issue("Mend the door", "It squeaks.", labels=("agent",))
        world.deliver(*forge.outbox.made)
        until(lambda: any("issues wait" in line for line in world.warnings))
        assert world.waiting()
        forge.open(BRANCH, "Fix it")
        world.deliver(*[one for one in forge.outbox.made if one.event == "pull_request"])
        until(lambda: world.task().pr is not None)
        until(lambda: not world.call(world.watch.pending))
        assert world.waiting()
        merging.unlink()
        until(lambda: list((fleet.top / "state/tasks").rglob("*.yaml")))
        until(lambda: not world.waiting())


def test_a_pull_request_that_the_forge_cannot_show_is_no_silent_forge(fleet: Fleet, forge: FakeForge) -> None:
    with watching(fleet, forge) as world:
        number = forge.open(BRANCH, "Fix it")
        forge.fails(500, "GET", f"/pulls/{number}/reviews", times=1000)
        world.look()
        assert world.phase() is Phase.REVIEW_PENDING
        forge.fails(500, "GET", f"/pulls/{number}", times=1000)
        world.deliver(*forge.outbox.made)
        until(lambda: not world.waiting())
        assert any("500" in line for line in world.warnings)
        seen = world.call(world.edges.forge.seen)
        assert seen is not None
        assert seen.silent_since is None


def test_a_merge_completes_a_task_that_was_given_up(fleet: Fleet, forge: FakeForge) -> None:
    number = forge.open(BRANCH, "Fix it")
    with watching(fleet, forge) as world:
        world.edges.branch.record("fix", good_end())
        world.look()
        world.edges.branch.record("fix", Cancelled(at=now(), actor="person:ada", reason="deleted"))
        world.tasks.clear()
        world.follow()
        forge.outbox.made.clear()
        forge.merge(number)
        world.deliver(*forge.outbox.made)
        world.settle()
        assert world.phase() is Phase.COMPLETED
