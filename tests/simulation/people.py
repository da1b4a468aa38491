"""What people do to the fleet's files: write, edit, hold, cancel, delete, break and mend them, at any moment.

Each thing that somebody does is a decision of the weather, so that it can be taken back alone.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from reconciler.core.bounds import LostAfter
from reconciler.core.desired import Drain, Forge, Host, Settings, Task
from reconciler.core.terms import Delivery, ExecutionMode, Wish
from tests.simulation import causes
from tests.simulation.clock import Clock
from tests.simulation.files import Fleet
from tests.simulation.forge import REPOSITORY
from tests.simulation.pullers import TOKEN_SHA256
from tests.simulation.reviewers import HOOK_SECRET_NAME
from tests.simulation.weather import Weather

TICK_S = 20.0
PULLED, OTHERS = 0.3, 0.25
"""How many of the tasks are for agents that ask, where there are some; and how many use an account of their own."""
URL = f"https://git.sim/{REPOSITORY}.git"
FORGE_TOKEN_NAME = "FORGE_TOKEN"  # noqa: S105 - a name
SETTINGS = Settings(
    lost_after=LostAfter(ssh=timedelta(minutes=6), pull=timedelta(minutes=3)), lease=timedelta(seconds=60), keep_runs=3
)
FORGE = Forge(
    kind="forgejo",
    url="https://git.sim",
    token_env=FORGE_TOKEN_NAME,
    webhook_secret_env=(HOOK_SECRET_NAME,),
    repositories=(REPOSITORY,),
)


@dataclass
class People:
    """The people of one fleet. `opened` says of the breakers that are open when they were opened."""

    weather: Weather
    clock: Clock
    fleet: Fleet
    after: Callable[[float, Callable[[], None]], object]
    opened: Callable[[], Mapping[str, datetime]]

    def found(self, hosts: int, tasks: int, pulling: int) -> None:
        """The hosts' files at the beginning, and the tasks' over time."""
        for number in range(hosts):
            name = f"host-{number}"
            slots = self.weather.choose({1: 3, 2: 2, 3: 1}, f"slots {name}")
            self.fleet.write_host(name, Host(transport="ssh", address=name, slots=slots, workdir="/h/work"))
        for number in range(pulling):
            pull = Host(transport="pull", slots=2, token_sha256=(TOKEN_SHA256,))
            self.fleet.write_host(f"agents-{number}", pull)
        within_s = self.weather.until_s * self.weather.choose({0.7: 3, 0.05: 1}, "tasks arrive within")
        for number in range(tasks):
            name = f"task-{number}"
            if f"a task: {name}" in self.weather.without:
                continue
            when_s = self.weather.between(0.0, within_s, f"arrives {name}")
            self.after(when_s, lambda name=name: self._arrives(name))  # type: ignore[misc]

    def tick(self) -> None:
        """Somebody may do something now."""
        now_s = self.clock.now_s
        for edits, names in ((_TASK_EDITS, self.fleet.tasks), (_HOST_EDITS, self.fleet.hosts)):
            chances = {kind: chance for kind, (chance, _) in edits.items()}
            for name in list(names):
                kind = self.weather.first(chances, f"{name} at {now_s:.0f}", now_s)
                if kind:
                    edits[kind][1](self, name)
        for name, opened_at in self.opened().items():
            if self.weather.strikes("a person closes a breaker", 0.015, f"{name} at {now_s:.0f}", now_s):
                self.fleet.close_breaker(name, opened_at)
        if self.weather.strikes("a person rebases", 0.004, f"at {now_s:.0f}", now_s):
            self.rebase()

    def mend(self) -> None:
        """The weather is over: what was broken is mended."""
        self.fleet.rebasing = False
        for task in self.fleet.tasks.values():
            task.broken = False
        for name, file in list(self.fleet.hosts.items()):
            self.fleet.write_host(name, replace(file.value, drain=None))

    def rebase(self) -> None:
        """All task files are gone for a while, under a rebase; then they are back, one of them as it was before."""
        there = [file for file in self.fleet.tasks.values() if not file.gone]
        self.fleet.rebasing = True
        for file in there:
            file.gone = True
        self.fleet.touched()

        def back() -> None:
            self.fleet.rebasing = False
            for file in there:
                file.gone = False
            self.fleet.touched()

        self.after(self.weather.between(2.0, 70.0, f"rebase {self.clock.now_s:.0f}"), back)

    def edit(self, name: str, **changes: object) -> None:
        file = self.fleet.tasks[name]
        if not file.gone:
            self.fleet.write_task(name, replace(file.value, **changes))  # type: ignore[arg-type]

    def _arrives(self, name: str) -> None:
        weather = self.weather
        pulled = self._has_agents() and weather.draw(f"pulled {name}") < PULLED
        kinds = {
            Delivery.NONE: 2.0,
            Delivery.BRANCH: 2.0,
            Delivery.PULL_REQUEST: 6.0 if self.fleet.settings.forge else 0.0,
        }
        delivery = Delivery.NONE if pulled else weather.choose(kinds, f"delivery {name}")
        others = list(self.fleet.tasks)
        depends = weather.choose({True: 1, False: 6}, f"depends {name}") and others
        other = others[int(weather.draw(f"depends on {name}") * len(others))] if depends else ""
        task = Task(
            title=name,
            goal="work",
            adapter=weather.choose({"jsonl": 3, "text": 1}, f"adapter {name}"),
            repository=URL if delivery is not Delivery.NONE else None,
            delivery=delivery,
            execution_mode=ExecutionMode.HTTP_PULL if pulled else ExecutionMode.SSH_CLI,
            env={causes.ACCOUNT: "other"} if weather.draw(f"account {name}") < OTHERS else {},
            depends_on=(other,) if depends else (),
            priority=weather.choose({0: 4, 5: 1}, f"priority {name}"),
            timeout=timedelta(minutes=3),
            idle_timeout=timedelta(minutes=1),
        )
        self.fleet.write_task(name, task)

    def _has_agents(self) -> bool:
        return any(file.value.transport == "pull" for file in self.fleet.hosts.values())

    def _goal(self, name: str) -> None:
        self.edit(name, goal=f"work {self.clock.now_s:.0f}")

    def _hold(self, name: str) -> None:
        self.edit(name, desired=Wish.HOLD)
        self._later(f"release {name}", lambda: self._released(name))

    def _cancel(self, name: str) -> None:
        self.edit(name, desired=Wish.CANCEL)
        if self.weather.draw(f"revive {name} {self.clock.now_s:.0f}") < 0.5:
            self._later(f"revive {name}", lambda: self._released(name))

    def change_their_mind(self, name: str, within_s: float) -> None:
        """Somebody may cancel a task while it takes long to begin, and want it after all a little later."""
        now_s = self.clock.now_s
        if self.weather.strikes("a person changes their mind", 0.5, f"{name} at {now_s:.0f}", now_s):
            self.after(within_s * 0.1, lambda: self.edit(name, desired=Wish.CANCEL))
            self.after(within_s * 0.4, lambda: self._released(name))

    def _released(self, name: str) -> None:
        self.edit(name, desired=Wish.RUN)

    def _retry(self, name: str) -> None:
        self.edit(name, generation=self.fleet.tasks[name].value.generation + 1, desired=Wish.RUN)

    def _delete(self, name: str) -> None:
        file = self.fleet.tasks[name]
        file.gone = True
        self.fleet.touched()
        if self.weather.draw(f"restore {name} {self.clock.now_s:.0f}") < 0.7:
            self._later(f"restore {name}", lambda: self._restored(name))

    def _restored(self, name: str) -> None:
        self.fleet.tasks[name].gone = False
        self.fleet.touched()

    def _break(self, name: str) -> None:
        self.fleet.tasks[name].broken = True
        self.fleet.touched()

    def _drain(self, name: str) -> None:
        host = self.fleet.hosts[name].value
        self.fleet.write_host(name, replace(host, drain=Drain(reason="maintenance")))
        self._later(f"undrain {name}", lambda: self._undrain(name))

    def _undrain(self, name: str) -> None:
        self.fleet.write_host(name, replace(self.fleet.hosts[name].value, drain=None))

    def _remove_host(self, name: str) -> None:
        self.fleet.hosts[name].gone = True
        self.fleet.touched()
        self._later(f"host back {name}", lambda: self._undrain(name))

    def _later(self, what: str, do: Callable[[], None]) -> None:
        self.after(self.weather.between(5.0, 300.0, f"{what} {self.clock.now_s:.0f}"), do)


_TASK_EDITS: Mapping[str, tuple[float, Callable[[People, str], None]]] = {
    "a person edits a task": (0.002, People._goal),  # noqa: SLF001 - the table of what they do
    "a person holds a task": (0.001, People._hold),  # noqa: SLF001
    "a person cancels a task": (0.0008, People._cancel),  # noqa: SLF001
    "a person retries a task": (0.001, People._retry),  # noqa: SLF001
    "a person deletes a task": (0.0008, People._delete),  # noqa: SLF001
    "a person breaks a file": (0.001, People._break),  # noqa: SLF001
}
_HOST_EDITS: Mapping[str, tuple[float, Callable[[People, str], None]]] = {
    "a person drains a host": (0.001, People._drain),  # noqa: SLF001
    "a person removes a host": (0.0007, People._remove_host),  # noqa: SLF001
}
