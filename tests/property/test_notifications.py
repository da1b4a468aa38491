"""Each cause is told once, over any order of turns, failures, restarts and takeovers, and nothing in quiet hours.

The channel here is a list; what is written down is kept or lost as a crash would have it.
"""

import os
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from reconciler.core import notices, notifications
from reconciler.core.channels import Channel, Ntfy, Quiet, Webhook
from reconciler.core.desired import Desired
from reconciler.core.notices import Notice
from reconciler.core.notifications import Met, Notified, Pace, Waiting
from reconciler.core.terms import Occasion

SAMPLED = "FAULT_SAMPLE" in os.environ
Sent = tuple[Notice, ...]

NOW = datetime(2026, 3, 28, 12, tzinfo=UTC)
"""The day before clocks go forward in the zone of the quiet hours."""
ZONE = ZoneInfo("Europe/Berlin")
QUIET = Quiet(start="22:00", end="07:00", zone="Europe/Berlin")
KEYS = ("blocked/a/1.1.0/auth", "breaker/fleet")
"""One that has no end to be told, and one that has: two are enough to come together, and few are soon tried out."""

keys = st.sampled_from(KEYS)


class OneChannel(RuleBasedStateMachine):
    """One channel: causes come and go, the process dies at any point, the journal may be lost."""

    def __init__(self) -> None:
        super().__init__()
        self.now, self.term = NOW, 1
        self.stands: dict[str, Notice] = {}
        self.kept: Notified | None = None
        self.waiting_since: datetime | None = None
        self.told: Counter[str] = Counter()
        self.repeats: Counter[str] = Counter()
        self.believes: set[str] = set()
        self.silent: set[str] = set()
        """What is not to be told: it stood for long when nobody here knew what people were told."""

    @initialize(quiet=st.sampled_from([None, QUIET]), webhook=st.booleans(), old=st.sets(keys))
    def begin(self, quiet: Quiet | None, old: set[str], *, webhook: bool) -> None:
        ways = Webhook(url="http://localhost", quiet=quiet), Ntfy(topic="t", quiet=quiet)
        self.channel: Channel = ways[webhook]
        for key in old:
            self._arise(key, self.now - timedelta(days=3))
        self._nobody_knows()

    @rule(key=keys)
    def arises(self, key: str) -> None:
        self._arise(key, self.now)

    @rule(key=keys)
    def is_over(self, key: str) -> None:
        self.stands.pop(key, None)

    @rule(seconds=st.sampled_from([4, 60, 4000, 8 * 3600]))
    def time_goes_by(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    @rule()
    def it_is_taken(self) -> None:
        self._turn(lambda known, sent: notifications.took(known, sent, self.now), arrives=True)

    @rule(refused=st.booleans(), arrives=st.booleans())
    def it_fails(self, *, refused: bool, arrives: bool) -> None:
        """An answer that is lost may have been a good one."""
        met = Met(why="no", refused=refused)
        arrives = arrives and not refused
        self._turn(lambda known, _: notifications.failed(known, met, self.now, Pace()), arrives=arrives, again=arrives)

    @rule(arrives=st.booleans())
    def it_dies_before_it_is_written_down(self, *, arrives: bool) -> None:
        self._turn(lambda known, _: known, arrives=arrives, again=arrives)
        self._start()

    @rule()
    def it_is_started_again(self) -> None:
        self._start()

    @rule()
    def another_one_led_meanwhile(self) -> None:
        self.term += 2
        self._nobody_knows()

    @rule()
    def the_journal_is_lost(self) -> None:
        self.kept = None
        for key in KEYS:
            self._forget(key)
        self._nobody_knows()

    @rule()
    def it_leads_for_another_term_in_a_row(self) -> None:
        self.term += 1
        self._start()

    def teardown(self) -> None:
        """In the end, once the channel works for a while, people know what stands and what stands no more."""
        if self.kept is None:
            return
        for _ in range(4):
            self.now += timedelta(hours=13)
            self.it_is_taken()
            self.now += timedelta(minutes=1)
            self.it_is_taken()
        assert set(self.stands) <= self.believes | self.silent
        assert not [key for key in self.believes - set(self.stands) if notices.occasion(key) in notices.ENDING]

    def _arise(self, key: str, at: datetime) -> None:
        if key not in self.stands:
            word, _, about = key.partition("/")
            self.stands[key] = Notice(key=key, occasion=Occasion(word), about=about, at=at)

    def _start(self) -> None:
        """A process takes the channel up."""
        self.waiting_since = None
        self.kept = notifications.begun(self.kept, self.stands, self.term, self.now)

    def _nobody_knows(self) -> None:
        """A process takes it up that cannot know what people were told: they know what is old, perhaps the rest."""
        known = self.kept.told if self.kept is not None else {}
        for key, one in self.stands.items():
            assert one.at is not None
            if key not in known and self.now - one.at > timedelta(hours=1):
                self.silent.add(key)
            elif key in self.believes:
                self.repeats[key] += 1
        self._start()

    def _turn(self, then: Callable[[Notified, Sent], Notified], *, arrives: bool, again: bool = False) -> None:
        """One step as a reconciler makes it; with `again`, what arrived may be told once more."""
        assert self.kept is not None
        known = self.kept
        for key in [key for key in self.believes if key not in self.stands and key not in known.told]:
            self._forget(key)
        ends, past = notifications.gone(self.stands, self.channel, known)
        known = self.kept = notifications.forgotten(known, past)
        for key in past:
            assert notices.occasion(key) not in notices.ENDING or key not in self.believes - self.silent
            self._forget(key)
        over = [notices.ended(key, Desired(), {}, self.now) for key in sorted(ends)]
        waiting = (*notifications.untold(self.stands, self.channel, known), *over)
        if not waiting:
            self.waiting_since = None
            return
        self.waiting_since = self.waiting_since or self.now
        since = Waiting(since=self.waiting_since, now=self.now)
        if notifications.due_at(self.channel, known, since, Pace(), ZONE) > self.now:
            return
        assert self.channel.quiet is None or time(7) <= self.now.astimezone(ZONE).time() < time(22)
        sent = notifications.portion(waiting, self.channel)
        if arrives:
            for one in sent:
                self._arrived(one, again=again)
        self.kept = then(known, sent)

    def _arrived(self, one: Notice, *, again: bool) -> None:
        if one.over:
            assert one.key not in self.stands
            assert one.key in self.believes or self.repeats[one.key]
            if not again:
                self._forget(one.key)
            return
        assert one.key not in self.silent, f"{one.key} is known to people"
        self.told[one.key] += 1
        assert self.told[one.key] <= 1 + self.repeats[one.key], f"{one.key} was told too often"
        self.believes.add(one.key)
        self.repeats[one.key] += again

    def _forget(self, key: str) -> None:
        """It stood, and stands no more: when it comes about again, that is another cause."""
        self.believes.discard(key)
        self.silent.discard(key)
        self.told[key] = self.repeats[key] = 0


SHORT = settings(max_examples=80, stateful_step_count=40, deadline=None, database=None, derandomize=True)


def test_each_cause_is_told_once_in_some_lives_of_a_channel() -> None:
    run_state_machine_as_test(OneChannel, settings=SHORT)


@pytest.mark.fault
def test_each_cause_is_told_once_in_many_lives_of_a_channel() -> None:
    """The same with other lives at every run."""
    longer = settings(SHORT, max_examples=100 if SAMPLED else 1000, stateful_step_count=50, derandomize=False)
    run_state_machine_as_test(OneChannel, settings=longer)
