"""Whatever becomes of pushes, processes and clocks: never do two lead, no term is given twice, and in time one leads.

Beside the pure rules stand a remote of one ref, and processes that keep to the rules as slowly as it comes.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from hypothesis import settings, strategies
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from reconciler.core import leadership
from reconciler.core.leadership import Pace, Sight, Term
from tests.property.test_world import SHORT

PACE = Pace()
GARBAGE = "no term"
RATES = (0.98, 1.0, 1.02)
"""How fast clocks go: no real one is so far off."""
PLACES = 3

picks = strategies.integers(min_value=0, max_value=10_000)
places = strategies.integers(min_value=0, max_value=PLACES - 1)
pauses = strategies.sampled_from((0.1, 1.0, 5.0, 9.0, 10.0, 20.0, 31.0, 45.0, 61.0))


def commit_of(term: Term) -> str:
    """The same term is the same commit."""
    return f"{term.number} {term.holder} {term.turn} {term.released}"


@dataclass(frozen=True, kw_only=True)
class Push:
    """One that is under way: it lands where the ref is as it was known to be, or already where it is to go."""

    old: str | None
    new: str
    term: Term


@dataclass(kw_only=True)
class Process:
    """One reconciler; `known` is what its clone remembers, the rest dies with it."""

    holder: str
    rate: float
    ahead_s: float
    known: int = 0
    running: bool = True
    turn: int = 0
    sight: Sight | None = None
    read: tuple[str | None, int] | None = None
    asked: dict[str, tuple[Term, float]] = field(default_factory=dict)
    term: Term | None = None
    until_s: float = 0.0
    renewed_s: float = 0.0
    look_s: float = 0.0

    def dies(self) -> None:
        self.turn += 7
        self.sight, self.read, self.term = None, None, None
        self.asked, self.until_s, self.look_s = {}, 0.0, 0.0


class World:
    """The remote's ref, the term that its record tells of, and what is under way."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.leader: str | None = None
        self.recorded = 0
        self.terms: dict[str, Term] = {}
        self.pushes: list[Push] = []
        self.given: list[Term] = []
        self.robbed = False
        self.processes = [
            Process(holder=f"p{number}", rate=RATES[number % 3], ahead_s=number * 1e5) for number in range(PLACES)
        ]

    def clock_s(self, process: Process) -> float:
        return (self.now_s + process.ahead_s) * process.rate

    def certain(self) -> list[str]:
        return [one.holder for one in self.processes if one.term is not None and self.clock_s(one) < one.until_s]

    def land(self, push: Push) -> None:
        """It arrives; nobody has heard of it yet."""
        if self.leader != push.old or push.new == push.old:
            return
        before = self.terms.get(push.old) if push.old is not None else None
        self.leader, self.terms[push.new] = push.new, push.term
        if before is None or before.number != push.term.number:
            self.given.append(push.term)
        else:
            self.recorded = max(self.recorded, push.term.number)  # a renewal carries the record

    def looks(self, process: Process) -> None:
        """It gets an answer, of which it makes something later."""
        process.read = (self.leader, self.recorded)

    def acts(self, process: Process) -> None:
        """It makes of the last answer what the rules say."""
        if process.read is None:
            return
        (seen, recorded), process.read = process.read, None
        term = self.terms.get(seen) if seen is not None else None
        process.known = max(process.known, recorded, term.number if term is not None else 0)
        if process.term is not None:
            self.holds(process, seen, term)
        elif seen in process.asked:
            self.leads(process, str(seen))
        else:
            self.waits(process, seen, term)

    def holds(self, process: Process, seen: str | None, term: Term | None) -> None:
        if seen in process.asked:
            self.leads(process, str(seen))
        elif term != process.term:
            process.dies()  # it stands by again

    def leads(self, process: Process, commit: str) -> None:
        process.term, process.renewed_s = process.asked[commit]
        process.asked = {}
        process.until_s = leadership.certain_until(process.renewed_s, PACE)

    def waits(self, process: Process, seen: str | None, term: Term | None) -> None:
        now_s = self.clock_s(process)
        process.sight = leadership.seen(process.sight, seen, now_s, PACE)
        first = process.known == 0
        at_s = leadership.may_take_at(process.sight, term, process.holder, PACE, first=first)
        process.look_s = now_s + min(PACE.look_s, max(at_s - now_s, 0))
        if now_s < at_s:
            return
        wanted = leadership.following(term, process.known, holder=process.holder, name=process.holder)
        self.asks(process, seen, replace(wanted, turn=process.turn % leadership.TURNS))

    def renews(self, process: Process) -> None:
        if process.term is not None:
            asked = next((term for term, _ in reversed(process.asked.values())), process.term)
            self.asks(process, commit_of(process.term), leadership.renewed_after(asked, process.term))

    def asks(self, process: Process, old: str | None, term: Term) -> None:
        new = commit_of(term)
        process.asked.setdefault(new, (term, self.clock_s(process)))
        self.pushes.append(Push(old=old, new=new, term=term))

    def fair_weather(self) -> Iterator[None]:
        """From now on everybody does what is due, and everything arrives; a step for each second."""
        for process in self.processes:
            process.running = True
            self.looks(process)
            self.acts(process)
        while True:
            for process in self.processes:
                self.due(process)
            yield
            self.now_s += 1

    def due(self, process: Process) -> None:
        now_s = self.clock_s(process)
        leading = process.term is not None
        if now_s < (process.renewed_s + PACE.renew_s if leading else process.look_s):
            return
        self.renews(process)
        for _ in range(2):  # what is asked for is looked at
            while self.pushes:
                self.land(self.pushes.pop(0))
            self.looks(process)
            self.acts(process)


class Leadership(RuleBasedStateMachine):
    """Bad weather."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()

    def up(self, place: int) -> Process | None:
        process = self.world.processes[place]
        return process if process.running else None

    @rule(pause_s=pauses)
    def time_goes_on(self, pause_s: float) -> None:
        self.world.now_s += pause_s

    @rule(place=places)
    def somebody_looks(self, place: int) -> None:
        if process := self.up(place):
            self.world.looks(process)

    @rule(place=places)
    def somebody_acts_on_what_it_saw(self, place: int) -> None:
        if process := self.up(place):
            self.world.acts(process)

    @rule(place=places)
    def somebody_renews(self, place: int) -> None:
        if process := self.up(place):
            self.world.renews(process)

    @rule(place=places)
    def somebody_does_all_of_it_at_once(self, place: int) -> None:
        if process := self.up(place):
            self.world.renews(process)
            for _ in range(2):
                self.the_last_push_lands(0)
                self.world.looks(process)
                self.world.acts(process)

    @rule(pick=picks)
    def the_last_push_lands(self, pick: int) -> None:
        """Or another one, however old."""
        if self.world.pushes:
            self.world.land(self.world.pushes.pop(-1 - pick % len(self.world.pushes)))

    @rule(pick=picks)
    def a_push_is_lost(self, pick: int) -> None:
        if self.world.pushes:
            self.world.pushes.pop(pick % len(self.world.pushes))

    @rule(place=places)
    def a_process_is_stopped_or_continued(self, place: int) -> None:
        self.world.processes[place].running ^= True

    @rule(place=places)
    def a_process_is_killed_and_started_again(self, place: int) -> None:
        self.world.processes[place].dies()

    @rule(place=places)
    def a_term_is_given_back(self, place: int) -> None:
        process = self.up(place)
        if process is None or process.term is None:
            return
        asked = next((term for term, _ in reversed(process.asked.values())), process.term)
        given = leadership.released(leadership.renewed_after(asked, process.term))
        self.world.pushes.append(Push(old=commit_of(process.term), new=commit_of(given), term=given))
        process.dies()

    @precondition(lambda self: self.world.leader is not None and self.world.recorded > 0)
    @rule(garbage=strategies.booleans())
    def somebody_removes_the_ref_or_makes_it_say_nothing(self, *, garbage: bool) -> None:
        held = self.world.terms.get(str(self.world.leader))
        if held is None or held.number > self.world.recorded:
            return
        self.world.leader = GARBAGE if garbage else None

    @invariant()
    def never_are_two_certain_to_lead(self) -> None:
        assert len(self.world.certain()) <= 1, self.world.processes

    @invariant()
    def no_term_is_given_twice(self) -> None:
        numbers = [term.number for term in self.world.given]
        assert numbers == sorted(set(numbers)), self.world.given

    def teardown(self) -> None:
        """When the weather ends somebody leads as soon as a term and a look allow."""
        weather, until_s = self.world.fair_weather(), self.world.now_s + (PACE.ttl_s + PACE.look_s) / min(RATES) + 2
        next(weather)
        while self.world.now_s < until_s and not self.world.certain():
            next(weather)
            self.never_are_two_certain_to_lead()
        assert self.world.certain()
        (leader,) = self.world.certain()
        for _ in range(100):
            next(weather)
            assert self.world.certain() == [leader]


def test_one_leads_whatever_happens() -> None:
    run_state_machine_as_test(Leadership, settings=settings(SHORT, max_examples=100, stateful_step_count=60))
