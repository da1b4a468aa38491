"""`notify`: by which channels people are told, how they fare, and a message to try them.

It marks nothing as told, and no secret stands in a line that it prints.
"""

import asyncio
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from reconciler.commands import arguments, reading
from reconciler.commands.command import Command
from reconciler.commands.reading import View
from reconciler.commands.screen import Cell, Rows
from reconciler.commands.session import NotGood, Session
from reconciler.core import channels, notifications
from reconciler.core.ages import age
from reconciler.core.channels import Channel
from reconciler.core.notices import Notice
from reconciler.core.notifications import Notification
from reconciler.core.terms import Occasion
from reconciler.notify import sending
from reconciler.notify.outcomes import ChannelRefused, ChannelUnreachable
from reconciler.repo import shapes

_STYLES = {"right": "green", "wrong": "red", "note": "yellow"}


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """How one channel fares. `wrong`: nothing gets through, and the message says why."""

    channel: str
    state: Literal["right", "wrong", "note"]
    message: str


def notify(session: Session, *, channel: str = "", test: bool = False, json: bool = False) -> int:
    """Show by which channels people are told, or try them.

    With --test each channel, or the one that is named, is sent one message, quiet hours or not, with the secrets of
    this environment: run it where `reconciler reconcile` runs, with the same. The exit code is 1 if one does not take
    it.
    """
    view = reading.load(session)
    chosen = _chosen(view, channel)
    found = (
        asyncio.run(_try(session, view, chosen)) if test else [one for one in look(session, view) if _is(one, chosen)]
    )
    if json:
        session.screen.json({"channels": [shapes.plain(one) for one in found]})
    else:
        rows = [
            [Cell(text=one.channel), Cell(text=one.state, style=_STYLES[one.state]), Cell(text=one.message)]
            for one in found
        ]
        session.screen.table(Rows(headings=("CHANNEL", "STATE", "FOUND"), rows=rows, whole=2))
    return 1 if any(one.state == "wrong" for one in found) else 0


def look(session: Session, view: View) -> Iterator[State]:
    """How every channel fares, as a reconciler here last wrote down; nothing is sent."""
    now = session.now()
    for name, channel in channels.named(view.desired.settings.notify).items():
        known = view.notified.get(name)
        unset = [one for one in channels.secrets(channel) if not session.env.get(one)]
        trouble = notifications.trouble(name, known, now) if known is not None else None
        if trouble is not None:
            yield State(channel=name, state="wrong", message=trouble.removeprefix(f"{name} "))
        elif unset:
            said = f"{', '.join(unset)} is not set here; it has to be where reconciler reconcile runs"
            yield State(channel=name, state="note", message=said)
        elif known is None or known.last_at is None:
            said = f"took nothing yet; try it: reconciler notify {name} --test"
            yield State(channel=name, state="note", message=said)
        else:
            took = f"took {known.count} in all, the last {age(known.last_at, now)}"
            yield State(channel=name, state="right", message=took)


def _is(one: State, chosen: dict[str, Channel]) -> bool:
    return one.channel in chosen


def _chosen(view: View, name: str) -> dict[str, Channel]:
    found = channels.named(view.desired.settings.notify)
    if not found:
        raise NotGood(
            "state/settings.yaml names no channel under notify; docs/notifications.md says how one is written"
        )
    if name and name not in found:
        raise NotGood(
            f'there is no channel "{name}"{arguments.closest(name, found) or "; `reconciler notify` lists them"}'
        )
    return {name: found[name]} if name else found


async def _try(session: Session, view: View, chosen: dict[str, Channel]) -> list[State]:
    """What comes back when each of them is sent a message, all at the same time."""
    now = session.now()
    link = view.desired.settings.public_url or ""
    notice = Notice(
        key="test",
        occasion=Occasion.BLOCKED,
        about="example",
        at=now,
        title="a message to try this channel",
        reason="test",
        needs="nothing is to be done: this is what a blocked task looks like here",
        owner="author",
        link=link,
    )
    sent = Notification(id=secrets.token_hex(16), fleet=view.fleet.root.name, at=now, notices=(notice,), link=link)
    return list(await asyncio.gather(*(_sent(session, name, one, sent) for name, one in chosen.items())))


async def _sent(session: Session, name: str, channel: Channel, notification: Notification) -> State:
    try:
        remark = await sending.send(channel, notification, session.env.get)
    except (ChannelRefused, ChannelUnreachable) as error:
        return State(channel=name, state="wrong", message=str(error))
    return State(channel=name, state="note" if remark else "right", message=remark or "took a message")


COMMANDS = (
    Command(
        name="notify",
        group="Look",
        does=notify,
        positional="channel",
        options={
            "channel": "one channel by its kind and name, such as matrix/team",
            "test": "send a message to it",
            "json": "print it as JSON",
        },
        example="reconciler notify\nreconciler notify matrix/team --test",
    ),
)
