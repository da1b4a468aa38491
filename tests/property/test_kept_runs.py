"""Which runs are to be looked at, kept from change to change, is what one would say who looks at everything anew."""

import random
from collections.abc import Mapping
from pathlib import Path

import pytest

from reconciler.core.desired import Adapter, Task
from reconciler.core.observed import Meta, ObservedTask, Run
from reconciler.core.tally import Tally
from reconciler.core.terms import Kind, Outcome
from reconciler.repo import metas
from reconciler.repo.journal import Journal
from reconciler.watching.openruns import OpenRuns
from tests.property.steady import Steady
from tests.property.test_kept_plan import Scene


@pytest.mark.parametrize("seed", range(4))
def test_open_runs_are_those_that_somebody_finds_who_looks_for_the_first_time(seed: int, tmp_path: Path) -> None:
    scene, steady, journal = Scene(random.Random(seed)), Steady(), Journal(tmp_path / "journal")  # noqa: S311
    over: set[str] = set()
    tally = Tally()
    kept = OpenRuns(journal, tally, lambda run: run.run_id in over)
    before: dict[str, Mapping[str, object]] = {}
    found = lost = 0
    for _ in range(150):
        scene.step()
        tasks = steady.same("seen", scene.observed.tasks)
        tally.follow(tasks)
        _happens(scene, tasks, over, journal)
        touched = kept.follow(scene.desired)
        fresh = OpenRuns(journal, tally, lambda run: run.run_id in over)
        fresh.follow(scene.desired)
        assert kept.by_host == fresh.by_host
        assert {host for host in {*kept.by_host, *before} if kept.by_host.get(host) != before.get(host)} <= touched
        before = dict(kept.by_host)
        watched = [one for runs in kept.by_host.values() for one in runs.values()]
        found += len(watched)
        lost += sum(one.run.outcome is Outcome.LOST for one in watched)
    assert found > lost > 0
    journal.close()


def _happens(scene: Scene, tasks: Mapping[str, ObservedTask], over: set[str], journal: Journal) -> None:
    """A run is launched, or was seen to have ended."""
    runs = [run for seen in tasks.values() for run in seen.runs]
    if runs and scene.dice.random() < 0.3:
        over.add(scene.dice.choice(runs).run_id)
    if runs and scene.dice.random() < 0.3:
        run = scene.dice.choice(runs)
        if journal.meta(run.run_id) is None:
            journal.keep_metas({run.run_id: metas.text(_meta(run))})


def _meta(run: Run) -> Meta:
    fleet, task_id, _ = run.run_id.split(".")
    return Meta(
        run_id=run.run_id,
        task_id=task_id,
        epoch=run.epoch,
        kind=Kind.IMPLEMENT,
        task=Task(title="t", goal="g"),
        adapter_id="sh",
        adapter=Adapter(run=("sh",)),
        run_dir=f"/kept/{fleet}/runs/{task_id}.{run.epoch}",
        workspace="/kept/w",
        branch="",
        new_session="n",
    )
