"""Digests of what a run depends on beside its task file, and of the account that it uses.

They tell whether something changed, never what it is: secrets are known here by keyed digests alone.
"""

import hashlib
from collections.abc import Iterable

from reconciler.core.desired import Desired, Task
from reconciler.core.terms import ExecutionMode


def config(task: Task, host_id: str, desired: Desired) -> str:
    """A digest of what a run depends on beside its task file: adapter, host, secrets."""
    adapter = desired.adapters.get(task.adapter or "")
    host = desired.hosts.get(host_id)
    names = {*task.secrets, *(adapter.value.secrets if adapter else ())}
    return _digest([adapter.spec if adapter else "", host.spec if host else "", *_secrets(names, desired)])[:16]


def account(task: Task, desired: Desired) -> str | None:
    """A digest of what names the account that the adapter uses for the task: variables and secrets of both.

    `None` for an agent that asks for work: it has an account of its own.
    """
    adapter = desired.adapters.get(task.adapter or "")
    if adapter is None or task.execution_mode is ExecutionMode.HTTP_PULL:
        return None
    variables = {**adapter.value.env, **task.env}
    words = [f"{name}={value}" for name, value in sorted(variables.items())]
    return _digest([*words, "", *_secrets({*task.secrets, *adapter.value.secrets}, desired)])[:12]


def adapter(adapter_id: str, desired: Desired) -> str | None:
    """A digest of an adapter's file and its secrets; `None` where there is no such adapter."""
    document = desired.adapters.get(adapter_id)
    if document is None:
        return None
    return _digest([document.spec, *_secrets(document.value.secrets, desired)])[:16]


def _secrets(names: Iterable[str], desired: Desired) -> list[str]:
    return [f"{name}={desired.secrets.get(name, '')}" for name in sorted(set(names))]


def _digest(parts: Iterable[str]) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
