"""`/metrics`: who may read it, in which form, and what it counts of what is asked and sent."""

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from reconciler.core.desired import Board, Host, Problem
from reconciler.core.terms import Phase
from tests import pages
from tests.contract.web import Answer, request, running, signed
from tests.pages import Painted, painting, served

TOKEN = "a-token-for-reading"  # noqa: S105 - a test's
DIGEST = hashlib.sha256(TOKEN.encode()).hexdigest()
AGENT = "an-agent"
OPENMETRICS = {"Accept": "application/openmetrics-text"}


@pytest.fixture(name="painted")
def _painted(tmp_path: Path) -> Iterator[Painted]:
    with painting(tmp_path) as painted:
        yield painted


def scrape(port: int) -> dict[tuple[str, tuple[str, ...]], float]:
    """The samples by name and values of labels."""
    text = request(port, "GET", "/metrics", None, OPENMETRICS).body.decode()
    return {
        (sample.name, tuple(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)  # type: ignore[no-untyped-call]
        for sample in family.samples
    }


def bearing(port: int, token: str, **headers: str) -> Answer:
    return request(port, "GET", "/metrics", None, {"Authorization": f"Bearer {token}", **headers})


def test_from_elsewhere_a_token_of_the_board_opens_it_and_no_other(painted: Painted) -> None:
    painted.listens = "0.0.0.0"  # noqa: S104 - an address that others reach, in words only
    agent = Host(transport="pull", token_sha256=(hashlib.sha256(AGENT.encode()).hexdigest(),))
    painted.hosts = {"bot": agent}
    painted.show()
    with served(painted) as port:
        assert bearing(port, TOKEN).status == 401
        painted.settings = replace(painted.settings, board=Board(token_sha256=(DIGEST,)))
        painted.show()
        opened = bearing(port, TOKEN, **{"X-Forwarded-For": "198.51.100.7", "Host": "agents.example.org"})
        assert (opened.status, opened.headers["Cache-Control"]) == (200, "no-store")
        assert b"reconciler_tasks{" in opened.body
        for answer in (request(port, "GET", "/metrics"), bearing(port, "guessed")):
            assert answer.status == 401
            assert "settings.board.token_sha256" in answer.json["detail"]
            assert answer.headers["Www-Authenticate"].startswith("Bearer")
        assert bearing(port, AGENT).status == 403
        answers = [bearing(port, "guessed").status for _ in range(25)]
        assert answers[-1] == 429
        assert bearing(port, TOKEN).status == 200


def test_on_the_machine_itself_nothing_is_asked_for_and_a_token_does_no_harm(painted: Painted) -> None:
    painted.settings = replace(painted.settings, board=Board(token_sha256=(DIGEST,)))
    painted.show()
    with served(painted) as port:
        assert request(port, "GET", "/metrics").status == 200
        assert request(port, "HEAD", "/metrics").status == 200
        assert bearing(port, TOKEN).status == 200
        assert bearing(port, "guessed").status == 401


@pytest.mark.parametrize("accept", ["application/openmetrics-text;version=x", "text/plain;version=x", "*/*", "\u00e9"])
def test_whatever_form_is_asked_for_it_is_one_of_two(painted: Painted, accept: str) -> None:
    with served(painted) as port:
        answer = request(port, "GET", "/metrics", None, {"Accept": accept})
        kind = "application/openmetrics-text; version=1.0.0" if "openmetrics" in accept else "text/plain; version=0.0.4"
        assert (answer.status, answer.headers["Content-Type"].startswith(kind)) == (200, True)


def test_it_tells_what_the_board_shows(painted: Painted) -> None:
    pages.paint(painted)
    pages.past(painted, days=3)
    painted.problems = (*painted.problems, Problem(file="x", line=0, column=0, message="m"))
    painted.show()
    with served(painted) as port:
        first = scrape(port)
        assert first["reconciler_tasks", ("blocked",)] == 1
        assert first["reconciler_tasks", ("created",)] == 4
        assert first["reconciler_tasks_on_hold", ()] == 1
        assert first["reconciler_blocked_tasks", ("author",)] == 1
        assert first["reconciler_blocked_age_seconds", ()] == 31 * 60
        assert first["reconciler_problems", ()] == 2
        assert first["reconciler_host_running", ("builder",)] == 2
        assert first["reconciler_host_closed", ("attic",)] == 1
        assert first["reconciler_host_reachable", ("cloud",)] == 0
        assert first["reconciler_live_runs", ("codex",)] == 1
        told = [run for seen in painted.seen.values() for run in seen.runs if run.finished_at is not None]
        assert sum(value for (name, _), value in first.items() if name == "reconciler_runs_total") == len(told)
        assert first["reconciler_runs_total", ("codex", "provider", "failed")] == 0  # its first one is a growth
        cost = sum(value for (name, _), value in first.items() if name == "reconciler_cost_usd_total")
        assert cost == pytest.approx(sum(run.cost_usd or 0 for run in told))
        blocked = replace(painted.seen["upgrade-django"], phase=Phase.BLOCKED, owner="agent")
        painted.seen = {**painted.seen, "upgrade-django": blocked}
        assert scrape(port)["reconciler_blocked_tasks", ("agent",)] == 1


def test_answers_are_counted_by_route_and_class_and_unknown_paths_together(painted: Painted) -> None:
    with served(painted) as port:
        for path in ("/tasks/none", "/tasks/neither", "/nothing/of/that", "/x" * 50, "/healthz"):
            request(port, "GET", path)
        request(port, "FETCH", "/healthz")
        found = scrape(port)
        counted = {labels: value for (name, labels), value in found.items() if name == "reconciler_http_requests_total"}
        assert counted["/tasks/{task_id}", "4xx"] == 2
        assert counted["(none)", "4xx"] >= 2
        assert counted["/healthz", "2xx"] == 1
        assert len(counted) <= 5


def test_webhooks_are_counted_by_what_was_answered(tmp_path: Path) -> None:
    with running(tmp_path) as web:
        body = b"{}"
        web.post(body)
        web.post(body)
        web.post(body, signed(body, "wrong"))
        web.post(b"[", signed(b"["))
        web.post(b"x" * (1024 * 1024 + 1))
        web.secrets.clear()
        web.post(body)
        web.ask("GET", "/webhooks/forgejo")
        arrived = {
            sample.labels["outcome"]: sample.value
            for family in web.meters.families()
            if family.name == "reconciler_webhooks"
            for sample in family.samples
        }
    assert arrived == {
        "accepted": 1, "duplicate": 1, "bad_signature": 1, "malformed": 1, "too_large": 1, "switched_off": 1,
        "standby": 0, "not_kept": 0,
    }  # fmt: skip
