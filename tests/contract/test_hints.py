"""Hints from the kernel about real files; and that nothing is missed where it gives none."""

import asyncio
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from reconciler.repo.hints import APART_S, Hint, Hints
from tests.recording import new_fleet, own_git_config

__all__ = ["own_git_config"]

DEADLINE_S = 15.0

LISTENER = """
import asyncio, sys
from pathlib import Path
from reconciler.repo import fleet, watch

async def main():
    async for batch in watch.changes(fleet.find(Path(sys.argv[1])), asyncio.Event()):
        print(*sorted(path.name for path in batch), flush=True)

asyncio.run(main())
"""


def hinted(folder: Path, listen: Callable[[Hints], Awaitable[None]]) -> None:
    async def bounded() -> None:
        with Hints([folder], lambda path: not path.rpartition("/")[2].startswith(".")) as hints:
            await asyncio.wait_for(listen(hints), DEADLINE_S)

    asyncio.run(bounded())


async def quiet(hints: Hints) -> None:
    """Return once nothing happened for a while."""
    await hints.wait(2 * APART_S)


def test_a_file_that_is_closed_or_put_in_place_is_hinted_at_as_whole_and_one_that_goes_is_not(tmp_path: Path) -> None:
    file, beside = tmp_path / "a.yaml", tmp_path / ".a.yaml.new"

    async def listen(hints: Hints) -> None:
        for act, whole in (
            (lambda: file.write_text("title: a\n"), True),
            (lambda: beside.write_text("title: b\n") and beside.replace(file), True),
            (file.unlink, False),
        ):
            await quiet(hints)
            act()
            assert await hints.wait(DEADLINE_S) == (frozenset({str(file)}), whole)

    hinted(tmp_path, listen)


def test_what_comes_close_upon_another_is_not_by_itself(tmp_path: Path) -> None:
    async def listen(hints: Hints) -> None:
        await quiet(hints)
        (tmp_path / "a.yaml").touch()
        assert (await hints.wait(DEADLINE_S)).alone
        (tmp_path / "b.yaml").touch()
        assert not (await hints.wait(DEADLINE_S)).alone

    hinted(tmp_path, listen)


def test_a_file_that_is_still_written_is_not_hinted_at(tmp_path: Path) -> None:
    async def listen(hints: Hints) -> None:
        await quiet(hints)
        with (tmp_path / "a.yaml").open("w") as file:
            file.write("title:")
            file.flush()
            assert await hints.wait(2 * APART_S) == Hint()
        assert (await hints.wait(DEADLINE_S)).alone

    hinted(tmp_path, listen)


def test_a_folder_that_comes_later_is_watched_with_those_in_it(tmp_path: Path) -> None:
    folder = tmp_path / "tasks" / "may"

    async def listen(hints: Hints) -> None:
        folder.mkdir(parents=True)
        assert not (await hints.wait(DEADLINE_S)).alone
        await quiet(hints)
        (folder / "a.yaml").touch()
        assert await hints.wait(DEADLINE_S) == (frozenset({str(folder / "a.yaml")}), True)
        assert hints.complete

    hinted(tmp_path, listen)


@pytest.mark.fault
@pytest.mark.parametrize("queues", [0, 1])
def test_where_the_system_gives_no_hints_or_no_queue_at_all_changes_are_reported_nevertheless(
    tmp_path: Path, queues: int
) -> None:
    fleet = new_fleet(tmp_path)
    bounded = f'echo {queues} > /proc/sys/user/max_inotify_instances && exec "$@"'
    words = ["unshare", "--user", "--map-root-user", "sh", "-c", bounded, "sh", sys.executable, "-c", LISTENER]
    with subprocess.Popen([*words, str(tmp_path)], stdout=subprocess.PIPE, text=True) as listener:
        assert listener.stdout is not None
        try:
            assert listener.stdout.readline() == "\n"
            (fleet.state / "settings.yaml").write_text("model: any\n")
            said = iter(listener.stdout.readline, "")
            assert any("settings.yaml" in line for line in said)
        finally:
            listener.kill()
