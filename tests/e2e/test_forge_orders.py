"""Merged, changes requested, synchronized, closed and reopened in many orders around a live run; all side by side.

Letters: `C` changes requested, `S` synchronized (a person pushes), `X` closed, `R` reopened, `M` merged, `L` the live
run may end. Each act is told twice; what is expected is what the forge shows in the end.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.forge.team import Team, working

ORDERS = ("CSML", "MLC", "XRCSM", "CXSRM", "LSCM", "SXL", "XLSC", "XRL", "CXRSL", "SCXRL", "LCS", "SLXCR")
AGENT = """echo "$run" >>"$task.txt"
if [ "$epoch" = 1 ]; then
  git add -A && git -c user.name=Agent -c user.email=agent@example.org commit -qm "Work by myself"
  git push -q origin "HEAD:refs/heads/task/$task"
  waits
fi
"""


def name(order: str) -> str:
    return f"t-{order.lower()}"


@pytest.fixture
def team(tmp_path: Path) -> Iterator[Team]:
    with working(tmp_path) as made:
        slots = {"transport": "local", "slots": len(ORDERS), "workdir": str(made.fleet.folder / "work")}
        made.fleet.write("hosts/here.yaml", slots)
        made.agent(AGENT)
        yield made


def act(team: Team, letter: str, order: str, number: int) -> None:
    forge, task_id = team.forge, name(order)
    match letter:
        case "C":
            forge.request_changes(number, f"Change {task_id}", [(f"{task_id}.txt", 1, "Here")])
        case "S":
            forge.push(f"task/{task_id}", {"by-a-person": f"{order}\n"})
        case "X":
            forge.close(number)
        case "R":
            forge.reopen(number)
        case "M":
            forge.merge(number)
        case _:
            team.go(task_id)


def expected(order: str) -> tuple[str, str | None, int]:
    """The phase, its reason, and how many reviews count, whatever was seen first."""
    counted = int("C" in order)
    if "M" in order:
        return "completed", None, counted
    if order.rfind("X") > order.rfind("R"):
        return "blocked", "pr_closed", counted
    return "review_pending", None, counted


def test_the_end_is_what_the_forge_shows_whatever_came_before_it(team: Team) -> None:
    forge = team.forge
    forge.outbox.twice = True
    for order in ORDERS:
        team.task(name(order))
    team.start()
    numbers: dict[str, int] = {}
    for order in ORDERS:
        team.until_waiting(f"{name(order)}.1")
        numbers[order] = forge.open(f"task/{name(order)}", f"Order {order}", by="ada")
    for order in ORDERS:
        team.until_phase(name(order), "review_pending")
    for step in range(max(map(len, ORDERS))):
        forge.advance(1)
        for order in ORDERS:
            for letter in order[step : step + 1]:
                act(team, letter, order, numbers[order])
    for order in ORDERS:
        team.go(name(order))
    seen = {order: settled(team, order) for order in ORDERS}
    team.stop()
    shown = {order: (one["phase"], one.get("reason"), one.get("review_count", 0)) for order, one in seen.items()}
    assert shown == {order: expected(order) for order in ORDERS}
    for order, one in seen.items():
        assert [run["epoch"] for run in one["runs"]] == [*range(1, one["epoch"] + 1)], order
        assert one["pr"]["number"] == numbers[order]
        assert forge.pulls_of(f"task/{name(order)}") == [numbers[order]]
    team.no_two_at_once()


def settled(team: Team, order: str) -> dict[str, Any]:
    """What is observed once nothing of the task runs and it stands where it should."""
    phase, reason, count = expected(order)
    task_id = name(order)
    rounds = phase == "review_pending" and order.rfind("C") > order.rfind("S")

    def look() -> bool:
        seen = team.seen(task_id)
        stands = (seen.get("phase"), seen.get("reason"), seen.get("review_count", 0)) == (phase, reason, count)
        last = seen.get("runs", [{}])[-1]
        return stands and "outcome" in last and (not rounds or last["outcome"] == "succeeded")

    team.until(look, f"{order} is {team.seen(task_id)}")
    return team.fleet.observed(task_id)
