"""Takes what agents say that ask for work: give me a task, I am at it, this came of it.

It decides nothing: what is refused, and why, is said by those who know.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import falcon

from reconciler.agents import handing, holding, reporting
from reconciler.agents.handing import Order, Wish
from reconciler.agents.holding import Conflict, Held, IsCancelled, NotYours, Stale, UnknownTask
from reconciler.agents.reporting import Said, Unusable
from reconciler.core.terms import Delivery
from reconciler.edges.desk import TooManyWaiting
from reconciler.repo import storage
from reconciler.repo.journal import JournalFailed
from reconciler.repo.observed.branch import BranchFailed, BranchMoved
from reconciler.repo.schemas import Wrong
from reconciler.web import bodies
from reconciler.web.api import Api
from reconciler.web.problems import Invalid, Refused

CROWDED_S = 5
"""How soon to ask again when as many agents as may wait do so."""
RETRY_AFTER_S = 5
"""The same when nothing can be kept."""
KEEP_S = 5.0
"""How long the end of a run may take to reach the fleet's remote: what only this place knows may be overtaken."""
NOT_KEPT = "it is not on the fleet's remote yet, so it may still be lost: say the same again"


@dataclass(frozen=True, slots=True, kw_only=True)
class Beat:
    """What a heartbeat says."""

    epoch: int


class Dequeue:
    """`/api/v1/dequeue`: a task for an agent, or none."""

    def __init__(self, outside: Api) -> None:
        """Ask there."""
        self._api = outside

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """200 once the task is recorded and leased; 204 when there is none, or too many wait."""
        agent, edges = self._api.tokens.agent(req, fresh=True), self._api.leading()
        wish = storage.structure(Wish, bodies.message(req, "http-dequeue-request"))
        try:
            with _refusals():
                order = handing.dequeue(edges, agent.host_id, wish, _gone(req))
        except TooManyWaiting:
            resp.status, resp.retry_after = falcon.HTTP_204, CROWDED_S
            edges.meters.asked("crowded")
            return
        edges.meters.asked("task" if order is not None else "nothing")
        if order is None:
            resp.status = falcon.HTTP_204
            return
        resp.cache_control = ["no-store"]
        resp.media = _order(order)


class Heartbeat:
    """`/api/v1/tasks/{task_id}/heartbeat`: the agent is at it."""

    def __init__(self, outside: Api) -> None:
        """Ask there."""
        self._api = outside

    def on_post(self, req: falcon.Request, resp: falcon.Response, task_id: str) -> None:
        """200 once the lease is renewed on disk."""
        agent, edges = self._api.tokens.agent(req), self._api.leading()
        with _refusals():
            holding.seen_by(edges, agent.host_id, task_id)
            beat = storage.structure(Beat, bodies.message(req, "http-heartbeat-request"))
            held = holding.heartbeat(edges, agent.host_id, task_id, beat.epoch)
        resp.cache_control = ["no-store"]
        resp.media = {"lease_expires_at": _until(held), "cancel": held.cancel}


class Status:
    """`/api/v1/tasks/{task_id}/status`: how the run stands."""

    def __init__(self, outside: Api) -> None:
        """Ask there."""
        self._api = outside

    def on_post(self, req: falcon.Request, resp: falcon.Response, task_id: str) -> None:
        """200 once it is recorded, an end also on the fleet's remote; the same end again is answered as before."""
        agent, edges = self._api.tokens.agent(req), self._api.leading()
        with _refusals():
            holding.seen_by(edges, agent.host_id, task_id)
            said = storage.structure(Said, bodies.message(req, "http-status-request"))
            held = reporting.report(edges, agent.host_id, task_id, replace(said, secrets=(agent.token,)))
        if said.phase != "running" and edges.lead is not None and not edges.lead.keeps(KEEP_S):
            raise falcon.HTTPServiceUnavailable(description=NOT_KEPT, retry_after=RETRY_AFTER_S)
        resp.cache_control = ["no-store"]
        resp.media = {
            "task": task_id,
            "run_id": held.run.run_id,
            "epoch": held.run.epoch,
            "phase": said.phase,
            "lease_expires_at": _until(held),
            "cancel": held.cancel,
        }


@contextmanager
def _refusals() -> Iterator[None]:
    """Each reason to refuse as its status."""
    try:
        yield
    except UnknownTask as error:
        raise falcon.HTTPNotFound(description=str(error)) from error
    except NotYours as error:
        raise falcon.HTTPForbidden(description=str(error)) from error
    except Unusable as error:
        raise Invalid([Wrong(path=error.path, message=str(error))]) from error
    except IsCancelled as error:
        raise falcon.HTTPGone(description=str(error)) from error
    except Stale as error:
        raise Refused("superseded", str(error)) from error
    except Conflict as error:
        raise Refused("conflict", str(error)) from error
    except (JournalFailed, BranchFailed, BranchMoved) as error:
        said = "it could not be kept; the reconciler is stopping, or its log says more: ask again"
        raise falcon.HTTPServiceUnavailable(description=said, retry_after=RETRY_AFTER_S) from error


def _gone(req: falcon.Request) -> Callable[[], bool]:
    """Tells whether the agent has hung up since; one that says from the beginning that it sends no more may listen."""
    gone: Callable[[], bool] = req.env.get("waitress.client_disconnected", _never)
    return _never if gone() else gone


def _never() -> bool:
    return False


def _until(held: Held) -> str | None:
    return None if held.until is None else storage.timestamp(held.until)


def _order(order: Order) -> dict[str, object]:
    run, task = order.run, order.task
    return {
        "task": order.task_id,
        "run_id": run.run_id,
        "epoch": run.epoch,
        "kind": run.kind.value,
        "title": task.title,
        "prompt": order.prompt,
        "goal": task.goal,
        "constraints": list(task.constraints),
        "validation": list(task.validation),
        "context": list(task.context),
        "repository": task.repository,
        "base": task.base,
        "branch": task.branch,
        "delivery": (task.delivery or Delivery.NONE).value,
        "pr_title": task.pr_title,
        "lease_expires_at": storage.timestamp(order.lease_until),
    }
