"""Wake-ups from real files and a real repository; an empty set asks for a look at everything."""

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

from reconciler.repo import git, watch
from reconciler.repo.fleet import IN_FORCE, Fleet
from tests.recording import new_fleet, own_git_config, person_commits

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

    assert asyncio.run(asyncio.wait_for(listen(), DEADLINE_S)) == [frozenset()] * 3
