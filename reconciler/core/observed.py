"""What happened, as frozen values: a task's history, its runs and reviews, hosts, and what a poll last saw.

`ObservedTask` and `ObservedHost` are the files of the branch `observed`; nothing here reads or writes them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from reconciler.core.breaker import Breaker
from reconciler.core.desired import Adapter, Task
from reconciler.core.standing import Halt
from reconciler.core.terms import ExecutionMode, Failure, Kind, Outcome, Phase, StopReason, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class PullRequest:
    """A pull request as the forge last showed it."""

    number: int
    url: str
    state: Literal["open", "closed", "merged"]
    head_sha: str | None = None
    updated_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Comment:
    """An inline comment of a review."""

    path: str
    body: str
    line: int | None = None
    hunk: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """One review of the task's pull request; `counted` once it has raised `review_count`.

    `stale`: another head than the one that it is about was known as the current one before it was given. `told` is the
    epoch of the last run that was to address it.
    """

    id: str
    reviewer: str
    verdict: Verdict
    submitted_at: datetime
    body: str = ""
    head_sha: str | None = None
    comments: tuple[Comment, ...] = ()
    counted: bool = False
    stale: bool = False
    told: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One attempt at a task: one epoch.

    `assigned_at` is when the epoch was given out, `finished_at` when its end was seen. `config` is a digest of
    what the run depends on beside its task file: adapter, host, secrets. `resumed` is the session that was handed to
    the CLI, `session` the one that it reported. Tokens and cost are those of this run alone. `claim` is a digest of the
    key under which a pull agent asked for work: with it the agent gets the same run again. `account` is a digest of
    what names the adapter's account, `resets_at` when the usage limit ends that the run met.
    """

    epoch: int
    run_id: str
    host: str
    adapter: str | None
    kind: Kind
    assigned_at: datetime
    generation: int = 1
    spec: str | None = None
    config: str | None = None
    account: str | None = None
    claim: str | None = None
    adapter_version: str | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    exit_code: int | None = None
    outcome: Outcome | None = None
    failure: Failure | None = None
    resets_at: datetime | None = None
    counts_as_attempt: bool = False
    resumed: str | None = None
    session: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_usd: float | None = None
    head_sha: str | None = None
    summary: str | None = None
    error: str | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedTask:
    """What happened to one task. The default value is that of a task that was never assigned.

    `other_prs` are pull requests of this generation beside `pr`, `past_prs` those of earlier ones.
    """

    phase: Phase = Phase.CREATED
    reason: str | None = None
    owner: str | None = None
    needs: str | None = None
    generation: int = 1
    epoch: int = 0
    execution_mode: ExecutionMode = ExecutionMode.SSH_CLI
    adapter: str | None = None
    assigned_host: str | None = None
    branch_name: str | None = None
    pr_title: str | None = None
    pr: PullRequest | None = None
    other_prs: tuple[int, ...] = ()
    past_prs: tuple[int, ...] = ()
    rework: bool = False
    review_count: int = 0
    reviews: tuple[Review, ...] = ()
    attempts: int = 0
    not_before: datetime | None = None
    last_activity_at: datetime | None = None
    spec: str | None = None
    runs: tuple[Run, ...] = ()

    @property
    def last_run(self) -> Run | None:
        """The run of the newest epoch."""
        return self.runs[-1] if self.runs else None

    @property
    def live_run(self) -> Run | None:
        """The run whose end was not seen yet: it holds a slot whatever the phase."""
        return self.runs[-1] if self.runs and self.runs[-1].finished_at is None else None


UNTOUCHED = ObservedTask()
"""A task that was never assigned; every turn looks up each task, and making a value takes longer than that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedHost:
    """What is known of a host, `since` when, judged by the host file with the blob id `spec`.

    A host that is `misconfigured` is not tried again until its file changes; `reason` says what to mend.
    """

    reachable: bool
    since: datetime
    misconfigured: bool = False
    reason: str | None = None
    spec: str | None = None
    boot_id: str | None = None
    versions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Meta:
    """What a run was started with: `meta.json` of its run folder. Edits of the fleet do not touch a live run.

    Paths are absolute on the host. `start_sha` is the task's branch on the remote when the workspace was prepared
    (`None`: it was not there), the lease of the push; `base_sha` is the commit of `base` at that time. `session` is the
    one to resume, `new_session` a UUID for a fresh one. `before_*` are the totals of the session that is resumed.
    """

    run_id: str
    task_id: str
    epoch: int
    kind: Kind
    task: Task
    adapter_id: str
    adapter: Adapter
    run_dir: str
    workspace: str
    branch: str
    base: str | None = None
    base_sha: str | None = None
    start_sha: str | None = None
    session: str | None = None
    new_session: str | None = None
    before_input_tokens: int = 0
    before_output_tokens: int = 0
    before_cost_usd: float = 0.0
    prompt_sha256: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """What the last poll of a host saw of one run.

    `absent`: nothing claimed the run folder, it did not start. `queued`: nor yet, but an engine has its job. `void`:
    given up, it can never start. `alive`: the process that claimed it lives. `ended`: `exit` is there. `gone`: claimed,
    no longer alive (a reboot counts), and no `exit`; of either the output was fetched whole. `rebooted`: it is gone
    because its host was booted anew. `elapsed` and `idle` are measured by the host's own uptime. `aborted` and
    `lingering` come from the output: a loop that the CLI does not leave, and for how long the final result has been out
    while the process lives. `unread` says what the host could not read of what an ended run left.
    """

    state: Literal["absent", "queued", "void", "alive", "ended", "gone"]
    elapsed: timedelta = timedelta(0)
    idle: timedelta = timedelta(0)
    stopping: StopReason | None = None
    exit_code: int | None = None
    rebooted: bool = False
    aborted: bool = False
    lingering: timedelta | None = None
    unread: tuple[str, ...] = ()
    meta: Meta | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """A pull agent that waits for work: the host that it is, what it can do (`None`: all that its host file says).

    `claim` is a digest of its key; what it gets is recorded with that, so that asking again gives the same.
    """

    host: str
    capabilities: frozenset[str] | None = None
    claim: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """A pull agent holds the task with this epoch until then, and longer while nobody else was given it."""

    epoch: int
    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """Something that the forge refused to take, in its words, and when it is tried again."""

    why: str
    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ForgeSeen:
    """What is known of the forge: since when it does not answer and why; what was published there, by its key.

    `held` are publications that it refused, by their key.
    """

    silent_since: datetime | None = None
    reason: str | None = None
    done: frozenset[str] = frozenset()
    held: Mapping[str, Held] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """What happened (`tasks`, `hosts`: the branch) and what was last seen of live runs (`sightings`, by run id).

    `silent`: hosts that did not answer when they were last asked by this process, since when they have been silent.
    `forge`: what is known of the forge, `None` where there is none that can be asked. `asking`: the pull agents that
    wait for work, longest first. `leases`: how long pull agents hold their tasks, by task id. `halts`: why nothing new
    starts in the whole fleet. `breakers`: by name. `unpushed`: runs, by id, whose assignment the fleet's remote does
    not have yet.
    """

    fleet: str
    tasks: Mapping[str, ObservedTask] = field(default_factory=dict)
    hosts: Mapping[str, ObservedHost] = field(default_factory=dict)
    sightings: Mapping[str, Sighting] = field(default_factory=dict)
    silent: Mapping[str, datetime] = field(default_factory=dict)
    forge: ForgeSeen | None = None
    asking: tuple[Asking, ...] = ()
    leases: Mapping[str, Lease] = field(default_factory=dict)
    breakers: Mapping[str, Breaker] = field(default_factory=dict)
    halts: tuple[Halt, ...] = ()
    unpushed: frozenset[str] = frozenset()


def run_id(fleet: str, task: str, epoch: int) -> str:
    """The name of one attempt, unique among all fleets that share a host."""
    return f"{fleet}.{task}.{epoch}"
