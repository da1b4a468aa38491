"""The completion of the program as scripts for bash and zsh, made from what the commands say of themselves.

A script only reads the names of a fleet's files, and offers nothing that could not be an id.
"""

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence

from reconciler.commands import completable
from reconciler.commands.command import Command, Parameter

_FLEET = r"""
_reconciler_fleet() {
    local folder=${1:-${RECONCILER_FLEET:-}}
    case $folder in
        '~'/*) folder=$HOME/${folder#*/} ;;
        '') folder=$PWD
            until [ -d "$folder/state" ]; do
                [ -n "$folder" ] || return 1
                folder=${folder%/*}
            done ;;
        [!/]*) folder=./$folder ;;
    esac
    printf '%s\n' "$folder"
}

_reconciler_ids() {
    local folder
    folder=$(_reconciler_fleet "$2") || return 0
    case $1 in
        tasks) find "$folder/state/tasks" -name '.?*' -prune -o -type f -name '*.yaml' -print ;;
        *) find "$folder/$1" -maxdepth 1 -type f -name '*.yaml' ;;
    esac 2>/dev/null | sed -n 's|.*/\([a-z0-9][a-z0-9_-]*\)\.yaml$|\1|p' | sort
}
"""
"""The fleet around, and the ids in it."""

_SCAN = r"""
_reconciler_scan() {
    name= expects= fleet= given=0
    while [ $# -gt 0 ]; do
        case $1 in
            =) ;;
            --fleet=*) fleet=${1#*=} ;;
            -*) expects=
                case $1 in %s) expects=$1 ;; esac ;;
            *)  if [ -n "$expects" ]; then
                    if [ "$expects" = --fleet ]; then fleet=$1; fi
                    expects=
                elif [ -z "$name" ]; then
                    name=$1
                else
                    given=$((given + 1))
                fi ;;
        esac
        shift
    done
}
"""
"""What the words say that stand before the one to be completed."""

_BASH = r"""
_reconciler() {
    local name expects fleet given kind word cur=${COMP_WORDS[COMP_CWORD]}
    _reconciler_scan "${COMP_WORDS[@]:1:COMP_CWORD-1}"
    if [ "$cur" = = ]; then cur=; fi
    if [ -n "$expects" ]; then kind=$(_reconciler_kind "$name" "$expects")
    elif [[ $cur == -* ]]; then kind="words $(_reconciler_options "$name")"
    elif [ -z "$name" ]; then kind="words $(_reconciler_commands)"
    else kind=$(_reconciler_kind "$name" "@$given")
    fi
    case $kind in
        tasks|hosts|adapters) kind="words $(_reconciler_ids "$kind" "$fleet")" ;;
        folders|files) compopt -o filenames 2>/dev/null ;;
    esac
    COMPREPLY=()
    while IFS= read -r word; do COMPREPLY+=("$word"); done < <(
        case $kind in
            words\ *) compgen -W "${kind#words }" -- "$cur" ;;
            folders) compgen -d -- "$cur" ;;
            files) compgen -f -- "$cur" ;;
        esac
    )
}
complete -F _reconciler reconciler
"""

_ZSH = r"""
_reconciler() {
    local name expects fleet given kind
    local -a found
    _reconciler_scan "${(@)words[2,CURRENT-1]}"
    if [[ -z $expects && $PREFIX == --*=* ]]; then
        expects=${PREFIX%%=*}
        compset -P '*='
    fi
    if [[ -n $expects ]]; then kind=$(_reconciler_kind "$name" "$expects")
    elif [[ $PREFIX == -* ]]; then kind=options
    elif [[ -z $name ]]; then kind=commands
    else kind=$(_reconciler_kind "$name" "@$given")
    fi
    case $kind in
        tasks|hosts|adapters) found=(${(f)"$(_reconciler_ids "$kind" "$fleet")"}); compadd -a found ;;
        words\ *) found=(${=kind#words }); compadd -a found ;;
        folders) _files -/ ;;
        files) _files ;;
        commands) found=(${(f)"$(_reconciler_commands)"}); _describe command found ;;
        options) found=(${(f)"$(_reconciler_options "$name")"}); _describe -o option found ;;
    esac
}
if [ "${funcstack[1]}" = _reconciler ]; then _reconciler "$@"; else compdef _reconciler reconciler; fi
"""


def bash(commands: Sequence[Command]) -> Iterator[str]:
    """For bash 4 and newer."""
    yield "# Completion of reconciler for bash; made by: reconciler completion bash"
    yield from _shared(commands)
    yield from _function("commands", {"*": [" ".join(one.name for one in commands)]})
    yield from _function("options", _cases(commands, lambda option, _: option, together=True))
    yield from _BASH.splitlines()


def zsh(commands: Sequence[Command]) -> Iterator[str]:
    """For zsh, as a file of `fpath` or to be evaluated."""
    yield "#compdef reconciler"
    yield "# Completion of reconciler for zsh; made by: reconciler completion zsh"
    yield from _shared(commands)
    yield from _function("commands", {"*": [_described(one.name, one.summary) for one in commands]})
    yield from _function("options", _cases(commands, _described, together=False))
    yield from _ZSH.splitlines()


def _shared(commands: Sequence[Command]) -> Iterator[str]:
    """What bash and zsh have in common, down to which kind of value is to be completed."""
    yield from _FLEET.splitlines()
    yield from (_SCAN % "|".join(completable.taking(commands))).splitlines()
    kinds: dict[str, list[str]] = {}
    for command in commands:
        for parameter in command.parameters:
            if not parameter.flag and (kind := completable.kind_of(command, parameter)):
                kinds.setdefault(kind, []).extend(_places(command, parameter))
    yield ""
    yield "_reconciler_kind() {"
    yield '    case "$1 $2" in'
    yield "        *' --fleet') echo folders ;;"
    for kind, places in kinds.items():
        yield f"        {'|'.join(places)}) echo {shlex.quote(kind)} ;;"
    yield "    esac"
    yield "}"


def _places(command: Command, parameter: Parameter) -> Iterator[str]:
    """Where a value of the parameter stands: behind its option, or as one of the words that need none."""
    if parameter.name != "fleet":
        yield shlex.quote(f"{command.name} {parameter.option}")
    if parameter.name == command.positional:
        yield f"'{command.name} @'*" if parameter.repeated else f"'{command.name} @0'"


def _cases(commands: Sequence[Command], written: Callable[[str, str], str], *, together: bool) -> dict[str, list[str]]:
    """The options of each command, and of none."""
    found = {}
    for command in commands:
        own = {
            one.option: command.options.get(one.name, "")
            for one in command.parameters
            if one.name not in {"fleet", command.positional}
        }
        found[command.name] = [written(option, said) for option, said in {**own, **completable.GENERAL}.items()]
    found["*"] = [written(option, said) for option, said in completable.GENERAL.items()]
    return {name: [" ".join(words)] if together else words for name, words in found.items()}


def _function(name: str, cases: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """A function that prints lines by its first argument."""
    yield ""
    yield f"_reconciler_{name}() {{"
    yield "    case $1 in"
    for case, lines in cases.items():
        yield f"        {case}) printf '%s\\n' {' '.join(map(shlex.quote, lines))} ;;"
    yield "    esac"
    yield "}"


def _described(word: str, said: str) -> str:
    """A word with its description as zsh takes it; a colon of the word's own would part them."""
    return f"{word.replace(':', chr(92) + ':')}:{said}"
