"""The `sh` text by which a poll tells for how long a run has been idle: no output, no commit, next to no CPU time.

It never starts git, and never waits for a file that an agent replaced.
"""

HEAD = r"""
head_of() {
  head= space= sha=
  [ -f workspace ] || return 0
  { IFS= read -r space; } 2>/dev/null <workspace || return 0
  space=$space/.git
  if [ -f "$space" ]; then { IFS= read -r space; } 2>/dev/null <"$space" || return 0; space=${space#gitdir: }; fi
  [ -f "$space/HEAD" ] || return 0
  { IFS= read -r head; } 2>/dev/null <"$space/HEAD" || return 0
  case $head in "ref: "*) ;; *) return 0 ;; esac
  if [ -e "$space/commondir" ]; then space=$space/../..; fi
  space=$space/${head#ref: }
  if [ ! -f "$space" ] || ! { IFS= read -r sha; } 2>/dev/null <"$space"; then sha=packed; fi
  head="$head $sha"
}
"""
"""`head` is what the workspace stands at, read without starting git; it changes with every commit and checkout."""

_SKIP = "[-0-9]* "
_STAT = rf"s/^\([0-9][0-9]*\) (.*) [A-Z] \([0-9]*\) {_SKIP}\([0-9]*\) {_SKIP * 7}" + r"\([0-9]*\) " * 4 + ".*/"
_STAT += r"\1:\2:\3:\4:\5:\6:\7/p"

SPENT = (
    r"""
spent() {
  left=$(sed -n '"""
    + _STAT
    + r"""' /proc/[0-9]*/stat 2>/dev/null)
  found=1
  while [ "$found" = 1 ]; do
    found=0 later=
    for process in $left; do
      one=${process%%:*} process=${process#*:}
      parent=${process%%:*} more=${process#*:}
      session=${more%%:*} more=${more#*:}
      eval "of=\${of_$one-\${of_$session-\${of_$parent-}}}"
      if [ -z "$of" ]; then later="$later $one:$process"; continue; fi
      found=1
      user=${more%%:*} more=${more#*:}
      system=${more%%:*} more=${more#*:}
      eval "of_$one=$of cpu_$of=\$((cpu_$of + $user + $system + ${more%%:*} + ${more#*:}))"
    done
    left=$later
  done
}
strays() {
  find_tags
  for tag in $tags; do
    one=${tag#/proc/}
    one=${one%%/*}
    run=${tag##*"=$fleet."}
    case $quiet_runs in *" $run="*) of=${quiet_runs#*" $run="}; of=${of%%" "*} ;; *) continue ;; esac
    eval "owned=\${of_$one-}"
    if [ -z "$owned" ] && started_at "$one"; then
      set -- $fields
      eval "cpu_$of=\$((cpu_$of + ${12} + ${13} + ${14} + ${15}))"
    fi
  done
}
"""
)
"""Clock ticks of the quiet runs: `spent` goes by parent and session, `strays` by the tag of what left both."""

QUIET = r"""
young() { [ -n "$since" ] && [ "$where" = "$boot" ] && [ "$elapsed" = 0 ]; }
quiet() {
  head_of
  now="$out $err $boot $head"
  quiet_since= ticks= was=
  if [ -e activity ] && [ ! -f activity ]; then return 1; fi
  { IFS= read -r quiet_since && IFS= read -r ticks && IFS= read -r was; } 2>/dev/null <activity || quiet_since=
  case $quiet_since$ticks in '' | *[!0-9]*) quiet_since= ;; esac
  if [ -n "$quiet_since" ] && [ "$was" = "$now" ] && [ "$quiet_since" -le "$up" ]; then
    quiets="$quiets $index" quiet_runs="$quiet_runs$run=$index "
    eval "run_$index=\$run at_$index=\$quiet_since ticks_$index=\$ticks now_$index=\$now cpu_$index=0"
    eval "line_$index=\"\$elapsed \$out \$err \$stopping\" of_${pid:-0}=$index of_${agent:-${pid:-0}}=$index"
    return 0
  fi
  printf '%s\n\n%s\n' "$up" "$now" 1<>activity
  return 1
}
settle() {
  for index in $quiets; do
    eval "run=\$run_$index at=\$at_$index ticks=\$ticks_$index now=\$now_$index cpu=\$cpu_$index line=\$line_$index"
    if [ -z "$ticks" ]; then
      printf '%s\n%s\n%s\n' "$at" "$cpu" "$now" 1<>"$top/$run/activity"
    elif [ "$cpu" -lt "$ticks" ] || [ $((2 * (cpu - ticks))) -gt $((up - at)) ]; then
      at=$up
      printf '%s\n%s\n%s\n' "$at" "$cpu" "$now" 1<>"$top/$run/activity"
    fi
    printf 'run %s alive %s %s -\n' "$run" $((up - at)) "$line"
  done
}
"""
"""`activity` holds when something last moved, the clock ticks at the first quiet poll after that, and what was seen.

Of a `young` run nothing is kept: most that end at once are never seen old, and what they have done so far is work.

It is opened by `<>`, which waits for nobody where the agent put a pipe in its place; only its first three lines count.
"""
