"""The live board of a terminal: what is on it at every size, and that nothing a stranger wrote acts on the terminal."""

import itertools
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from rich.text import Text

from reconciler.commands import boardlines, live
from reconciler.commands.boardlines import Size
from reconciler.commands.reading import View
from reconciler.core.breaker import Breaker
from reconciler.core.desired import Problem
from reconciler.core.observed import ObservedTask
from reconciler.core.terms import Phase, Scope
from tests.pages import Painted, many, paint, painting, task

HOSTILE = "\x1b[2J\x1b]0;pwned\x07\u202eevil\u2066\r\n\x9b31mred" + "x" * 1_000_000


@pytest.fixture
def painted(tmp_path: Path) -> Iterator[Painted]:
    with painting(tmp_path) as one:
        paint(one)
        yield one


def view(painted: Painted) -> View:
    picture = painted.view.latest()
    return View(fleet=painted.fleet, desired=picture.desired, observed=picture.observed)


def shown(painted: Painted, width: int = 120, height: int = 50, *, plain: bool = False) -> list[str]:
    size = Size(width=width, height=height, plain=plain)
    return [line.plain for line in boardlines.lines(view(painted), painted.now, size)]


def heads(lines: list[str]) -> list[str]:
    return [line.split(" ")[0] for line in lines[1:] if line and not line.startswith(" ")]


def test_what_wants_a_person_stands_first_and_says_who_must_act(painted: Painted) -> None:
    lines = shown(painted)
    assert lines[0].startswith("1 blocked · 4 waiting · 2 running · 1 in review · 3 finished")
    assert heads(lines) == ["Problems", "Hosts", "Blocked", "Running", "In", "Waiting", "Finished"]
    (blocked,) = (line for line in lines if line.startswith("  rotate-api-keys"))
    assert "author must act: the agent asks for something" in blocked
    (running,) = (line for line in lines if line.startswith("  fix-flaky-cart-test"))
    assert running.split()[1:6] == ["12", "min", "builder", "run", "2"]
    (waiting,) = (line for line in lines if line.startswith("  export-csv"))
    assert "upgrade-django" in waiting
    assert any('did you mean "validation"?' in line for line in lines[1:4])


def test_a_host_shows_its_slots_and_says_plainly_why_it_takes_nothing(painted: Painted) -> None:
    lines = {line.split()[0]: line for line in shown(painted) if line.startswith("  ")}
    assert "██░░" in lines["builder"]
    assert "2/4" in lines["builder"]
    assert "takes no new runs: new disks on Friday" in lines["attic"]
    assert "unreachable  connection refused" in lines["cloud"]
    assert "##.." in next(line for line in shown(painted, plain=True) if "  builder" in line)


def test_it_fits_every_terminal(painted: Painted) -> None:
    painted.tasks["remove-jquery"] = task("漢字" * 60)
    painted.show()
    looked = view(painted)
    for width, height in itertools.product((1, 7, 20, 40, 80, 300), (1, 2, 3, 5, 8, 23, 24, 60)):
        size = Size(width=width, height=height)
        for lines in (
            boardlines.lines(looked, painted.now, size),
            boardlines.task_lines(looked, "old-migrations", painted.now, size),
            boardlines.task_lines(looked, "remove-jquery", painted.now, size),
        ):
            assert 1 <= len(lines) <= height
            assert all(line.cell_len <= width for line in lines), size


def test_a_short_terminal_keeps_what_is_wrong_and_what_is_blocked(painted: Painted) -> None:
    assert heads(shown(painted, height=5)) == ["Problems", "Blocked"]
    assert heads(shown(painted, height=9)) == ["Problems", "Hosts", "Blocked", "Running"]


def test_of_thousands_only_what_fits_is_made_and_the_rest_is_counted(painted: Painted) -> None:
    painted.problems, painted.seen = (), {}
    many(painted, 5000)
    lines = shown(painted, height=40)
    assert len(lines) == 40
    shown_here = sum(line.startswith("  task-") for line in lines)
    titles = {line.split("  ")[0] for line in lines if line and not line.startswith(" ")}
    assert "Blocked 625" in titles
    hidden = [line.split("  ")[1] for line in lines if line.endswith(" more") and not line.startswith("Hosts")]
    assert sum(int(one.removesuffix(" more").replace(",", "")) for one in hidden) == 5000 - shown_here


def test_what_strangers_wrote_is_text_on_one_line(painted: Painted) -> None:
    painted.tasks["evil"] = task(HOSTILE)
    painted.seen["evil"] = ObservedTask(phase=Phase.BLOCKED, owner="author", reason="x", needs=HOSTILE)
    painted.problems = (Problem(file=HOSTILE, line=1, column=1, message=HOSTILE),)
    painted.show()
    whole = [*shown(painted), *(one.plain for one in task_view(painted, "evil"))]
    assert any("pwned" in line for line in whole)
    assert all(line.isprintable() for line in whole)


def task_view(painted: Painted, task_id: str) -> list[Text]:
    return boardlines.task_lines(view(painted), task_id, painted.now, Size(width=100, height=30))


def test_a_task_shows_its_newest_run_first_and_how_much_is_not_shown(painted: Painted) -> None:
    lines = [line.plain for line in task_view(painted, "old-migrations")]
    runs = [line.split(":")[0] for line in lines if line.startswith("run ")]
    assert runs == ["run 3", "run 2", "run 1"]
    few = boardlines.task_lines(view(painted), "old-migrations", painted.now, Size(width=100, height=5))
    assert few[-1].plain == f"{len(lines) - 4} more lines: reconciler status old-migrations"


def test_a_change_is_a_line(painted: Painted) -> None:
    before = view(painted)
    assert list(live.changes(before, before)) == []
    painted.seen = {**painted.seen, "upgrade-django": ObservedTask(phase=Phase.COMPLETED)}
    painted.tasks["late"] = task("Late")
    del painted.tasks["document-search"]
    painted.problems = ()
    painted.known = {"builder": replace(painted.known["cloud"], since=painted.now)}
    painted.show()
    opened = Breaker(
        scope=Scope.FLEET, state="open", reason="five runs died", needs="look", trial=False,
        opened_at=painted.now, since=painted.now, until=painted.now + timedelta(hours=1),
    )  # fmt: skip
    now = view(painted)
    after = replace(now, observed=replace(now.observed, breakers={"fleet": opened}))
    said = list(live.changes(before, after))
    assert "upgrade-django: running -> completed" in said
    assert "late: new -> created" in said
    assert "document-search: created -> put away" in said
    assert "host builder: unreachable: connection refused" in said
    assert "host cloud: reachable" in said
    assert "the breaker fleet is open: five runs died; look" in said
    assert "breaker fleet is closed" in list(live.changes(after, now))
    assert said[-1].startswith("mended: state/tasks/speed-up-checkout.yaml:4:1: ")
    assert list(live.changes(before, after, ["upgrade-django"])) == ["upgrade-django: running -> completed"]
