"""The facts that can be recorded about one task; each says when, who caused it, and why in a few words.

An event says what happened, never what follows from it: that is `lifecycle.advance`.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from reconciler.core.observed import PullRequest, Review
from reconciler.core.terms import Delivery, ExecutionMode, Failure, Kind, Outcome, Verdict

CancelReason = Literal["requested", "deleted"]
"""A task is cancelled because its file asks for it, or because its file is gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """What every event carries.

    `actor` is `planner`, `host:<id>`, `agent:<id>`, `forge:<login>` or `person:<name>`. `epoch` is the run that the
    fact is about, `None` where it is about the task as a whole. Each event has a
    `why`: the reason in a commit's subject.
    """

    at: datetime
    actor: str
    epoch: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Assigned(Fact):
    """The task got a host and a new epoch; nothing runs yet."""

    run_id: str
    host: str
    adapter: str | None
    kind: Kind
    spec: str
    config: str
    generation: int
    execution_mode: ExecutionMode
    branch_name: str
    pr_title: str
    account: str | None = None
    adapter_version: str | None = None
    resumed: str | None = None
    claim: str | None = None

    @property
    def why(self) -> str:
        """Name the host and the kind of the run."""
        return f"{self.kind} on {self.host}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Started(Fact):
    """The agent's process was seen, or the pull agent gave its first update."""

    @property
    def why(self) -> str:
        """Say that it was seen."""
        return "the agent was seen"


@dataclass(frozen=True, slots=True, kw_only=True)
class NotStarted(Fact):
    """The run certainly did not start, and never will: its epoch was given up on the host."""

    failure: Failure
    error: str
    cancel: CancelReason | None = None

    @property
    def why(self) -> str:
        """Name the failure class."""
        return f"did not start: {self.failure}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished(Fact):
    """A run ended, or is lost. `delivery` and the limits are those that the run was started with or that hold now.

    `head_sha` is what the remote's branch holds. `cancel`: why the task is to be cancelled. `resets_at`: when a
    usage limit ends.
    """

    outcome: Outcome
    failure: Failure | None = None
    exit_code: int | None = None
    delivery: Delivery = Delivery.NONE
    max_attempts: int = 3
    max_reviews: int = 3
    cancel: CancelReason | None = None
    resets_at: datetime | None = None
    session: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_usd: float | None = None
    head_sha: str | None = None
    summary: str | None = None
    error: str | None = None
    warnings: tuple[str, ...] = ()

    @property
    def why(self) -> str:
        """Name the failure class, else the outcome."""
        return f"{self.outcome}: {self.failure}" if self.failure else str(self.outcome)


@dataclass(frozen=True, slots=True, kw_only=True)
class PullRequestOpened(Fact):
    """An open pull request of the same repository, no draft, is on the task's branch. `reopened`: a person did so."""

    pr: PullRequest
    title: str | None = None
    branch: str | None = None
    reopened: bool = False

    @property
    def why(self) -> str:
        """Name the pull request."""
        return f"pull request {self.pr.number} {'reopened' if self.reopened else 'opened'}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PullRequestUpdated(Fact):
    """The task's pull request has a new head or title."""

    pr: PullRequest
    title: str | None = None

    @property
    def why(self) -> str:
        """Name the pull request."""
        return f"pull request {self.pr.number} updated"


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged(Fact):
    """The task's pull request was merged."""

    pr: PullRequest
    title: str | None = None
    branch: str | None = None

    @property
    def why(self) -> str:
        """Name the pull request."""
        return f"pull request {self.pr.number} merged"


@dataclass(frozen=True, slots=True, kw_only=True)
class Closed(Fact):
    """The task's pull request was closed without a merge."""

    pr: PullRequest
    title: str | None = None
    branch: str | None = None

    @property
    def why(self) -> str:
        """Name the pull request."""
        return f"pull request {self.pr.number} closed unmerged"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reviewed(Fact):
    """Somebody reviewed the task's pull request."""

    review: Review
    max_reviews: int

    @property
    def why(self) -> str:
        """Name the verdict and the reviewer."""
        said = "changes requested" if self.review.verdict is Verdict.CHANGES_REQUESTED else str(self.review.verdict)
        return f"{said} by {self.review.reviewer}"


@dataclass(frozen=True, slots=True, kw_only=True)
class BranchPushed(Fact):
    """Somebody pushed to the task's branch."""

    @property
    def why(self) -> str:
        """Say so."""
        return "branch pushed"


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerOpened(Fact):
    """A limit of the fleet stops this task until the breaker is closed."""

    reason: str
    needs: str

    @property
    def why(self) -> str:
        """Name the breaker."""
        return self.reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancelled(Fact):
    """A person wants the task cancelled, or its file is gone; nothing of it runs any more."""

    reason: CancelReason

    @property
    def why(self) -> str:
        """Say which."""
        return "task file deleted" if self.reason == "deleted" else "asked for in the task file"


@dataclass(frozen=True, slots=True, kw_only=True)
class Revived(Fact):
    """A cancelled task's file is back, or wants it run again."""

    @property
    def why(self) -> str:
        """Say so."""
        return "the task file asks for it again"


@dataclass(frozen=True, slots=True, kw_only=True)
class Released(Fact):
    """What a blocked task needed was done; `cause` says what it was."""

    cause: str

    @property
    def why(self) -> str:
        """Name what was done."""
        return self.cause


@dataclass(frozen=True, slots=True, kw_only=True)
class Regenerated(Fact):
    """A person raised `generation`: the work is to be done again."""

    generation: int

    @property
    def why(self) -> str:
        """Name the generation."""
        return f"generation {self.generation}"


Event = (
    Assigned
    | Started
    | NotStarted
    | Finished
    | PullRequestOpened
    | PullRequestUpdated
    | Merged
    | Closed
    | Reviewed
    | BranchPushed
    | BreakerOpened
    | Cancelled
    | Revived
    | Released
    | Regenerated
)
