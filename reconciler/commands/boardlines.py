"""The live board as lines for a terminal of any size: what wants a person first, as much as fits, how many more.

It reads no file; the work of a frame is bounded by the lines that fit, but for sorting the tasks.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from rich.cells import chop_cells
from rich.text import Text

from reconciler.commands import pictures, surroundings
from reconciler.commands.pictures import STYLES
from reconciler.commands.reading import View
from reconciler.commands.screen import shown
from reconciler.core import board, conditions, notes, printable, remarks
from reconciler.core.ages import span
from reconciler.core.board import Kind
from reconciler.core.conditions import Usage
from reconciler.core.desired import Desired
from reconciler.core.notes import IN_TROUBLE
from reconciler.core.observed import UNTOUCHED, Observed
from reconciler.core.remarks import Remark
from reconciler.core.terms import TERMINAL, Phase

SHOWN = ("blocked", "running", "review", "waiting", "finished")
"""The columns from top to bottom: what is cut off on a small terminal wants a person least."""
AIRY = 24
"""With so many lines there is an empty one between two blocks."""
ROOMY = 72
"""With so many characters in a line there is room for where a task runs, and since when."""
LEAST_ID, MOST_PLACE, SPAN = 12, 18, 6
BAR = 12
_LEVELS = ("error", "warning", "plain")


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How much fits. `plain`: only ASCII can be shown."""

    width: int
    height: int
    plain: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Frame:
    """What one picture is made of. `presumed`: with hosts that were not asked yet taken for ones that answer."""

    desired: Desired
    observed: Observed
    presumed: Observed
    now: datetime
    used: Usage
    size: Size


@dataclass(slots=True, kw_only=True)
class _Block:
    """Lines that stand together: a heading, and as many rows as there is room for of those that `draw` gives.

    `given` is how many lines it gets, its heading among them; 0: it is not shown.
    """

    title: str
    style: str
    total: int
    says: str
    draw: Callable[[int], Iterable[Text]]
    most: int | None = None
    given: int = 0

    @property
    def wants(self) -> int:
        """How many lines it can use."""
        return min(self.total + 1, max(self.most or self.total + 1, 2))

    def drawn(self) -> Iterator[Text]:
        """Its lines; the heading says how many rows there are, and how many of them there was no room for."""
        count = self.given - 1
        says = f"{self.total - count:,} more" if self.total > count else self.says
        yield Text.assemble((f"{self.title} {self.total:,}", self.style), (f"  {says}", "dim"))
        yield from self.draw(count)


def lines(view: View, now: datetime, size: Size) -> list[Text]:
    """The whole board in at most `size.height` lines, each of at most `size.width` cells."""
    desired, observed = view.desired, view.observed
    presumed, used = view.presuming(now), conditions.usage(observed)
    frame = _Frame(desired=desired, observed=observed, presumed=presumed, now=now, used=used, size=size)
    columns = board.in_order(board.task_ids(desired, observed.tasks), desired, observed.tasks)
    quarter = size.height // 4 + 1
    wrong = _problems(view, frame, quarter)
    hosts = _hosts(frame, quarter)
    kinds = {kind.name: kind for kind in board.KINDS}
    blocked, running, *rest = (_section(kinds[name], columns[name], frame) for name in SHOWN)
    given = [one for one in (wrong, blocked, running, hosts, *rest) if one.total]
    airy = size.height >= AIRY
    _share(given, size.height - 1 - (len(given) if airy else 0))
    made = [_headline(view, columns, frame)]
    for block in (wrong, hosts, blocked, running, *rest):
        if block.given:
            made += [Text(), *block.drawn()] if airy else block.drawn()
    if not any(columns.values()):
        made.append(Text('no tasks yet: reconciler new "What is to be done"'))
    return [_fitted(one, size) for one in made[: size.height]]


def task_lines(view: View, task_id: str, now: datetime, size: Size) -> list[Text]:
    """One task as far as it fits, its newest run first."""
    whole = [
        Text(piece, style=style)
        for text, style in pictures.task_lines(view, task_id, now, newest_first=True)
        for piece in chop_cells(shown(text), size.width) or [""]
    ]
    if len(whole) > size.height:
        more = len(whole) - size.height + 1
        whole = [*whole[: size.height - 1], Text(f"{more} more lines: reconciler status {task_id}", style="dim")]
    return [_fitted(one, size) for one in whole]


def _share(blocks: Sequence[_Block], room: int) -> None:
    """Give each block its heading and a row, the first ones first; then the rest of the room, line by line, around."""
    for block in blocks:
        if room > 1:
            block.given = 2
            room -= 2
    hungry = [block for block in blocks if 0 < block.given < block.wants]
    while room > 0 and hungry:
        for block in hungry[:room]:
            block.given += 1
        room -= min(room, len(hungry))
        hungry = [block for block in hungry if block.given < block.wants]


def _headline(view: View, columns: dict[str, list[str]], frame: _Frame) -> Text:
    apart = "  " if frame.size.plain else " · "
    counts = [f"{len(columns[kind.name]):,} {kind.title.lower()}" for kind in board.KINDS if columns[kind.name]]
    what = apart.join(counts) or "no tasks"
    return Text.assemble(
        (what, "bold"), (f"{apart}{_told(view.fleet.root.name, frame)} {frame.now:%H:%M:%S} UTC", "dim")
    )


def _problems(view: View, frame: _Frame, most: int) -> _Block:
    """What is wrong, or to be known, around the tasks, the worst first."""
    said = [
        *remarks.breakers(view.observed, frame.now),
        *remarks.forge(view.desired, view.observed),
        *remarks.remote(view.standing, frame.now),
    ]
    files = [Remark(text=pictures.problem(one), level="error") for one in view.desired.problems]
    order = sorted([*said, *files], key=lambda one: _LEVELS.index(one.level))
    quiet = all(one.level == "plain" for one in order)

    def draw(count: int) -> Iterator[Text]:
        for one in order[:count]:
            yield Text(f"  {_told(one.text, frame)}", style=surroundings.STYLES[one.level])

    title, style = ("Around", "bold") if quiet else ("Problems", "bold red")
    return _Block(title=title, style=style, total=len(order), says="", draw=draw, most=most)


def _section(kind: Kind, ids: Sequence[str], frame: _Frame) -> _Block:
    style = f"bold {STYLES[kind.phases[-1]]}" if kind.name != "finished" else "bold"
    return _Block(
        title=kind.title, style=style, total=len(ids), says=kind.says, draw=lambda n: _task_rows(ids[:n], frame)
    )


def _hosts(frame: _Frame, most: int) -> _Block:
    """Those in trouble first."""
    ids = sorted(frame.desired.hosts.keys() | frame.used.by_host.keys())
    ids.sort(key=lambda one: notes.host_state(one, frame.desired, frame.observed) not in IN_TROUBLE)
    slots = sum(document.value.slots for document in frame.desired.hosts.values())
    says = f"{frame.used.running} of {slots} slots in use"
    return _Block(
        title="Hosts", style="bold", total=len(ids), says=says, draw=lambda n: _host_rows(ids[:n], frame), most=most
    )


def _task_rows(ids: Sequence[str], frame: _Frame) -> Iterator[Text]:
    roomy = frame.size.width >= ROOMY
    width = min(max(map(len, ids)), max(LEAST_ID, frame.size.width * (2 if roomy else 3) // 5))
    places = [_place(one, frame) if roomy else "" for one in ids]
    place = min(max(map(len, places)), MOST_PLACE)
    for task_id, where in zip(ids, places, strict=True):
        seen = frame.observed.tasks.get(task_id, UNTOUCHED)
        says, title = _says(task_id, frame), notes.title(task_id, frame.desired, frame.observed)
        yield Text.assemble(
            ("  ", ""),
            (_cut(task_id, width), STYLES[seen.phase]),
            (f"  {_since(task_id, frame).rjust(SPAN)}  " if roomy else "  ", "dim"),
            (f"{_cut(where, place)}  " if place else "", ""),
            (f"{_told(says, frame)}  " if says else "", "yellow" if seen.phase is Phase.BLOCKED else ""),
            (_told(title, frame), "dim" if says else ""),
        )


def _says(task_id: str, frame: _Frame) -> str:
    """What is to be known of it first."""
    seen = frame.observed.tasks.get(task_id, UNTOUCHED)
    if seen.phase is Phase.BLOCKED and seen.owner:
        return f"{seen.owner} must act: {seen.needs or seen.reason or ''}"
    said = notes.note(task_id, frame.desired, frame.observed, frame.now)
    if seen.phase in TERMINAL:
        return f"{seen.phase}: {said}" if said else seen.phase.value
    if said or seen.phase is not Phase.CREATED:
        return said
    waits = conditions.waiting(task_id, frame.desired, frame.presumed, frame.now, frame.used)
    return waits[0].why if waits else "ready: the next pass starts it"


def _since(task_id: str, frame: _Frame) -> str:
    at = board.since(task_id, frame.desired, frame.observed.tasks)
    return span((frame.now - at).total_seconds()) if at is not None else ""


def _place(task_id: str, frame: _Frame) -> str:
    """Where a live run is, and which one it is, counted from the first."""
    seen = frame.observed.tasks.get(task_id, UNTOUCHED)
    run = seen.live_run
    if run is None:
        return ""
    return run.host if len(seen.runs) == 1 else f"{run.host} run {len(seen.runs)}"


def _host_rows(ids: Sequence[str], frame: _Frame) -> Iterator[Text]:
    width = min(max(map(len, ids)), max(LEAST_ID, frame.size.width // 4))
    bar = BAR if frame.size.width >= ROOMY else 0
    for host_id in ids:
        document = frame.desired.hosts.get(host_id)
        running, slots = frame.used.by_host.get(host_id, 0), document.value.slots if document is not None else 0
        state = notes.host_state(host_id, frame.desired, frame.observed)
        says = notes.host_note(host_id, frame.desired, frame.observed, frame.now)
        yield Text.assemble(
            ("  ", ""),
            (_cut(host_id, width), ""),
            ("  ", ""),
            (_bar(running, slots, plain=frame.size.plain).ljust(bar), "cyan"),
            (f" {running}/{slots}".ljust(8), ""),
            (state.value, pictures.HOST_STYLES[state]),
            (f"  {_told(says, frame)}" if says else "", "yellow"),
        )


def _bar(running: int, slots: int, *, plain: bool) -> str:
    """The slots one by one, or as parts of a bar where there are many."""
    full, free = ("#", ".") if plain else ("█", "░")
    length = min(slots, BAR)
    used = min(length, -(-running * length // slots) if slots else 0)
    return full * used + free * (length - used)


def _cut(text: str, width: int) -> str:
    return printable.short(text, width).ljust(width)


def _told(text: str, frame: _Frame) -> str:
    """As much of what somebody wrote as a line can hold; it may be megabytes."""
    return printable.short(text, frame.size.width)


def _fitted(line: Text, size: Size) -> Text:
    line.truncate(size.width, overflow="crop" if size.plain else "ellipsis")
    line.no_wrap = True
    return line
