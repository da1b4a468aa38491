"""People are told by a real process what waits for them, and can try and see by which channels."""

import socket

from tests.contract.scripted import Reply, Scripted
from tests.e2e import program
from tests.e2e.fleets import Fleet
from tests.smtp import smtp

ASKS = 'printf \'{"type":"error","message":"needs an answer: which port?"}\\n\'\n'


def test_a_blocked_task_is_told_once_and_a_channel_that_fails_is_seen(fleet: Fleet, server: Scripted) -> None:
    server.script = {"POST /hook": Reply(data={})}
    with socket.create_server(("127.0.0.1", 0)) as busy:
        dead = busy.getsockname()[1]
    with smtp() as mails:
        mail = {"host": "localhost", "port": mails.port, "security": "none", "sender": "f@x.org", "to": ["ada@x.org"]}
        fleet.write(
            "state/settings.yaml",
            {
                "notify": {
                    "webhook": {"chat": {"url": f"{server.url}/hook", "template": "{{ task }}: {{ said }}"}},
                    "email": {"ada": {**mail, "on": ["failed"]}},
                    "matrix": {"team": {"server": f"http://localhost:{dead}", "room": "!r:x.org", "token_env": "NO"}},
                }
            },
        )
        fleet.task("ask", f"{fleet.ran}{ASKS}", adapter="jsonl")

        fleet.until_idle()

        (asked,) = server.asked
        assert asked.body["text"] == "ask: needs an answer: which port?"
        assert [one["key"] for one in asked.body["notices"]] == ["blocked/ask/1.1.0/waiting_input"]
        assert mails.taken == []
        refused = "matrix/team takes no notifications since "
        assert refused in program.run("status", cwd=fleet.root).out

        tried = program.run("notify", "--test", "--json", cwd=fleet.root, env={"NO": "t0ken"})
        assert tried.exit == 1
        states = {one["channel"]: one["state"] for one in tried.json["channels"]}
        assert states == {"webhook/chat": "right", "email/ada": "right", "matrix/team": "wrong"}
        assert len(mails.taken) == 1
        assert "t0ken" not in tried.out

    seen = {one["channel"]: one for one in program.run("notify", "--json", cwd=fleet.root).json["channels"]}
    assert [seen[name]["state"] for name in ("webhook/chat", "email/ada", "matrix/team")] == ["right", "note", "wrong"]
    assert "NO is not set where the reconciler runs" in seen["matrix/team"]["message"]
    assert seen["webhook/chat"]["message"].startswith("took 1 in all")
