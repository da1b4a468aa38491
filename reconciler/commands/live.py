"""`status --watch`: the fleet again and again, as a live board on a terminal, elsewhere as a line for each change.

It reads as `status` does, changes nothing, and leaves the terminal as it was.
"""

import signal
from collections.abc import Callable, Iterator, Mapping, Sequence

from rich.console import Group
from rich.live import Live

from reconciler.commands import boardlines, pictures
from reconciler.commands.boardlines import Size
from reconciler.commands.reading import Reader, View
from reconciler.commands.session import Session
from reconciler.commands.signals import Signals
from reconciler.core import notes
from reconciler.core.observed import UNTOUCHED

LOOK_EVERY_S = 1.0


def watch(session: Session, reader: Reader, task_id: str) -> int:
    """Show the board, or one task, until a signal ends it; the exit code."""
    console = session.screen.console
    whole = session.screen.terminal and console.is_terminal and not console.is_dumb_terminal
    return (_on_terminal if whole else _as_lines)(session, reader, task_id)


def as_documents(session: Session, reader: Reader, document: Callable[[View], object]) -> int:
    """Print a JSON document on a line at once, and again whenever it is another one; the exit code."""
    before = document(reader.read())
    session.screen.json_line(before)
    with Signals() as signals:
        for view in _views(reader, signals):
            found = document(view)
            if found != before:
                session.screen.json_line(found)
            before = found
    return signals.code


def changes(before: View, after: View, ids: Sequence[str] | None = None) -> Iterator[str]:
    """What is different, a line each: tasks (those of `ids` alone, where there are any), hosts, breakers, files."""
    old, new = _tasks(before, ids), _tasks(after, ids)
    for task_id in sorted(old.keys() | new.keys()):
        if old.get(task_id) != new.get(task_id):
            was = before.observed.tasks.get(task_id, UNTOUCHED).phase if task_id in old else "new"
            yield f"{task_id}: {was} -> {new.get(task_id, 'put away')}"
    if ids is not None:
        return
    hosts_before, hosts = _hosts(before), _hosts(after)
    for host_id in sorted(hosts_before.keys() | hosts.keys()):
        if hosts_before.get(host_id) != hosts.get(host_id):
            yield f"host {host_id}: {hosts.get(host_id, 'its file is gone')}"
    breakers_before, breakers = _breakers(before), _breakers(after)
    yield from (breakers[name] for name in breakers if name not in breakers_before)
    yield from (f"breaker {name} is closed" for name in breakers_before if name not in breakers)
    yield from (pictures.problem(one) for one in after.desired.problems if one not in before.desired.problems)
    yield from (
        f"mended: {pictures.problem(one)}" for one in before.desired.problems if one not in after.desired.problems
    )


def _on_terminal(session: Session, reader: Reader, task_id: str) -> int:
    """Show the board, or one task, on the whole terminal until a signal ends it; the exit code."""
    console = session.screen.console

    def picture(view: View) -> Group:
        size = Size(width=console.width, height=console.height, plain=console.options.ascii_only)
        now = session.now()
        lines = boardlines.task_lines(view, task_id, now, size) if task_id else boardlines.lines(view, now, size)
        return Group(*lines)

    first = reader.read()
    if task_id:
        first.known(task_id)
    with Signals(signal.SIGWINCH, signal.SIGTSTP) as signals:
        shown = picture(first)
        with Live(
            shown, console=console, screen=True, auto_refresh=False, redirect_stdout=False, redirect_stderr=False
        ) as live:
            for view in _views(reader, signals, lambda: _stop_here(live, signals)):
                live.update(picture(view), refresh=True)
        return signals.code


def _as_lines(session: Session, reader: Reader, task_id: str) -> int:
    """Print the board, or one task, and then a line for each change until a signal ends it; the exit code."""
    screen, view = session.screen, reader.read()
    if task_id:
        pictures.task(screen, view, view.known(task_id), session.now())
    else:
        pictures.board(screen, view, session.now())
    screen.flush()
    with Signals() as signals:
        for found in _views(reader, signals):
            for line in changes(view, found, [task_id] if task_id else None):
                screen.line(f"{session.now():%H:%M:%S} {line}")
            screen.flush()
            view = found
    return signals.code


def _views(reader: Reader, signals: Signals, stop_here: Callable[[], None] | None = None) -> Iterator[View]:
    """The fleet once a second, and when the terminal has another size, until a signal asks for the end."""
    while not signals.ended():
        came = signals.wait(LOOK_EVERY_S)
        if signal.SIGTSTP in came and stop_here is not None:
            stop_here()
        view = signals.unless_ended(reader.read)
        if view is not None:
            yield view


def _stop_here(live: Live, signals: Signals) -> None:
    """Give the terminal back while the process is stopped."""
    live.stop()
    signals.stop_here()
    live.start(refresh=True)


def _tasks(view: View, ids: Sequence[str] | None) -> Mapping[str, str]:
    chosen = view.task_ids() if ids is None else ids
    return {one: pictures.standing(view.observed.tasks.get(one, UNTOUCHED)) for one in chosen}


def _hosts(view: View) -> Mapping[str, str]:
    found = {}
    for host_id in view.desired.hosts:
        known = view.observed.hosts.get(host_id)
        reason = f": {known.reason}" if known is not None and known.reason else ""
        found[host_id] = f"{notes.host_state(host_id, view.desired, view.observed)}{reason}"
    return found


def _breakers(view: View) -> Mapping[str, str]:
    return {name: one.sentence for name, one in sorted(view.observed.breakers.items()) if one.is_open}
