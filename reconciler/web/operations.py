"""What can be asked of the web application and what it may answer, endpoint by endpoint: data for its description.

It answers nothing, and says nothing about the form of a body: that is in the schemas.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from reconciler.web import signature

BEARER = "token"
OPEN: tuple[str, ...] = ()
READ = (BEARER, "")
"""With a token, or without one from this machine itself."""
SIGNED = tuple(signature.PREFIXES)

PROBLEMS: Mapping[int, str] = MappingProxyType(
    {
        400: "The request is no HTTP, its body breaks off, or it is no JSON object in UTF-8.",
        401: "No token, or one that nobody knows.",
        403: "The task is not of execution_mode http_pull, or another agent's.",
        404: "There is no such task.",
        409: "The epoch is stale (`superseded`): the agent must stop. Or the run cannot move so (`conflict`).",
        410: "The task is cancelled.",
        413: "The body is larger than 1 MiB.",
        415: "The body is not application/json.",
        422: "The body or the query does not fit its schema; `errors` names each place.",
        429: "Too many wrong tokens came from this address; a right one is never refused so.",
        431: "The head of the request is larger than 64 KiB.",
        503: "It could not be kept, or another reconciler leads: nothing has happened; ask again.",
    }
)
WAYS = frozenset({400, 431})
"""What may be answered to any request, before its path is looked at."""
BODY = frozenset({413, 415})
WRITE = BODY | {401, 422, 429, 503}
HEADERS: Mapping[int, tuple[str, ...]] = MappingProxyType(
    {401: ("WWW-Authenticate",), 429: ("Retry-After",), 503: ("Retry-After",)}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A good answer: what it means, the schema of its body (`None`: no body), and headers beside the usual ones."""

    says: str
    schema: str | None = None
    media: str = "application/json"
    headers: tuple[str, ...] = ()
    example: Mapping[str, object] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One method of one path. `takes` and `query` name schemas; `security` names what is wanted, any one of them."""

    id: str
    method: str
    path: str
    summary: str
    text: str
    answers: Mapping[int, Answer]
    problems: frozenset[int] = frozenset()
    said: Mapping[int, str] = field(default_factory=dict)
    takes: str | None = None
    query: str | None = None
    example: Mapping[str, object] | None = None
    security: tuple[str, ...] = OPEN
    conditional: bool = False


EXAMPLE = "fix-login"
TASK = {"epoch": 1}
RUN = {"task": EXAMPLE, "run_id": f"0123456789ab.{EXAMPLE}.1", "epoch": 1}
EXPIRES = "2026-11-22T17:03:00Z"
UNCHANGED = Answer(says="It has not changed since the answer with the ETag of If-None-Match.", headers=("ETag",))

DEQUEUE = Operation(
    id="dequeue",
    method="post",
    path="/api/v1/dequeue",
    summary="Ask for work",
    text="Gives a task that the agent may do by its host file, as the plan decides it, or none. It is the agent's for "
    "the time of a lease, which every heartbeat and status renews.",
    takes="http-dequeue-request",
    example={"wait": 30, "idempotency_key": "3b241101-e2bb-4255-8caf-4136c566a962"},
    answers={
        200: Answer(
            says="A task, recorded as the agent's.",
            schema="http-dequeue-response",
            example={
                **RUN,
                "kind": "implement",
                "title": "Mend the login",
                "prompt": "# Mend the login\n\n## Goal\n\nA login with a space in the name works.\n",
                "goal": "A login with a space in the name works.",
                "constraints": [],
                "validation": ["make test"],
                "context": [],
                "repository": "https://forge.example.org/team/app.git",
                "base": None,
                "branch": f"task/{EXAMPLE}",
                "delivery": "branch",
                "pr_title": "Mend the login",
                "lease_expires_at": EXPIRES,
            },
        ),
        204: Answer(
            says="There is none. With Retry-After: as many agents as may wait do so already; ask again after so long.",
            headers=("Retry-After",),
        ),
    },
    problems=WRITE,
    security=(BEARER,),
)
HEARTBEAT = Operation(
    id="heartbeat",
    method="post",
    path="/api/v1/tasks/{task_id}/heartbeat",
    summary="Give a sign of life",
    text="Renews the lease. `cancel` says that the work is not wanted any more: stop, and report `failed`.",
    takes="http-heartbeat-request",
    example=TASK,
    answers={
        200: Answer(
            says="The lease is renewed.",
            schema="http-heartbeat-response",
            example={"lease_expires_at": EXPIRES, "cancel": False},
        )
    },
    problems=WRITE | {403, 404, 409, 410},
    security=(BEARER,),
)
STATUS = Operation(
    id="status",
    method="post",
    path="/api/v1/tasks/{task_id}/status",
    summary="Say how the run stands",
    text="`running` when the work begins; one of the others ends the run. The same end may be reported again: it is "
    "answered as it was the first time.",
    takes="http-status-request",
    example={"epoch": 1, "phase": "completed", "summary": "Names are trimmed before they are looked up."},
    answers={
        200: Answer(
            says="It is recorded.",
            schema="http-status-response",
            example={**RUN, "phase": "completed", "lease_expires_at": None, "cancel": False},
        )
    },
    problems=WRITE | {403, 404, 409, 410},
    security=(BEARER,),
)
TASKS = Operation(
    id="tasks",
    method="get",
    path="/api/v1/tasks",
    summary="List tasks",
    text="The tasks by id, a page at a time. A pull agent sees its own, and those that it could be given.",
    query="http-tasks-query",
    answers={
        200: Answer(says="A page.", schema="http-tasks", headers=("ETag", "Link"), example={"tasks": [], "next": None}),
        304: UNCHANGED,
    },
    problems=frozenset({401, 422, 429}),
    security=READ,
    conditional=True,
)
TASK_BY_ID = Operation(
    id="task",
    method="get",
    path="/api/v1/tasks/{task_id}",
    summary="Show one task",
    text="What people want of it and what happened to it, with its runs.",
    answers={200: Answer(says="The task.", schema="http-task", headers=("ETag",)), 304: UNCHANGED},
    problems=frozenset({401, 403, 404, 429}),
    security=READ,
    conditional=True,
)


def webhook(forge: str) -> Operation:
    """The endpoint under the name of one kind of forge; all of them are one."""
    return Operation(
        id=f"{forge}Webhook",
        method="post",
        path=f"/webhooks/{forge}",
        summary="Deliver a webhook",
        text="Answered once the delivery is on disk; what it means is found out afterwards. Signed by HMAC-SHA256 over "
        "the bytes of the body, in any one of the headers; which forge sent it is read from its own headers.",
        takes="delivery",
        answers={
            202: Answer(says="It is kept, or was before.", schema="stored", example={"status": "stored"}),
        },
        problems=BODY | {401, 404, 503},
        said={401: "No header signs this body with the secret.", 404: "No secret is set: webhooks are off."},
        security=SIGNED,
    )


ALIVE = Operation(
    id="alive",
    method="get",
    path="/healthz",
    summary="Whether the process lives",
    text="Answered as long as the process can.",
    answers={200: Answer(says="It does.", schema="alive", example={"status": "ok"})},
)
READY = Operation(
    id="ready",
    method="get",
    path="/readyz",
    summary="Whether the reconciler is ready",
    text="Turns go round, the disk takes what is to be kept, and the forge answers: each condition by name.",
    answers={
        200: Answer(
            says="Every condition holds.",
            schema="readiness",
            example={"status": "ready", "checks": {"journal": {"status": "ok"}}},
        ),
        503: Answer(
            says="One of them does not hold.",
            schema="readiness",
            example={"status": "not ready", "checks": {"loop": {"status": "starting"}}},
        ),
    },
)
DESCRIPTION = Operation(
    id="description",
    method="get",
    path="/openapi.json",
    summary="This document",
    text="The description of all endpoints, OpenAPI 3.1.",
    answers={200: Answer(says="The document.", schema="description", headers=("ETag",)), 304: UNCHANGED},
    conditional=True,
)
LEADER = Operation(
    id="leader",
    method="get",
    path="/leader",
    summary="Whether this reconciler starts work",
    text="For whoever chooses between several reconcilers of one fleet: a proxy, a monitor.",
    answers={
        200: Answer(
            says="It does: it leads, or there is no other.",
            schema="role",
            example={"role": "leader", "leader": "agents-1:/srv/fleet", "term": 7},
        ),
        503: Answer(
            says="Another one leads, or nobody does for now.",
            schema="role",
            example={"role": "standby", "leader": "agents-1:/srv/fleet", "term": 7},
        ),
    },
)
METRICS = Operation(
    id="metrics",
    method="get",
    path="/metrics",
    summary="Numbers for Prometheus",
    text="What stands where, what runs came to, how this process fares; as OpenMetrics where `Accept` names that."
    " For this machine itself, and for whoever has a token of settings.board.token_sha256.",
    answers={200: Answer(says="The numbers.", schema="numbers", media="text/plain")},
    problems=frozenset({401, 403, 429}),
    said={403: "An agent's token does not open the numbers of the whole fleet."},
    security=READ,
)
OPERATIONS = (
    DEQUEUE, HEARTBEAT, STATUS, TASKS, TASK_BY_ID,
    webhook("forgejo"), webhook("gitea"), webhook("github"), ALIVE, READY, LEADER,
    METRICS, DESCRIPTION,
)  # fmt: skip
