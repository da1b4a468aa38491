"""A task's page: its story as the branch tells it, its output however large and hostile, its diff, its prompt."""

import subprocess
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from reconciler.core.observed import Comment, ObservedTask, Review
from reconciler.core.terms import Outcome, Phase, Verdict
from reconciler.repo import changes, given
from reconciler.repo.git import GitFailed
from reconciler.repo.given import Given
from reconciler.repo.logs import Copy
from reconciler.repo.observed import story
from reconciler.web.pages import ansi, logview
from reconciler.web.pages.ansi import Pen
from reconciler.web.pages.logview import Place
from tests.contract.test_pages import HOSTILE, Elements, get, page
from tests.pages import Painted, paint, run, task
from tests.painted import painted, port
from tests.recording import assigned, new_fleet, opened, started, succeeded

__all__ = ["painted", "port"]

COPY = Copy(task_id="loud", epoch=1, stream="stdout")


def printed(painted: Painted, data: bytes, stream: str = "stdout", *, live: bool = False) -> None:
    """A task `loud` whose only run printed this."""
    folder = painted.fleet.logs("loud", 1)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / stream).write_bytes(data)
    ended = None if live else painted.now
    only = run(1, painted.now - timedelta(minutes=3), finished_at=ended, outcome=None if live else Outcome.SUCCEEDED)
    painted.tasks["loud"] = task("Print much")
    painted.seen["loud"] = ObservedTask(phase=Phase.RUNNING if live else Phase.COMPLETED, epoch=1, runs=(only,))
    painted.show()


def test_a_task_is_told_whole(painted: Painted, port: int) -> None:
    paint(painted)
    comment = Comment(path="shop/settings.py", line=7, body="Use the theme's colours.")
    review = Review(
        id="1", reviewer="ada", verdict=Verdict.CHANGES_REQUESTED, submitted_at=painted.now, body="Nearly.",
        comments=(comment,), told=2,
    )  # fmt: skip
    painted.seen["dark-mode"] = replace(painted.seen["dark-mode"], reviews=(review,))
    given.keep(painted.fleet, "dark-mode", 2, Given(prompt="# Dark mode\n\nas it was sent"))
    painted.show()
    said = " ".join(page(port, "/tasks/dark-mode").text.split())
    for words in (
        "Give the settings page a dark mode",
        "1 of 3 review rounds",
        "it waits for a review or merge of https://git.example.org/team/shop/pulls/41",
        "Run 2 succeeded implement on here codex",
        "61k tokens in, 9.4k out $0.41",
        "ada changes requested",
        "run 2 was to address it Nearly. shop/settings.py:7 Use the theme's colours.",
        "As it was sent to run 2 # Dark mode as it was sent",
        "As the next run would get it # Give the settings page a dark mode ## Goal Do it.",
        "reconciler hold dark-mode",
        "reconciler cancel dark-mode",
    ):
        assert words in said, words
    blocked = " ".join(page(port, "/tasks/rotate-api-keys").text.split())
    assert "Author must act waiting_input" in blocked
    assert "Which of the two accounts is production?" in blocked
    assert "reconciler retry rotate-api-keys" in blocked
    waiting = " ".join(page(port, "/tasks/retry-webhooks").text.split())
    assert "Nothing keeps it: the next pass assigns it." in waiting
    assert "retry-webhooks: assigned (host laptop, adapter codex, epoch 1)" in waiting


NOWHERE = (
    "/tasks/nowhere",
    "/tasks/%3Cscript%3E",
    "/tasks/nowhere/diff",
    "/tasks/loud/runs/2/stdout",
    "/tasks/loud/runs/1/given.json",
    "/tasks/loud/runs/1/..%2f..%2fjournal.sqlite3/raw",
    "/tasks/loud/runs/1/stderr/raw",
    "/tasks/loud/runs/-1/stdout",
)


def test_what_is_not_there_is_said_so(painted: Painted, port: int) -> None:
    printed(painted, b"x")
    assert {path: get(port, path).status for path in NOWHERE} == dict.fromkeys(NOWHERE, 404)


def test_a_task_s_page_is_as_closed_as_the_board(painted: Painted, port: int) -> None:
    printed(painted, b"a secret plan")
    for path in ("/tasks/loud", "/tasks/loud/diff", "/tasks/loud/runs/1/stdout", "/tasks/loud/runs/1/stdout/raw"):
        answer = get(port, path, Host="evil.example.org")
        assert (answer.status, b"secret plan" in answer.body) == (404, False)


def test_the_story_is_what_the_branch_says_also_of_commits_for_many_tasks(tmp_path: Path) -> None:
    fleet = new_fleet(tmp_path)
    with opened(fleet) as branch:
        for name in ("mine", "other"):
            branch.record(name, assigned(name))
        branch.record("mine", started())
        branch.record("mine", succeeded())
    told = [(step.before, step.after, step.why, step.actor, step.epoch) for step in story.of(fleet, "mine")]
    assert told == [
        ("running", "completed", "succeeded", "host:localhost", 1),
        ("assigned", "running", "the agent was seen", "host:localhost", 1),
        ("created", "assigned", "implement on localhost", "planner", 1),
    ]
    assert story.of(fleet, "nobody") == ()


def test_a_commit_of_many_steps_tells_each_task_its_own() -> None:
    message = (
        "2 tasks: 1 running, 1 completed\n\nhere: reachable (seen by host:here)\n"
        "a: assigned -> running (the agent was seen)\na: running -> completed (succeeded)\n"
        "b: assigned -> running (Task: a)\n\n"
        "Host: here\nActor: host:here\nTask: a\nEpoch: 1\nActor: host:here\nEvent: Started\n"
        "Task: a\nEpoch: 1\nActor: host:here\nEvent: Finished\nTask: b\nEpoch: 4\nActor: host:here\nEvent: Started\n"
        "Term: 3\n"
    )
    steps = list(story.steps("a", message, "c" * 40, assigned("a").at))
    assert [(step.after, step.event, step.epoch) for step in steps] == [
        ("running", "Started", 1),
        ("completed", "Finished", 1),
    ]
    (other,) = story.steps("b", message, "c" * 40, assigned("b").at)
    assert (other.epoch, other.why) == (4, "Task: a")


def test_of_a_hundred_megabytes_a_page_holds_a_window(painted: Painted, port: int) -> None:
    line = b"%09d the quick brown fox jumps over the lazy dog, and over again, until it is tired of it\n"
    count = 1_200_000
    size = len(line % 0)
    with (painted.fleet.root / "big").open("wb") as big:
        for first in range(0, count, 10_000):
            big.write(b"".join(line % number for number in range(first, first + 10_000)))
    printed(painted, b"")
    (painted.fleet.root / "big").replace(painted.fleet.logs("loud", 1) / "stdout")
    last = get(port, "/tasks/loud/runs/1/stdout")
    assert len(last.body) < 2 * logview.WINDOW
    assert b"001199999 the quick" in last.body
    middle = get(port, f"/tasks/loud/runs/1/stdout?from={600_000 * size}")
    assert b"000600000 the quick" in middle.body
    assert b"000599999 the quick" not in middle.body
    found = Elements(get(port, "/tasks/loud/runs/1/stdout?find=000700000%20THE"))
    assert f"/tasks/loud/runs/1/stdout?from={700_000 * size}" in {one["href"] for one in found.of("a")}
    assert len(get(port, "/tasks/loud").body) < 100_000
    whole = get(port, "/tasks/loud/runs/1/stdout/raw")
    assert (whole.status, len(whole.body)) == (200, count * size)
    assert whole.headers["Content-Disposition"] == 'attachment; filename="loud.1.stdout.txt"'
    assert whole.headers["X-Content-Type-Options"] == "nosniff"


def test_output_is_followed_without_a_gap_in_the_same_colour(painted: Painted) -> None:
    data = "".join(f"\x1b[3{number % 8}mline {number} é€😀\n" for number in range(500)).encode()
    printed(painted, b"")
    path = painted.fleet.logs("loud", 1) / "stdout"
    shown, place, pen = "", 0, ""
    for end in range(0, len(data) + 101, 101):
        path.write_bytes(data[:end])
        window = logview.window(painted.fleet, COPY, Place(start=place, pen=pen, most=90, live=True))
        while window.end > window.start:
            shown += "".join(words for _, words in window.pieces)
            place, pen = window.end, window.pen
            window = logview.window(painted.fleet, COPY, Place(start=place, pen=pen, most=90, live=True))
    assert shown == "".join(f"line {number} é€😀\n" for number in range(500))
    assert pen == f"f{499 % 8}"


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("plain", [("", "plain")]),
        ("\x1b[1;31mbad\x1b[0m\x1b[mgood", [("f1 bold", "bad"), ("", "good")]),
        ("\x1b[38;5;196ma\x1b[48;2;0;0;120mb", [("f9", "a"), ("f9 b4", "b")]),
        ("\x1b[7;4mx\x1b[27my\x1b[39;49;24mz", [("inverse under", "x"), ("under", "y"), ("", "z")]),
        ("a\x1b[2J\x1b[?25l\x1b]0;title\x07\x1b]8;;http://x\x1b\\b", [("", "ab")]),
        ("10%\r20%\r\ndone", [("", "10%\n20%\ndone")]),
        ("\x1b[38;5m\x1b[38;9m\x1b[99999999m.", [("", ".")]),
        ("\x1b[" + "9" * 5000 + "m", [("", "\x1b[" + "9" * 5000 + "m")]),
    ],
)
def test_colours_are_classes_and_all_else_that_a_terminal_would_do_is_nothing(
    text: str, pieces: list[tuple[str, str]]
) -> None:
    assert ansi.pieces(text, Pen())[0] == pieces


def test_a_pen_comes_from_an_address_and_holds_nothing_else() -> None:
    assert ansi.pen('f3 b12 bold" onclick= f99 <b> under').classes == "f3 b12 under"


BOMBS = (b"\x1b]" * 40_000, b"\x1b[" * 40_000, b"\x1b[1m" * 40_000, b"W" * 1_000_000, bytes(range(256)) * 400)


def test_a_hostile_log_is_text_within_bounds(painted: Painted, port: int) -> None:
    hostile = HOSTILE.encode(errors="replace")
    for bomb in BOMBS:
        printed(painted, hostile + b"\n" + bomb + b"\n" + hostile)
        for path in ("/tasks/loud", "/tasks/loud/runs/1/stdout", "/tasks/loud/runs/1/stdout?from=0&find=W&pen=%22%3E"):
            answer = get(port, path)
            found = Elements(answer)
            assert answer.status == 200
            assert len(answer.body) < 5 * logview.WINDOW
            assert [one.get("src") for one in found.of("script")] == ["/static/pages.js"]
            assert {one.get("src") for one in found.of("img")} == {"/static/icon.svg"}


def git(folder: Path, *words: str) -> str:
    return subprocess.run(
        ["git", "-c", "user.name=A", "-c", "user.email=a@b", *words],
        cwd=folder,
        capture_output=True,
        check=True,
        text=True,
    ).stdout.strip()


def project(folder: Path) -> tuple[Path, str]:
    """A clone with a branch that changes a file; and where that started."""
    work = folder / "work"
    work.mkdir()
    git(work, "init", "-q", "-b", "main")
    (work / "cart.py").write_text("one\ntwo\n")
    git(work, "add", ".")
    git(work, "commit", "-qm", "Begin")
    start = git(work, "rev-parse", "HEAD")
    git(work, "checkout", "-qb", "task/loud")
    (work / "cart.py").write_text(f"one\n{HOSTILE}\n")
    git(work, "commit", "-qam", "Change")
    return work, start


def test_the_diff_is_shown_where_this_machine_has_it_and_said_to_be_elsewhere_where_not(
    painted: Painted, port: int, tmp_path: Path
) -> None:
    clone, start = project(tmp_path)
    printed(painted, b"x")
    assert "the task has no repository" in page(port, "/tasks/loud/diff").text
    painted.tasks["loud"] = task("Print much", repository="https://git.example.org/team/shop.git")
    painted.show()
    assert "its clone is not on this machine; run 1 was on here" in page(port, "/tasks/loud/diff").text
    given.keep(painted.fleet, "loud", 1, Given(prompt="p", clone=str(clone), branch="task/loud", base_sha=start))
    shown = page(port, "/tasks/loud/diff")
    assert "-two" in shown.text
    assert "+<script>alert(1)</script>" in shown.text
    assert len(shown.of("script")) == 1
    given.place(painted.fleet, "loud", 1).write_text("{")
    assert "its clone is not on this machine" in page(port, "/tasks/loud/diff").text


def test_nothing_that_a_clone_says_is_executed_and_a_large_diff_is_cut(tmp_path: Path) -> None:
    clone, start = project(tmp_path)
    trap = tmp_path / "trap"
    script = f"sh -c 'touch {trap}; cat'"
    for key in (
        "diff.external",
        "diff.evil.command",
        "diff.evil.textconv",
        "core.pager",
        "core.sshCommand",
        "core.fsmonitor",
    ):
        git(clone, "config", key, script)
    (clone / ".git/info/attributes").write_text("* diff=evil\n")
    head = git(clone, "rev-parse", "task/loud")
    assert "+<script>" in changes.between(clone, start, head).text
    (clone / "big").write_text("x" * 99 + "\n" * 1 + ("y" * 99 + "\n") * 20_000)
    git(clone, "-c", "core.fsmonitor=false", "add", "big")
    git(clone, "-c", "core.fsmonitor=false", "commit", "-qm", "Much")
    trap.unlink(missing_ok=True)
    large = changes.between(clone, start, git(clone, "rev-parse", "HEAD"))
    assert (large.whole, len(large.text)) == (False, changes.MOST_BYTES)
    for base in ("main", "--output=x", "0" * 39):
        with pytest.raises(GitFailed):
            changes.between(clone, base, head)
    with pytest.raises(GitFailed):
        changes.between(clone, "0" * 40, head)
    assert not trap.exists()
