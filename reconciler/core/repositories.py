"""Which repository of the forge a task works on, from the URL or path that its file names.

It asks nobody; the names are compared as the forge writes them.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from urllib.parse import unquote, urlsplit

from reconciler.core.desired import Forge, Task

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_SCP_LIKE = re.compile(r"(?:[^/:\[\]]+@)?(?:\[[^\]/]*\]|[^/:\[\]]+):(?P<path>.*)", re.DOTALL)
_LOOPBACK = re.compile(r"(?:.+\.)?localhost|127(?:\.[0-9]{1,3}){3}|::1")
_NAME = re.compile(r"(?!~|\.{1,2}$)[^\s\x00-\x1f\x7f]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Named:
    """The end of the path that names it; `local`: it is a folder here, so that its owner may be called otherwise."""

    path: tuple[str, ...]
    local: bool = False


def of(task: Task, forge: Forge) -> str | None:
    """The task's repository as `owner/name`; `None` where it is not on this forge, or not one of those it watches."""
    named = _named(task.repository or "", forge)
    if named is None or not named.path:
        return None
    full = "/".join(named.path[-2:]) if len(named.path) > 1 else None
    if not forge.repositories:
        return full
    listed = next((one for one in forge.repositories if full is not None and same(one, full)), None)
    return _nearest(named.path[-1], forge.repositories) if listed is None and named.local else listed


def at(url: str, forge: Forge) -> str | None:
    """The repository at a URL or path as `owner/name`, listed or not; `None` where it is not on this forge."""
    named = _named(url, forge)
    return "/".join(named.path[-2:]) if named is not None and len(named.path) > 1 else None


def key(name: str) -> str:
    """What is equal for all ways to write a repository's name: forges tell no upper from lower case in it."""
    return name.casefold()


def same(one: str, other: str) -> bool:
    """Whether two full names are those of one repository."""
    return key(one) == key(other)


def _named(text: str, forge: Forge) -> _Named | None:
    if not _SCHEME.match(text):
        reached = _SCP_LIKE.fullmatch(text)
        return _remote(reached["path"]) if reached is not None else _folder(text)
    try:
        url, home = urlsplit(text), urlsplit(forge.url)
        match url.scheme.lower():
            case "file":
                return _folder(unquote(url.path))
            case "http" | "https" if _host(url.hostname) == _host(home.hostname):
                return _below(_components(unquote(home.path)), _components(unquote(url.path)))
            case "ssh" | "git" | "git+ssh" | "ssh+git":
                return _remote(unquote(url.path))
            case _:
                return None
    except ValueError:
        return None


def _host(name: str | None) -> str:
    """The name to compare; all names of this machine are one."""
    host = (name or "").lower().rstrip(".")
    return "localhost" if _LOOPBACK.fullmatch(host) else host


def _below(prefix: tuple[str, ...], path: tuple[str, ...]) -> _Named | None:
    """What comes after the forge's own path: exactly an owner and a name."""
    inside = path[len(prefix) :]
    return _Named(path=inside) if path[: len(prefix)] == prefix and len(inside) == len(("owner", "name")) else None


def _remote(path: str) -> _Named | None:
    """A path on some host that may be the forge's under another name: it ends in owner and name."""
    components = _components(path)
    return _Named(path=components) if len(components) > 1 else None


def _folder(path: str) -> _Named:
    return _Named(path=_components(path), local=True)


def _components(path: str) -> tuple[str, ...]:
    """The names at the end of a path, without the last one's `.git`; `..`, `~` and all with spaces are none."""
    parts = [part for part in path.split("/") if part not in {"", "."}]
    if len(parts) > 1 and parts[-1] == ".git":
        parts.pop()
    if parts:
        parts[-1] = parts[-1].removesuffix(".git")
    return tuple(takewhile(_NAME.fullmatch, reversed(parts)))[::-1]


def _nearest(name: str, listed: Sequence[str]) -> str | None:
    """The only repository called so, else the only one that there is."""
    alike = [one for one in listed if same(one.rpartition("/")[2], name)]
    if len(alike) == 1:
        return alike[0]
    return listed[0] if len(listed) == 1 else None
