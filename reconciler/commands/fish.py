"""The completion of the program as a script for fish, made from what the commands say of themselves.

The script only reads the names of a fleet's files, and offers nothing that could not be an id.
"""

from collections.abc import Iterator, Sequence

from reconciler.commands import completable
from reconciler.commands.command import Command, Parameter

_FISH = r"""
function __reconciler_fleet
    set -l words (commandline -opc)
    set -l at (contains -i -- --fleet $words)
    set -l named (string replace -f -r -- '^--fleet=' '' $words)
    if test -n "$at"; and set -q words[(math $at + 1)]
        set named $words[(math $at + 1)]
    else if test -z "$named"; and set -q RECONCILER_FLEET
        set named $RECONCILER_FLEET
    end
    if test -n "$named"
        string replace -r -- '^~/' "$HOME/" (string replace -r -- '^(?=[^/~])' './' $named[1])
        return 0
    end
    set -l folder $PWD
    while not test -d "$folder/state"
        test -n "$folder"; or return 1
        set folder (string replace -r -- '/[^/]*$' '' $folder)
    end
    echo $folder
end

function __reconciler_ids
    set -l folder (__reconciler_fleet); or return
    if test $argv[1] = tasks
        find "$folder/state/tasks" -name '.?*' -prune -o -type f -name '*.yaml' -print 2>/dev/null
    else
        find "$folder/$argv[1]" -maxdepth 1 -type f -name '*.yaml' 2>/dev/null
    end | string replace -f -r -- '^.*/([a-z0-9][a-z0-9_-]*)\.yaml$' '$1' | sort
end

function __reconciler_given
    set -l given
    set -l expects
    set -l words (commandline -opc)
    set -e words[1]
    for word in $words
        if string match -q -- '-*' $word
            set expects (contains -- $word %s; and echo $word)
        else if test -n "$expects"
            set expects
        else
            set -a given $word
        end
    end
    test "$given[1]" = "$argv[1]"; or return
    test -z "$argv[2]"; or test (count $given) -le $argv[2]
end

complete -c reconciler -f
"""


def fish(commands: Sequence[Command]) -> Iterator[str]:
    """For fish 3 and newer."""
    yield "# Completion of reconciler for fish; made by: reconciler completion fish"
    yield from (_FISH % " ".join(completable.taking(commands))).splitlines()
    for one in commands:
        yield f"complete -c reconciler -n '__reconciler_given' -a {one.name} -d {_word(one.summary)}"
    for option, said in completable.GENERAL.items():
        takes = " -x -a '(__fish_complete_directories)'" if option == "--fleet" else ""
        yield f"complete -c reconciler -l {option[2:]}{takes} -d {_word(said)}"
    for command in commands:
        for parameter in command.parameters:
            yield from _lines(command, parameter)


def _lines(command: Command, parameter: Parameter) -> Iterator[str]:
    """What completes one argument of one command, if anything does."""
    values = _values(completable.kind_of(command, parameter))
    where = f"complete -c reconciler -n '__reconciler_given {command.name}"
    if parameter.name == command.positional and values:
        yield f"{where}{'' if parameter.repeated else ' 1'}' -a {values}"
    elif parameter.name not in {"fleet", command.positional}:
        takes = "" if parameter.flag else f" -x -a {values}" if values else " -x"
        yield f"{where}' -l {parameter.option[2:]}{takes} -d {_word(command.options.get(parameter.name, ''))}"


def _values(kind: str) -> str:
    """What gives the values of a kind."""
    match kind:
        case "":
            return ""
        case "folders":
            return "'(__fish_complete_directories)'"
        case "files":
            return "'(__fish_complete_path)'"
        case "tasks" | "hosts" | "adapters":
            return f"'(__reconciler_ids {kind})'"
        case _:
            return _word(kind.removeprefix("words "))


def _word(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
