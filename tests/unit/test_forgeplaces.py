"""When the forge is asked about which repository, on a clock that the test moves."""

from collections.abc import Sequence
from datetime import timedelta

from reconciler.core.observed import ObservedTask
from reconciler.core.watched import OFTEN_S, SELDOM_S, Watched
from reconciler.watching.forgeplaces import LATER_S, RETRY_FIRST_S, RETRY_MOST_S, Marks, Place, Places
from tests.unit import lives

NOW = lives.at(3600)


def tasks(*ids: str, active: float = 0) -> dict[str, Sequence[Watched]]:
    """Tasks of `team/a`, in which something moved that many seconds before now."""
    seen = ObservedTask(last_activity_at=NOW - timedelta(seconds=active) if active else None)
    return {
        "team/a": [
            Watched(task_id=name, repository="team/a", branches=frozenset({f"task/{name}"}), seen=seen) for name in ids
        ]
    }


def arranged(*names: str) -> Places:
    places = Places()
    places.arrange(names)
    return places


def taken(places: Places, found: dict[str, Sequence[Watched]], now_s: float) -> Place:
    """The next repository, asked about in vain or not."""
    place = places.next(found, NOW, now_s)
    assert place is not None
    place.tried_s = now_s
    return place


def looked(places: Places, found: dict[str, Sequence[Watched]], now_s: float) -> Place:
    place = taken(places, found, now_s)
    place.looked(found.get(place.name, ()), now_s, thorough=place.is_thorough(now_s))
    places.answered(place)
    return place


def test_every_repository_is_asked_about_at_once_and_then_seldom() -> None:
    places = arranged("team/a", "team/b")
    assert {looked(places, {}, 1.0).name, looked(places, {}, 1.0).name} == {"team/a", "team/b"}
    assert places.next({}, NOW, 1.0 + SELDOM_S - 1) is None
    assert places.next({}, NOW, 1.0 + SELDOM_S) is not None


def test_a_repository_where_something_moves_is_asked_about_often() -> None:
    places, found = arranged("team/a", "team/b"), tasks("fix", active=60)
    looked(places, found, 1.0)
    looked(places, found, 1.0)
    assert looked(places, found, 1.0 + OFTEN_S).name == "team/a"
    assert places.next(found, NOW, 1.0 + OFTEN_S) is None


def test_a_new_branch_makes_its_repository_due_soon() -> None:
    places = arranged("team/a")
    looked(places, tasks("fix"), 1.0)
    assert places.next(tasks("fix"), NOW, 1.0 + OFTEN_S) is None
    assert places.next(tasks("fix", "more"), NOW, 1.0 + OFTEN_S) is not None


def test_what_a_delivery_asks_for_goes_first_and_at_once() -> None:
    places = arranged("team/a", "team/b")
    looked(places, {}, 1.0)
    looked(places, {}, 1.0)
    places.mark("Team/B", Marks(pulls={3: "ada"}, deliveries=[7]))
    assert taken(places, {}, 2.0).name == "team/b"


def test_the_thorough_look_is_seldom_however_often_a_repository_is_asked_about() -> None:
    places, found = arranged("team/a"), tasks("fix", active=60)
    thorough = []
    for turn in range(17):
        now_s = 1.0 + turn * OFTEN_S
        thorough += [now_s] if taken(places, found, now_s).is_thorough(now_s) else []
        looked(places, found, now_s)
    assert thorough == [1.0, 1.0 + SELDOM_S, 1.0 + 2 * SELDOM_S]


def test_the_only_repository_without_an_answer_is_a_silent_forge_that_is_asked_less_and_less_often() -> None:
    places, now_s, pauses = arranged("team/a"), 0.0, []
    for _ in range(9):
        places.failed(taken(places, {}, now_s), now_s, None)
        assert places.silent
        pause_s = 0.0
        while places.next({}, NOW, now_s + pause_s) is None:
            pause_s += 0.5
        pauses.append(pause_s)
        now_s += pause_s
    assert pauses == [RETRY_FIRST_S, 2, 4, 8, 16, 32, RETRY_MOST_S, RETRY_MOST_S, RETRY_MOST_S]
    places.answered(taken(places, {}, now_s))
    assert not places.silent


def test_one_repository_that_fails_among_others_leaves_them_alone() -> None:
    places, now_s = arranged("team/a", "team/b"), 0.0
    for _ in range(400):
        place = places.next({}, NOW, now_s)
        if place is not None:
            place.tried_s = now_s
            if place.name == "team/a":
                places.failed(place, now_s, None)
            else:
                place.looked((), now_s, thorough=True)
                places.answered(place)
        assert not places.silent
        now_s += 0.5


def test_several_repositories_without_an_answer_are_a_silent_forge() -> None:
    places, silent = arranged("team/a", "team/b", "team/c"), []
    for _ in range(2):
        places.failed(taken(places, {}, 1.0), 1.0, None)
        silent.append(places.silent)
    assert silent == [False, True]
    assert places.next({}, NOW, 1.0) is None


def test_an_answer_after_silence_has_everything_caught_up_at_once() -> None:
    places = arranged("team/a", "team/b", "team/c")
    for _ in range(2):
        places.failed(taken(places, {}, 1.0), 1.0, None)
    assert {looked(places, {}, 2.0 + turn / 10).name for turn in range(3)} == {"team/a", "team/b", "team/c"}


def test_a_forge_that_asks_for_patience_gets_it() -> None:
    places = arranged("team/a", "team/b")
    places.failed(taken(places, {}, 0.0), 0.0, 300.0)
    assert places.silent
    assert places.next({}, NOW, 299.0) is None
    assert places.next({}, NOW, 300.0) is not None


def test_what_was_marked_in_vain_is_marked_still_but_not_before_its_time() -> None:
    places = arranged("team/a")
    places.mark("team/a", Marks(pulls={3: "ada"}, deliveries=[7]))
    assert places.marked(0.0)
    places.failed(taken(places, {}, 0.0), 0.0, None)
    assert not places.marked(0.0)
    assert places.marked(RETRY_FIRST_S)


def test_a_repository_that_is_watched_no_more_is_forgotten_once_nothing_is_to_be_read_there() -> None:
    places = arranged("team/a")
    places.mark("team/a", Marks(issues={3: False}, issue_deliveries=[7]))
    places.arrange([])
    place = taken(places, {}, 0.0)
    place.marks = Marks()
    places.arrange([])
    assert places.next({}, NOW, 10_000.0) is None


def test_the_pause_is_never_longer_than_news_may_wait() -> None:
    places = arranged("team/a")
    assert places.pause_s({}, NOW, 0.0) == 0.0
    looked(places, {}, 0.0)
    assert places.pause_s({}, NOW, 1.0) == OFTEN_S
    assert places.pause_s({}, NOW, SELDOM_S - 4) == 4.0


def test_marks_add_up() -> None:
    marks = Marks(pulls={3: "ada"}, issues={5: True}, deliveries=[1])
    marks.add(Marks(pulls={3: "rex", 4: "rex"}, reopened={4}, issues={5: False, 6: False}, deliveries=[2]))
    assert marks == Marks(pulls={3: "rex", 4: "rex"}, reopened={4}, issues={5: True, 6: False}, deliveries=[1, 2])


def test_what_could_not_be_written_down_is_read_again_later_and_holds_up_nothing_else() -> None:
    places = arranged("team/a")
    places.mark("team/a", Marks(issues={5: True}, issue_deliveries=[7]))
    place = taken(places, {}, 0.0)
    place.put_off(place.take(0.0), [5, 6], 0.0)
    place.looked((), 0.0, thorough=True)
    assert not places.marked(0.0)
    assert places.next({}, NOW, LATER_S - 1) is None
    places.mark("team/a", Marks(pulls={3: "ada"}, deliveries=[8]))
    assert taken(places, {}, 1.0).take(1.0) == Marks(pulls={3: "ada"}, deliveries=[8])
    assert taken(places, {}, LATER_S).take(LATER_S) == Marks(issues={5: True, 6: False}, issue_deliveries=[7])
