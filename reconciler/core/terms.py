"""The closed sets of the contract: phases, wishes, outcomes, failure classes and the like.

A word of these sets stands in files, commits and answers exactly as it stands here; nothing here decides anything.
"""

from enum import StrEnum


class Phase(StrEnum):
    """Where a task stands."""

    CREATED = "created"
    ASSIGNED = "assigned"
    RUNNING = "running"
    REVIEW_PENDING = "review_pending"
    COMPLETED = "completed"
    BLOCKED = "blocked"
    FAILED = "failed"
    CANCELLED = "cancelled"


TERMINAL = frozenset({Phase.COMPLETED, Phase.FAILED, Phase.CANCELLED})


class Wish(StrEnum):
    """What a person wants of a task: the key `desired` of its file."""

    RUN = "run"
    HOLD = "hold"
    CANCEL = "cancel"


class Delivery(StrEnum):
    """What must be seen before a good run is a success."""

    PULL_REQUEST = "pull_request"
    BRANCH = "branch"
    NONE = "none"


class ExecutionMode(StrEnum):
    """Who starts the agent: the reconciler, or an external agent that asks for work."""

    SSH_CLI = "ssh_cli"
    HTTP_PULL = "http_pull"


class Permissions(StrEnum):
    """What the agent may do: the profile that an adapter translates into words of its CLI."""

    READ_ONLY = "read_only"
    WORKSPACE = "workspace"
    FULL = "full"


class Kind(StrEnum):
    """What a run is asked to do."""

    IMPLEMENT = "implement"
    ADDRESS_REVIEW = "address_review"


class Outcome(StrEnum):
    """How a run ended."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    LOST = "lost"
    NOT_STARTED = "not_started"


class Failure(StrEnum):
    """Why a run was no success: the failure classes of the contract, section 4."""

    NO_CAPACITY = "no_capacity"
    TRANSPORT = "transport"
    HOST_LOST = "host_lost"
    USAGE_LIMIT = "usage_limit"
    PROVIDER = "provider"
    AUTH = "auth"
    CONFIG = "config"
    STALLED = "stalled"
    TIMED_OUT = "timed_out"
    AGENT_ERROR = "agent_error"
    LIMIT = "limit"
    SESSION = "session"
    NOT_DELIVERED = "not_delivered"
    WAITING_INPUT = "waiting_input"
    SUPERSEDED = "superseded"
    UNKNOWN = "unknown"


class Verdict(StrEnum):
    """What a reviewer said."""

    CHANGES_REQUESTED = "changes_requested"
    APPROVED = "approved"
    COMMENTED = "commented"


class StopReason(StrEnum):
    """Why the reconciler stops a run; kept in the run folder, so that a restart judges its end alike."""

    CANCELLED = "cancelled"
    TIMED_OUT = "timed_out"
    STALLED = "stalled"
    ABORTED = "aborted"
    LINGERED = "lingered"
    SUPERSEDED = "superseded"


class Scope(StrEnum):
    """What a circuit breaker stands before; `usage` is one account of an adapter."""

    FLEET = "fleet"
    HOST = "host"
    ADAPTER = "adapter"
    USAGE = "usage"
    TASK = "task"


class Cause(StrEnum):
    """Why a task that is to start has not: its file, what it waits for itself, what the fleet has no room for.

    `next` is that nothing keeps it: the pass that follows assigns it.
    """

    FILE = "file"
    HOLD = "hold"
    PAUSE = "pause"
    DEPENDENCY = "dependency"
    ADAPTER = "adapter"
    SECRET = "secret"  # noqa: S105 - a word, and none of those
    BREAKER = "breaker"
    HALT = "halt"
    LIMIT = "limit"
    HOST = "host"
    SLOTS = "slots"
    AGENT = "agent"
    NEXT = "next"


class Occasion(StrEnum):
    """What people are notified of."""

    BLOCKED = "blocked"
    FAILED = "failed"
    REVIEW_PENDING = "review_pending"
    BREAKER = "breaker"
    PUSH_LAG = "push_lag"
