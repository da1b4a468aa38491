"""Answers which tasks there are and how each stands, as the loop saw it last: to its own machine, and to agents.

It changes nothing, and makes nobody wait.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from urllib.parse import urlencode

import falcon

from reconciler.agents import holding
from reconciler.core import placement
from reconciler.core.observed import ObservedTask
from reconciler.core.terms import ExecutionMode, Phase
from reconciler.edges.view import Picture
from reconciler.repo import schemas, shapes
from reconciler.repo.schemas import Wrong
from reconciler.web import etag
from reconciler.web.api import Api
from reconciler.web.problems import Invalid
from reconciler.web.tokens import Agent

LIMIT = 50
SEVERAL = ("phase", "execution_mode")

Shape = dict[str, object]


class Tasks:
    """`/api/v1/tasks`: the tasks by id, a page at a time."""

    def __init__(self, outside: Api) -> None:
        """Ask there."""
        self._api = outside

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """A page of those that are asked for and that whoever asks may see; `Link` leads to the next one."""
        agent = self._api.reader(req)
        query = _query(req)
        picture = self._api.reads.view.latest()
        limit = int(str(query.get("limit", LIMIT)))
        now = self._api.reads.now()
        found = [task_id for task_id in _ids(picture) if _matches(task_id, picture, query, agent, now)]
        page = found[:limit]
        rest = {"next": page[-1] if len(found) > limit else None}
        if rest["next"] is not None:
            resp.append_link(f"{req.path}?{_next(query, page[-1])}", "next")
        moved = self._api.reads.journal.activities(page)
        _answer(req, resp, {"tasks": [_shape(task_id, picture, moved.get(task_id)) for task_id in page], **rest})

    on_head = on_get


class OneTask:
    """`/api/v1/tasks/{task_id}`: one task, whole."""

    def __init__(self, outside: Api) -> None:
        """Ask there."""
        self._api = outside

    def on_get(self, req: falcon.Request, resp: falcon.Response, task_id: str) -> None:
        """The task; 404 where there is none, 403 where it is none of the agent's."""
        agent = self._api.reader(req)
        picture = self._api.reads.view.latest()
        if not any(task_id in known for known in _records(picture)):
            raise falcon.HTTPNotFound(description="there is no task with this id")
        if agent is not None and not _is_for(agent, task_id, picture, self._api.reads.now()):
            raise falcon.HTTPForbidden(description="the task is not http_pull, or another agent's")
        _answer(req, resp, _shape(task_id, picture, self._api.reads.journal.activity(task_id)))

    on_head = on_get


def _ids(picture: Picture) -> list[str]:
    """Every task that is not put away."""
    known = {task_id for some in _records(picture) for task_id in some}
    return sorted(known - (picture.desired.archived - picture.desired.tasks.keys()))


def _records(picture: Picture) -> tuple[Mapping[str, object], ...]:
    """Where tasks are known from."""
    return picture.desired.tasks, picture.desired.refused, picture.observed.tasks


def _matches(task_id: str, picture: Picture, query: Shape, agent: Agent | None, now: datetime) -> bool:
    if task_id <= str(query.get("cursor", "")):
        return False
    seen, mode = picture.observed.tasks.get(task_id, ObservedTask()), _mode(task_id, picture)
    for key, value in (("phase", seen.phase.value), ("execution_mode", mode.value)):
        wanted = query.get(key)
        if isinstance(wanted, list) and value not in wanted:
            return False
    return agent is None or _is_for(agent, task_id, picture, now)


def _mode(task_id: str, picture: Picture) -> ExecutionMode:
    """As the task's shape says it: what happened, before that what its file says."""
    seen, document = picture.observed.tasks.get(task_id), picture.desired.tasks.get(task_id)
    if document is not None and (seen is None or seen.epoch == 0):
        return document.value.execution_mode
    return seen.execution_mode if seen is not None else ExecutionMode.SSH_CLI


def _is_for(agent: Agent, task_id: str, picture: Picture, now: datetime) -> bool:
    """Whether the agent has the task, had it, or could be given it once a slot is free and its time has come."""
    seen = picture.observed.tasks.get(task_id, ObservedTask())
    if any(holding.is_run_of(run, agent.host_id) for run in seen.runs):
        return True
    document = picture.desired.tasks.get(task_id)
    if document is None or agent.retired or seen.phase is not Phase.CREATED:
        return False
    reason = placement.unfit(document.value, agent.host_id, picture.desired, picture.observed, now)
    return reason is None or reason.passing


def _shape(task_id: str, picture: Picture, at: datetime | None) -> Shape:
    """The task as `status --json` shows it; `at` is when something last moved, by the journal."""
    seen = picture.observed.tasks.get(task_id)
    if seen is not None and at is not None and (seen.last_activity_at is None or seen.last_activity_at < at):
        seen = replace(seen, last_activity_at=at)
    tasks = {} if seen is None else {task_id: seen}
    return shapes.task(task_id, picture.desired, replace(picture.observed, tasks=tasks))


def _query(req: falcon.Request) -> Shape:
    """The query, valid by its schema; raises HTTPError for any other."""
    query: Shape = {}
    for key, given in req.params.items():
        values = given if isinstance(given, list) else [given]
        query[key] = values if key in SEVERAL else values[-1]
    limit = str(query.get("limit", LIMIT))
    if limit.isascii() and limit.isdigit() and len(limit) <= len("9007199254740991"):
        query["limit"] = int(limit)
    wrong = list(schemas.wrong("http-tasks-query", query))
    wrong += [Wrong(path=f"/{key}", message=f'"{key}" is given twice') for key in _twice(req)]
    if wrong:
        raise Invalid(wrong)
    return query


def _twice(req: falcon.Request) -> list[str]:
    return [key for key, given in req.params.items() if isinstance(given, list) and key not in SEVERAL]


def _next(query: Shape, cursor: str) -> str:
    return urlencode({**query, "cursor": cursor}, doseq=True)


def _answer(req: falcon.Request, resp: falcon.Response, shape: Shape) -> None:
    """The answer, or only that it is still the one that whoever asks has."""
    resp.cache_control = ["private", "no-cache"]
    resp.vary = ["Authorization"]
    etag.answer(req, resp, json.dumps(shape, ensure_ascii=False).encode())
