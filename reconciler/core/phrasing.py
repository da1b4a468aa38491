"""What a notification says: a sentence or a person's template for each cause, within bounds. A door to Jinja2.

Words of others address nobody, and a template can neither loop nor call anything.
"""

import difflib
import functools
import re
from collections import Counter
from collections.abc import Iterator, Sequence

from jinja2 import Template, TemplateError, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

from reconciler.core import printable
from reconciler.core.markdown import ZERO_WIDTH
from reconciler.core.notices import Notice
from reconciler.core.notifications import Notification
from reconciler.core.terms import Occasion

MOST_LISTED = 20
"""The most causes that a text tells one by one; the others it counts."""
MOST_RENDERED = 2000
"""The longest text of one cause that a template makes, in bytes."""

NAMES = (
    "fleet", "occasion", "over", "task", "breaker", "remote", "title", "reason", "needs", "said", "owner", "link",
    "pull_request", "at", "sentence",
)  # fmt: skip
"""What a template may name."""

FILTERS = ("upper", "lower", "capitalize", "trim", "truncate", "default")
TESTS = ("defined", "none")
"""None of them makes a text much longer than it is."""

_ALLOWED = (
    nodes.Template, nodes.Output, nodes.TemplateData, nodes.Name, nodes.Const, nodes.Filter, nodes.Test, nodes.If,
    nodes.CondExpr, nodes.Compare, nodes.Operand, nodes.And, nodes.Or, nodes.Not, nodes.Concat, nodes.List, nodes.Tuple,
    nodes.Keyword,
)  # fmt: skip
_BROKEN = (TemplateError, TypeError, ValueError, AssertionError, RecursionError)
"""What Jinja2 and its filters raise where a template makes no sense."""

_PING = re.compile(r"(?<!\w)@(?=\w)|<(?=[!@#])")
"""What chats take for an address: `@room`, `@here`, `<!channel>`. The @ inside of an e-mail address is none."""

_HEADS = {
    Occasion.BLOCKED: ("is blocked", "blocked"),
    Occasion.FAILED: ("has failed", "failed"),
    Occasion.REVIEW_PENDING: ("waits for review", "in review"),
    Occasion.BREAKER: ("is open", "breaker open"),
    Occasion.PUSH_LAG: ("is not pushed to", "push lag"),
}


def problem(template: str) -> str | None:
    """Why that is no template of ours, as the end of a sentence; `None` where it is one."""
    try:
        template.encode()
        tree = _environment().parse(template)
        wrong = next((why for node in tree.find_all(nodes.Node) if (why := _wrong(node)) is not None), None)
        if wrong is None:
            for sample in ("", "word"):
                _environment().from_string(template).render(dict.fromkeys(NAMES, sample))
    except _BROKEN as error:
        line = getattr(error, "lineno", None)
        where = f" (its line {line})" if line is not None else ""
        return f"is no template: {printable.short(str(error) or type(error).__name__, 200)}{where}"
    return wrong


def _wrong(node: nodes.Node) -> str | None:
    """Asked before anything is compiled: constants are computed then, however large they become."""
    if not isinstance(node, _ALLOWED):
        return f"uses {type(node).__name__.lower()}, which templates here cannot: values, filters and if are allowed"
    if isinstance(node, nodes.Name) and node.name not in NAMES:
        close = difflib.get_close_matches(node.name, NAMES, n=1)
        hint = f"did you mean {close[0]}?" if close else f"known are {', '.join(NAMES)}"
        return f'names the unknown value "{node.name}": {hint}'
    return None


def subject(notification: Notification) -> str:
    """The notification in a line: its only cause, or how many of each kind."""
    told = notification.notices
    if len(told) == 1:
        return f"[{notification.fleet}] {_head(told[0])}"
    counts = Counter(("over" if one.over else _HEADS[one.occasion][1]) for one in told)
    return f"[{notification.fleet}] {', '.join(f'{number} {word}' for word, number in counts.items())}"


def text(notification: Notification, template: str | None, most_bytes: int) -> str:
    """The notification as plain text of at most so many bytes: causes one by one, then how many more there are."""
    told = notification.notices
    whole = room = most_bytes - len(_more(len(told), notification).encode()) - 2
    parts: list[str] = []
    for one in told[:MOST_LISTED]:
        part = _rendered(one, notification, template)
        room -= len(part.encode()) + 2
        if room < 0:
            break
        parts.append(part)
    if not parts:
        parts = [_cut(_rendered(told[0], notification, template), whole)]
    left = len(told) - len(parts)
    return "\n\n".join([*parts, *([_more(left, notification)] if left else [])])


def sentence(notice: Notice) -> str:
    """The cause with all that is known of it."""
    return " ".join(_sentences(notice))


def harmless(words: str) -> str:
    """Words of others so that no chat takes them for an address."""
    return _PING.sub(lambda found: found.group() + ZERO_WIDTH, words)


def _sentences(notice: Notice) -> Iterator[str]:
    reason = f" ({harmless(notice.reason)})" if notice.reason else ""
    title = f": {harmless(notice.title)}" if notice.title else ""
    yield f"{_head(notice)}{reason}{title}."
    if notice.said:
        yield f'It said: "{harmless(notice.said)}".'
    if notice.needs:
        who = f"For the {notice.owner}: " if notice.owner else ""
        yield f"{who}{harmless(notice.needs)}."
    yield from (one for one in (notice.pull_request, notice.link) if one)


def _head(notice: Notice) -> str:
    match notice.occasion:
        case Occasion.BREAKER:
            return f"the breaker {notice.about} {'is closed' if notice.over else 'is open'}"
        case Occasion.PUSH_LAG if notice.over:
            return f"everything is pushed to {notice.about} again"
        case Occasion.PUSH_LAG:
            return f"what happened waits to be pushed to {notice.about}"
        case _:
            return f"{notice.about} {_HEADS[notice.occasion][0]}"


def _more(number: int, notification: Notification) -> str:
    where = notification.link or "reconciler status"
    return f"And {number} more: {where}"


def _rendered(notice: Notice, notification: Notification, template: str | None) -> str:
    if template is None:
        return sentence(notice)
    try:
        made = _template(template).render(_values(notice, notification))
    except _BROKEN:
        return sentence(notice)
    return _cut(made.strip(), MOST_RENDERED) or sentence(notice)


def _values(notice: Notice, notification: Notification) -> dict[str, str]:
    is_task = notice.occasion not in {Occasion.BREAKER, Occasion.PUSH_LAG}
    found: Sequence[tuple[str, str]] = (
        ("fleet", notification.fleet),
        ("occasion", notice.occasion.value),
        ("over", "yes" if notice.over else ""),
        ("task", notice.about if is_task else ""),
        ("breaker", notice.about if notice.occasion is Occasion.BREAKER else ""),
        ("remote", notice.about if notice.occasion is Occasion.PUSH_LAG else ""),
        ("title", harmless(notice.title)),
        ("reason", harmless(notice.reason)),
        ("needs", harmless(notice.needs)),
        ("said", harmless(notice.said)),
        ("owner", notice.owner),
        ("link", notice.link),
        ("pull_request", notice.pull_request),
        ("at", notice.at.strftime("%Y-%m-%dT%H:%M:%SZ") if notice.at is not None else ""),
        ("sentence", sentence(notice)),
    )
    return dict(found)


def _cut(whole: str, most: int) -> str:
    """At most so many bytes of a text, with dots where it was cut."""
    if len(whole.encode()) <= most:
        return whole
    return f"{whole.encode()[: max(0, most - 3)].decode(errors='ignore').rstrip()}..."


@functools.lru_cache(maxsize=64)
def _template(source: str) -> Template:
    return _environment().from_string(source)


@functools.cache
def _environment() -> ImmutableSandboxedEnvironment:
    made = ImmutableSandboxedEnvironment(autoescape=False)
    made.globals.clear()
    made.filters = {name: made.filters[name] for name in FILTERS}
    made.tests = {name: made.tests[name] for name in TESTS}
    return made
