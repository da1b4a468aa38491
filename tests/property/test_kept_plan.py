"""A planner that is kept decides at every step what a new one decides, whatever changes between the steps."""

import random
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from reconciler.core.bounds import Limits
from reconciler.core.breaker import Breaker
from reconciler.core.desired import (
    Adapter,
    Desired,
    Document,
    Drain,
    Forge,
    Host,
    Settings,
    Task,
    Version,
    with_settings,
)
from reconciler.core.observed import (
    Asking,
    ForgeSeen,
    Held,
    Lease,
    Meta,
    Observed,
    ObservedHost,
    ObservedTask,
    PullRequest,
    Run,
    Sighting,
)
from reconciler.core.plan import plan
from reconciler.core.standing import Halt
from reconciler.core.terms import Delivery, ExecutionMode, Failure, Kind, Outcome, Phase, Scope, Wish
from tests.property.steady import Steady

BEGIN = datetime(2026, 1, 1, 12, tzinfo=UTC)
TASKS = [f"t{number}" for number in range(14)]
HOSTS = ["h0", "h1", "h2", "p0"]
WORDS = ["gpu", "linux", "big"]
SPANS = (0, 1, 5, 29, 31, 300, 1700, 3500)
DICE = Callable[[random.Random], object]


class Scene:
    """Values that change piece by piece, by the dice; none of them need be possible."""

    def __init__(self, dice: random.Random) -> None:
        self.dice = dice
        self.now = BEGIN
        self.desired = Desired(adapters={"sh": Document(value=Adapter(run=("sh",)), spec="sh")})
        self.observed = Observed(fleet="f")
        for task_id in TASKS[:8]:
            self.edit(task_id)
        for host_id in HOSTS:
            self.host(host_id)
            self.ask(host_id)

    def step(self) -> None:
        """One thing changes, or time passes."""
        dice = self.dice
        task_id, host_id = dice.choice(TASKS), dice.choice(HOSTS)
        match dice.randrange(16):
            case 0 | 1:
                self.edit(task_id)
            case 2 | 3 | 4 | 5:
                self.happen(task_id)
            case 6:
                self.host(host_id)
            case 7:
                self.ask(host_id)
            case 8:
                self.see()
            case 9:
                self.remove(task_id)
            case 10:
                self.switch()
            case 11:
                self.settle()
            case 12:
                self.publish()
            case _:
                self.now += timedelta(seconds=dice.choice(SPANS))

    def edit(self, task_id: str) -> None:
        dice = self.dice
        pulled = dice.random() < 0.2
        task = Task(
            title="t",
            goal="g",
            adapter=dice.choice(["sh", "sh", "sh", None]),
            priority=dice.choice([0, 0, 1, -1]),
            requires=tuple(dice.sample(WORDS, dice.choice([0, 0, 1, 2]))),
            host=dice.choice([None, None, None, *HOSTS]),
            depends_on=tuple(dice.sample(TASKS, dice.choice([0, 0, 1]))),
            desired=dice.choice([Wish.RUN, Wish.RUN, Wish.RUN, Wish.HOLD, Wish.CANCEL]),
            generation=dice.choice([1, 1, 2]),
            env={"A": dice.choice("xy")} if dice.random() < 0.3 else {},
            secrets=("S",) if dice.random() < 0.1 else (),
            execution_mode=ExecutionMode.HTTP_PULL if pulled else ExecutionMode.SSH_CLI,
            repository=dice.choice([None, "https://forge.example/a/b"]),
            delivery=dice.choice([None, Delivery.PULL_REQUEST]),
        )
        document = Document(value=with_settings(task_id, task, self.desired.settings), spec=f"{dice.random()}")
        since = {**self.desired.since, task_id: BEGIN - timedelta(seconds=dice.randrange(5))}
        absent = {name: at for name, at in self.desired.absent.items() if name != task_id}
        refused = {name: why for name, why in self.desired.refused.items() if name != task_id}
        if dice.random() < 0.1:
            refused[task_id] = "it is wrong"
        tasks = {**self.desired.tasks, task_id: document}
        self.desired = replace(self.desired, tasks=tasks, since=since, absent=absent, refused=refused)

    def remove(self, task_id: str) -> None:
        tasks = {name: document for name, document in self.desired.tasks.items() if name != task_id}
        absent = {**self.desired.absent, task_id: self.now} if task_id in self.observed.tasks else self.desired.absent
        self.desired = replace(self.desired, tasks=tasks, absent=absent)

    def happen(self, task_id: str) -> None:
        """Anything at all is recorded of the task."""
        dice = self.dice
        runs = tuple(self.run(task_id, number + 1, last=False) for number in range(dice.choice([0, 0, 1, 2, 7])))
        if dice.random() < 0.6:
            runs = (*runs, self.run(task_id, len(runs) + 1, last=True))
        phase = dice.choice([*Phase, Phase.CREATED, Phase.RUNNING])
        pr = PullRequest(
            number=1, url="https://forge.example/a/b/pulls/1", state=dice.choice(["open", "closed"]), head_sha="s"
        )
        seen = ObservedTask(
            phase=phase,
            reason=dice.choice([None, "auth", "config", "mass_death", "review_limit", "deleted"]),
            epoch=len(runs),
            execution_mode=ExecutionMode.HTTP_PULL if runs and runs[-1].host == "p0" else ExecutionMode.SSH_CLI,
            runs=runs,
            pr=dice.choice([None, None, pr]),
            rework=dice.random() < 0.2,
            not_before=self.now + timedelta(seconds=20) if dice.random() < 0.2 else None,
        )
        tasks = {**self.observed.tasks, task_id: seen}
        if dice.random() < 0.1:
            del tasks[task_id]
        self.observed = replace(self.observed, tasks=tasks)

    def run(self, task_id: str, epoch: int, *, last: bool) -> Run:
        dice = self.dice
        live = last and dice.random() < 0.7
        outcome = None if live else dice.choice([*Outcome])
        began = self.now - timedelta(seconds=dice.choice(SPANS))
        failed = outcome in {Outcome.FAILED, Outcome.NOT_STARTED}
        return Run(
            epoch=epoch,
            run_id=f"f.{task_id}.{epoch}",
            host=dice.choice(HOSTS),
            adapter="sh",
            account=dice.choice([None, "account"]),
            kind=Kind.IMPLEMENT,
            assigned_at=began,
            started_at=dice.choice([None, began]),
            finished_at=None if live else min(began + timedelta(seconds=dice.choice(SPANS)), self.now),
            outcome=outcome,
            failure=dice.choice([*Failure]) if failed else None,
            claim=dice.choice([None, "claim"]),
            head_sha=dice.choice([None, "s"]),
        )

    def see(self) -> None:
        """A poll brings other sightings, or a host falls silent."""
        dice = self.dice
        sightings = {}
        for task_id, seen in self.observed.tasks.items():
            meta = self.meta(task_id, seen)
            for run in seen.runs:
                if dice.random() < 0.7:
                    sightings[run.run_id] = Sighting(
                        state=dice.choice(["alive", "alive", "alive", "absent", "void", "ended"]),
                        elapsed=timedelta(seconds=dice.choice([*SPANS, 14000])),
                        lingering=dice.choice([None, None, timedelta(seconds=20)]),
                        meta=meta,
                    )
        silent = {host_id: self.now for host_id in HOSTS if dice.random() < 0.1}
        leases = {one: Lease(epoch=dice.choice([1, 2]), until=self.now) for one in TASKS if dice.random() < 0.3}
        self.observed = replace(self.observed, sightings=sightings, silent=silent, leases=leases)

    def meta(self, task_id: str, seen: ObservedTask) -> Meta:
        task = Task(title="t", goal="g")
        return Meta(
            run_id="", task_id=task_id, epoch=seen.epoch, kind=Kind.IMPLEMENT, task=task, adapter_id="sh",
            adapter=Adapter(run=("sh",)), run_dir="", workspace="", branch="",
        )  # fmt: skip

    def host(self, host_id: str) -> None:
        dice = self.dice
        until = dice.choice([None, self.now + timedelta(seconds=dice.choice(SPANS))])
        host = Host(
            transport="pull" if host_id == "p0" else "local",
            slots=dice.choice([1, 2, 3]),
            capabilities=tuple(dice.sample(WORDS, 2)),
            adapters=dice.choice([None, None, ("sh",), ("other",)]),
            drain=Drain(reason="r", until=until) if dice.random() < 0.15 else None,
        )
        hosts = {**self.desired.hosts, host_id: Document(value=host, spec=f"{dice.random()}")}
        if dice.random() < 0.1:
            del hosts[host_id]
        retired = frozenset(one for one in hosts if dice.random() < 0.1)
        self.desired = replace(self.desired, hosts=hosts, retired_hosts=retired)

    def ask(self, host_id: str) -> None:
        """A host answers, or an agent asks for work."""
        dice = self.dice
        document = self.desired.hosts.get(host_id)
        versions = {"sh": dice.choice(["1.0", "2.0"])}
        known = ObservedHost(
            reachable=dice.random() < 0.8,
            since=BEGIN,
            spec=document.spec if document is not None and dice.random() < 0.9 else "old",
            versions=versions,
        )
        asking = tuple(Asking(host="p0", claim=dice.choice(["claim", "other"])) for _ in range(dice.choice([0, 1, 2])))
        self.observed = replace(self.observed, hosts={**self.observed.hosts, host_id: known}, asking=asking)

    def switch(self) -> None:
        """A breaker is other than it was."""
        dice = self.dice
        scope, name = dice.choice([(Scope.FLEET, None), (Scope.HOST, "h0"), (Scope.ADAPTER, "sh"), (Scope.USAGE, "sh")])
        since = self.now - timedelta(seconds=dice.choice(SPANS))
        breaker = Breaker(
            scope=scope, id=name, account="account" if scope is Scope.USAGE else None,
            state=dice.choice(["open", "open", "closed"]), reason="r", needs="n", opened_at=since, since=since,
            until=self.now + timedelta(seconds=dice.choice([-60, 10, 600])), trial=dice.random() < 0.7, spec="sh",
        )  # fmt: skip
        breakers = {**self.observed.breakers, breaker.name: breaker} if dice.random() < 0.7 else {}
        self.observed = replace(self.observed, breakers=breakers)

    def settle(self) -> None:
        """The settings, an adapter, the secrets or the fleet's standing change."""
        dice = self.dice
        limits = Limits(running=dice.choice([None, 2]), review=dice.choice([None, 1]))
        forge = dice.choice([None, Forge(kind="forgejo", url="https://forge.example", repositories=("a/b",))])
        version = dice.choice([None, Version(run=("sh",), pattern="(.*)", minimum="1.5")])
        adapter = Document(value=Adapter(run=("sh",), version=version), spec=dice.choice(["sh", "sh2"]))
        self.desired = replace(
            self.desired,
            settings=Settings(limits=limits, forge=forge),
            adapters={"sh": adapter} if dice.random() < 0.9 else {},
            secrets=dice.choice([{}, {"S": "digest"}]),
        )
        halts = dice.choice([(), (), (Halt(why="w", who="operator"),)])
        unpushed = dice.choice([frozenset[str](), frozenset({"f.t0.1"})])
        self.observed = replace(self.observed, halts=halts, unpushed=unpushed)

    def publish(self) -> None:
        """The forge took something, refused something, or fell silent."""
        dice = self.dice
        wanted = [
            action.publication.key
            for action in plan(self.desired, self.observed, self.now).actions
            if hasattr(action, "publication")
        ]
        known = self.observed.forge or ForgeSeen()
        done = known.done | set(dice.sample(wanted, len(wanted) // 2))
        held = {key: Held(why="w", until=self.now + timedelta(seconds=20)) for key in wanted if dice.random() < 0.5}
        silent = dice.choice([None, None, self.now])
        seen = dice.choice([None, ForgeSeen(done=done, held=held, silent_since=silent)])
        self.observed = replace(self.observed, forge=seen)


@pytest.mark.parametrize("seed", range(25))
def test_a_planner_that_is_kept_decides_what_a_new_one_does(seed: int) -> None:
    scene, steady = Scene(random.Random(seed)), Steady()  # noqa: S311 - a test's dice
    for _ in range(120):
        for _ in range(scene.dice.choice([1, 1, 3])):
            scene.step()
        planned = plan(scene.desired, scene.observed, scene.now)
        steady.check(scene.desired, scene.observed, scene.now, planned)
