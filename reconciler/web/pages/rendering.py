"""Makes pages of templates; every text is escaped, and made visible, whoever wrote it. The only door to Jinja2.

A page holds no script and no style of its own, and what it is made with never comes from outside.
"""

import functools
from collections.abc import Mapping
from datetime import datetime
from importlib import resources

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from reconciler.core.ages import MINUTE_S, span
from reconciler.repo import storage
from reconciler.web.pages import ansi, texts

TEMPLATES = resources.files("reconciler.web.pages") / "templates"


def render(name: str, values: Mapping[str, object]) -> bytes:
    """The page of a template."""
    return _environment().get_template(name).render(values).encode()


def coarse(seconds: float) -> str:
    """A length of time for a page that is to stay the same for a while: by the minute."""
    return span(seconds) if seconds >= MINUTE_S else "under 1 min"


def ago(moment: datetime, now: datetime) -> str:
    """How long ago that was, by the minute."""
    seconds = (now - moment).total_seconds()
    return f"{span(seconds)} ago" if seconds >= MINUTE_S else "just now"


def money(usd: float) -> str:
    """An amount as people write it; of a very small one that it is not nothing."""
    return f"${usd:,.2f}" if usd >= 0.01 or not usd else "under $0.01"  # noqa: PLR2004 - a cent


def amount(number: int) -> str:
    """A count in at most four characters: `950`, `12k`, `1.2M`."""
    for unit, letter in ((1_000_000_000, "G"), (1_000_000, "M"), (1_000, "k")):
        if number >= unit:
            figure = number / unit
            return f"{figure:.1f}{letter}" if figure < 10 else f"{figure:.0f}{letter}"  # noqa: PLR2004 - one digit
    return str(number)


def _load(name: str) -> str:
    return (TEMPLATES / name).read_text(encoding="utf-8")


def _visible(value: object) -> object:
    """What a page shows of a value that it is made with."""
    return texts.shown(value) if isinstance(value, str) and not isinstance(value, Markup) else value


@functools.cache
def _environment() -> Environment:
    made = Environment(
        loader=FunctionLoader(_load),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_visible,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(
        ago=ago,
        coarse=coarse,
        money=money,
        amount=amount,
        stamp=storage.timestamp,
        link=texts.link,
        short=texts.short,
        plain=ansi.plain,
    )
    return made
