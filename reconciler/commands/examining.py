"""Examines a fleet and what is around it: this machine, files, remote, hosts, adapters, forge, webhooks.

It changes nothing; what each part finds is one line, and where something is wrong the line says what mends it.
"""

import asyncio
import shutil
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from reconciler.commands import checking, forge, notify
from reconciler.commands.checking import Checked
from reconciler.commands.reading import View
from reconciler.commands.session import NotGood, Session, WrongUsage
from reconciler.core import versions
from reconciler.core.desired import Adapter, Host
from reconciler.core.terms import TERMINAL
from reconciler.repo import git, lock
from reconciler.repo.remote.door import Remote, RemoteFailed

LEAST_FREE = 1 << 30
"""Bytes: a fleet of some size grows by this much in a year, and git needs room to fold its packs."""
SKEW_S = 10.0
"""No decision needs clocks that agree; people who compare times of two machines do."""
PUBLIC_S = 10.0
REMOTE_S = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What was found about one part. `wrong`: it is in the way, and the message says what to do."""

    about: str
    state: Literal["right", "wrong", "note"]
    message: str


async def examine(session: Session, view: View) -> list[Finding]:
    """Everything found, nearest first; what is far away is asked all at the same time."""
    checked, remote, repositories, webhooks = await asyncio.gather(
        checking.check(view, session.env, session.now),
        asyncio.to_thread(lambda: list(_remote(view))),
        _forge(session, view),
        asyncio.to_thread(lambda: list(_webhooks(view))),
    )
    return [
        *_machine(view),
        *_files(view),
        *_reconciler(view),
        *remote,
        *(one for host_id in sorted(view.desired.hosts) for one in _host(view, host_id, checked.get(host_id))),
        *_adapters(session, view, checked),
        *repositories,
        *webhooks,
        *(Finding(about=one.channel, state=one.state, message=one.message) for one in notify.look(session, view)),
    ]


def _machine(view: View) -> Iterator[Finding]:
    found = git.version(view.fleet.top)
    said = ".".join(map(str, found))
    if found >= git.MINIMUM:
        yield Finding(about="git", state="right", message=said)
    else:
        needed = ".".join(map(str, git.MINIMUM))
        yield Finding(about="git", state="wrong", message=f"{said} is too old: install git {needed} or newer")
    free = shutil.disk_usage(view.fleet.root).free
    room = f"{free / (1 << 30):.1f} GiB free where the fleet is"
    if free >= LEAST_FREE:
        yield Finding(about="disk", state="right", message=room)
    else:
        yield Finding(about="disk", state="wrong", message=f"{room}: make room, before a commit fails")


def _files(view: View) -> Iterator[Finding]:
    problems = view.desired.problems
    if problems:
        count = _count(len(problems), "problem")
        first = f"{problems[0].file}: {problems[0].message}"
        yield Finding(about="files", state="wrong", message=f"{count}, the first: {first}; see reconciler validate")
        return
    counts = ((view.desired.tasks, "task"), (view.desired.hosts, "host"), (view.desired.adapters, "adapter"))
    said = ", ".join(_count(len(there), name) for there, name in counts)
    yield Finding(about="files", state="right", message=f"{said}, nothing wrong")


def _count(number: int, name: str) -> str:
    return f"{number} {name}" if number == 1 else f"{number} {name}s"


def _reconciler(view: View) -> Iterator[Finding]:
    held = lock.holder(view.fleet.lock) or lock.holder(view.fleet.shared_lock)
    if held is None:
        yield Finding(about="reconciler", state="note", message="none works on this fleet here: reconciler reconcile")
    else:
        yield Finding(about="reconciler", state="right", message=f"{held} works on this fleet")


def _remote(view: View) -> Iterator[Finding]:
    name = view.desired.settings.remote
    if name is None:
        return
    remote = Remote(view.fleet.top, name, timeout_s=REMOTE_S)
    try:
        there = remote.refs()
    except RemoteFailed as error:
        yield Finding(about=f"remote {name}", state="wrong", message=str(error))
        return
    finally:
        remote.close()
    if not there:
        message = "it answers and has no branch main: push it (git push origin main)"
        yield Finding(about=f"remote {name}", state="wrong", message=message)
    else:
        yield Finding(about=f"remote {name}", state="right", message="it answers")


def _host(view: View, host_id: str, checked: Checked | None) -> Iterator[Finding]:
    about, host = f"host {host_id}", view.desired.hosts[host_id].value
    if checked is None:
        yield _asking(view, host_id)
        return
    if checked.wrong is not None:
        then = "" if checked.misconfigured else "; see that it is up, and that ssh gets there from here"
        yield Finding(about=about, state="wrong", message=f"{checked.wrong.removeprefix(f'{host_id}: ')}{then}")
        return
    yield Finding(about=about, state="right", message=f"fit; it answered in {checked.took_s:.2f} s")
    if host.drain is not None:
        yield Finding(about=about, state="note", message="it is drained and takes no new run: remove `drain` to use it")
    if checked.ahead_s is not None and abs(checked.ahead_s) > SKEW_S + checked.took_s:
        way = "ahead of" if checked.ahead_s > 0 else "behind"
        message = f"its clock is {abs(checked.ahead_s):.0f} s {way} this one: times in its logs differ; set both by NTP"
        yield Finding(about=about, state="note", message=message)


def _asking(view: View, host_id: str) -> Finding:
    """An agent that asks for work cannot be asked; what it last did is known."""
    about, seen = f"host {host_id}", view.observed.hosts.get(host_id)
    if seen is None:
        message = "its agent never asked for work: docs/pull-agent.md says how one does"
        return Finding(about=about, state="note", message=message)
    if seen.reachable:
        return Finding(about=about, state="right", message="its agent asks for work")
    return Finding(about=about, state="wrong", message=f"{seen.reason or 'its agent is silent'}: start its agent again")


def _adapters(session: Session, view: View, checked: Mapping[str, Checked]) -> Iterator[Finding]:
    unfinished = (
        document.value.adapter
        for task_id, document in view.desired.tasks.items()
        if (seen := view.observed.tasks.get(task_id)) is None or seen.phase not in TERMINAL
    )
    for adapter_id in sorted({name for name in unfinished if name is not None} & view.desired.adapters.keys()):
        adapter = view.desired.adapters[adapter_id].value
        yield from _clis(view, adapter_id, adapter, checked)
        for name in adapter.secrets:
            if not session.env.get(name):
                message = f"its secret {name} is not set here; it has to be where reconciler reconcile runs"
                yield Finding(about=f"adapter {adapter_id}", state="note", message=message)


def _clis(view: View, adapter_id: str, adapter: Adapter, checked: Mapping[str, Checked]) -> Iterator[Finding]:
    """Where the adapter's CLI is, and in which version."""
    about, wanted = f"adapter {adapter_id}", adapter.version
    asked = [name for name, one in checked.items() if one.reachable and _takes(view, name, adapter_id)]
    if wanted is None or not asked:
        return
    found = {name: checked[name].versions[adapter_id] for name in asked if adapter_id in checked[name].versions}
    cli = wanted.run[0]
    if not found:
        message = (
            f"{cli} does not answer on {', '.join(asked)}: install it there, on the PATH of a login without terminal"
        )
        yield Finding(about=about, state="wrong", message=message)
        return
    for name, version in sorted(found.items()):
        if versions.below_minimum(wanted, version):
            message = f"{cli} {version} on {name} is older than {wanted.minimum}: update it there"
            yield Finding(about=about, state="wrong", message=message)
        else:
            yield Finding(about=about, state="right", message=f"{cli} {version} on {name}")
    for name in sorted(set(asked) - found.keys()):
        yield Finding(about=about, state="note", message=f"{cli} does not answer on {name}; its tasks run elsewhere")


def _takes(view: View, host_id: str, adapter_id: str) -> bool:
    host: Host = view.desired.hosts[host_id].value
    return host.adapters is None or adapter_id in host.adapters


async def _forge(session: Session, view: View) -> list[Finding]:
    settings = view.desired.settings.forge
    if settings is None:
        return []
    about = f"forge {settings.kind}"
    try:
        found = await forge.look(session, view)
    except (NotGood, WrongUsage) as error:
        return [Finding(about=about, state="wrong", message=str(error))]
    return [
        Finding(about=one.repository or about, state="right" if one.state == "done" else one.state, message=one.message)
        for one in found
    ]


def _webhooks(view: View) -> Iterator[Finding]:
    """Whether the address that the forge is given leads to a reconciler."""
    public = view.desired.settings.public_url
    if public is None:
        return
    place = f"{public.rstrip('/')}/healthz"
    try:
        with urllib.request.urlopen(place, timeout=PUBLIC_S):  # noqa: S310 - the schema takes http and https alone
            yield Finding(about="webhooks", state="right", message=f"{place} answers")
    except urllib.error.HTTPError as error:
        message = f"{place} answers {error.code}: see that the reconciler runs and that the proxy leads to it"
        yield Finding(about="webhooks", state="wrong", message=message)
    except OSError as error:
        why = " ".join(str(getattr(error, "reason", error)).split())
        message = f"{place} cannot be reached from here ({why}): see name, proxy and reconciler"
        yield Finding(about="webhooks", state="wrong", message=message)
