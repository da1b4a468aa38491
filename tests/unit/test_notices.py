"""What people are told of a fleet, in which words, and when: by what stands, and by what a channel was told."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.core import notices, notifications, phrasing, printable
from reconciler.core.breaker import Breaker
from reconciler.core.channels import Ntfy, Quiet, Webhook
from reconciler.core.desired import Desired, Document, Settings, Task
from reconciler.core.notices import Notice
from reconciler.core.notifications import Met, Notification, Notified, Pace, Waiting
from reconciler.core.observed import Observed, ObservedTask
from reconciler.core.standing import Standing
from reconciler.core.terms import Failure, Occasion, Phase, Scope
from tests.unit import lives

NOON = lives.NOON
TASK = Task(title="Mend the login", goal="Make it work.")
DESIRED = Desired(
    settings=Settings(public_url="https://agents.example.org"), tasks={"fix": Document(value=TASK, spec="s")}
)
BLOCKED = Notice(
    key="blocked/fix/1.1.0/auth",
    occasion=Occasion.BLOCKED,
    about="fix",
    at=NOON,
    title="Mend the login",
    reason="auth",
    needs="log in again",
    owner="operator",
)
OPEN = Notice(key="breaker/fleet", occasion=Occasion.BREAKER, about="fleet", at=NOON)
NTFY = Ntfy(topic="t")


def breaker(**keys: object) -> Breaker:
    made = Breaker(
        scope=Scope.FLEET, state="open", reason="5 runs died", needs="mend it", opened_at=NOON, since=NOON, until=NOON
    )
    return replace(made, **keys)  # type: ignore[arg-type] # any field


def of(seen: ObservedTask) -> Notice | None:
    return notices.of_task("fix", seen, DESIRED, Observed(fleet="f"))


def stands(*some: Notice) -> dict[str, Notice]:
    return {one.key: one for one in some}


def told(*some: Notice, template: str | None = None, most: int = 10_000) -> str:
    return phrasing.text(Notification(id="i", fleet="f", at=NOON, notices=some), template, most)


class TestWhatStands:
    def test_a_task_that_is_blocked_has_failed_or_waits_for_review_is_told_and_no_other(self) -> None:
        kinds = {phase: of(replace(ObservedTask(), phase=phase, epoch=3)) for phase in Phase}
        assert {phase.value for phase, one in kinds.items() if one is not None} == {
            "blocked",
            "failed",
            "review_pending",
        }

    def test_it_says_who_must_act_and_what_the_run_said(self) -> None:
        asks = replace(lives.failed(failure=Failure.WAITING_INPUT), error="Which\nport?")
        found = of(lives.live(lives.assigned(), lives.started(), asks))
        assert found is not None
        assert (found.key, found.reason, found.owner) == ("blocked/fix/1.1.0/waiting_input", "waiting_input", "author")
        assert found.said == "Which port?"
        assert found.link == "https://agents.example.org/tasks/fix"
        assert found.at is not None

    def test_one_cause_has_one_key_and_the_next_one_another(self) -> None:
        seen = replace(ObservedTask(), phase=Phase.BLOCKED, reason="auth", epoch=3)
        again = (
            replace(seen, epoch=4),
            replace(seen, generation=2),
            replace(seen, reason="pr_closed"),
            replace(seen, review_count=1),
        )
        assert len({one.key for seen in (seen, *again) if (one := of(seen))}) == 5
        assert len({one.key for seen in (seen, replace(seen, needs="x", branch_name="y")) if (one := of(seen))}) == 1

    def test_an_open_breaker_is_told_by_its_name_however_often_it_opens_in_a_row(self) -> None:
        for one in (breaker(), breaker(openings=2, opened_at=NOON + timedelta(hours=1))):
            (found,) = notices.of_fleet(DESIRED, {"fleet": one}, None, NOON)
            assert (found.key, found.reason) == ("breaker/fleet", "5 runs died")
        assert list(notices.of_fleet(DESIRED, {"fleet": breaker(state="closed")}, None, NOON)) == []

    def test_a_record_that_waits_for_five_minutes_to_be_pushed_is_told(self) -> None:
        behind = Standing(role="leader", remote="origin", behind=3, behind_since=NOON, reason="no answer")
        early, late = NOON + timedelta(minutes=4), NOON + timedelta(minutes=5)
        assert list(notices.of_fleet(DESIRED, {}, behind, early)) == []
        (found,) = notices.of_fleet(DESIRED, {}, behind, late)
        assert (found.key, found.reason, found.at) == ("push_lag/origin", "no answer", NOON)


class TestWhen:
    def test_what_came_about_again_is_told_again(self) -> None:
        known = notifications.took(Notified(since=NOON), (BLOCKED,), NOON)
        assert notifications.untold(stands(BLOCKED), NTFY, known) == ()
        assert notifications.gone(stands(BLOCKED), NTFY, known) == (frozenset(), frozenset())
        ends, past = notifications.gone({}, NTFY, known)
        assert (ends, past) == (frozenset(), frozenset({BLOCKED.key}))
        assert notifications.untold(stands(BLOCKED), NTFY, notifications.forgotten(known, past)) == (BLOCKED,)

    def test_who_was_told_that_a_breaker_opened_is_told_that_it_closed_once(self) -> None:
        known = notifications.took(Notified(since=NOON), (OPEN,), NOON)
        assert notifications.gone({}, NTFY, known) == (frozenset({OPEN.key}), frozenset())
        over = notices.ended(OPEN.key, DESIRED, {"fleet": breaker(closed_because="its time is over")}, NOON)
        assert told(over) == "the breaker fleet is closed (its time is over). https://agents.example.org"
        known = notifications.took(known, (over,), NOON)
        assert notifications.gone({}, NTFY, known) == (frozenset(), frozenset())

    def test_who_was_not_told_that_it_opened_is_not_told_that_it_closed(self) -> None:
        old = replace(OPEN, at=NOON - timedelta(days=1))
        known = notifications.begun(None, stands(old), 0, NOON)
        assert notifications.untold(stands(old), NTFY, known) == ()
        assert notifications.gone({}, NTFY, known) == (frozenset(), frozenset({OPEN.key}))

    def test_of_a_channel_only_what_it_is_for_is_told(self) -> None:
        channel = replace(NTFY, on=(Occasion.BREAKER,))
        assert notifications.untold(stands(BLOCKED, OPEN), channel, Notified(since=NOON)) == (OPEN,)

    def test_what_comes_together_goes_together_worst_first(self) -> None:
        many = [replace(BLOCKED, key=f"blocked/t{n:03}/1", about=f"t{n:03}") for n in range(200)]
        waiting = notifications.untold(stands(*many, OPEN), NTFY, Notified(since=NOON))
        assert (waiting[0], len(waiting)) == (OPEN, 201)
        assert notifications.portion(waiting, NTFY) == waiting
        assert notifications.portion(waiting, Webhook(url="http://x")) == waiting[:100]

    def test_a_channel_that_fails_is_left_alone_for_longer_each_time(self) -> None:
        known, pauses = Notified(since=NOON), []
        for _ in range(12):
            known = notifications.failed(known, Met(why="no"), NOON, Pace())
            assert known.failure is not None
            pauses.append(known.failure.until - NOON)
        assert pauses[:3] == [timedelta(seconds=10), timedelta(seconds=20), timedelta(seconds=40)]
        assert pauses[-1] == timedelta(minutes=30)
        asked = notifications.failed(Notified(since=NOON), Met(why="later", wanted=timedelta(hours=1)), NOON, Pace())
        assert asked.failure is not None
        assert asked.failure.until == NOON + timedelta(hours=1)
        assert notifications.due_at(NTFY, known, Waiting(since=NOON, now=NOON), Pace(), ZoneInfo("UTC")) == (
            NOON + timedelta(minutes=30)
        )

    def test_a_refusal_is_a_problem_at_once_and_silence_after_five_minutes(self) -> None:
        refused = notifications.failed(Notified(since=NOON), Met(why="401", refused=True), NOON, Pace())
        silent = notifications.failed(Notified(since=NOON), Met(why="no answer"), NOON, Pace())
        (problem,) = notifications.problems({"ntfy/a": refused, "ntfy/b": silent}, NOON + timedelta(minutes=4))
        assert problem.message == "ntfy/a takes no notifications since 2026-01-01T12:00:00Z: 401"
        assert len(notifications.problems({"ntfy/b": silent}, NOON + timedelta(minutes=5))) == 1
        assert notifications.problems({"ntfy/b": notifications.took(silent, (), NOON)}, NOON) == ()


class TestQuietHours:
    BERLIN = ZoneInfo("Europe/Berlin")
    NIGHT = Quiet(start="22:00", end="07:00", zone="Europe/Berlin")

    @pytest.mark.parametrize(
        ("at", "then"),
        [
            ("2026-01-10T20:59", "2026-01-10T20:59"),
            ("2026-01-10T21:00", "2026-01-11T06:00"),
            ("2026-01-11T05:59", "2026-01-11T06:00"),
            ("2026-01-11T06:00", "2026-01-11T06:00"),
            ("2026-03-29T00:30", "2026-03-29T05:00"),
            ("2026-10-25T00:30", "2026-10-25T06:00"),
        ],
    )
    def test_they_end_in_the_morning_by_the_clocks_there(self, at: str, then: str) -> None:
        moment = datetime.fromisoformat(f"{at}:00+00:00")
        assert notifications.after_quiet(moment, self.NIGHT, self.BERLIN) == datetime.fromisoformat(f"{then}:00+00:00")

    def test_within_a_day_they_end_on_the_same_day(self) -> None:
        noon = Quiet(start="12:00", end="13:30")
        at = datetime(2026, 1, 10, 12, 10, tzinfo=UTC)
        assert notifications.after_quiet(at, noon, ZoneInfo("UTC")) == datetime(2026, 1, 10, 13, 30, tzinfo=UTC)

    def test_what_waited_since_before_them_waits_as_well(self) -> None:
        evening, night = datetime(2026, 1, 10, 20, tzinfo=UTC), datetime(2026, 1, 10, 23, tzinfo=UTC)
        channel = replace(NTFY, quiet=self.NIGHT)
        since = Waiting(since=evening, now=night)
        assert notifications.due_at(channel, Notified(since=NOON), since, Pace(), self.BERLIN).hour == 6


class TestTexts:
    def test_a_template_is_filled_in_for_each_cause(self) -> None:
        template = "{{ task | upper }} is {{ occasion }}{% if needs %}: {{ needs }}{% endif %}"
        assert phrasing.problem(template) is None
        other = replace(BLOCKED, about="other", needs="")
        assert told(BLOCKED, other, template=template) == "FIX is blocked: log in again\n\nOTHER is blocked"

    @pytest.mark.parametrize(
        ("template", "why"),
        [
            ("{{ taks }}", 'the unknown value "taks": did you mean task?'),
            ("{% for a in task %}x{% endfor %}", "uses for"),
            ("{{ 'a' * 99999999999 }}", "uses mul"),
            ("{{ 9 ** 9 ** 9 ** 9 }}", "uses pow"),
            ("{{ task.__class__ }}", "uses getattr"),
            ("{{ range(9) }}", "uses call"),
            ("{% include 'x' %}", "uses include"),
            ("{% set x = 1 %}", "uses assign"),
            ("{{ task | replace('a', 'b') }}", "No filter named 'replace'"),
            ("\ud800", "is no template"),
            ("{{ task", "is no template: unexpected end of template"),
            ("a\n{{ task | truncate('x') }}", "is no template"),
            ("{{ " + "(" * 480 + "task" + ")" * 480 + " }}", "is no template"),
        ],
    )
    def test_a_template_that_makes_no_sense_or_could_go_on_for_ever_is_refused(self, template: str, why: str) -> None:
        found = phrasing.problem(template)
        assert found is not None
        assert why in found

    def test_nothing_that_others_wrote_addresses_anybody(self) -> None:
        hostile = replace(BLOCKED, title="@room @here <!channel> <@U1> ada@example.org", said="@everyone")
        for text in (told(hostile), told(hostile, template="{{ title }} {{ said }} {{ sentence }}")):
            assert not [ping for ping in ("@room", "@here", "<!channel", "<@U1", "@everyone", "@U1") if ping in text]
            assert "ada@example.org" in text
        assert told(BLOCKED, template="@ada: {{ task }}") == "@ada: fix"

    @settings(max_examples=30, deadline=None)
    @given(st.integers(1, 60), st.integers(600, 8000), st.text(max_size=300))
    def test_a_text_is_within_its_bound_and_counts_what_it_does_not_tell(
        self, number: int, most: int, words: str
    ) -> None:
        title, said = printable.short(words, 200), printable.short(words * 9, 400)
        text = told(*(replace(BLOCKED, about=f"t{n}", title=title, said=said) for n in range(number)), most=most)
        assert len(text.encode()) <= most
        *parts, last = text.split("\n\n")
        left = re.fullmatch("And ([0-9]+) more: reconciler status", last)
        assert len(parts) + (int(left[1]) if left else 1) == number
        assert all(part.startswith("t") for part in parts)
