"""Which tasks the forge's news are about, and how soon it is asked again."""

from dataclasses import replace
from datetime import timedelta

from reconciler.core import watched
from reconciler.core.desired import Desired, Document, Forge, Settings, Task, with_settings
from reconciler.core.observed import ObservedTask, PullRequest
from reconciler.core.pulls import Pull
from reconciler.core.terms import Phase
from reconciler.core.watched import Watched
from tests.unit import lives

FORGE = Forge(kind="forgejo", url="https://git.example.org")
SHOP = "https://git.example.org/team/shop.git"


def desired(forge: Forge | None = FORGE, **tasks: Task) -> Desired:
    settings = Settings(forge=forge)
    documents = {name: Document(value=with_settings(name, task, settings), spec="s") for name, task in tasks.items()}
    return Desired(settings=settings, tasks=documents)


def task(repository: str | None = SHOP, branch: str | None = None, issue: str | None = None) -> Task:
    return Task(title="t", goal="g", repository=repository, branch=branch, issue=issue)


def pull(number: int = 3, branch: str = "task/fix", **changes: object) -> Pull:
    shown = Pull(
        repository="team/shop",
        number=number,
        url=f"https://git.example.org/team/shop/pulls/{number}",
        title="t",
        state="open",
        branch=branch,
        same_repository=True,
        updated_at=lives.at(0),
    )
    return replace(shown, **changes)  # type: ignore[arg-type]  # the keys of a pull request


def own(number: int = 3, updated: float = 0) -> PullRequest:
    url = f"https://git.example.org/team/shop/pulls/{number}"
    return PullRequest(number=number, url=url, state="open", updated_at=lives.at(updated))


def about(wanted: Desired, seen: dict[str, ObservedTask], shown: Pull) -> list[str]:
    return [one.task_id for one in watched.about(watched.placed(watched.tasks(wanted, seen)), shown)]


def test_a_pull_request_is_about_the_task_with_its_repository_and_branch() -> None:
    wanted = desired(fix=task(), other=task(branch="topic/x"), elsewhere=task("https://git.example.org/team/api"))
    assert about(wanted, {}, pull()) == ["fix"]
    assert about(wanted, {}, pull(branch="topic/x")) == ["other"]
    assert about(wanted, {}, pull(repository="Team/Shop")) == ["fix"]
    assert about(wanted, {}, pull(repository="team/web")) == []
    assert about(wanted, {}, pull(same_repository=False)) == []
    assert about(wanted, {}, pull(branch="task/nobody")) == []


def test_a_task_knows_its_own_pull_request_by_number_whatever_became_of_the_branch() -> None:
    wanted = desired(fix=task())
    seen = {"fix": ObservedTask(phase=Phase.REVIEW_PENDING, pr=own())}
    assert about(wanted, seen, pull(branch="", same_repository=False)) == ["fix"]
    assert about(wanted, seen, pull(number=4, branch="", same_repository=False)) == []


def test_a_run_goes_on_under_the_branch_it_started_with() -> None:
    wanted = desired(fix=task(branch="new"))
    seen = {"fix": ObservedTask(phase=Phase.RUNNING, epoch=1, branch_name="old")}
    assert about(wanted, seen, pull(branch="old")) == ["fix"]
    assert about(wanted, seen, pull(branch="new")) == ["fix"]
    done = {"fix": replace(seen["fix"], phase=Phase.FAILED)}
    assert about(wanted, done, pull(branch="old")) == []


def test_a_finished_task_leaves_its_branch_to_an_unfinished_one() -> None:
    wanted = desired(fix=task(), again=task(branch="task/fix"))
    seen = {"fix": ObservedTask(phase=Phase.FAILED, pr=own(2))}
    assert about(wanted, seen, pull(3)) == ["again"]
    assert about(wanted, seen, pull(2)) == ["fix", "again"]
    seen["again"] = ObservedTask(phase=Phase.COMPLETED)
    assert about(wanted, seen, pull(3)) == ["fix", "again"]


def test_a_task_without_a_file_is_known_by_its_pull_request() -> None:
    gone = ObservedTask(phase=Phase.REVIEW_PENDING, branch_name="task/gone", pr=own())
    assert about(desired(), {"gone": gone}, pull(4, branch="task/gone")) == ["gone"]
    assert about(desired(), {"gone": replace(gone, phase=Phase.CANCELLED)}, pull()) == ["gone"]
    assert about(desired(), {"gone": replace(gone, phase=Phase.CANCELLED)}, pull(4, branch="task/gone")) == []
    assert about(desired(), {"gone": replace(gone, phase=Phase.COMPLETED)}, pull()) == []
    assert about(desired(), {"gone": replace(gone, pr=None)}, pull(4, branch="task/gone")) == []


def test_nothing_is_watched_without_a_forge_and_nothing_that_is_not_on_it() -> None:
    assert watched.tasks(desired(None, fix=task()), {}) == ()
    assert watched.tasks(desired(fix=task(None), other=task("https://elsewhere.org/team/shop")), {}) == ()


def test_the_issue_of_a_task_counts_until_something_was_started() -> None:
    wanted = desired(fix=task(issue="https://git.example.org/team/shop/issues/7"))
    (one,) = watched.tasks(wanted, {})
    assert one.issue == ("team/shop", 7)
    (one,) = watched.tasks(wanted, {"fix": lives.RUNNING})
    assert one.issue is None
    (one,) = watched.tasks(desired(fix=task(issue="https://elsewhere.org/team/shop/issues/7")), {})
    assert one.issue is None


def watching(seen: ObservedTask) -> Watched:
    return Watched(task_id="fix", repository="team/shop", branches=frozenset({"task/fix"}), seen=seen)


def test_the_forge_is_asked_often_while_something_moves_and_seldom_otherwise() -> None:
    now = lives.at(3600)
    still = ObservedTask(phase=Phase.REVIEW_PENDING, pr=own(), last_activity_at=lives.at(0))
    moved = replace(still, last_activity_at=now - watched.LIVELY + timedelta(seconds=1))
    assert watched.pause_s([watching(still)], now) == watched.SELDOM_S
    assert watched.pause_s([watching(still), watching(moved)], now) == watched.OFTEN_S
    assert watched.pause_s([watching(replace(still, pr=own(updated=3500)))], now) == watched.OFTEN_S
    assert watched.pause_s([watching(replace(moved, phase=Phase.COMPLETED))], now) == watched.SELDOM_S
    assert watched.pause_s([], now) == watched.SELDOM_S


def test_the_forge_is_asked_often_as_long_as_a_run_lives() -> None:
    seen = lives.live(lives.assigned(), lives.started())
    assert watched.pause_s([watching(seen)], lives.at(7200)) == watched.OFTEN_S


def test_reviews_matter_of_the_tasks_own_pull_request_and_of_one_that_may_become_it() -> None:
    seen = ObservedTask(phase=Phase.REVIEW_PENDING, pr=own(3), past_prs=(1,))
    assert watched.reviews_matter(watching(seen), pull(3))
    assert watched.reviews_matter(watching(seen), pull(4))
    assert not watched.reviews_matter(watching(seen), pull(2, state="closed"))
    assert not watched.reviews_matter(watching(seen), pull(1))
    assert watched.reviews_matter(watching(seen), pull(1), reopened=True)
    assert watched.reviews_matter(watching(ObservedTask()), pull(2, state="merged"))


def test_reviews_of_a_finished_tasks_pull_request_matter_only_when_it_changed() -> None:
    seen = ObservedTask(phase=Phase.COMPLETED, pr=own(3, updated=10))
    assert not watched.reviews_matter(watching(seen), pull(3, updated_at=lives.at(10)))
    assert watched.reviews_matter(watching(seen), pull(3, updated_at=lives.at(11)))
    assert not watched.reviews_matter(watching(seen), pull(4))
