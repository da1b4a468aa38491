"""Asks every host at once what it is like at this moment.

It starts no run and records nothing.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from reconciler.commands.reading import View
from reconciler.core import versions
from reconciler.core.desired import Adapter, Document, Host
from reconciler.core.script import probe, shell
from reconciler.opening import transports
from reconciler.transport import Misconfigured, Transport, Unreachable


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What a host answered. `wrong` says in one line why it cannot take runs.

    `ahead_s`: how far its clock is ahead of ours, as exactly as the answer took; None where it was not told.
    """

    reachable: bool
    took_s: float
    misconfigured: bool = False
    wrong: str | None = None
    boot_id: str | None = None
    ahead_s: float | None = None
    versions: Mapping[str, str] = field(default_factory=dict)


async def check(
    view: View, env: Mapping[str, str], now: Callable[[], datetime], told: Callable[[int], None] | None = None
) -> dict[str, Checked]:
    """Host id -> its answer, for every host that can be asked; all are asked at the same time.

    `told` hears how many have answered, or will not.
    """
    hosts = {name: one.value for name, one in view.desired.hosts.items() if one.value.transport != "pull"}
    reaching = transports(env, hosts.get)
    found: dict[str, Checked] = {}

    async def ask(host_id: str, host: Host) -> None:
        found[host_id] = await _ask(host_id, host, view, (reaching[host.transport], now))
        if told is not None:
            told(len(found))

    try:
        await asyncio.gather(*(ask(host_id, host) for host_id, host in hosts.items()))
    finally:
        for transport in reaching.values():
            await transport.close()
    return {host_id: found[host_id] for host_id in hosts}


async def _ask(host_id: str, host: Host, view: View, means: tuple[Transport, Callable[[], datetime]]) -> Checked:
    transport, now = means
    clock = asyncio.get_running_loop().time
    began = clock()
    asked = tuple(_version_questions(host, view.desired.adapters))
    try:
        completed = await transport.run(host_id, host, probe.probe(host, asked, view.observed.fleet))
        answer = probe.parse_probe(completed)
    except Misconfigured as error:
        return Checked(reachable=False, took_s=clock() - began, misconfigured=True, wrong=str(error))
    except (Unreachable, shell.ProtocolError) as error:
        return Checked(reachable=False, took_s=clock() - began, wrong=str(error))
    wrong = probe.problems(answer)
    return Checked(
        reachable=True,
        took_s=clock() - began,
        misconfigured=wrong is not None,
        wrong=wrong,
        boot_id=answer.boot_id,
        ahead_s=answer.clock_s - now().timestamp() if answer.clock_s is not None else None,
        versions={"git": answer.git_version} | _numbers(answer, view.desired.adapters),
    )


def _version_questions(host: Host, adapters: Mapping[str, Document[Adapter]]) -> list[tuple[str, tuple[str, ...]]]:
    return [
        (adapter_id, document.value.version.run)
        for adapter_id, document in sorted(adapters.items())
        if document.value.version is not None and (host.adapters is None or adapter_id in host.adapters)
    ]


def _numbers(answer: probe.Probe, adapters: Mapping[str, Document[Adapter]]) -> dict[str, str]:
    found = {}
    for adapter_id, said in answer.versions.items():
        version = adapters[adapter_id].value.version
        number = versions.extract(version.pattern, said) if version is not None and said is not None else None
        if number is not None:
            found[adapter_id] = number
    return found
