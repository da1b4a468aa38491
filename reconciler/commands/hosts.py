"""`hosts` and `adapters`: load, versions, health; with `--check` as they are at this moment.

A check asks every host once and records nothing.
"""

import asyncio
from collections.abc import Iterator, Mapping

from reconciler.commands import checking, pictures, progress, reading
from reconciler.commands.checking import Checked
from reconciler.commands.command import Command
from reconciler.commands.reading import View
from reconciler.commands.screen import Cell, Rows
from reconciler.commands.session import Session
from reconciler.core.desired import Adapter
from reconciler.repo import shapes


def hosts(session: Session, *, check: bool = False, json: bool = False) -> int:
    """Show hosts with load, versions and health.

    With `--check` every host is asked now, and the exit code is 1 if one cannot take runs.
    """
    view = reading.load(session)
    checked = _checked(session, view) if check else {}
    if json:
        shown = [_shape(view, host_id, checked) for host_id in sorted(view.desired.hosts)]
        session.screen.json({"hosts": shown})
    elif check:
        _table(session, checked)
    else:
        pictures.hosts(session.screen, view)
    return 0 if all(one.wrong is None for one in checked.values()) else 1


def adapters(session: Session, *, check: bool = False, json: bool = False) -> int:
    """Show adapters and the versions of their CLIs on each host.

    With `--check` every host is asked now, and the exit code is 1 if an adapter with a version cannot run anywhere.
    """
    view = reading.load(session)
    checked = _checked(session, view) if check else {}
    shown = [
        _adapter(view, adapter_id, document.value, checked)
        for adapter_id, document in sorted(view.desired.adapters.items())
    ]
    if json:
        session.screen.json({"adapters": shown})
    else:
        rows = [[Cell(text=text) for text in _adapter_row(one)] for one in shown]
        session.screen.table(Rows(headings=("ADAPTER", "PROMPT", "PROFILES", "TASKS", "VERSIONS"), rows=rows, whole=2))
    lost = [
        str(one["id"])
        for document, one in zip(
            (view.desired.adapters[key] for key in sorted(view.desired.adapters)), shown, strict=True
        )
        if check and one["tasks"] and document.value.version is not None and not one["versions"]
    ]
    if lost and not json:
        session.screen.line()
        session.screen.line(
            f"Tasks wait for what no host has: {', '.join(lost)}. See: reconciler doctor", style="yellow"
        )
    return 1 if lost else 0


def _checked(session: Session, view: View) -> Mapping[str, Checked]:
    """What every host answers now."""
    asked = sum(document.value.transport != "pull" for document in view.desired.hosts.values())
    with progress.working(session.screen, "asking hosts", total=asked) as told:
        return asyncio.run(checking.check(view, session.env, session.now, told))


def _shape(view: View, host_id: str, checked: Mapping[str, Checked]) -> dict[str, object]:
    shape = shapes.host(host_id, view.desired, view.observed)
    one = checked.get(host_id)
    if one is None:
        return shape
    return shape | {
        "reachable": one.reachable,
        "misconfigured": one.misconfigured,
        "reason": one.wrong,
        "versions": dict(one.versions),
        "boot_id": one.boot_id,
    }


def _table(session: Session, checked: Mapping[str, Checked]) -> None:
    rows = []
    for host_id, one in sorted(checked.items()):
        state = "fit" if one.wrong is None else "misconfigured" if one.misconfigured else "unreachable"
        versions = ", ".join(f"{name} {version}" for name, version in sorted(one.versions.items()))
        rows.append(
            [
                Cell(text=host_id),
                Cell(text=state, style="green" if one.wrong is None else "red"),
                Cell(text=f"{one.took_s:.2f} s"),
                Cell(text=versions, style="dim"),
                Cell(text=one.wrong or "", style="yellow"),
            ]
        )
    session.screen.table(Rows(headings=("HOST", "STATE", "TOOK", "VERSIONS", "NOTE"), rows=rows, whole=3))


def _adapter(view: View, adapter_id: str, adapter: Adapter, checked: Mapping[str, Checked]) -> dict[str, object]:
    tasks = sorted(name for name, task in view.desired.tasks.items() if task.value.adapter == adapter_id)
    return {
        "id": adapter_id,
        "prompt": adapter.prompt,
        "format": adapter.output.format,
        "profiles": [str(profile) for profile in adapter.permissions],
        "minimum": adapter.version.minimum if adapter.version else None,
        "tasks": len(tasks),
        "versions": dict(_versions(view, adapter_id, checked)),
    }


def _versions(view: View, adapter_id: str, checked: Mapping[str, Checked]) -> Iterator[tuple[str, str]]:
    """Host -> version of the adapter's CLI there, as checked now or else as last seen."""
    for host_id in sorted(view.desired.hosts):
        known = view.observed.hosts.get(host_id)
        versions = checked[host_id].versions if host_id in checked else known.versions if known else {}
        if adapter_id in versions:
            yield host_id, versions[adapter_id]


def _adapter_row(one: dict[str, object]) -> tuple[str, ...]:
    profiles = one["profiles"] if isinstance(one["profiles"], list) else []
    versions = one["versions"] if isinstance(one["versions"], dict) else {}
    told = ", ".join(f"{version} on {host}" for host, version in versions.items())
    return str(one["id"]), str(one["prompt"]), ", ".join(profiles), str(one["tasks"]), told


_OPTIONS = {"check": "ask every host now", "json": "print it as JSON"}
COMMANDS = (
    Command(name="hosts", group="Look", does=hosts, options=_OPTIONS, example="reconciler hosts --check"),
    Command(name="adapters", group="Look", does=adapters, options=_OPTIONS, example="reconciler adapters --check"),
)
