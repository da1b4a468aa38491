"""How a command line is read: positionals, options and `--fleet` in every order; what cannot be meant is refused."""

import itertools
import subprocess
import sys

import pytest

from reconciler.commands import arguments, everything
from reconciler.commands.session import WrongUsage

COMMANDS = everything.commands()
BY_NAME = {command.name: command for command in COMMANDS}


def read(*words: str) -> arguments.Asked:
    return arguments.read(words, BY_NAME)


def refusal(*words: str) -> str:
    with pytest.raises(WrongUsage) as refused:
        read(*words)
    return str(refused.value)


@pytest.mark.parametrize(
    "pieces", list(itertools.permutations([["status"], ["fix-login"], ["--json"], ["--fleet", "/x y"]]))
)
def test_positionals_and_options_may_stand_in_any_order(pieces: list[list[str]]) -> None:
    words = [word for piece in pieces for word in piece]
    first = next(word for word in words if word in {"status", "fix-login"})
    if first == "fix-login":
        assert "there is no command" in refusal(*words)
        return
    asked = read(*words)
    assert asked.command is BY_NAME["status"]
    assert asked.values == {"task": "fix-login", "json": True, "fleet": "/x y"}


def test_a_value_may_follow_an_equals_sign_or_a_space() -> None:
    assert read("logs", "a", "--run=3").values == {"task": ("a",), "run": 3}
    assert read("logs", "--run", "3", "a").values == {"task": ("a",), "run": 3}
    assert read("new", "T", "--goal=--json").values == {"title": "T", "goal": "--json"}
    assert read("new", "T", "--priority", "-5").values == {"title": "T", "priority": -5}


def test_repeated_values_are_kept_in_order() -> None:
    assert read("validate", "a.yaml", "b.yaml").values == {"paths": ("a.yaml", "b.yaml")}
    assert read("new", "T", "--depends-on", "a", "--depends-on=b").values["depends_on"] == ("a", "b")


def test_after_two_dashes_every_word_is_taken_as_it_is() -> None:
    assert read("init", "--", "-fleet").values == {"path": "-fleet"}
    assert read("new", "--", "--json").values == {"title": "--json"}


def test_the_name_of_a_command_may_be_the_value_of_an_argument() -> None:
    assert read("status", "status").values == {"task": "status"}
    assert read("new", "plan").values == {"title": "plan"}


def test_what_cannot_be_meant_is_refused_with_a_hint() -> None:
    assert refusal("stauts") == 'there is no command "stauts"; did you mean status?'
    assert refusal("status", "--jsn") == "status has no option --jsn; did you mean --json?"
    assert refusal("status", "a", "b").startswith('status takes one TASK, "b" is one too many')
    assert refusal("--watch", "why", "a").startswith("why has no option --watch")
    assert refusal("logs", "a", "--run", "x") == '--run needs a whole number, not "x"'
    assert refusal("logs", "a", "--run") == "--run needs a value: --run=VALUE"
    assert refusal("new", "T", "--goal", "--json") == "--goal needs a value: --goal=VALUE"
    assert refusal("status", "--json=yes") == "--json takes no value"
    assert refusal("status", "").startswith("status [TASK]: task is an empty word")
    assert refusal("init", "").startswith("init PATH: path is an empty word")
    assert refusal("status", "--fleet=") == "--fleet needs the path of a fleet, not an empty word"
    assert refusal("plan", "all").startswith('plan takes no argument "all"')
    assert refusal("init", "-fleet").startswith("init has no option -fleet")


@pytest.mark.parametrize(
    "name", sorted(name for name in BY_NAME if "[" not in BY_NAME[name].usage and " " in BY_NAME[name].usage)
)
def test_a_missing_argument_is_named_with_an_example(name: str) -> None:
    assert "is missing; for example: reconciler " in refusal(name)


def test_help_and_version_need_no_argument() -> None:
    assert read("why", "--help").help
    assert read("--help", "why").command is BY_NAME["why"]
    assert read("help", "why").help
    assert read("--version").version
    assert read().command is None


def test_every_command_teaches_what_it_does_its_options_and_an_example() -> None:
    for command in COMMANDS:
        named = {parameter.name for parameter in command.parameters} - {"fleet"}
        assert set(command.options) == named, command.name
        assert command.example.startswith(f"reconciler {command.name}")
        assert len(command.summary) < 80, command.name


def test_commands_that_only_look_load_nothing_of_what_runs_and_serves() -> None:
    looking = ("status", "why", "plan", "logs", "report", "validate", "new", "hold", "token")
    heavy = {"asyncssh", "falcon", "httpx", "jinja2", "waitress", "watchfiles"}
    program = (
        "import sys\n"
        "import reconciler.__main__\n"
        "from reconciler.commands import everything\n"
        f"for name in {looking}: everything.needed([name])\n"
        f"print(*sorted({heavy} & sys.modules.keys()))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "\n"


def test_commands_stand_in_their_groups() -> None:
    groups = [group for group, _ in itertools.groupby(command.group for command in COMMANDS)]
    assert groups == ["Begin", "Run", "Look", "Change"]
    assert [command.name for command in COMMANDS] == list(everything.MODULES)
