"""Wake-ups from real files and a real repository; an empty set asks for a look at everything."""

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import pytest
from watchfiles._rust_notify import RustNotify

from reconciler.repo import git, watch
from reconciler.repo.fleet import IN_FORCE, Fleet
from reconciler.repo.hints import APART_S, Hints
from tests.recording import PERSON, new_fleet, own_git_config, person_commits
from tests.waiting import until

__all__ = ["own_git_config"]

DEADLINE_S = 15.0


def heard(fleet: Fleet, wanted: Path, act: Callable[[], object]) -> set[Path]:
    """Everything reported until `wanted` is; `act` is done once the watcher is known to run."""

    async def listen() -> set[Path]:
        stop, seen, acted = asyncio.Event(), set[Path](), False
        async with aclosing(watch.changes(fleet, stop)) as batches:
            async for batch in batches:
                if not acted:
                    acted = True
                    act()
                seen |= batch
                if wanted in seen:
                    break
        return seen

    async def bounded() -> set[Path]:
        return await asyncio.wait_for(listen(), DEADLINE_S)

    return asyncio.run(bounded())


def written(path: Path, text: str = "x") -> Callable[[], object]:
    def act() -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    return act


def test_a_task_file_the_settings_and_the_view_are_reported(tmp_path: Path) -> None:
    fleet = new_fleet(tmp_path)
    for name in ("tasks/new/a.yaml", "settings.yaml", "observed/tasks/a.yaml"):
        (fleet.state / name).parent.mkdir(parents=True, exist_ok=True)
        assert fleet.state / name in heard(fleet, fleet.state / name, written(fleet.state / name))


def test_a_file_that_an_editor_renames_into_place_is_reported_without_its_temporary_name(tmp_path: Path) -> None:
    fleet = new_fleet(tmp_path)
    target, temporary = fleet.state / "tasks/a.yaml", fleet.state / "tasks/.a.yaml.swp"

    def act() -> None:
        temporary.write_text("title: a\n")
        temporary.rename(target)

    assert temporary not in heard(fleet, target, act)


def test_a_folder_that_appears_later_is_watched(tmp_path: Path) -> None:
    fleet = new_fleet(tmp_path)
    host = fleet.root / "hosts/a.yaml"

    async def listen() -> None:
        stop, rounds = asyncio.Event(), 0
        async with aclosing(watch.changes(fleet, stop)) as batches:
            async for batch in batches:
                rounds += not batch
                if rounds == 1:
                    host.parent.mkdir(exist_ok=True)
                elif rounds >= 3 and not batch:
                    host.write_text(f"transport: local # {rounds}\n")
                if host in batch:
                    return

    asyncio.run(asyncio.wait_for(listen(), DEADLINE_S))


def test_a_commit_on_main_is_reported_as_its_ref(tmp_path: Path) -> None:
    fleet = new_fleet(tmp_path)
    person_commits(tmp_path, "elsewhere", "1")
    ref = fleet.common / "refs/heads/main"
    assert ref in heard(fleet, ref, lambda: person_commits(tmp_path, "elsewhere", "2"))


def test_a_move_of_the_ref_that_is_in_force_is_reported(tmp_path: Path) -> None:
    fleet = replace(new_fleet(tmp_path), ref=IN_FORCE)
    person_commits(tmp_path, "elsewhere", "1")
    ref = fleet.common / IN_FORCE
    assert ref in heard(fleet, ref, lambda: git.run(tmp_path, "update-ref", IN_FORCE, "main"))


def test_a_scan_comes_without_any_change_and_a_stop_ends_it(tmp_path: Path) -> None:
    fleet = new_fleet(tmp_path)

    async def listen() -> list[frozenset[Path]]:
        stop, seen = asyncio.Event(), list[frozenset[Path]]()
        async for batch in watch.changes(fleet, stop, scan_every_s=0.5):
            seen.append(batch)
            if len(seen) == 3:
                stop.set()
        return seen

    state = frozenset({fleet.state})
    assert asyncio.run(asyncio.wait_for(listen(), DEADLINE_S)) == [frozenset(), state, state]


def test_every_way_in_which_editors_save_is_reported(tmp_path: Path) -> None:
    fleet = new_fleet(tmp_path)
    target, backup, temporary = (fleet.state / "tasks" / name for name in ("a.yaml", "a.yaml~", "4913.tmp"))

    def vim() -> None:
        target.rename(backup)
        target.write_text("title: by vim\n")
        backup.unlink()

    def emacs() -> None:
        backup.write_bytes(target.read_bytes())
        target.write_text("title: by emacs\n")

    def code() -> None:
        temporary.write_text("title: by code\n")
        temporary.replace(target)

    target.write_text("title: before\n")
    for save in (vim, emacs, code):
        assert heard(fleet, target, save) <= {target, target.parent}, save.__name__


def asking(watched: Path, hinted: Path, listen: Callable[[watch.Asking], Awaitable[None]]) -> None:
    """Have `listen` ask of two folders: one that watchfiles tells of, and one of which hints come."""
    watched.mkdir(exist_ok=True)
    hinted.mkdir(exist_ok=True)

    async def bounded() -> None:
        with (
            RustNotify([str(watched)], False, False, watch.POLL_MS, True, False) as watcher,  # noqa: FBT003 - no names
            Hints([hinted], lambda _: True) as hints,
        ):
            await hints.wait(2 * APART_S)
            lock = hinted.parent / "index.lock"
            await asyncio.wait_for(listen(watch.Asking(watcher=watcher, hints=hints, lock=lock)), DEADLINE_S)

    asyncio.run(bounded())


def test_a_file_that_became_whole_is_told_of_at_once_and_alone_though_watchfiles_has_lost_it(tmp_path: Path) -> None:
    watched, hinted = tmp_path / "watched", tmp_path / "hinted"

    async def listen(asked: watch.Asking) -> None:
        (watched / "before.yaml").touch()
        (hinted / "a.yaml").touch()
        assert await asked.changed() == {hinted / "a.yaml"}

    asking(watched, hinted, listen)


def test_a_file_is_told_of_once_each_time_that_it_became_whole(tmp_path: Path) -> None:
    folder = tmp_path / "tasks"

    async def listen(asked: watch.Asking) -> None:
        (folder / "a.yaml").touch()
        assert [await asked.changed(), await asked.changed()] == [{folder / "a.yaml"}, set()]
        (folder / "a.yaml").touch()
        assert await asked.changed() == {folder / "a.yaml"}

    asking(folder, folder, listen)


@pytest.mark.fault
def test_a_checkout_of_ten_thousand_files_is_seen_whole_and_in_a_few_batches(tmp_path: Path) -> None:
    fleet = new_fleet(tmp_path)
    person_commits(tmp_path, "elsewhere", "1")
    for number in range(10_000):
        path = fleet.state / f"tasks/{number // 500:02}/t-{number:05}.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text("title: a\n")
    git.run(tmp_path, "add", "-A")
    git.run(tmp_path, *git.identity_words(PERSON), "commit", "--quiet", "-m", "Many")
    git.run(tmp_path, "checkout", "--quiet", "HEAD~")
    assert not list(fleet.state.rglob("t-*.yaml"))
    last = fleet.state / "tasks/19/t-09999.yaml"
    seen, rounds = follow(fleet, last, lambda: git.run(tmp_path, "checkout", "--quiet", "main"))
    looked_at_all = any(_asks_for_all(fleet, batch) for batch in seen)
    assert looked_at_all or set.union(*map(set, seen)) >= set(fleet.state.rglob("t-*.yaml"))
    assert rounds < 500


@pytest.mark.fault
def test_events_that_overflow_the_queue_are_made_up_for_by_a_look_at_everything(tmp_path: Path) -> None:
    """A process that did not run for a while has lost events without being told: the next batch asks for everything."""
    fleet = new_fleet(tmp_path)
    (fleet.state / "tasks").mkdir(exist_ok=True)
    script = (
        "import asyncio, sys\nfrom pathlib import Path\nfrom reconciler.repo import fleet, watch\n"
        "async def main():\n"
        "    async for batch in watch.changes(fleet.find(Path(sys.argv[1])), asyncio.Event()):\n"
        "        print(len(batch), flush=True)\n"
        "asyncio.run(main())\n"
    )
    with subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, text=True) as watcher:
        assert watcher.stdout is not None
        try:
            assert watcher.stdout.readline() == "0\n"
            watcher.send_signal(signal.SIGSTOP)
            stopped_s = time.monotonic()
            for number in range(20_000):
                (fleet.state / f"tasks/t-{number:05}.yaml").touch()
            until(lambda: time.monotonic() - stopped_s > watch.PAUSE_S + 0.5)
            watcher.send_signal(signal.SIGCONT)
            counts = [int(watcher.stdout.readline()) for _ in range(2)]
            assert 0 in counts
        finally:
            watcher.kill()


def _asks_for_all(fleet: Fleet, batch: frozenset[Path]) -> bool:
    """Whether everything is to be looked at: what came or went of it is found without its events."""
    return not batch or fleet.state in batch


def follow(fleet: Fleet, last: Path, act: Callable[[], object]) -> tuple[list[frozenset[Path]], int]:
    """Everything reported after `act` until `last` is, or a look at everything is asked for; and how many batches."""

    async def listen() -> list[frozenset[Path]]:
        stop, seen, acting = asyncio.Event(), list[frozenset[Path]](), None
        async with aclosing(watch.changes(fleet, stop)) as batches:
            async for batch in batches:
                if acting is None:
                    acting = asyncio.create_task(asyncio.to_thread(act))
                    continue
                seen.append(batch)
                if acting.done() and (last in batch or _asks_for_all(fleet, batch)):
                    return seen
        return seen

    seen = asyncio.run(asyncio.wait_for(listen(), 60))
    return seen, len(seen)
