"""Whatever a webhook brings: it is read without an exception, and what was read can be kept in a file."""

import json
from collections.abc import Iterator
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from reconciler.core.observed import ObservedTask, Review
from reconciler.core.terms import Phase
from reconciler.forge import payloads, reading
from reconciler.forge.fields import Unreadable
from reconciler.forge.payloads import IssueNews, PullNews, Pushed
from reconciler.forge.reading import ForgeKind
from reconciler.repo.observed import records
from reconciler.repo.yaml import documents
from tests import deliveries

KINDS: tuple[ForgeKind, ...] = ("forgejo", "gitea", "github")
EVENTS = (
    *("pull_request", "pull_request_approved", "pull_request_rejected", "pull_request_comment", "pull_request_review"),
    *("issues", "issue_comment", "push", "create", "delete", "status", ""),
)
TYPES = ("", "", "", "pull_request", "pull_request_sync", "pull_request_comment", "issue_label", "push", "\0")
STRANGE: tuple[object, ...] = (
    None,
    True,
    0,
    -1,
    1.5,
    float("nan"),
    10**400,
    "",
    "\0",
    "\ud800",
    "\u2028\x85",
    "a\r\nb",
    [],
    [None],
    {},
)
BODIES: tuple[tuple[str, deliveries.Body], ...] = (
    ("pull_request", deliveries.pull_event("opened")),
    ("pull_request", deliveries.pull_event("closed", pull_request=deliveries.github_pull(state="closed", merged=True))),
    ("pull_request_rejected", deliveries.review_event("pull_request_review_rejected")),
    ("pull_request_review", deliveries.pull_event("submitted", review=deliveries.review(state="approved"))),
    ("issues", deliveries.issue_event("opened")),
    ("push", deliveries.push()),
)

texts = st.text(st.characters(exclude_categories=()), max_size=40)
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)


def deep(levels: int = 5000) -> object:
    data: object = {}
    for _ in range(levels):
        data = {"pull_request": data, "repository": [data]}
    return data


def places(data: object, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in items:
        yield (*path, key)
        yield from places(value, (*path, key))


DEEP = deep()


@st.composite
def mutated(draw: st.DrawFn) -> tuple[str, object]:
    """A body like a real one under its event's name, with up to three values that are gone or something else."""
    event, original = draw(st.sampled_from(BODIES))
    body: Any = json.loads(json.dumps(original))
    for _ in range(draw(st.integers(0, 3))):
        path = draw(st.sampled_from(list(places(body))))
        inside = body
        for key in path[:-1]:
            inside = inside[key]
        if draw(st.booleans()) and isinstance(inside, dict):
            del inside[path[-1]]
        else:
            inside[path[-1]] = draw(st.sampled_from(STRANGE) | texts | anything)
    return event, body


@given(mutated() | st.tuples(st.sampled_from(EVENTS), anything), st.sampled_from(TYPES), st.sampled_from(KINDS))
def test_every_body_under_every_name_is_read_to_something_that_fits_a_file(
    delivery: tuple[str, object], event_type: str, kind: ForgeKind
) -> None:
    event, body = delivery
    match payloads.read(event, event_type, body, kind):
        case PullNews() as news:
            keep(news.pull.branch, news.pull.title, news.pull.url, news.by, review=news.review)
        case IssueNews(issue=issue, by=by):
            keep(issue.title, issue.body, issue.url, issue.author, by, *issue.labels)
        case Pushed() as pushed:
            keep(pushed.branch, pushed.after, pushed.by)


def test_a_value_of_any_depth_at_any_place_is_read() -> None:
    for _, original in BODIES:
        for path in places(original):
            body: Any = json.loads(json.dumps(original))
            inside = body
            for key in path[:-1]:
                inside = inside[key]
            inside[path[-1]] = DEEP
            for event in EVENTS:
                assert payloads.read(event, "", body, "github") is not None


def keep(*texts: str, review: Review | None = None) -> None:
    data: dict[str, object] = {"texts": list(texts)}
    parsed = documents.parse(documents.dump(data), "a.yaml")
    assert parsed.data == data
    if review is not None:
        path, seen = "state/observed/tasks/a.yaml", ObservedTask(phase=Phase.REVIEW_PENDING, reviews=(review,))
        assert records.decode({path: records.encode(seen)}).tasks["a"] == seen


@given(anything, st.sampled_from(KINDS))
def test_no_other_error_than_one_ever_leaves_the_reading(data: object, kind: ForgeKind) -> None:
    for read in (
        lambda: reading.pull(data, kind),
        lambda: reading.issue(data, kind, deliveries.REPOSITORY),
        lambda: reading.review(data, kind),
        lambda: reading.comment(data),
    ):
        try:
            read()
        except Unreadable as error:
            assert str(error).isprintable()  # noqa: PT017  most data is refused, and all of it may be
