"""The API for agents that ask for work, as they see it: over real HTTP, with the real program behind it."""

import json
import re
import select
import socket
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from reconciler.core import prompt
from reconciler.core.desired import Task
from reconciler.core.terms import Delivery, ExecutionMode
from reconciler.edges.desk import MAX_WAITING
from reconciler.repo import schemas
from reconciler.web import nearby
from reconciler.web.bodies import MAX_BODY
from reconciler.web.tokens import MOST_ADDRESSES, MOST_FAILURES, WITHIN_S, Failures
from tests import deliveries
from tests.contract.web import KEY, Answer, raw, request, signed
from tests.e2e import program
from tests.e2e.fleets import git
from tests.e2e.pullers import Agent, Pull, pulling
from tests.waiting import until

NAMES = ("ada", "bea", "cid", "dan", "eve", "fay", "gus", "hal", "ida", "jim", "kim", "leo", "mia", "ned", "oto", "pam")
JSON = {"Content-Type": "application/json"}
WRITES = ("/api/v1/dequeue", "/api/v1/tasks/t/heartbeat", "/api/v1/tasks/t/status")


@pytest.fixture(scope="module")
def pull(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pull]:
    """A reconciler with many agents; each test takes some of its own, and gives its tasks to them alone."""
    with pulling(tmp_path_factory.mktemp("pull")) as made:
        for name in NAMES:
            made.agent(name, slots=20, capabilities=["python", name])
        made.fleet.task("for-ssh", "true", desired="hold")
        made.start()
        yield made


def known(pull: Pull, name: str) -> Agent:
    return Agent(pull=pull, name=name, token=f"token-of-{name}")


def given(pull: Pull, name: str, task_id: str, **keys: object) -> tuple[Agent, dict[str, Any]]:
    """An agent of this name that was just given this task."""
    agent = known(pull, name)
    pull.task(task_id, host=name, **keys)
    order = agent.gets()
    assert order["task"] == task_id
    return agent, order


def header(answer: Answer, name: str) -> str | None:
    return next((value for key, value in answer.headers.items() if key.lower() == name.lower()), None)


def problem(answer: Answer, status: int) -> dict[str, Any]:
    """The document of a problem, after a look at its form."""
    assert (answer.status, header(answer, "Content-Type")) == (status, "application/problem+json"), answer
    document: dict[str, Any] = answer.json
    assert schemas.wrong("http-problem", document) == ()
    assert document["status"] == status
    return document


def good(answer: Answer, kind: str) -> dict[str, Any]:
    """The document of a good answer, which its schema takes."""
    assert answer.status == 200, answer
    assert header(answer, "Content-Type") == "application/json"
    document: dict[str, Any] = answer.json
    assert schemas.wrong(kind, document) == ()
    return document


def post(pull: Pull, path: str, body: bytes, **headers: str) -> Answer:
    given = {"Authorization": "Bearer token-of-ada", **{key.replace("_", "-"): one for key, one in headers.items()}}
    return request(pull.port, "POST", path, body, given)


def test_a_run_from_asking_to_its_end_answers_as_the_schemas_say(pull: Pull) -> None:
    agent = known(pull, "ada")
    pull.task("life", host="ada", constraints=["no dependencies"], validation=["make"], context=["docs/"])
    order = good(agent.dequeue(wait=20, capabilities=["ada"]), "http-dequeue-response")
    assert (order["task"], order["epoch"], order["branch"], order["delivery"]) == ("life", 1, "task/life", "none")
    assert order["run_id"] == pull.fleet.observed("life")["runs"][0]["run_id"]
    assert pull.fleet.phase("life") == "assigned"
    task = Task(
        title="Do life", goal="Do life.", constraints=("no dependencies",), validation=("make",), context=("docs/",),
        execution_mode=ExecutionMode.HTTP_PULL, delivery=Delivery.NONE, branch="task/life",
    )  # fmt: skip
    assert order["prompt"] == prompt.build(task, None, base=None)
    beat = good(agent.heartbeat("life", 1), "http-heartbeat-response")
    assert (beat["cancel"], beat["lease_expires_at"] >= order["lease_expires_at"]) == (False, True)
    running = good(agent.status("life", 1, "running"), "http-status-response")
    assert (running["phase"], running["cancel"], running["lease_expires_at"] is not None) == ("running", False, True)
    assert pull.fleet.phase("life") == "running"
    usage = {"input_tokens": 7, "output_tokens": 8, "cost_usd": 0.25}
    ended = good(agent.status("life", 1, "completed", summary="It works.", usage=usage), "http-status-response")
    assert (ended["run_id"], ended["epoch"], ended["lease_expires_at"]) == (order["run_id"], 1, None)
    assert pull.fleet.phase("life") == "completed"
    run = pull.fleet.last_run("life")
    assert {key: run[key] for key in usage} == usage
    assert (run["summary"], run["outcome"]) == ("It works.", "succeeded")


def test_whoever_asks_again_with_the_key_gets_the_same_run_and_the_same_answer(pull: Pull) -> None:
    agent = known(pull, "bea")
    for number in (1, 2):
        pull.task(f"again-{number}", host="bea")
    first = agent.gets(idempotency_key="one")
    assert agent.gets(idempotency_key="one") == first
    assert agent.gets(idempotency_key="two")["task"] != first["task"]
    assert agent.gets(idempotency_key="one", capabilities=[]) == first
    agent.status(first["task"], 1, "completed")
    after = agent.gets(idempotency_key="one")
    assert {**after, "lease_expires_at": ""} == {**first, "lease_expires_at": ""}
    assert problem(agent.heartbeat(first["task"], 1), 409)["code"] == "conflict"


def counted(pull: Pull) -> Counter[str]:
    """How many agents got what when they asked, as Prometheus sees it."""
    text = request(pull.port, "GET", "/metrics").body.decode()
    found = re.findall(r'^reconciler_dequeues_total\{outcome="(\w+)"\} ([0-9.]+)$', text, re.MULTILINE)
    return Counter({outcome: int(float(number)) for outcome, number in found})


def test_of_fifty_that_ask_at_once_one_gets_the_only_task(pull: Pull) -> None:
    agent = known(pull, "cid")
    pull.task("only", host="cid")
    until(lambda: agent.get("tasks/only").status == 200)
    gate, before = threading.Barrier(50), counted(pull)

    def ask(_: int) -> int:
        gate.wait()
        return agent.dequeue().status

    with ThreadPoolExecutor(50) as threads:
        statuses = sorted(threads.map(ask, range(50)))
    assert statuses == [200] + [204] * 49
    assert len(pull.outcomes("only")) == 1
    assert counted(pull) - before == {"task": 1, "nothing": 49}


def crowded(agent: Agent, wait: float) -> list[HTTPConnection]:
    """As many requests that wait as may; the one that was too many has been sent away."""
    waiting = [agent.ask("POST", "dequeue", {"wait": wait}) for _ in range(MAX_WAITING + 1)]
    try:
        answered = until(lambda: [one for one in waiting if select.select([one.sock], [], [], 0)[0]])
        assert len(answered) == 1
        answer = answered[0].getresponse()
        assert (answer.status, int(answer.headers["Retry-After"]) > 0) == (204, True)
    except BaseException:
        for connection in waiting:
            connection.close()
        raise
    answered[0].close()
    return [connection for connection in waiting if connection is not answered[0]]


def test_past_the_bound_those_who_would_wait_are_sent_away_at_once(pull: Pull) -> None:
    agent, before = known(pull, "dan"), counted(pull)
    waiting = crowded(agent, 6)
    try:
        answer = agent.dequeue(wait=0.1)
        assert (answer.status, answer.body, int(str(header(answer, "Retry-After"))) > 0) == (204, b"", True)
        assert agent.dequeue().status == 204
        assert [connection.getresponse().status for connection in waiting] == [204] * MAX_WAITING
        assert counted(pull) - before == {"crowded": 2, "nothing": MAX_WAITING + 1}
    finally:
        for connection in waiting:
            connection.close()


def test_no_work_goes_to_agents_that_hung_up_while_they_waited(pull: Pull) -> None:
    agent = known(pull, "dan")
    for connection in crowded(agent, 30):
        connection.close()
    pull.task("for-who-stayed", host="dan")
    answer = agent.dequeue(wait=20)
    assert answer.status == 200, (pull.outcomes("for-who-stayed"), pull.said()[-1000:])
    assert (answer.json["task"], answer.json["epoch"]) == ("for-who-stayed", 1)


def test_an_agent_that_sends_nothing_more_after_its_request_is_given_work(pull: Pull) -> None:
    pull.task("half-closed", host="dan")
    until(lambda: known(pull, "dan").get("tasks/half-closed").status == 200)
    head = "POST /api/v1/dequeue HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer token-of-dan\r\n"
    more = "Content-Type: application/json\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"
    answer = raw(pull.port, (head + more).encode())
    assert answer.startswith(b"HTTP/1.1 200 OK")
    assert b'"half-closed"' in answer


def test_an_agent_gets_what_it_can_do_and_no_more_than_it_has_slots_for(pull: Pull) -> None:
    agent = known(pull, "eve")
    pull.task("hard", host="eve", requires=["python"])
    until(lambda: agent.get("tasks/hard").status == 200)
    assert agent.dequeue(capabilities=["other"]).status == 204
    assert agent.gets(capabilities=["python", "other"])["task"] == "hard"


def unauthorized(pull: Pull) -> dict[str, str | None]:
    return {
        "none": None,
        "empty": "",
        "unknown": "Bearer 0123456789abcdef0123456789abcdef",
        "nearly": "Bearer token-of-ad",
        "longer": "Bearer token-of-adaa",
        "no word": "token-of-ada",
        "basic": "Basic dG9rZW4tb2YtYWRh",
        "two": "Bearer token-of-ada token-of-ada",
        "bare": "Bearer",
        "its digest": "Bearer " + json.loads((pull.fleet.root / "hosts/ada.yaml").read_text())["token_sha256"][0],
        "strange": "Bearer t\xf6ken",
    }


def test_without_a_known_token_every_write_is_answered_alike(pull: Pull) -> None:
    answers = {}
    for number, (name, value) in enumerate(unauthorized(pull).items()):
        headers = JSON if value is None else {**JSON, "Authorization": value}
        answers[name] = request(pull.port, "POST", WRITES[number % 3], b"no json", headers)
    for answer in answers.values():
        problem(answer, 401)
        assert header(answer, "WWW-Authenticate") == 'Bearer realm="reconciler"'
        volatile = {"Date"}
        assert (answer.body, {k: v for k, v in answer.headers.items() if k not in volatile}) == (
            answers["none"].body,
            {k: v for k, v in answers["none"].headers.items() if k not in volatile},
        )
    assert request(pull.port, "POST", WRITES[1], b"{}", {"Authorization": "bEARER token-of-ada"}).status == 404


def test_guesses_are_limited_and_a_right_token_never_is(tmp_path: Path) -> None:
    with pulling(tmp_path) as pull:
        agent = pull.agent("ada")
        pull.start()
        wrong = Agent(pull=pull, name="x", token="hunter2-hunter2")  # noqa: S106 - no token of anybody
        assert [wrong.dequeue().status for _ in range(MOST_FAILURES)] == [401] * MOST_FAILURES
        refused = wrong.get("tasks")
        problem(refused, 429)
        assert 0 < int(str(header(refused, "Retry-After"))) <= WITHIN_S
        assert agent.dequeue().status == 204
        assert request(pull.port, "POST", WRITES[0], b"{}", JSON).status == 401
        assert "hunter2" not in pull.said()
        assert "token-of-ada" not in pull.said()


def test_who_may_guess_again_and_how_many_are_remembered() -> None:
    now = [0.0]
    failures = Failures(lambda: now[0])
    assert [failures.note("10.0.0.1") for _ in range(MOST_FAILURES)] == [None] * MOST_FAILURES
    assert (failures.note("10.0.0.1"), failures.note("10.0.0.2")) == (60, None)
    now[0] = 59.5
    assert failures.note("10.0.0.1") == 1
    now[0] = 60
    assert failures.note("10.0.0.1") is None
    for number in range(MOST_FAILURES):
        assert failures.note(f"2001:db8::{number:x}") is None
    assert failures.note("2001:db8::ffff") == 60
    assert failures.note("2001:db8:0:1::1") is None
    for number in range(MOST_ADDRESSES):
        failures.note(f"10.1.{number // 256}.{number % 256}")
    assert failures.note("2001:db8::ffff") is None


@pytest.mark.parametrize(
    ("path", "body", "paths"),
    [
        ("dequeue", {"wait": -1, "waits": 1}, ["/wait", "/waits"]),
        ("dequeue", {"wait": 30.5}, ["/wait"]),
        ("dequeue", {"wait": True}, ["/wait"]),
        ("dequeue", {"wait": None}, ["/wait"]),
        ("dequeue", {"idempotency_key": "x" * 201}, ["/idempotency_key"]),
        ("dequeue", {"idempotency_key": ""}, ["/idempotency_key"]),
        ("dequeue", {"capabilities": "python"}, ["/capabilities"]),
        ("dequeue", {"capabilities": ["python", 3]}, ["/capabilities/1"]),
        ("dequeue", [], [""]),
        ("dequeue", None, [""]),
        ("dequeue", {"a~b/c": 1}, ["/a~0b~1c"]),
        ("dequeue", {f"key{number}": 1 for number in range(5000)}, None),
        ("tasks/wrong-1/heartbeat", {}, ["/epoch"]),
        ("tasks/wrong-1/heartbeat", {"epoch": "1"}, ["/epoch"]),
        ("tasks/wrong-1/heartbeat", {"epoch": 0}, ["/epoch"]),
        ("tasks/wrong-1/heartbeat", {"epoch": 2**53}, ["/epoch"]),
        ("tasks/wrong-1/heartbeat", {"epoch": 1.5}, ["/epoch"]),
        ("tasks/wrong-1/status", {}, ["/epoch", "/phase"]),
        ("tasks/wrong-1/status", {"epoch": 1, "phase": "cancelled"}, ["/phase"]),
        ("tasks/wrong-1/status", {"epoch": 1, "phase": "failed", "summary": "x" * 70000}, ["/summary"]),
        ("tasks/wrong-1/status", {"epoch": 1, "phase": "failed", "usage": {"tokens": 1}}, ["/usage/tokens"]),
        ("tasks/wrong-1/status", {"epoch": 1, "phase": "failed", "usage": {"cost_usd": -1}}, ["/usage/cost_usd"]),
        ("tasks/wrong-1/status", {"epoch": 1, "phase": "running", "branch_name": "main"}, ["/branch_name"]),
        ("tasks/wrong-1/status", {"epoch": 1, "phase": "review_pending", "pr_url": "javascript:1"}, ["/pr_url"]),
        ("tasks/wrong-1/status", {"epoch": 1, "phase": "review_pending", "pr_url": "https://[/1"}, ["/pr_url"]),
        ("tasks/wrong-1/status", {"epoch": 1, "phase": "review_pending", "pr_url": "https://h/app"}, ["/pr_url"]),
        ("tasks/wrong-1/status", {"epoch": 1, "phase": "review_pending", "pr_url": "ftp://h/pulls/1"}, ["/pr_url"]),
        ("tasks/wrong-1/status", {"epoch": 1, "phase": "review_pending", "pr_url": "http://u@h/1"}, ["/pr_url"]),
        ("tasks/wrong-1/status", {"epoch": 1, "phase": "review_pending", "pr_url": "http://h/\x1b[2J1"}, ["/pr_url"]),
        ("tasks/wrong-1/status", {"epoch": 1, "phase": "review_pending", "pr_url": 'http://h/"><b>/1'}, ["/pr_url"]),
    ],
    ids=str,
)
def test_what_does_not_fit_its_schema_is_named_place_by_place(
    pull: Pull, path: str, body: object, paths: list[str] | None
) -> None:
    agent = known(pull, "fay")
    pull.task("wrong-1", host="fay")
    agent.gets(idempotency_key="wrong")
    document = problem(agent.call("POST", path, body) if body is not None else post(
        pull, f"/api/v1/{path}", b"null", Authorization=f"Bearer {agent.token}", **JSON), 422)  # fmt: skip
    assert paths is None or [one["path"] for one in document["errors"]] == paths
    assert all(one["message"] for one in document["errors"])
    assert 0 < len(document["errors"]) <= schemas.MOST_WRONG


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"{}", {}, 415),
        (b"{}", {"Content-Type": "text/plain"}, 415),
        (b"a=1", {"Content-Type": "application/x-www-form-urlencoded"}, 415),
        (b"{}", {"Content-Type": "application/json; charset=utf-8"}, 200),
        (b"", JSON, 400),
        (b"{", JSON, 400),
        (b'{"epoch": NaN}', JSON, 400),
        (b'{"epoch": 1, "a": "\\ud800"}', JSON, 400),
        (b'{"epoch": "\xff"}', JSON, 400),
        (b'{"a":' * 200 + b"1" + b"}" * 200, JSON, 400),
        (b'{"a": "' + b"x" * MAX_BODY + b'"}', JSON, 413),
    ],
    ids=["none", "text", "form", "charset", "empty", "half", "nan", "surrogate", "latin", "deep", "large"],
)
def test_a_body_is_json_within_bounds(pull: Pull, body: bytes, headers: Mapping[str, str], status: int) -> None:
    order = gus(pull)
    sent = body if status != 200 else json.dumps({"epoch": order["epoch"]}).encode()
    token = {"Authorization": "Bearer token-of-gus"}
    answer = request(pull.port, "POST", "/api/v1/tasks/body/heartbeat", sent, {**token, **headers})
    assert answer.status == status
    if status != 200:
        problem(answer, status)


def gus(pull: Pull) -> dict[str, Any]:
    pull.task("body", host="gus")
    return known(pull, "gus").gets(idempotency_key="body")


def test_refusals_come_in_their_order(pull: Pull) -> None:
    agent, _ = given(pull, "hal", "order")
    other = known(pull, "ida")
    for what in ("heartbeat", "status"):
        problem(agent.call("POST", f"tasks/nowhere/{what}", {"epoch": "x"}), 404)
        problem(agent.call("POST", f"tasks/no%20id/{what}", {"epoch": 1}), 404)
        problem(other.call("POST", f"tasks/order/{what}", {"epoch": "x"}), 403)
        problem(agent.call("POST", f"tasks/for-ssh/{what}", {"epoch": "x"}), 403)
        problem(agent.call("POST", f"tasks/order/{what}", {"epoch": "x"}), 422)
    assert problem(agent.heartbeat("order", 2), 409)["code"] == "superseded"
    assert problem(agent.status("order", 7, "running"), 409)["code"] == "superseded"
    tip = pull.tip()
    assert problem(agent.status("order", 2, "completed"), 409)["code"] == "superseded"
    problem(other.status("order", 1, "completed"), 403)
    assert pull.tip() == tip


def test_a_task_that_nobody_has_can_be_reported_by_nobody(pull: Pull) -> None:
    agent = known(pull, "ida")
    pull.task("nobodys", host="ida", desired="hold")
    until(lambda: agent.get("tasks/nobodys").status == 200)
    assert problem(agent.heartbeat("nobodys", 1), 409)["code"] == "superseded"
    assert problem(agent.status("nobodys", 1, "completed"), 409)["code"] == "superseded"


@pytest.mark.parametrize(
    ("phase", "more", "becomes", "failure"),
    [
        ("failed", {"reason": "the tests fail"}, "created", "agent_error"),
        ("blocked", {"reason": "which database?"}, "blocked", "waiting_input"),
        ("completed", {}, "completed", None),
        ("review_pending", {}, "review_pending", None),
    ],
)
def test_the_same_end_twice_is_answered_alike_and_another_end_refused(
    pull: Pull, phase: str, more: dict[str, object], becomes: str, failure: str | None
) -> None:
    task_id = f"end-{phase.replace('_', '-')}"
    agent, _ = given(pull, "jim", task_id)
    first = agent.status(task_id, 1, phase, **more)
    assert good(first, "http-status-response")["phase"] == phase
    observed = pull.fleet.observed(task_id)
    assert (observed["phase"], observed["runs"][0].get("failure")) == (becomes, failure)
    assert (observed["runs"][0].get("error"), observed.get("attempts", 0)) == (more.get("reason"), phase == "failed")
    tip = pull.tip()
    again = agent.status(task_id, 1, phase, **more)
    assert (again.status, again.body) == (200, first.body)
    for other in {"failed", "blocked", "completed", "review_pending"} - {phase}:
        assert problem(agent.status(task_id, 1, other), 409)["code"] == "conflict"
    assert problem(agent.status(task_id, 1, "running"), 409)["code"] == "conflict"
    assert pull.tip() == tip


def test_many_at_once_report_one_end(pull: Pull) -> None:
    agent, _ = given(pull, "jim", "once")
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: agent.status("once", 1, "failed", reason="no"), range(8)))
    assert {(one.status, one.body) for one in answers} == {(200, answers[0].body)}
    assert pull.fleet.observed("once")["attempts"] == 1


def test_what_an_agent_says_is_kept_within_bounds_and_without_its_token(pull: Pull) -> None:
    agent, _ = given(pull, "kim", "says")
    summary = f"used {agent.token} \u2028\x1b[31m\x00 \ud83d\ude00 " + "ä" * 10_000
    assert agent.status("says", 1, "completed", summary=summary).status == 200
    kept = pull.fleet.last_run("says")["summary"]
    assert kept.startswith("used *** [31m \U0001f600 ä")
    assert len(kept.encode()) <= 4096


def test_a_pull_request_is_taken_from_its_address_where_no_forge_is_asked(pull: Pull) -> None:
    agent, _ = given(pull, "leo", "pr", delivery="pull_request")
    assert problem(agent.status("pr", 1, "completed"), 409)["code"] == "conflict"
    url = "https://forge.example.org/team/app2/pulls/12/files?page=3"
    sent = {"pr_url": url, "pr_title": "Do\n\x1b it", "branch_name": "task/pr"}
    assert agent.status("pr", 1, "review_pending", **sent).status == 200
    observed = pull.fleet.observed("pr")
    assert (observed["phase"], observed["pr_title"]) == ("review_pending", "Do it")
    assert observed["pr"] == {"number": 12, "url": url, "state": "open"}
    tip = pull.tip()
    assert agent.status("pr", 1, "review_pending", **sent).status == 200
    assert pull.tip() == tip


def test_a_cancel_is_told_then_final_and_the_end_that_brought_it_is_answered_alike(pull: Pull) -> None:
    agent, _ = given(pull, "mia", "stop")
    pull.task("stop", host="mia", desired="cancel")
    until(lambda: agent.heartbeat("stop", 1).json["cancel"])
    assert agent.status("stop", 1, "running").json["cancel"]
    first = agent.status("stop", 1, "failed", reason="told to stop")
    assert first.status == 200
    observed = pull.fleet.observed("stop")
    assert (observed["phase"], observed["runs"][0]["outcome"]) == ("cancelled", "cancelled")
    assert observed.get("attempts", 0) == 0
    assert agent.status("stop", 1, "failed").body == first.body
    problem(agent.heartbeat("stop", 1), 410)
    problem(agent.status("stop", 1, "running"), 410)
    problem(agent.status("stop", 1, "completed"), 410)


def test_work_that_was_done_before_the_cancel_was_heard_is_recorded_and_cancelled(pull: Pull) -> None:
    agent, _ = given(pull, "mia", "late")
    pull.task("late", host="mia", desired="cancel")
    until(lambda: agent.heartbeat("late", 1).json["cancel"])
    assert agent.status("late", 1, "completed").status == 200
    observed = pull.fleet.observed("late")
    assert (observed["phase"], observed["runs"][0]["outcome"]) == ("cancelled", "succeeded")
    problem(agent.heartbeat("late", 1), 410)


def test_an_agent_whose_host_is_gone_ends_its_run_and_gets_no_other(tmp_path: Path) -> None:
    with pulling(tmp_path) as pull:
        agent = pull.agent("ada", slots=2)
        pull.task("one")
        pull.start()
        agent.gets()
        pull.task("two")
        until(lambda: agent.get("tasks/two").status == 200)
        (pull.fleet.root / "hosts" / "ada.yaml").unlink()
        until(lambda: agent.dequeue().status == 401)
        assert {agent.dequeue().status for _ in range(MOST_FAILURES + 1)} == {401}
        assert agent.heartbeat("one", 1).status == 200
        assert agent.status("one", 1, "completed").status == 200
        assert pull.fleet.phase("one") == "completed"
        until(lambda: agent.heartbeat("one", 1).status == 401)


def test_an_end_is_answered_alike_and_a_stale_epoch_refused_after_a_restart(tmp_path: Path) -> None:
    with pulling(tmp_path) as pull:
        agent, other = pull.agent("ada"), pull.agent("bea")
        pull.task("one", host="ada")
        pull.start()
        agent.gets(idempotency_key="k")
        pull.restart()
        assert agent.status("one", 1, "running").status == 200
        first = agent.status("one", 1, "completed")
        pull.task("one", host="bea", generation=2)
        assert other.gets()["epoch"] == 2
        for _ in range(2):
            assert agent.status("one", 1, "completed").body == first.body
            assert agent.gets(idempotency_key="k")["run_id"].endswith(".one.1")
            assert problem(agent.heartbeat("one", 1), 409)["code"] == "superseded"
            assert problem(agent.status("one", 1, "failed"), 409)["code"] == "superseded"
            problem(agent.status("one", 2, "failed"), 403)
            pull.restart()
        assert pull.fleet.phase("one") == "assigned"


def test_tasks_are_listed_by_pages_and_filters_as_status_shows_them(pull: Pull) -> None:
    agent, order = given(pull, "ned", "list-a")
    pull.task("list-b", host="ned", desired="hold")
    pull.task("list-c", host="ned", desired="hold")
    until(lambda: [agent.get(f"tasks/list-{name}").status for name in "bc"] == [200, 200])
    assert agent.status("list-a", 1, "running").status == 200
    pages, path = [], "/api/v1/tasks?limit=1&execution_mode=http_pull"
    while path:
        answer = agent.get(path.removeprefix("/api/v1/"))
        page = answer.json
        assert all(schemas.wrong("http-task", task) == () for task in page["tasks"])
        pages.append([task["id"] for task in page["tasks"]])
        link = header(answer, "Link")
        assert (link is None) == (page["next"] is None)
        path = link.partition("<")[2].partition(">")[0] if link else ""
    assert pages == [["list-a"], ["list-b"], ["list-c"]]
    running = agent.get("tasks?phase=running&phase=assigned").json["tasks"]
    assert [(task["id"], task["runs"][0]["run_id"]) for task in running] == [("list-a", order["run_id"])]
    assert agent.get("tasks?execution_mode=ssh_cli").json == {"tasks": [], "next": None}
    everything = request(pull.port, "GET", "/api/v1/tasks?limit=200").json["tasks"]
    assert {"for-ssh", "list-a", "list-b"} <= {task["id"] for task in everything}
    assert [task["id"] for task in everything] == sorted(task["id"] for task in everything)


@pytest.mark.parametrize(
    ("query", "paths"),
    [
        ("limit=0", ["/limit"]),
        ("limit=201", ["/limit"]),
        ("limit=ten", ["/limit"]),
        ("limit=", ["/limit"]),
        ("limit=-1", ["/limit"]),
        ("limit=" + "9" * 5000, ["/limit"]),
        ("limit=1&limit=2", ["/limit"]),
        ("phase=done", ["/phase/0"]),
        ("phase=created&phase=x", ["/phase/1"]),
        ("execution_mode=pull", ["/execution_mode/0"]),
        ("phse=created", ["/phse"]),
        ("cursor=" + "x" * 64, ["/cursor"]),
    ],
)
def test_a_query_is_judged_by_its_schema(pull: Pull, query: str, paths: list[str]) -> None:
    document = problem(request(pull.port, "GET", f"/api/v1/tasks?{query}"), 422)
    assert [one["path"] for one in document["errors"]] == paths


def test_who_has_an_answer_is_told_only_when_it_has_changed(pull: Pull) -> None:
    agent, _ = given(pull, "oto", "etag")
    path = "/api/v1/tasks/etag"
    tag = str(header(request(pull.port, "GET", path), "ETag"))
    for sent in (tag, f'W/{tag}, "x"', "*"):
        same = request(pull.port, "GET", path, headers={"If-None-Match": sent})
        assert (same.status, same.body, header(same, "ETag")) == (304, b"", tag)
    assert agent.status("etag", 1, "running").status == 200
    changed = request(pull.port, "GET", path, headers={"If-None-Match": tag})
    assert (changed.status, changed.json["phase"]) == (200, "running")
    assert header(changed, "Vary") == "Authorization"
    listed = str(header(request(pull.port, "GET", "/api/v1/tasks?phase=cancelled&limit=1"), "ETag"))
    same = request(pull.port, "GET", "/api/v1/tasks?phase=cancelled&limit=1", headers={"If-None-Match": listed})
    assert same.status == 304
    head = request(pull.port, "HEAD", "/api/v1/tasks/etag")
    assert (head.status, head.body, header(head, "ETag")) == (200, b"", header(changed, "ETag"))


def test_an_agent_reads_its_own_tasks_and_those_it_could_get(pull: Pull) -> None:
    agent, _ = given(pull, "pam", "own")
    pull.task("foreign", requires=["leo"], desired="hold")
    pull.task("fitting", requires=["pam"], desired="hold")
    until(lambda: agent.get("tasks/fitting").status == 200)
    assert {task["id"] for task in agent.get("tasks").json["tasks"]} >= {"own", "fitting"}
    assert not {"foreign", "for-ssh"} & {task["id"] for task in agent.get("tasks").json["tasks"]}
    problem(agent.get("tasks/foreign"), 403)
    problem(agent.get("tasks/for-ssh"), 403)
    problem(agent.get("tasks/nowhere"), 404)
    problem(known(pull, "leo").get("tasks/own"), 403)


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Forwarded-For": "203.0.113.1"},
        {"X-Forwarded-Host": "localhost"},
        {"X-Forwarded-Proto": "https"},
        {"X-Forwarded-Anything": ""},
        {"Forwarded": "for=203.0.113.1"},
        {"X-Real-IP": "203.0.113.1"},
        {"Via": "1.1 proxy"},
        {"Host": "evil.example.org"},
        {"Host": "localhost.evil.example.org:80"},
        {"Host": "203.0.113.1"},
    ],
    ids=str,
)
def test_what_did_not_certainly_come_from_this_machine_needs_a_token_to_read(
    pull: Pull, headers: dict[str, str]
) -> None:
    for path in ("/api/v1/tasks", "/api/v1/tasks/for-ssh", "/api/v1/tasks/nowhere"):
        problem(request(pull.port, "GET", path, headers=headers), 401)
    token = {"Authorization": "Bearer token-of-ada"}
    assert request(pull.port, "GET", "/api/v1/tasks", headers={**headers, **token}).status == 200


@pytest.mark.parametrize(
    ("listens", "peer", "host", "own"),
    [
        ("127.0.0.1", "127.0.0.1", "localhost:8732", True),
        ("127.0.0.1", "127.0.0.1", "127.0.0.1", True),
        ("::1", "::1", "[::1]:8732", True),
        ("::ffff:127.0.0.1", "::ffff:127.0.0.1", "LOCALHOST", True),
        ("0.0.0.0", "127.0.0.1", "localhost", False),  # noqa: S104 - what it must not be
        ("127.0.0.1", "192.0.2.1", "localhost", False),
        ("127.0.0.1", "127.0.0.1", "", False),
        ("127.0.0.1", "127.0.0.1", "localhost:1:2", False),
        ("127.0.0.1", "127.0.0.1", "127.0.0.1.example.org", False),
        ("127.0.0.1", "", "localhost", False),
        (None, "127.0.0.1", "localhost", False),
    ],
)
def test_only_this_machine_speaks_for_itself(listens: str | None, peer: str, host: str, *, own: bool) -> None:
    assert nearby.is_own(listens=listens, peer=peer, host=host, headers=["HOST", "ACCEPT"]) is own


def test_a_method_or_path_that_is_not_there_is_a_problem(pull: Pull) -> None:
    allowed = {**dict.fromkeys(WRITES, "POST"), "/api/v1/tasks": "GET, HEAD", "/api/v1/tasks/t": "GET, HEAD"}
    for path, methods in allowed.items():
        for method in {"GET", "POST", "PUT", "PATCH", "DELETE"} - set(methods.split(", ")):
            answer = request(pull.port, method, path)
            problem(answer, 405)
            assert header(answer, "Allow") == f"{methods}, OPTIONS"
    for path in ("/api/v1", "/api/v1/tasks/t/other", "/api/v2/tasks", "/api/v1/tasks/t/status/x"):
        problem(request(pull.port, "GET", path), 404)


def test_a_review_round_hands_out_what_is_to_be_addressed(tmp_path: Path) -> None:
    forge = {"kind": "forgejo", "url": "https://git.example.org", "webhook_secret_env": "HOOK_SECRET"}
    with pulling(tmp_path, forge=forge) as pull:
        pull.env["HOOK_SECRET"] = KEY
        agent = pull.agent("ada")
        pull.task("parser", repository=f"https://git.example.org/{deliveries.REPOSITORY}.git", base="main")
        pull.start()
        first = agent.gets()
        assert (first["kind"], first["delivery"], first["base"]) == ("implement", "pull_request", "main")
        url = "https://git.example.org/team/shop/pulls/3"
        assert agent.status("parser", 1, "review_pending", pr_url=url).status == 200
        assert pull.fleet.observed("parser")["pr"]["number"] == 3
        body = json.dumps(deliveries.review_event("pull_request_review_rejected", "Add `tests`.")).encode()
        kind = {"X-Forgejo-Event": "pull_request_rejected", "X-Forgejo-Event-Type": "pull_request_review_rejected"}
        headers = {**signed(body), **kind}
        assert request(pull.port, "POST", "/webhooks/forgejo", body, headers).status == 202
        second = agent.gets(idempotency_key="round")
        assert (second["kind"], second["epoch"]) == ("address_review", 2)
        assert "## Review to address" in second["prompt"]
        assert "Add `tests`." in second["prompt"]
        assert second["prompt"].index("## Review to address") < second["prompt"].index("## Goal")
        assert agent.gets(idempotency_key="round") == second
        assert agent.status("parser", 1, "review_pending", pr_url=url).status == 200
        assert problem(agent.status("parser", 1, "completed"), 409)["code"] == "superseded"
        assert agent.status("parser", 2, "review_pending", pr_url=url).status == 200
        assert pull.fleet.phase("parser") == "review_pending"
        shown = agent.get("tasks/parser").json
        assert schemas.wrong("http-task", shown) == ()
        done = program.run("status", "parser", "--json", cwd=pull.fleet.root, env=pull.env)
        assert done.json == shown
        again = agent.gets(idempotency_key="round")
        assert {**again, "lease_expires_at": ""} == {**second, "lease_expires_at": ""}


def test_an_agent_whose_host_is_gone_is_known_as_soon_as_anybody_listens(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as hanging, pulling(tmp_path) as pull:
        agent = pull.agent("ada")
        pull.task("one")
        pull.start()
        agent.gets()
        pull.stop()
        pull.fleet.commit("Keep the host")
        (pull.fleet.root / "hosts" / "ada.yaml").unlink()
        url = f"http://127.0.0.1:{hanging.getsockname()[1]}"
        pull.fleet.write("state/settings.yaml", {"forge": {"kind": "forgejo", "url": url, "token_env": "FORGE_TOKEN"}})
        pull.env["FORGE_TOKEN"] = "x"  # noqa: S105 - no password of anybody
        pull.start()
        assert agent.heartbeat("one", 1).status == 200
        assert agent.status("one", 1, "completed").status == 200
        pull.kill()


def test_what_could_not_be_recorded_is_never_answered_as_if_it_were(tmp_path: Path) -> None:
    with pulling(tmp_path) as pull:
        agent = pull.agent("ada")
        pull.task("one")
        pull.start()
        agent.gets()
        tip = pull.tip()
        git(pull.fleet.root, "update-ref", "refs/heads/observed", f"{tip}~1")
        answer = agent.status("one", 1, "completed")
        problem(answer, 503)
        assert int(str(header(answer, "Retry-After"))) > 0
        assert pull.tip() == git(pull.fleet.root, "rev-parse", f"{tip}~1")
        pull.kill()
