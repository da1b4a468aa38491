"""What people wrote, as frozen values: tasks, hosts, adapters, settings, and all of them together.

The JSON Schemas in `schemas/` say the same, and a test says that they are equal. Nothing here reads a file.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from operator import attrgetter
from types import MappingProxyType
from typing import Generic, Literal, TypeVar

from reconciler.core.bounds import Limits, LostAfter
from reconciler.core.channels import Notify
from reconciler.core.terms import Delivery, ExecutionMode, Failure, Permissions, Wish

T = TypeVar("T")

_NOTHING: Mapping[str, str] = MappingProxyType({})
"""One for all tasks that say nothing of it: there are very many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One piece of work for a coding agent; the id is the file's stem.

    `None` for `adapter`, `model`, `permissions`, `delivery`, `branch` and `pr_title` means that the file leaves
    them to the settings; `with_settings` fills them in.
    """

    title: str
    goal: str
    constraints: tuple[str, ...] = ()
    validation: tuple[str, ...] = ()
    context: tuple[str, ...] = ()
    repository: str | None = None
    base: str | None = None
    branch: str | None = None
    pr_title: str | None = None
    delivery: Delivery | None = None
    execution_mode: ExecutionMode = ExecutionMode.SSH_CLI
    adapter: str | None = None
    model: str | None = None
    permissions: Permissions | None = None
    max_turns: int | None = None
    requires: tuple[str, ...] = ()
    host: str | None = None
    priority: int = 0
    depends_on: tuple[str, ...] = ()
    desired: Wish = Wish.RUN
    generation: int = 1
    max_attempts: int = 3
    max_reviews: int = 3
    timeout: timedelta = timedelta(hours=4)
    idle_timeout: timedelta | None = timedelta(minutes=30)
    env: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    secrets: tuple[str, ...] = ()
    issue: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Drain:
    """A host takes no new runs, until `until` where it is given."""

    reason: str
    until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """A launcher that is not `setsid`: argv templates that submit a job, ask for it and cancel it."""

    submit: tuple[str, ...]
    alive: tuple[str, ...]
    cancel: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """A place where runs happen."""

    transport: Literal["local", "ssh", "pull"]
    address: str | None = None
    port: int = 22
    user: str | None = None
    identity_file: str | None = None
    host_keys: tuple[str, ...] = ()
    forward_agent: bool = False
    jump: tuple[str, ...] = ()
    slots: int = 1
    capabilities: tuple[str, ...] = ()
    adapters: tuple[str, ...] | None = None
    workdir: str = "~/.local/share/reconciler"
    env: Mapping[str, str] = field(default_factory=dict)
    drain: Drain | None = None
    launcher: Literal["setsid"] | Engine = "setsid"
    token_sha256: tuple[str, ...] = ()


Word = str | tuple["Word", ...]
"""One element of an argv template; a nested list is left out whole when a value in it is missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """How to ask a CLI for its version: `pattern` has one group; `minimum` is dotted numbers."""

    run: tuple[str, ...]
    pattern: str
    minimum: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """Where in a CLI's output its result stands.

    Expressions are JMESPath over one object (contract, section 3); of several the first that is not null counts.
    """

    format: Literal["json", "jsonl", "text"] = "text"
    files: Mapping[str, str] = field(default_factory=dict)
    summary: tuple[str, ...] = ()
    session: tuple[str, ...] = ()
    error: tuple[str, ...] = ()
    input_tokens: tuple[str, ...] = ()
    output_tokens: tuple[str, ...] = ()
    cost_usd: tuple[str, ...] = ()
    failed: str | None = None
    finished: str | None = None
    abort: str | None = None
    cumulative: tuple[Literal["tokens", "cost"], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FailurePattern:
    """A regular expression that names a failure class (the key `class`); `resets` is the group with a limit's end."""

    failure: Failure
    pattern: str
    resets: str | int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapter:
    """How to run one agent CLI and read its output. Without `resume` a review round uses `run`."""

    run: tuple[Word, ...]
    resume: tuple[Word, ...] | None = None
    permissions: Mapping[Permissions, tuple[str, ...]] = field(default_factory=dict)
    prompt: Literal["stdin", "file", "argument"] = "stdin"
    prompt_text: Literal["structured", "goal"] = "structured"
    env: Mapping[str, str] = field(default_factory=dict)
    unset: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()
    version: Version | None = None
    output: Output = field(default_factory=Output)
    exit_codes: Mapping[int, Failure] = field(default_factory=dict)
    failures: tuple[FailurePattern, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Forge:
    """The team's forge, and the names of the environment variables that hold its secrets.

    Two `webhook_secret_env` are both good while a secret is rotated. `authors`: whose issues become tasks; `None`:
    those of everybody who may write to the repository. `reviewers`: whose requested changes count; `None`: everybody's.
    """

    kind: Literal["forgejo", "gitea", "github"]
    url: str
    token_env: str | None = None
    webhook_secret_env: tuple[str, ...] = ()
    repositories: tuple[str, ...] = ()
    label: str = "agent"
    authors: tuple[str, ...] | None = None
    reviewers: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """Whose commits count. `signed`: a file of allowed signers, `True` for the one in git's configuration."""

    authors: tuple[str, ...] = ()
    signed: Literal[True] | str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """The author and committer of every commit that the program makes."""

    name: str = "reconciler"
    email: str = "reconciler@localhost"


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """Who may read the pages from elsewhere: whoever has a token with one of these digests."""

    token_sha256: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The fleet's settings, all optional. `keep_runs`: ended runs per task whose folder stays on the host.

    `public_url`: where the web application is reached. `closed_breakers`: until when what opened each is settled.
    """

    default_adapter: str | None = None
    model: str | None = None
    listen: str = "127.0.0.1:8732"
    public_url: str | None = None
    board: Board = field(default_factory=Board)
    remote: str | None = None
    trust: Trust | None = None
    forge: Forge | None = None
    limits: Limits = field(default_factory=Limits)
    lease: timedelta = timedelta(seconds=180)
    permissions: Permissions = Permissions.WORKSPACE
    lost_after: LostAfter = field(default_factory=LostAfter)
    commit: Identity = field(default_factory=Identity)
    keep_runs: int = 10
    notify: Notify = field(default_factory=Notify)
    closed_breakers: Mapping[str, datetime] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is wrong in one file; `line` and `column` count from 1 and are 0 where there is no place."""

    file: str
    line: int
    column: int
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Document(Generic[T]):
    """A value in force and the blob id of the bytes that it was read from."""

    value: T
    spec: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Desired:
    """Everything that people wrote, as far as it is in force.

    `tasks` are resolved: `with_settings` was applied. A task in `refused` may not start; the value says why. `absent`
    are ids whose file is gone from work tree and tip, since when. `retired_hosts` are hosts in `hosts` whose file is
    broken or gone: their last good version serves live runs only. `archived` are ids that a dependency may name
    beyond `tasks`. `since` is when each task was first seen. `secrets` maps each secret's name to a keyed digest of
    its value; a missing name cannot be resolved.
    """

    settings: Settings = field(default_factory=Settings)
    tasks: Mapping[str, Document[Task]] = field(default_factory=dict)
    hosts: Mapping[str, Document[Host]] = field(default_factory=dict)
    adapters: Mapping[str, Document[Adapter]] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)
    absent: Mapping[str, datetime] = field(default_factory=dict)
    retired_hosts: frozenset[str] = frozenset()
    archived: frozenset[str] = frozenset()
    since: Mapping[str, datetime] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()


_KEYS = tuple(one.name for one in fields(Task))
_values = attrgetter(*_KEYS)


def with_settings(task_id: str, task: Task, settings: Settings) -> Task:
    """The task with everything filled in that its file leaves to its id or to the settings.

    `adapter` stays `None` where the settings have no default either: that is an error of the fleet.
    """
    filled = dict(zip(_KEYS, _values(task), strict=True))
    filled["branch"], filled["pr_title"] = task.branch or f"task/{task_id}", task.pr_title or task.title
    filled["adapter"], filled["model"] = task.adapter or settings.default_adapter, task.model or settings.model
    filled["permissions"] = task.permissions or settings.permissions
    filled["delivery"] = task.delivery or _delivery(task, settings)
    return Task(**filled)


def _delivery(task: Task, settings: Settings) -> Delivery:
    published = Delivery.PULL_REQUEST if settings.forge else Delivery.BRANCH
    return Delivery.NONE if task.repository is None else published
