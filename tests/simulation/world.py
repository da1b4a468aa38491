"""One simulated world from one seed: hosts, agents, people and the program, through weather and into calm.

It only puts the parts together and says how it went.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from reconciler.core.massdeath import MASS_DEATH
from reconciler.core.observed import ObservedTask, Review
from reconciler.core.pulls import Pull
from reconciler.core.terms import TERMINAL, Phase, Wish
from reconciler.repo import metas
from reconciler.repo.fleet import Fleet as Places
from reconciler.repo.observed import records
from reconciler.transport import Transport
from tests.simulation import agents, people, reviewers
from tests.simulation.agents import Act
from tests.simulation.breakertruth import BreakerTruth
from tests.simulation.causes import Causes
from tests.simulation.clock import Clock, VirtualLoop
from tests.simulation.door import Door
from tests.simulation.files import Fleet
from tests.simulation.forge import SimulatedForge, connect
from tests.simulation.hosts import Events, Folder, Host
from tests.simulation.ledger import Book
from tests.simulation.life import Life
from tests.simulation.memory import Disk
from tests.simulation.mishaps import Mishaps
from tests.simulation.network import Network, SimulatedTransport
from tests.simulation.people import People
from tests.simulation.program import Surroundings
from tests.simulation.protocol import Protocol
from tests.simulation.pulltruth import PullTruth
from tests.simulation.remotes import Remote
from tests.simulation.reviewers import Team
from tests.simulation.strands import Strands
from tests.simulation.truth import Truth
from tests.simulation.weather import Weather

SECRETS = {
    agents.SECRET_NAME: agents.SECRET,
    people.FORGE_TOKEN_NAME: "forge-token-of-simulation",
    reviewers.HOOK_SECRET_NAME: reviewers.HOOK_SECRET,
}


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How large a world is, for how long its weather lasts, and how bad that is; `None`: the seed says so."""

    seed: int
    hosts: int = 3
    tasks: int = 16
    weather_s: float = 2400.0
    severity: float | None = None
    without: frozenset[str] = frozenset()


@dataclass
class World:
    """Everything that is true."""

    plan: Plan
    folder: Path
    clock: Clock
    loop: VirtualLoop
    weather: Weather
    disk: Disk = field(default_factory=Disk)
    hosts: dict[str, Host] = field(default_factory=dict)
    starts: int = 0
    _awaited: str | None = None

    def __post_init__(self) -> None:
        forge = people.FORGE if self.weather.draw("forge") < 0.6 else None
        self.fleet = Fleet(disk=self.disk, settings=replace(people.SETTINGS, forge=forge), changed=self._edited)
        self.book = Book(clock=self.clock, weather=self.weather, fleet=self.fleet)
        self.truth = Truth(book=self.book, pulled=PullTruth(book=self.book), breakers=BreakerTruth(book=self.book))
        self.disk.switched = self.truth.breakers.switched
        self.remotes = {people.URL: Remote(url=people.URL)}
        self.strands = Strands(self.loop)
        self.door = Door(truth=self.truth, disk=self.disk, strands=self.strands)
        self.team = Team(
            weather=self.weather, clock=self.clock, after=self._after, post=self.door.deliver, demanded=self._demanded
        )
        remote = self.remotes[people.URL]
        self.forge = SimulatedForge(weather=self.weather, clock=self.clock, remote=remote, told=self.team.told)
        self.team.forge, remote.moved = self.forge, self.forge.pushed
        self.people = People(
            weather=self.weather,
            clock=self.clock,
            fleet=self.fleet,
            after=self._after,
            opened=self.truth.breakers.open,
        )
        self.people.found(self.plan.hosts, self.plan.tasks, self.weather.choose({0: 2, 1: 2}, "pull hosts"))
        events = Events(begins=self._begins, began=self.truth.began, ended=self.truth.ended)
        for name, file in self.fleet.hosts.items():
            self.truth.slots[name] = file.value.slots
            if file.value.transport == "pull":
                self.door.seat(name)
            else:
                self.hosts[name] = Host(id=name, clock=self.clock, loop=self.loop, events=events)
        protocol = Protocol(self.remotes, self._slow_claim_s)
        self.network = Network(
            weather=self.weather,
            loop=self.loop,
            hosts=self.hosts,
            run=protocol.run,
            heard=self.truth.heard,
            slowed=self.people.change_their_mind,
        )
        self.causes = Causes(weather=self.weather, loop=self.loop, hosts=self.hosts, fleet=self.fleet)
        self.mishaps = Mishaps(
            weather=self.weather, loop=self.loop, hosts=self.hosts, kill=self._kill, stop=self._stop, forge=self.forge
        )

    def surroundings(self) -> Surroundings:
        root = self.folder
        return Surroundings(
            clock=self.clock,
            places=Places(root=root, top=root, common=root),
            disk=self.disk,
            files=self.fleet,
            strands=self.strands,
            witness=self.truth,
            secrets=SECRETS,
            transports=self._transports,
            connect=lambda life: connect(self.forge, life),
        )

    def look(self) -> None:
        """Compare what should have happened by now."""
        if self.door.running is not None:
            self.door.look()
            self.truth.look({name: file.spec for name, file in self.fleet.hosts.items() if name in self.hosts})

    def is_at_rest(self) -> bool:
        """Whether nothing moves any more. What moved when it was asked before is looked at first."""
        if self._awaited is None or self._is_settled(self._awaited):
            self._awaited = next((name for name in self.fleet.tasks if not self._is_settled(name)), None)
        return self._awaited is None and not any(host.alive for host in self.hosts.values())

    def restless(self) -> list[str]:
        """What does not come to rest."""
        tasks = [name for name in self.fleet.tasks if not self._is_settled(name)]
        return tasks + [f"{host.id}:{name}" for host in self.hosts.values() for name in host.alive]

    def _is_settled(self, name: str) -> bool:
        seen, file = self.book.tasks.get(name, ObservedTask()), self.fleet.tasks[name]
        if seen.live_run is not None:
            return False
        if file.gone:
            return seen.phase in TERMINAL or records.is_untouched(seen)
        if not self._is_forge_known(name, seen):
            return False
        if seen.phase is Phase.BLOCKED and seen.reason == MASS_DEATH:
            return False
        if seen.phase in {*TERMINAL, Phase.BLOCKED, Phase.REVIEW_PENDING}:
            return True
        before = [self.book.tasks.get(other, ObservedTask()).phase for other in file.value.depends_on]
        waits = any(phase is not Phase.COMPLETED for phase in before)
        return file.value.desired is not Wish.RUN or (waits and all(map(self._is_settled, file.value.depends_on)))

    def _is_forge_known(self, name: str, seen: ObservedTask) -> bool:
        """Whether the record says what the forge shows of a task that was never done again."""
        pulls = self.forge.on(f"task/{name}")
        if self.fleet.settings.forge is None or seen.generation > 1 or seen.past_prs:
            return True
        if not pulls:
            return seen.phase is not Phase.REVIEW_PENDING
        return seen.pr is not None and (seen.pr.number, seen.pr.state) == (pulls[-1].number, pulls[-1].state)

    def _after(self, after_s: float, do: Callable[[], None]) -> None:
        self.loop.call_later(after_s, do)

    def _demanded(self, pull: Pull, review: Review) -> None:
        self.truth.demands.setdefault(pull.branch.removeprefix("task/"), set()).add(review.id)

    def _begins(self, host: Host, folder: Folder) -> Act:
        meta = metas.read(folder.meta or b"")
        name = f"{host.id} {folder.name}"
        calm = self.clock.now_s >= self.weather.until_s
        kind = "good" if calm else self.weather.choose(agents.KINDS, f"agent {name}")
        if kind != "good" and f"an agent: {name}" in self.weather.without:
            kind = "good"
        kind = self.causes.kind(kind, meta, name)
        if kind not in {"good", "forks", "tells the secret"}:
            self.weather.note(f"an agent: {kind}", f"an agent: {name}", self.clock.now_s)
        session = meta.session or meta.new_session or ""
        text = meta.adapter_id == "text"
        if kind == "usage limit" and not text:
            return agents.limited(self.weather, name, session, self.causes.told(meta))
        return agents.act(self.weather, name, session, kind, text=text)

    def _slow_claim_s(self, host: Host, name: str) -> float:
        place = self.weather.numbered(f"claim {host.id} {name}")
        if self.weather.strikes("a claim is slow", 0.05, place, self.clock.now_s):
            return self.weather.between(1.0, 60.0, f"slow {place}")
        return 0.0

    def _transports(self, life: Life) -> dict[str, Transport]:
        return {"ssh": SimulatedTransport(self.network, life)}

    def _edited(self) -> None:
        name = self.weather.numbered("file change")
        lost = self.weather.strikes("a file change is not heard", 0.1, name, self.clock.now_s)
        if self.door.running is not None and not lost:
            self.door.running.edited.set()

    def _kill(self) -> None:
        if self.door.running is not None:
            self.door.running.life.kill()

    def _stop(self) -> None:
        if self.door.running is not None:
            self.door.running.stop.set()
