"""Recorded deliveries sent to the running program in whatever order, doubled, forged and unsigned; it has no token."""

import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.fleets import git
from tests.forge.recorded import Recorded, deliveries
from tests.forge.server import FakeForge
from tests.forge.team import Team, files
from tests.forge.webhooks import Delivery, post, signed

RECORDED_SECRET = "whsec-local-example"  # noqa: S105 - the one in the recordings
BRANCHES = {
    "parser": ("maintainer/widgets", "task/1-add-json-parser"),
    "patch": ("anbraten/test-repo", "anbraten-patch-1"),
    "secrets": ("Test-CI/multi-line-secrets", "test-patch-1"),
    "hello": ("a_nice_user/hello_world_ci", "jony-patch-1"),
    "things": ("test_it/test_ci_thing", "6543-patch-1"),
    "changes": ("Codertocat/Hello-World", "changes"),
}
DONE = ("parser", "patch")
ORDERS = ("in order", "twice", "reversed", "shuffled 1", "shuffled 2", "shuffled 3")


def ordered(order: str, found: Sequence[Recorded]) -> list[Recorded]:
    match order:
        case "in order":
            return list(found)
        case "twice":
            return [one for one in found for _ in range(2)] + list(found)
        case "reversed":
            return list(found)[::-1]
        case _:
            shuffled = list(found)
            random.Random(order).shuffle(shuffled)  # noqa: S311 - the same order every time
            return shuffled


def listening(folder: Path, forge: FakeForge) -> Team:
    """A fleet without a token: a task on hold for every recorded branch, and no host that would take more."""
    repositories = sorted({repository for repository, _ in BRANCHES.values()} | {"example/example"})
    team = Team.make(
        folder,
        forge,
        token=False,
        webhooks=False,
        secret=RECORDED_SECRET,
        repositories=repositories,
        label="agent-task",
        authors=["maintainer"],
    )
    for task_id, (repository, branch) in BRANCHES.items():
        team.task(task_id, repository=f"/srv/{repository}.git", branch=branch, desired="hold")
    team.fleet.write("hosts/here.yaml", {"transport": "local", "drain": {"reason": "nothing is to run"}})
    team.fleet.commit("Hold everything")
    return team


def send(team: Team, found: Sequence[Recorded]) -> list[int]:
    return [post(one.delivery(f"{team.url}/webhooks/{one.forge}", RECORDED_SECRET)) for one in found]


def what_came_of_it(folder: Path, order: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The files of `observed` and `main` after the deliveries in this order, times of ours left out."""
    since = datetime.now(UTC).replace(microsecond=0)
    found = deliveries()
    with FakeForge.running(folder / "forge") as forge:
        team = listening(folder, forge)
        try:
            team.start()
            assert set(send(team, ordered(order, found))) == {202}
            team.until_acted()
            team.stop()
            return files(team, since=since), team.tasks_on_main()
        finally:
            team.end()


@pytest.fixture(scope="module")
def in_order(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], dict[str, Any]]:
    return what_came_of_it(tmp_path_factory.mktemp("in-order"), "in order")


def test_recorded_deliveries_move_the_tasks_of_their_branches(in_order: tuple[dict[str, Any], dict[str, Any]]) -> None:
    observed, main = in_order
    seen = {name.rpartition("/")[2].removesuffix(".yaml"): document for name, document in observed.items()}
    assert {task_id: (one["phase"], one.get("reason")) for task_id, one in seen.items()} == {
        "parser": ("completed", None),
        "patch": ("completed", None),
        "secrets": ("review_pending", None),
        "hello": ("created", None),
        "changes": ("blocked", "pr_closed"),
    }
    assert {name for name in observed if "/done/" in name} == {f"state/observed/done/{one}.yaml" for one in DONE}
    parser = seen["parser"]
    assert [review["verdict"] for review in parser["reviews"]] == ["changes_requested", "approved"]
    assert (parser["review_count"], parser["pr"]["number"], parser["pr"]["state"]) == (1, 3, "merged")
    assert parser["pr"]["head_sha"] == "7889853af7dcc358132c333e513fdcafd811fe19"
    assert (seen["hello"]["rework"], seen["hello"]["review_count"]) == (True, 1)
    (new,) = [task for name, task in main.items() if name.removesuffix(".yaml").rpartition("/")[2] not in BRANCHES]
    assert (new["title"], new["issue"].endswith("/maintainer/widgets/issues/1")) == ("Add a JSON parser", True)


@pytest.mark.parametrize("order", ORDERS[1:])
def test_the_order_and_the_number_of_deliveries_change_nothing(
    tmp_path: Path, in_order: tuple[dict[str, Any], dict[str, Any]], order: str
) -> None:
    observed, main = what_came_of_it(tmp_path, order)
    assert observed == in_order[0]
    assert main == in_order[1]


def test_forged_and_unsigned_deliveries_change_nothing(tmp_path: Path) -> None:
    merged = next(one for one in deliveries() if one.name.startswith("10_"))
    with FakeForge.running(tmp_path / "forge") as forge:
        team = listening(tmp_path, forge)
        try:
            team.start()
            url = f"{team.url}/webhooks/gitea"
            good = merged.delivery(url, RECORDED_SECRET)
            names = ("X-Gitea-Signature", "X-Gogs-Signature", "X-Hub-Signature-256")
            empty = dict.fromkeys(names, "")
            sha1 = {name: value for name, value in good.headers.items() if name not in names}
            forged: list[Delivery] = [
                signed(url, "another secret", merged.event, merged.event_type, merged.body),
                signed(url, "", merged.event, merged.event_type, merged.body),
                replace(good, headers={**good.headers, **empty, "X-Hub-Signature": "sha1="}),
                replace(good, headers=sha1),
                replace(good, body=good.body.replace(b'"merged": true', b'"merged":  true')),
            ]
            assert [post(one) for one in forged] == [401] * len(forged)
            form = replace(good, headers={**good.headers, "Content-Type": "application/x-www-form-urlencoded"})
            assert post(form) == 415
            large = signed(url, RECORDED_SECRET, "push", "push", b'"' + b"x" * (1024 * 1024) + b'"')
            assert post(large) == 413
            broken = [b"{", b"[" * 100_000, b"\xff", b"null", b"", b"\x00"]
            answers = [post(signed(url, RECORDED_SECRET, "push", "push", body)) for body in broken]
            assert all(status in {202, 400, 422} for status in answers), answers
            team.until_acted()
            assert files(team) == {}
            assert len(team.tasks_on_main()) == len(BRANCHES)
            assert post(good) == 202
            team.until_phase("parser", "completed")
            assert git(team.fleet.root, "status", "--porcelain") == ""
            team.stop()
        finally:
            team.end()
