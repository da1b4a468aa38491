"""What should stand on the forge about a task: its pull request, a word to the reviewers, the state of its run.

It publishes nothing: `publishing` does, and what was published once is not wanted again.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from reconciler.core import pullbody, repositories, watched
from reconciler.core.desired import Desired, Forge, Task
from reconciler.core.observed import Held, Observed, ObservedTask, PullRequest, Run
from reconciler.core.terms import Delivery, Outcome, Phase

MOST_DESCRIPTION = 140
"""The longest description of a commit status in characters that every forge takes."""

_ENDED = {
    Outcome.SUCCEEDED: "succeeded",
    Outcome.FAILED: "failed",
    Outcome.CANCELLED: "was stopped",
    Outcome.LOST: "was lost",
    Outcome.NOT_STARTED: "did not start",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenPull:
    """A pull request for what the run with this epoch pushed; `base` is `None` where the default branch is meant.

    `max_reviews` is the task's: a review that came before its pull request was known may count at once.
    """

    repository: str
    branch: str
    base: str | None
    title: str
    body: str
    epoch: int
    max_reviews: int = 3

    @property
    def key(self) -> str:
        """What it is known by, once it stands."""
        return f"pull {self.repository} {self.branch} {self.epoch}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Say:
    """A comment on a pull request. `marker` stands in it, hidden: one with the same marker is the same comment."""

    repository: str
    number: int
    marker: str
    text: str

    @property
    def key(self) -> str:
        """What it is known by, once it stands."""
        return f"comment {self.repository} {self.number} {self.marker}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """The status of a commit: how the run that works on it stands. `own`: that run pushed the commit itself."""

    repository: str
    sha: str
    run_id: str
    state: Literal["pending", "success", "failure"]
    description: str
    target_url: str | None = None
    own: bool = False

    @property
    def key(self) -> str:
        """What it is known by, once it stands."""
        return f"status {self.repository} {self.run_id} {self.sha} {self.state}"


Publication = OpenPull | Say | Mark


@dataclass(frozen=True, slots=True, kw_only=True)
class _About:
    """The task that something is said about, its repository and its page."""

    task_id: str
    task: Task
    seen: ObservedTask
    repository: str
    page: str | None


def wanted(task_id: str, seen: ObservedTask, desired: Desired) -> Iterator[Publication]:
    """What should stand on the forge about the task as it is now.

    Of a completed task nothing, but for the end of a run that was under way when its pull request was merged.
    """
    forge = desired.settings.forge
    delivered, limited, marked = _delivered(seen), _limited(seen), _marked(seen)
    if forge is None or (delivered is None and limited is None and marked is None):
        return
    document = desired.tasks.get(task_id)
    repository = _named_by(seen.pr, forge) if document is None else repositories.of(document.value, forge)
    if repository is None:
        return
    link = page(task_id, desired)
    if marked is not None:
        yield from _mark(*marked, repository, link)
    if document is None:
        return
    about = _About(task_id=task_id, task=document.value, seen=seen, repository=repository, page=link)
    if delivered is not None and about.task.delivery is Delivery.PULL_REQUEST:
        yield _pull(about, delivered, forge)
    if limited is not None:
        yield _used_up(about, limited)


def still_held(desired: Desired, observed: Observed) -> Mapping[str, Held]:
    """What the forge refused and should still stand there, by key."""
    held = observed.forge.held if observed.forge is not None else {}
    if not held:
        return {}
    keys = {one.key for task_id, seen in observed.tasks.items() for one in wanted(task_id, seen, desired)}
    return {key: one for key, one in held.items() if key in keys}


def spoken(mark: Mark, done: frozenset[str]) -> tuple[Mark, ...]:
    """The statuses to set so that this one is said, given the keys of what stands.

    The end of a run is said wherever a run of the task is still called pending, on a commit that it pushed itself, and
    otherwise once: a commit that somebody pushed later is not blamed.
    """
    if mark.state == "pending":
        return (mark,)
    pending, said = _standing(mark, done)
    here = mark.own or not (pending or said)
    return tuple(replace(mark, sha=sha) for sha in sorted({*pending, *([mark.sha] if here else [])}))


def page(task_id: str, desired: Desired) -> str | None:
    """The address of the task's page, where one is known that people can reach."""
    public_url = desired.settings.public_url
    return f"{public_url.rstrip('/')}/tasks/{task_id}" if public_url is not None else None


def _delivered(seen: ObservedTask) -> Run | None:
    """The run whose commits wait for a pull request: the last good one of this generation, when it was pushed."""
    if seen.phase is not Phase.REVIEW_PENDING or seen.pr is not None:
        return None
    for run in reversed(seen.runs):
        if run.generation == seen.generation and run.outcome is Outcome.SUCCEEDED:
            return run if run.head_sha is not None else None
    return None


def _limited(seen: ObservedTask) -> PullRequest | None:
    """The pull request on which no further review round is worked."""
    blocked = seen.phase is Phase.BLOCKED and seen.reason == "review_limit"
    return seen.pr if blocked and seen.pr is not None and seen.pr.state == "open" else None


def _marked(seen: ObservedTask) -> tuple[Run, PullRequest] | None:
    """The newest run that began, and the pull request whose commits say how it stands."""
    pr = seen.pr
    run = next((run for run in reversed(seen.runs) if run.started_at is not None), None) if pr is not None else None
    if pr is None or run is None:
        return None
    return (run, pr) if pr.state == "open" or _cut_short(run, pr) else None


def _cut_short(run: Run, pr: PullRequest) -> bool:
    """Whether the run was under way when its pull request was merged or closed."""
    if run.finished_at is None:
        return False
    return run.outcome is Outcome.CANCELLED or pr.updated_at is None or run.finished_at >= pr.updated_at


def _pull(about: _About, run: Run, forge: Forge) -> OpenPull:
    task = about.task
    branch = about.seen.branch_name or task.branch or f"task/{about.task_id}"
    closes = _closes(task.issue, about.repository, forge)
    return OpenPull(
        repository=about.repository,
        branch=branch,
        base=task.base,
        title=pullbody.title(about.seen.pr_title or task.pr_title or task.title, branch),
        body=pullbody.body(about.task_id, task, run, page=about.page, closes=closes),
        epoch=run.epoch,
        max_reviews=task.max_reviews,
    )


def _closes(issue: str | None, repository: str, forge: Forge) -> int | None:
    """The number of the issue that the task came from, where it is in the same repository."""
    found = watched.page(issue, forge) if issue is not None and "/issues/" in issue else None
    return found[1] if found is not None and repositories.same(found[0], repository) else None


def _used_up(about: _About, pr: PullRequest) -> Say:
    task_id, seen = about.task_id, about.seen
    rounds = f"{seen.review_count} review round{'' if seen.review_count == 1 else 's'}"
    return Say(
        repository=about.repository,
        number=pr.number,
        marker=f"review_limit {task_id} {seen.generation} {seen.review_count}",
        text=(
            f"Thank you for the review. The agent has worked on {rounds} of this pull request, and its task allows no"
            f" more (`max_reviews: {about.task.max_reviews}`), so it starts none by itself.\n\n"
            "To go on, do one of these:\n\n"
            f"- raise `max_reviews` in the file of the task `{task_id}`: the agent then addresses this review;\n"
            "- push to the branch by hand;\n"
            "- merge or close this pull request."
        ),
    )


def _mark(run: Run, pr: PullRequest, repository: str, target_url: str | None) -> Iterator[Mark]:
    good = run.outcome is Outcome.SUCCEEDED
    own = good and run.head_sha is not None
    sha = run.head_sha if own else pr.head_sha
    if sha is None:
        return
    state, words = _state(run, pr)
    description = f"{run.kind} run {run.epoch} on {run.host}{words}"[:MOST_DESCRIPTION]
    yield Mark(
        repository=repository,
        sha=sha,
        run_id=run.run_id,
        state=state,
        description=description,
        target_url=target_url,
        own=own,
    )


def _state(run: Run, pr: PullRequest) -> tuple[Literal["pending", "success", "failure"], str]:
    if run.finished_at is None:
        return "pending", ""
    ended = _ENDED[run.outcome] if run.outcome is not None else "ended"
    if run.outcome is Outcome.SUCCEEDED:
        return "success", f" {ended}"
    if pr.state == "merged":
        return "success", f" {ended}: merged meanwhile"
    return "failure", f" {ended}{f': {run.failure}' if run.failure else ''}"


def _named_by(pr: PullRequest | None, forge: Forge) -> str | None:
    """The repository of a task whose file is gone, from the URL of its pull request."""
    found = watched.page(pr.url, forge) if pr is not None else None
    return found[0] if found is not None else None


def _standing(mark: Mark, done: frozenset[str]) -> tuple[list[str], bool]:
    """The commits on which a run of the mark's task is called pending, and whether this run's end was said at all."""
    prefix = f"status {mark.repository} {mark.run_id.rpartition('.')[0]}."
    newest: dict[str, tuple[int, bool]] = {}
    said = False
    for key in done:
        if key.startswith(prefix):
            _, _, run_id, sha, state = key.split(" ")
            ended = state != "pending"
            newest[sha] = max(newest.get(sha, (0, False)), (int(run_id.rpartition(".")[2]), ended))
            said |= ended and run_id == mark.run_id
    return [sha for sha, (_, ended) in newest.items() if not ended], said
