"""Circuit breakers in a running fleet: what they hold, how people see and close them, with agents that die."""

from datetime import UTC, datetime, timedelta
from typing import Any

from tests.e2e import program
from tests.e2e.fleets import Fleet, git
from tests.waiting import until

LIMITED = 'printf \'{{"type":"error","message":"limit reached, resets at {stamp}"}}\\n\'\n'
RESULT = 'printf \'{"type":"result","text":"all done"}\\n\'\n'
DYING = ("a", "b", "c", "d", "e")


def why(fleet: Fleet, task_id: str) -> list[dict[str, Any]]:
    return list(program.run("why", task_id, "--json", cwd=fleet.root).json["conditions"])


def breakers(fleet: Fleet) -> dict[str, Any]:
    return {one["name"]: one for one in program.run("status", "--json", cwd=fleet.root).json["breakers"]}


def switched(fleet: Fleet, name: str) -> list[str]:
    """What the history says of one breaker, oldest first."""
    return git(fleet.root, "log", "--reverse", "--format=%s", "--grep", f"^Breaker: {name}$", "observed").splitlines()


def test_a_usage_limit_holds_every_task_of_the_account_until_its_reset(fleet: Fleet) -> None:
    fleet.write("hosts/here.yaml", {"transport": "local", "slots": 1, "workdir": str(fleet.folder / "work")})
    resets = (datetime.now(UTC) + timedelta(hours=2)).replace(microsecond=0)
    refusal = LIMITED.format(stamp=resets.strftime("%Y-%m-%dT%H:%M:%SZ"))
    goal = f"{fleet.ran}if [ -e {fleet.folder}/reset ]; then {RESULT}\nelse {refusal}\nfi"
    fleet.task("first", goal, adapter="jsonl", priority=1)
    fleet.task("second", goal, adapter="jsonl")
    fleet.task("third", f"{fleet.ran}{RESULT}", adapter="jsonl", env={"ACCOUNT": "another"})

    fleet.until_idle()

    assert fleet.runs() == ["first.1", "third.1"]
    ((name, known),) = breakers(fleet).items()
    assert name.startswith("usage/jsonl.")
    assert (known["state"], known["until"]) == ("open", resets.strftime("%Y-%m-%dT%H:%M:%SZ"))
    for task_id in ("first", "second"):
        said = [one for one in why(fleet, task_id) if name in one["why"]]
        assert [one["until"] for one in said] == [known["until"]]
    assert f"the breaker {name} is open" in program.run("status", cwd=fleet.root).out

    (fleet.folder / "reset").touch()
    fleet.move_clock(2 * 3600 + 60)
    fleet.until_idle()

    assert {fleet.phase(task_id) for task_id in ("first", "second", "third")} == {"completed"}
    assert sorted(fleet.runs()) == ["first.1", "first.2", "second.1", "third.1"]
    assert fleet.observed("first")["attempts"] == 0
    assert switched(fleet, name) == [
        f"breaker {name}: closed -> open (the account of jsonl is at its usage limit)",
        f"breaker {name}: open -> closed (its time is over)",
    ]


def test_runs_that_die_at_once_hold_the_fleet_until_a_person_closes_its_breaker(fleet: Fleet) -> None:
    fleet.write("hosts/here.yaml", {"transport": "local", "slots": 5, "workdir": str(fleet.folder / "work")})
    goal = f"{fleet.ran}if [ -e {fleet.folder}/mended ]; then echo well; else sleep 1000; fi"
    for task_id in DYING:
        fleet.task(task_id, goal)
    fleet.commit("Ask for much")
    dying = fleet.start()
    for task_id in DYING:
        dying.until_phase(task_id, "running")
    until(lambda: len(fleet.runs()) == len(DYING))
    fleet.end_runs()
    for task_id in DYING:
        seen = dying.until_phase(task_id, "blocked")
        assert (seen["reason"], seen["owner"]) == ("mass_death", "operator")
    dying.kill()
    assert dying.said().count("the breaker fleet is open") == 1
    fleet.task("waiting", fleet.ran)
    fleet.commit("Ask for more")
    assert "breaker fleet" not in fleet.until_idle().said()[len(dying.said()) :]
    check_held(fleet)
    released = program.run("release", "--breaker", "fleet", "--json", cwd=fleet.root)
    assert (released.exit, released.json["path"]) == (0, "state/settings.yaml")
    (fleet.folder / "mended").touch()
    assert fleet.until_idle().process.returncode == 0
    assert {fleet.phase(task_id) for task_id in (*DYING, "waiting")} == {"completed"}
    assert switched(fleet, "fleet")[1:] == ["breaker fleet: open -> closed (the settings say so)"]
    assert breakers(fleet) == {}
    assert git(fleet.root, "log", "-1", "--format=%s", "main") == "Close the breaker fleet"
    again = program.run("release", "--breaker", "fleet", cwd=fleet.root)
    assert (again.exit, again.complaint) == (1, 'reconciler: no breaker "fleet" is open')


def check_held(fleet: Fleet) -> None:
    """Also a reconciler that was started anew starts nothing, and both commands say why."""
    known = breakers(fleet)["fleet"]
    assert known["reason"].startswith("5 runs died within 60 s, 5 were live")
    for task_id in ("waiting", "a"):
        said = [one for one in why(fleet, task_id) if "the breaker fleet is open" in one["why"]]
        assert [(one["who"], one["until"]) for one in said] == [("operator", known["until"])]
        assert "`reconciler release --breaker fleet`" in said[0]["why"]
    assert sorted(fleet.runs()) == [f"{task_id}.1" for task_id in DYING]
    assert len(switched(fleet, "fleet")) == 1
