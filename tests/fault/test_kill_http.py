"""The reconciler killed around requests of agents: each repeats what was not answered, and nothing is lost."""

import os
import signal
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.fleets import PROJECT
from tests.e2e.pullers import Agent, Pull, pulling
from tests.waiting import until

pytestmark = pytest.mark.fault

SHIM = Path(__file__).parent / "shims" / "http"
STRIDE = 4
"""Between two kills of one history; a history for each first one has every request once."""
MOST = 40
TASKS = ("one", "two", "three")
FIRSTS = (
    [(2, "after")]
    if "FAULT_SAMPLE" in os.environ
    else [(n, when) for n in range(1, STRIDE + 1) for when in ("before", "after")]
)


def works(agent: Agent, over: threading.Event) -> int:
    """Do all tasks one after the other, as an agent does that keeps its place on its own disk; how many."""

    def say(path: str, body: dict[str, object]) -> dict[str, Any]:
        while not over.wait(0.05):
            try:
                answer = agent.call("POST", path, body)
            except OSError:
                continue
            if answer.status != 204:
                assert answer.status == 200, answer
                given: dict[str, Any] = answer.json
                return given
        raise AssertionError("it was not answered in time")

    for number in range(len(TASKS)):
        given = say("dequeue", {"wait": 5, "idempotency_key": f"{number:032}"})
        path, epoch = f"tasks/{given['task']}", given["epoch"]
        say(f"{path}/status", {"epoch": epoch, "phase": "running"})
        say(f"{path}/heartbeat", {"epoch": epoch})
        say(f"{path}/status", {"epoch": epoch, "phase": "completed", "summary": "Done."})
    return len(TASKS)


def outlives(pull: Pull, work: Future[int]) -> int:
    """Start the reconciler again after each death until the work is done; how often it died."""
    deaths = 0
    while True:
        process = pull.process
        assert process is not None
        until(lambda: work.done() or process.poll() is not None, seconds=60)  # noqa: B023 - asked at once
        if work.done():
            return deaths
        assert process.wait() == -signal.SIGKILL, pull.said()
        deaths += 1
        pull.start(port=pull.port)


@pytest.mark.parametrize(("first", "when"), FIRSTS)
def test_a_reconciler_killed_around_requests_of_an_agent_gives_each_task_once(
    tmp_path: Path, first: int, when: str
) -> None:
    count, over = tmp_path / "requests", threading.Event()
    count.mkdir()
    with pulling(tmp_path / "team") as pull, ThreadPoolExecutor(1) as pool:
        pull.env = {
            "PYTHONPATH": f"{SHIM}:{PROJECT}",
            "KILL_COUNT": str(count),
            "KILL_AT": " ".join(map(str, range(first, MOST, STRIDE))),
            "KILL_WHEN": when,
        }
        agent = pull.agent("bot")
        for name in TASKS:
            pull.task(name)
        pull.start()
        try:
            work = pool.submit(works, agent, over)
            deaths = outlives(pull, work)
        finally:
            over.set()
        assert work.result() == len(TASKS)
        assert deaths >= 2
        for name in TASKS:
            pull.until_phase(name, "completed")
            assert pull.outcomes(name) == [("bot", "succeeded")]
            assert pull.fleet.observed(name)["attempts"] == 0
