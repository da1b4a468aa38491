"""Looking a host over before anything runs there: its system, its tools, its disk, and the versions of its agent CLIs.

A CLI is asked in the very environment that a run gets; one that hangs is killed and never holds the probe up.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from reconciler.core.command import Command, Completed
from reconciler.core.desired import Host
from reconciler.core.script import fence, shell, supervise

PROBE_TIMEOUT_S = 60.0
VERSION_WAIT_S = 20
VERSION_BYTES = 4096
GIT_MINIMUM = (2, 30)

_ASKED = """
. /proc/self/fd/0
exec </dev/null
(become "$(cat env command)")
echo $? >exit.new
mv exit.new exit
"""

_PROBE = (
    "set -u\numask 077\n"
    + shell.take("workdir", "fleet", "term")
    + shell.MARK_ANSWER
    + shell.FLEET_ROOT
    + fence.FENCE
    + supervise.ALLOWED
    + rf"""
missing=
lacks() {{ missing="$missing $1"; }}
system=$(uname -s 2>/dev/null) || system=
[ "$system" = Linux ] || lacks Linux
[ -r /proc/self/stat ] && [ -r /proc/sys/kernel/random/boot_id ] && [ -r /proc/uptime ] || lacks /proc
for tool in git setsid cat cp cut dd env find grep head ln ls mkdir mv rm rmdir sed sleep tail tr uname wc; do
  command -v "$tool" >/dev/null 2>&1 || lacks "$tool"
done
boot=
{{ read -r boot; }} 2>/dev/null </proc/sys/kernel/random/boot_id || :
git=$(git --version 2>/dev/null) || git=
kept=$root/probe.$$
said=
writable() {{
  mkdir -p "$kept" && echo probe >"$kept/a" && ln "$kept/a" "$kept/b" && read -r said <"$kept/b" && [ "$said" = probe ]
}}
why=
if why=$(writable 2>&1); then why=; root=$(cd "$root" && pwd -P); kept=$root/probe.$$; announce; else
  lacks workdir; why=${{why:-it holds no data or no hard links}}
fi
allowed
names=
bytes() {{ dd bs="$1" count=1 iflag=fullblock 2>/dev/null; }}
while read -r name env_size command_size && [ "$name" != . ]; do
  names="$names $name"
  case " $missing " in *" workdir "* | *" setsid "*) bytes $((env_size + command_size)) >/dev/null; continue ;; esac
  mkdir "$kept/$name" && cd "$kept/$name" || continue
  bytes "$env_size" >env
  bytes "$command_size" >command
  : >stdout
  : >stderr
  (
    env -i PATH="$PATH" sh -c {shell.quoted((supervise.BORN + _ASKED,))} <<END
$exports
END
  ) </dev/null >/dev/null 2>&1 &
done
cd / || exit 96
clock=$(date +%s 2>/dev/null) || clock=
waits=0
pending() {{
  for name in $names; do
    if [ -d "$kept/$name" ] && [ ! -e "$kept/$name/exit" ]; then return 0; fi
  done
  return 1
}}
while pending && [ "$waits" -lt {VERSION_WAIT_S * 20} ]; do
  waits=$((waits + 1))
  sleep 0.05 2>/dev/null || {{ sleep 1; waits=$((waits + 20)); }}
done
for name in $names; do
  if [ -d "$kept/$name" ] && [ ! -e "$kept/$name/exit" ]; then
    {{ read -r agent rest; }} 2>/dev/null <"$kept/$name/agent" && kill -KILL -"$agent" 2>/dev/null
  fi
done
answer
printf 'system %s\nhome %s\nworkdir %s\nboot_id %s\ngit %s\npath %s\nmissing%s\nwhy %s\nclock %s\n' \
  "$system" "$HOME" "$workdir" "$boot" "$git" "$PATH" "$missing" "$(printf %s "$why" | tr '\n' ' ')" "$clock"
for name in $names; do
  code=
  {{ read -r code; }} 2>/dev/null <"$kept/$name/exit" || code=timeout
  printf 'version %s %s\n' "$name" "$code"
  cat "$kept/$name/stdout" "$kept/$name/stderr" 2>/dev/null | head -c {VERSION_BYTES} \
    | tr '\n' '\t' | tr -d '\000-\010\013-\037'
  echo
done
rm -rf "$kept"
"""
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """What a host is like.

    `missing` names what a host must have and this one has not; `why` is what its shell said of the workdir. `versions`
    holds what each CLI printed, stdout first; None where it could not be run, failed, or did not end in time.
    `clock_s` is the host's clock, in seconds since 1970; None where it has none.
    """

    system: str
    home: str
    workdir: str
    boot_id: str
    git_version: str
    missing: tuple[str, ...]
    versions: Mapping[str, str | None]
    path: str
    why: str = ""
    clock_s: int | None = None


def probe(host: Host, versions: Sequence[tuple[str, tuple[str, ...]]], fleet: str = "0" * 12, term: int = 0) -> Command:
    """Look the host over and ask each adapter's CLI (its id, its version argv) for its version."""
    words = list(fence.place(host.workdir, fleet, term))
    payload = b""
    for adapter, argv in versions:
        variables = supervise.exports(host.env, (), "probe")
        command = supervise.command_text(argv, "/", prompt_on_stdin=False)
        payload += f"{shell.checked_id(adapter)} {len(variables)} {len(command)}\n".encode() + variables + command
    return Command(name="probe", script=_PROBE, words=tuple(words), payload=payload + b".\n", timeout_s=PROBE_TIMEOUT_S)


def parse_probe(completed: Completed) -> Probe:
    """What the host is like; ProtocolError for an answer that is none."""
    answer = shell.body("probe", completed)
    lines = shell.text(answer).split("\n")
    if lines[-1] != "":
        raise shell.ProtocolError("probe: the answer is cut")
    head = [line for line in lines[:9] if not line.startswith("version ")]
    found = shell.fields("probe", "".join(f"{line}\n" for line in head).encode("utf-8", "surrogateescape"))
    clock = shell.needed("probe", found, "clock")
    return Probe(
        system=shell.needed("probe", found, "system"),
        home=shell.needed("probe", found, "home"),
        workdir=shell.needed("probe", found, "workdir"),
        boot_id=shell.needed("probe", found, "boot_id"),
        git_version=shell.needed("probe", found, "git").removeprefix("git version "),
        missing=tuple(shell.needed("probe", found, "missing").split()),
        versions=_versions(lines[9:-1]),
        path=shell.needed("probe", found, "path"),
        why=shell.needed("probe", found, "why"),
        clock_s=shell.number("probe", clock) if clock else None,
    )


def problems(seen: Probe) -> str | None:
    """The sentence that says what to mend before this host can take runs; None when it is fit."""
    if "Linux" in seen.missing:
        return f"runs need Linux, this is {seen.system or 'an unknown system'}: choose another host"
    if "/proc" in seen.missing:
        return "there is no readable /proc: mount it"
    tools = [word for word in seen.missing if word != "workdir"]
    if tools:
        return f"{', '.join(tools)} not found on PATH ({seen.path}): install what is missing"
    version = re.match(r"(\d+)\.(\d+)", seen.git_version)
    if version is None or (int(version[1]), int(version[2])) < GIT_MINIMUM:
        return f"git {seen.git_version or 'without a version'} is too old: install git 2.30 or newer"
    if "workdir" in seen.missing:
        return f"workdir {seen.workdir} cannot be used: {seen.why.strip()}; make it writable or name another"
    return None


def _versions(lines: list[str]) -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for head, said in zip(lines[::2], lines[1::2], strict=False):
        match head.split(" "):
            case ["version", adapter, code]:
                found[adapter] = said.replace("\t", "\n").strip() if code == "0" else None
            case _:
                message = f"probe: {head!r} is no line about a version"
                raise shell.ProtocolError(message)
    return found
