"""Filling an adapter's argv template with values, each inside one word.

It never splits a word and never quotes one: what comes out is a list, and each word of it is one argument.
"""

import re
from collections.abc import Mapping

from reconciler.core.desired import Word
from reconciler.core.observed import Meta

PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")
_PERMISSIONS = "{permissions}"


class _Missing(Exception):
    """A value that a word names is not there."""


def fill(
    template: tuple[Word, ...], values: Mapping[str, str | None], permissions: tuple[str, ...] = ()
) -> tuple[str, ...]:
    """The argv of the template.

    `{x}` stands for a value when `x` is a key of `values`; any other braces are taken as they are, and a filled-in
    value is never looked at again. A nested list is left out whole when a value in it is missing (`None`); a missing
    value anywhere else raises ValueError. The word `{permissions}` becomes the words of the profile, none or several.
    """
    try:
        words = tuple(_words(template, values, permissions))
    except _Missing as missing:
        message = f"the argv needs {missing}, which this run has not: put its words into a nested list"
        raise ValueError(message) from None
    if not words:
        raise ValueError("the argv is empty: it must name a program")
    return words


def values(meta: Meta) -> dict[str, str | None]:
    """What a template of `run` or `resume` may name, but `{prompt}`, which the caller adds where it is wanted."""
    task = meta.task
    return {
        "model": task.model,
        "workspace": meta.workspace,
        "branch": meta.branch,
        "task": meta.task_id,
        "run_id": meta.run_id,
        "session": meta.session,
        "new_session": meta.new_session,
        "run_dir": meta.run_dir,
        "prompt": None,
        "prompt_file": f"{meta.run_dir}/prompt",
        "max_turns": None if task.max_turns is None else str(task.max_turns),
    }


def _words(template: tuple[Word, ...], given: Mapping[str, str | None], permissions: tuple[str, ...]) -> list[str]:
    words: list[str] = []
    for word in template:
        if isinstance(word, tuple):
            words += _optional(word, given, permissions)
        elif word == _PERMISSIONS:
            words += permissions
        else:
            words.append(PLACEHOLDER.sub(lambda found: _value(found, given), word))
    return words


def _optional(template: tuple[Word, ...], given: Mapping[str, str | None], permissions: tuple[str, ...]) -> list[str]:
    try:
        return _words(template, given, permissions)
    except _Missing:
        return []


def _value(found: re.Match[str], given: Mapping[str, str | None]) -> str:
    name = found[1]
    if name not in given:
        return found[0]
    value = given[name]
    if value is None:
        raise _Missing(found[0])
    return value
