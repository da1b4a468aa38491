"""What people are told of tasks that wait for agents of others, and that nobody waits for them without an end."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from reconciler.repo.fleet import find
from tests.e2e.program import git, run
from tests.pulling import Clock, working
from tests.recording import own_git_config as own_git_config  # noqa: PLC0414 - a fixture for every test here

TASK = "title: Draw\ngoal: draw\nexecution_mode: http_pull\n"


@pytest.fixture(name="fleet")
def _fleet(tmp_path: Path) -> Path:
    """A fleet with one task for agents of others, and one host for them with a token."""
    assert run("init", "fleet", cwd=tmp_path).exit == 0
    fleet = tmp_path / "fleet"
    (fleet / "state" / "tasks" / "draw.yaml").write_text(TASK)
    (fleet / "hosts" / "bot.yaml").write_text("transport: pull\n")
    (fleet / "hosts" / "localhost.yaml").unlink()
    git(fleet, "add", ".")
    git(fleet, "commit", "--quiet", "--message", "Add a task for agents of others")
    return fleet


def test_a_fleet_of_which_only_agents_have_work_comes_to_an_end_and_says_what_it_waits_for(fleet: Path) -> None:
    ran = run("reconcile", "--until-idle", "--no-listen", cwd=fleet)
    assert ran.exit == 0
    assert "draw waits: no agent of bot has a token yet: make one with `reconciler token bot`" in ran.error
    assert run("token", "bot", cwd=fleet).exit == 0
    ran = run("reconcile", "--until-idle", "--no-listen", cwd=fleet)
    assert "draw waits: it waits for an agent of bot to ask for it" in ran.error
    assert "it waits for an agent of bot to ask for it" in run("why", "draw", cwd=fleet).out
    assert "agent of bot" in " ".join(run("status", cwd=fleet).out.split())


def test_why_names_an_agent_of_which_nothing_was_heard(fleet: Path) -> None:
    assert run("token", "bot", cwd=fleet).exit == 0
    with working(find(fleet), Clock(timedelta(minutes=-4))) as work:
        assert work.gets() is not None
        lease = work.edges.journal.lease("draw")
        assert lease is not None
        assert lease.until < datetime.now(UTC)
    told = json.loads(run("why", "draw", "--json", cwd=fleet).out)["conditions"][-1]
    assert told["why"].startswith("its agent on bot is unreachable")
    assert told["until"] == f"{lease.until + timedelta(minutes=15):%Y-%m-%dT%H:%M:%SZ}"
    assert "unreachable" in run("status", cwd=fleet).out
