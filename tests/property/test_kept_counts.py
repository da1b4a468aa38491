"""What is counted from change to change is what one would count who looks at everything anew."""

import random
from collections import Counter
from dataclasses import replace

import pytest

from reconciler.core import conditions, placement
from reconciler.core.backlog import FOR_ROOM
from reconciler.core.census import OWN, Census, Ending
from reconciler.core.observed import UNTOUCHED, ObservedTask, Run
from reconciler.core.plan import Planner
from reconciler.core.terms import Cause, Outcome, Phase, Wish
from tests.property.steady import Steady
from tests.property.test_kept_plan import Scene


@pytest.mark.parametrize("seed", range(6))
def test_what_waits_is_counted_as_by_a_new_planner_and_each_task_once(seed: int) -> None:
    scene, steady = Scene(random.Random(seed)), Steady()  # noqa: S311 - a test's dice
    causes: Counter[Cause] = Counter()
    for _ in range(120):
        scene.step()
        desired, observed, now = scene.desired, scene.observed, scene.now
        fresh = Planner()
        steady.check(desired, observed, now, fresh.plan(desired, observed, now))
        found = steady.planner.backlog()
        assert +Counter(found.causes) == +Counter(fresh.backlog().causes)
        waiting = {
            task_id
            for task_id, document in desired.tasks.items()
            if document.value.desired is Wish.RUN and observed.tasks.get(task_id, UNTOUCHED).phase is Phase.CREATED
        }
        assert sum(found.causes.values()) <= len(waiting)
        explained = {one for one in waiting if conditions.waiting(one, desired, observed, now)}
        assert (found.oldest is not None) == any(found.causes.get(cause) for cause in FOR_ROOM)
        if waiting - explained:
            assert found.oldest is not None
        assert found.oldest is None or found.oldest <= now
        causes += Counter(found.causes)
    assert len(causes) > 3


@pytest.mark.parametrize("seed", range(4))
def test_a_census_counts_what_is_there_and_forgets_no_end(seed: int) -> None:
    scene, steady, census = Scene(random.Random(seed)), Steady(), Census()  # noqa: S311 - a test's dice
    scene.observed = replace(scene.observed, tasks={})
    ended: Counter[Ending] = Counter()
    tokens = cost = 0.0
    for step in range(200):
        scene.step()
        if step % 3 == 0:
            task_id = f"own-{scene.dice.randrange(6)}"
            seen, run = _goes_on(scene, task_id)
            scene.observed = replace(scene.observed, tasks={**scene.observed.tasks, task_id: seen})
            if run is not None and run.outcome is not None:
                ended[Ending(adapter=run.adapter or OWN, outcome=run.outcome, failure=run.failure)] += 1
                tokens, cost = tokens + (run.input_tokens or 0), cost + (run.cost_usd or 0.0)
        # what the dice record of other tasks is no history: only those that go on are counted here
        going = {one: seen for one, seen in scene.observed.tasks.items() if one.startswith("own-")}
        observed = replace(scene.observed, tasks=steady.same("seen", going))
        desired = replace(
            scene.desired,
            tasks=steady.same("tasks", scene.desired.tasks),
            refused=steady.same("refused", scene.desired.refused),
        )
        before = census.counts()
        census.follow(desired, observed.tasks)
        counts = census.counts()
        ids = desired.tasks.keys() | desired.refused.keys() | going.keys()
        assert +Counter(counts.phases) == Counter(going.get(one, UNTOUCHED).phase for one in ids)
        assert +Counter(counts.load) == placement.load(replace(observed, sightings={}))
        assert sum(counts.live.values()) == sum(seen.live_run is not None for seen in going.values())
        assert sum(counts.blocked.values()) == sum(seen.phase is Phase.BLOCKED for seen in going.values())
        wishes = (one.value.desired for name, one in desired.tasks.items() if going.get(name, UNTOUCHED) is UNTOUCHED)
        assert counts.on_hold == sum(wish is Wish.HOLD for wish in wishes)
        assert counts.ended == ended
        assert sum(counts.ended_on.values()) == ended.total()
        assert sum(counts.input_tokens.values()) == tokens
        assert sum(counts.cost_usd.values()) == pytest.approx(cost)
        assert all(counts.cost_usd[one] >= value for one, value in before.cost_usd.items())
    assert ended.total() > 10


def _goes_on(scene: Scene, task_id: str) -> tuple[ObservedTask, Run | None]:
    """The task a step further: its run has ended, which is given, or a new one is assigned; old ones may be cut off."""
    dice = scene.dice
    seen = scene.observed.tasks.get(task_id, UNTOUCHED)
    run = seen.live_run
    if run is None:
        begun = replace(scene.run(task_id, seen.epoch + 1, last=True), finished_at=None, outcome=None, failure=None)
        runs = (*(seen.runs[-1:] if dice.random() < 0.3 else seen.runs), begun)
        return replace(seen, epoch=seen.epoch + 1, runs=runs, phase=Phase.RUNNING), None
    outcome = dice.choice([*Outcome])
    run = replace(run, finished_at=scene.now, outcome=outcome, input_tokens=7, cost_usd=dice.random())
    phase = dice.choice([Phase.CREATED, Phase.BLOCKED, Phase.COMPLETED])
    return replace(seen, runs=(*seen.runs[:-1], run), phase=phase), run
