"""`reconciler forge`: a real process connects a fleet with a forge, and says what it found, did and could not do."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.contract.scripted import Reply, Scripted
from tests.e2e.program import Done, git, run
from tests.forge.server import FakeForge

PUBLIC = "https://agents.example.org"
HOOK = f"{PUBLIC}/webhooks/forgejo"
NEW, OLD = "n" * 32, "o" * 32


def fleet(folder: Path, url: str, **keys: object) -> Path:
    """A fleet whose settings name a forge; a key of `None` is left out."""
    root = folder / "fleet"
    (root / "state" / "tasks").mkdir(parents=True)
    git(root, "init", "--quiet", "--initial-branch=main", ".")
    named = {
        "kind": "forgejo",
        "url": url,
        "token_env": "FORGE_TOKEN",
        "webhook_secret_env": ["NEW_SECRET", "OLD_SECRET"],
        "repositories": ["acme/widgets"],
        **keys,
    }
    settings = {"forge": {key: value for key, value in named.items() if value is not None}, "public_url": PUBLIC}
    (root / "state" / "settings.yaml").write_text(json.dumps(settings))
    return root


def ask(root: Path, *words: str, token: str = "", **env: str) -> Done:
    """What the command says; no secret is ever in it."""
    secrets = {"FORGE_TOKEN": token, "NEW_SECRET": NEW, "OLD_SECRET": OLD, **env}
    done = run("forge", *words, cwd=root, env=secrets)
    said = done.out + done.error
    for secret in (NEW, OLD, token):
        assert not secret or secret not in said
    return done


def hooks_of(forge: FakeForge) -> list[tuple[int, str, str, bool]]:
    with forge.lock:
        return [(one.id, one.url, one.secret, one.active) for one in forge.only.hooks]


def test_a_webhook_is_made_once_and_tested(forge: FakeForge, tmp_path: Path) -> None:
    root = fleet(tmp_path, forge.url)
    before = ask(root, "check", token=forge.token)
    assert before.exit == 1
    assert f"acme/widgets: no webhook goes to {HOOK}; run `reconciler forge setup`" in before.out
    assert hooks_of(forge) == []
    made = ask(root, "setup", token=forge.token)
    assert made.exit == 0, made.out
    assert "forgejo: the token is that of bot" in made.out
    ((number, *rest),) = hooks_of(forge)
    assert rest == [HOOK, NEW, True]
    assert f"acme/widgets: webhook {number} is made; a test delivery is on its way" in made.out
    assert "Recent Deliveries" in made.out
    assert forge.count("POST", f"/hooks/{number}/tests") == 1
    again = ask(root, "setup", token=forge.token)
    assert again.exit == 0
    assert f"webhook {number} is right" in again.out
    assert len(hooks_of(forge)) == 1
    good = ask(root, "check", token=forge.token)
    assert (good.exit, good.out.count("\n")) == (0, 2)
    assert forge.count("POST", f"/hooks/{number}/tests") == 2
    assert git(root, "status", "--porcelain", "--untracked-files=no") == ""


def test_a_webhook_that_lacks_something_is_mended_and_others_are_left_alone(forge: FakeForge, tmp_path: Path) -> None:
    root = fleet(tmp_path, forge.url)
    forge.hook("https://chat.example.org/hook", OLD, events=("push",))
    forge.hook(HOOK, OLD, events=("push",))
    with forge.lock:
        forge.only.hooks[1].active = False
    checked = ask(root, "setup", "--check", token=forge.token)
    assert checked.exit == 1
    assert "it is not active; it does not tell of issues" in checked.out
    done = ask(root, "setup", token=forge.token)
    assert done.exit == 0, done.out
    (other, (number, *mended)) = hooks_of(forge)
    assert other[1:] == ("https://chat.example.org/hook", OLD, True)
    assert f"webhook {number} is mended" in done.out
    assert mended == [HOOK, OLD, True]
    assert ask(root, "check", token=forge.token).exit == 0


def test_a_secret_is_rotated_by_a_new_webhook_in_place_of_all_old_ones(forge: FakeForge, tmp_path: Path) -> None:
    root = fleet(tmp_path, forge.url)
    forge.hook(HOOK, OLD)
    ((before, *_),) = hooks_of(forge)
    forge.hook("https://chat.example.org/hook", OLD)
    done = ask(root, "setup", "--rotate", token=forge.token)
    assert done.exit == 0, done.out
    assert f"webhook {before} with the secret before is deleted" in done.out
    assert "must know both" in done.out
    assert [(url, secret) for _, url, secret, _ in hooks_of(forge)] == [
        ("https://chat.example.org/hook", OLD),
        (HOOK, NEW),
    ]
    written = [line for line in forge.asked if line.method in {"POST", "DELETE"} and "tests" not in line.path]
    assert [one.method for one in written] == ["POST", "DELETE"]


def test_an_account_that_may_not_is_told_what_it_needs(forge: FakeForge, tmp_path: Path) -> None:
    root = fleet(tmp_path, forge.url)
    reader = ask(root, "setup", token=forge.user("eve").token)
    assert reader.exit == 1
    assert "eve may not write there; make it a collaborator" in reader.out
    assert "refused to list the webhooks of acme/widgets (403" in reader.out
    wrong = ask(root, "setup", token="0" * 40)
    assert wrong.exit == 1
    assert "make a new token for the API and put it into FORGE_TOKEN" in wrong.out
    assert hooks_of(forge) == []


def test_several_webhooks_to_one_place_are_told(server: Scripted, tmp_path: Path) -> None:
    root = fleet(tmp_path, server.url)
    config = {"url": HOOK, "content_type": "json"}
    whole = ["push", "issues", "issue_label", "pull_request", "pull_request_sync"]
    events = [*whole, "pull_request_review_approved", "pull_request_review_rejected", "pull_request_review_comment"]
    repository = "/api/v1/repos/acme/widgets"
    server.script = {
        "GET /api/v1/user": Reply(data={"login": "bot"}),
        f"GET {repository}/collaborators/bot/permission": Reply(data={"permission": "admin"}),
        f"GET {repository}/hooks": Reply(
            data=[
                {"id": 3, "active": True, "events": ["push"], "config": config},
                {"id": 5, "active": True, "events": events, "config": config},
            ]
        ),
        f"POST {repository}/hooks/5/tests": Reply(status=204),
    }
    done = ask(root, "setup", "--json", token="t" * 40)
    assert done.exit == 1
    findings: list[dict[str, Any]] = done.json["findings"]
    assert [(one["state"], one["hook"]) for one in findings if one["hook"]] == [("right", 5)]
    (said,) = [one["message"] for one in findings if one["state"] == "wrong"]
    assert said.startswith("webhook 3 goes there as well")
    assert {one.method for one in server.asked} == {"GET", "POST"}


def test_a_forge_that_does_not_answer_is_told_in_one_line(server: Scripted, tmp_path: Path) -> None:
    root = fleet(tmp_path, server.url, repositories=["acme/widgets", "acme/gadgets"])
    server.script = {"GET /api/v1/user": Reply(status=429, headers={"Retry-After": "30"}, data={})}
    done = ask(root, "setup", token="t" * 40)
    assert done.exit == 1
    assert done.out.count("\n") == 2
    assert "wants to be left alone for 30 s (429); run this again then" in done.out


def test_a_private_receiver_is_told_with_what_the_forge_needs(forge: FakeForge, tmp_path: Path) -> None:
    root = fleet(tmp_path, forge.url)
    for url, word in (
        ("http://127.0.0.1:8732", "loopback"),
        ("http://10.0.0.7:8732/", "private"),
        ("http://box", "private"),
    ):
        done = ask(root, "setup", "--url", url, token=forge.token)
        assert done.exit == 0, done.out
        assert f"ALLOWED_HOST_LIST = {word}" in done.out
    assert [url for _, url, _, _ in hooks_of(forge)][1] == "http://10.0.0.7:8732/webhooks/forgejo"
    assert "ALLOWED_HOST_LIST" not in ask(root, "setup", token=forge.token).out


def test_repositories_come_from_the_tasks_where_none_are_listed(forge: FakeForge, tmp_path: Path) -> None:
    root = fleet(tmp_path, forge.url, repositories=None)
    none = ask(root, "setup", token=forge.token)
    assert none.exit == 1
    assert "no repository to connect" in none.complaint
    (root / "adapters").mkdir()
    (root / "adapters" / "shell.yaml").write_text('run: [sh, "{prompt_file}"]\nprompt: file\n')
    task = {"title": "T", "goal": "true", "adapter": "shell", "repository": f"{forge.url}/acme/widgets.git"}
    (root / "state" / "tasks" / "one.yaml").write_text(json.dumps(task))
    (root / "state" / "tasks" / "two.yaml").write_text(json.dumps({**task, "branch": "task/other"}))
    done = ask(root, "setup", token=forge.token)
    assert done.exit == 0, done.out + done.error
    assert len(hooks_of(forge)) == 1


@dataclass(frozen=True, kw_only=True)
class Case:
    """A command line with something missing, and what is said of it."""

    says: str
    words: tuple[str, ...] = ("setup",)
    keys: Mapping[str, object] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    exit: int = 1


@pytest.mark.parametrize(
    "case",
    [
        Case(words=(), exit=2, says="action is missing; for example: reconciler forge setup"),
        Case(words=("sutep",), exit=2, says="forge takes setup or check"),
        Case(words=("check", "--rotate"), exit=2, says="--rotate changes webhooks"),
        Case(words=("setup", "--url", "agents.example.org"), exit=2, says="--url needs a URL such as"),
        Case(words=("setup", "--url", "http://[::1"), exit=2, says="--url needs a URL such as"),
        Case(env={"FORGE_TOKEN": ""}, says="FORGE_TOKEN is not set"),
        Case(env={"NEW_SECRET": ""}, says="NEW_SECRET is not set"),
        Case(env={"NEW_SECRET": "short"}, says="at least 16 characters"),
        Case(env={"NEW_SECRET": f"{NEW}\n"}, says="no space around"),
        Case(keys={"token_env": None}, says="forge.token_env is not set in state/settings.yaml"),
        Case(keys={"webhook_secret_env": None}, says="forge.webhook_secret_env is not set"),
    ],
    ids=lambda case: case.says,
)
def test_what_is_missing_is_said_in_one_line_before_anybody_is_asked(tmp_path: Path, case: Case) -> None:
    root = fleet(tmp_path, "http://127.0.0.1:1", **case.keys)
    done = ask(root, *case.words, **{"token": "t" * 40, **case.env})
    assert done.exit == case.exit
    assert case.says in done.complaint


def test_without_a_forge_or_an_address_it_says_where_to_write_them(tmp_path: Path) -> None:
    root = fleet(tmp_path, "http://127.0.0.1:1")
    settings = root / "state" / "settings.yaml"
    named = json.loads(settings.read_text())
    settings.write_text(json.dumps({"forge": named["forge"]}))
    assert "or set public_url" in ask(root, "setup", token="t" * 40).complaint
    settings.write_text("keep_runs: 3\n")
    assert "names no forge; write" in ask(root, "setup").complaint
    settings.write_text("keep_runs: no\n")
    assert "it has errors: reconciler validate" in ask(root, "setup").complaint
