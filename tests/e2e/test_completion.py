"""Completion in the real shells, as far as they are here: commands, options and the ids of the fleet around."""

import shutil
import subprocess
from pathlib import Path

import pytest

from reconciler.commands import everything
from reconciler.commands.completion import SCRIPTS
from tests.e2e import program
from tests.e2e.terminal import terminal

CASES = {
    "st": {"status"},
    "status fix-": {"fix-login", "fix-search"},
    "status fix-login fix-": set(),
    "logs fix-login fix-": {"fix-login", "fix-search"},
    "logs --fo": {"--follow"},
    "new Title --depends-on fix-l": {"fix-login"},
    "new Title --host b": {"builder"},
    "token la": {"laptop"},
    "new Title --adapter s": {"shell"},
    "report --by ho": {"host"},
    "forge se": {"setup"},
    "completion z": {"zsh"},
    "--fleet ../other status o": {"only-there"},
    "status --fleet ../other o": {"only-there"},
    "validate st": {"state/"},
}
"""What is typed behind `reconciler` -> what is offered."""
OFFER = 'offer() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=(); _reconciler; echo "${COMPREPLY[*]}"; }'
"""What bash does at Tab: an option and its value are three words there where `=` stands between them."""


@pytest.fixture(scope="module")
def scripts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scripts")
    for name, script in SCRIPTS.items():
        (folder / name).write_text("".join(f"{line}\n" for line in script(everything.commands())))
    return folder


@pytest.fixture
def fleet(tmp_path: Path) -> Path:
    here, other = tmp_path / "a fleet", tmp_path / "other"
    for path in (
        *(
            here / f"state/tasks/{name}"
            for name in ("fix-login.yaml", "deep/er/fix-search.yaml", "fix-$(touch x).yaml")
        ),
        *(here / f"state/tasks/{name}" for name in (".fix-hidden.yaml", ".fix/fix-deep.yaml", "fix-notes.txt")),
        *(here / f"hosts/{name}.yaml" for name in ("builder", "laptop")),
        *(here / f"adapters/{name}.yaml" for name in ("codex", "shell")),
        other / "state/tasks/only-there.yaml",
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return here


def shell(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not here")
    return found


def said(words: list[str], fleet: Path, stdin: str = "") -> str:
    env = program.environment(fleet.parent / "home")
    done = subprocess.run(
        words, cwd=fleet, env=env, input=stdin, capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stderr == ""
    assert not (fleet / "x").exists()
    return done.stdout


def test_bash_offers_what_fits(scripts: Path, fleet: Path) -> None:
    ask = [
        f"source {scripts / 'bash'}",
        'offer() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=(); _reconciler;',
    ]
    ask[-1] += ' echo "${COMPREPLY[*]}"; }'
    typed = [*CASES, "new Title --host = b", "new Title --host ="]
    ask += [f"offer reconciler {words}" for words in typed]
    offered = [set(line.split()) for line in said([shell("bash"), "--norc"], fleet, "\n".join(ask)).splitlines()]
    expected = [{word.rstrip("/") for word in words} for words in CASES.values()]
    assert dict(zip(typed, offered, strict=True)) == dict(
        zip(typed, [*expected, {"builder"}, {"builder", "laptop"}], strict=True)
    )


def test_fish_offers_what_fits(scripts: Path, fleet: Path) -> None:
    fish = shell("fish")
    ask = [f"source {scripts / 'fish'}"]
    ask += [line for words in CASES for line in (f"complete -C 'reconciler {words}'", "echo --next")]
    answers = said([fish, "--no-config"], fleet, "\n".join(ask)).split("--next\n")
    offered = [{line.split("\t")[0] for line in answer.splitlines()} for answer in answers[:-1]]
    assert dict(zip(CASES, offered, strict=True)) == CASES


def test_zsh_offers_what_fits(scripts: Path, fleet: Path) -> None:
    zsh = shell("zsh")
    begin = f"autoload -Uz compinit; compinit -u -D; source {scripts / 'zsh'}; PS1='> '; print -r -- ready"
    with terminal([zsh, "-f", "-i"], cwd=fleet, columns=200) as at:
        at.type(f"{begin}\r")
        at.shows("ready\r\n")
        for words, expected in CASES.items():
            if len(expected) == 1:
                at.forget()
                at.type(f"reconciler {words}\t")
                at.shows(f"{words.rpartition(' ')[0]} {next(iter(expected))}".strip())
                at.type("\x15")
        at.type("exit\r")
        assert at.ends() == 0
    assert not (fleet / "x").exists()
