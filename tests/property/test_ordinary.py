"""The fast reader and the fast judge never differ from those whose word counts: ruamel.yaml and jsonschema."""

import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings, strategies

from reconciler.repo import schemas
from reconciler.repo.desired import loading
from reconciler.repo.yaml import documents, ordinary
from reconciler.repo.yaml.documents import InvalidDocument, Parsed
from reconciler.repo.yaml.yamltext import exact

ROOT = Path(__file__).parents[2]
PIECES = (
    "a", "key", "x y", ": ", ":", "\n", "\n", "  ", " ", "- ", "-", "'", '"', "''", "|", "|-", "|+", ">", ">-", "#",
    " # c", "[", "]", "{", "}", ", ", ",", "1", "0", "017", "0o17", "0x1F", "1.5", "1e3", ".5", "-1", "+1", "-0x1",
    "_", "1_000", "12:30", "2020-01-01", "2020-01-01 10:00:00", "true", "no", "on", "null", "~", "Null", "TRUE",
    ".inf", ".nan", "é", "\u2028", "\x85", "\ufeff", "\t", "\r\n", "&a ", "*a", "* ", "!!str ", "! ", "<<: ", "? ",
    "---", "...", "--- ", "%", "@", "`", "\\", "\\n", "=", "=======", "a: 1\n", "b: 2\n", "c:\n  - x\n",
    "d: |\n  text\n   more\n\n  z\n", "e: >\n  text\n  more\n\n   z\n", "f: 'q'\n", 'g: "q"\n', "h: [a, b]\n",
    "i:\n  j: k\n  l: m\n", "  j: 2\n", "123456789012345678901234567890", "http://x:1/#y", "a#b", "\xa0", "\u3000",
    "😀", "\x00", "\x7f", "0b11", "0o8", "1.", "-.5", "..", "--",
)  # fmt: skip
BEGINNINGS = ("", "", "a: ", "key:\n  - ", "b: |\n  ", "c: >\n  ", "d: [", "e: '", 'f: "', "g:\n  h: ", "- ", "x: y\n")
ENDS = ("", "\n", "\nz: 1\n", "\n  - q\n", "]\n", "'\n", '"\n', "\n  more\n", "\n\n")

pieces = strategies.lists(strategies.sampled_from(PIECES), max_size=12).map("".join)
texts = strategies.tuples(strategies.sampled_from(BEGINNINGS), pieces, strategies.sampled_from(ENDS)).map("".join)


def reads_alike(text: bytes) -> bool:
    """Whether the fast reader took the text; what it gave is then what `documents` gives."""
    fast = ordinary.read(text)
    if fast is None:
        return False
    try:
        slow: object = documents.parse(text, "f").data
    except InvalidDocument as error:
        slow = str(error)
    assert (exact(fast), list(fast)) == (exact(slow), list(slow) if isinstance(slow, dict) else slow), text
    return True


@given(texts)
@settings(max_examples=700, deadline=None)
def test_whatever_the_fast_reader_takes_means_the_same_to_ruamel(text: str) -> None:
    reads_alike(text.encode(errors="surrogatepass"))


def test_most_random_texts_of_ordinary_pieces_are_taken_and_mean_the_same() -> None:
    dice = random.Random(7)  # noqa: S311 - a test's dice
    plain = [one for one in PIECES if one.isascii() and not set(one) & set("\\&*!%@`?<\t\r\0\x7f\"'{}[]|>")]
    taken = sum(
        reads_alike(f"title: {''.join(dice.choices(plain, k=3))}\nb: |\n  {dice.choice(plain)}\n".encode())
        for _ in range(800)
    )
    assert taken > 150


FILES = [*sorted(ROOT.glob("adapters/*.yaml")), *sorted(ROOT.glob("hosts/*.yaml")), *ROOT.glob("state/tasks/*.yaml")]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_file_of_this_fleet_is_read_and_judged_alike(path: Path) -> None:
    reads_alike(path.read_bytes())
    kind = {"adapters": "adapter", "hosts": "host"}.get(path.parent.name, "task")
    value, _ = loading.examined(kind, path.read_bytes(), path.name)
    assert loading.load(kind, path.read_bytes(), path.name) == value


def mutated(data: Any, dice: random.Random) -> Any:  # noqa: ANN401 - any JSON
    """The data with one thing in it that may be wrong."""
    odd: tuple[object, ...] = (
        None,
        True,
        0,
        -1,
        1.0,
        1.5,
        1 << 70,
        "",
        " ",
        "x\n",
        "none",
        "1h",
        "-1h",
        "é" * 300,
        [],
        ["x"],
        ["x", "x"],
        {},
    )
    if isinstance(data, dict) and data and dice.random() < 0.7:
        key = dice.choice([*data])
        match dice.randrange(3):
            case 0:
                return {one: value for one, value in data.items() if one != key}
            case 1:
                return data | {dice.choice([f"{key}x", "env", "branch", "issue", "version"]): dice.choice(odd)}
            case _:
                return data | {key: mutated(data[key], dice)}
    if isinstance(data, list) and data and dice.random() < 0.5:
        return [*data[:-1], mutated(data[-1], dice)]
    return dice.choice(odd)


WHOLE: dict[str, dict[str, Any]] = {
    "task": {
        "title": "t", "goal": "g", "constraints": ["c"], "repository": "https://x.example/y.git", "branch": "b/c",
        "execution_mode": "ssh_cli", "adapter": "shell", "requires": ["gpu"], "priority": 1, "depends_on": ["a"],
        "desired": "run", "generation": 2, "max_attempts": 1, "timeout": "1h", "idle_timeout": "none",
        "env": {"A": "b"}, "secrets": ["S"], "issue": "https://x.example/y/issues/1",
    },
    "host": {
        "transport": "ssh", "address": "h", "port": 22, "user": "u", "slots": 2, "capabilities": ["gpu"],
        "adapters": ["a"],
        "env": {"A": "b"}, "drain": {"reason": "r", "until": "2030-01-01T00:00:00Z"}, "jump": ["u@h:22"],
        "launcher": {"submit": ["s"], "alive": ["a"], "cancel": ["c"]}, "token_sha256": ["0" * 64],
    },
    "settings": {
        "default_adapter": "a", "listen": "127.0.0.1:1", "remote": "origin", "lease": "1m", "keep_runs": 1,
        "forge": {"kind": "forgejo", "url": "https://x.example", "webhook_secret_env": ["A"], "repositories": ["a/b"]},
        "limits": {"running": "none", "mass_death": {"deaths": 2, "share": 0.5, "within": "1m"}},
        "trust": {"authors": ["a@b.example"], "signed": True}, "closed_breakers": {"fleet": "2030-01-01T00:00:00Z"},
        "notify": {
            "webhook": {"a": {"url_env": "URL", "on": ["blocked"], "quiet": {"start": "22:00", "end": "07:00"}}},
            "email": {"b": {"host": "h", "sender": "a@b.example", "to": ["c@d.example"], "port": 25}},
            "matrix": {"c": {"server": "https://x.example", "room": "!r:x.example", "token_env": "T"}},
            "ntfy": {"d": {"topic": "t", "template": "{{ task }}"}},
        },
    },
    "http-dequeue-request": {"capabilities": ["gpu"], "wait": 20, "idempotency_key": "k"},
    "http-status-request": {
        "epoch": 1, "phase": "failed", "summary": "s", "branch_name": "b", "pr_title": "t", "pr_url": "https://x.example/1",
        "reason": "r", "usage": {"input_tokens": 1, "output_tokens": 2, "cost_usd": 0.5},
    },
}  # fmt: skip


@pytest.mark.parametrize("kind", [*WHOLE, "adapter"])
def test_the_fast_judge_calls_nothing_valid_that_jsonschema_does_not(kind: str) -> None:
    dice = random.Random(11)  # noqa: S311 - a test's dice
    shipped = [documents.parse(path.read_bytes(), "f").data for path in ROOT.glob("adapters/*.yaml")]
    begin = [WHOLE[kind]] if kind in WHOLE else shipped
    for _ in range(300):
        data: Any = dice.choice(begin)
        for _ in range(dice.randrange(1, 4)):
            data = mutated(data, dice)
        fast = schemas.is_valid(kind, data)
        parsed = Parsed(data=data, keys={}, values={})
        assert fast == (not schemas.validate(kind, parsed, "f")), json.dumps(data)


@pytest.mark.parametrize("kind", WHOLE)
def test_what_is_valid_is_found_valid_by_the_fast_judge(kind: str) -> None:
    assert schemas.is_valid(kind, WHOLE[kind])
