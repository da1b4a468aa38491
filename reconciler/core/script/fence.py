"""Fencing a host: the newest term that was seen there, and what every script that changes something does about it.

It never lowers what a host has seen, and takes no lock that a dead script could leave behind.
"""

from reconciler.core.script import shell

MOST_TERM = 999_999_999_999_999_999
"""What every `sh` can still compare."""

FENCE = r"""
highest=0
newest() {
  highest=0 older=
  for mark in "$root"/term.*; do
    mark=${mark##*/term.}
    case $mark in '' | 0* | *[!0-9]* | ???????????????????*) continue ;; esac
    if [ "$mark" -gt "$highest" ]; then older="$older $highest" highest=$mark; else older="$older $mark"; fi
  done
}
announce() {
  if [ "$term" = 0 ]; then return 0; fi
  newest
  if [ "$highest" -ge "$term" ]; then return 0; fi
  if true >"$root/term.$term" || { (umask 077; mkdir -p "$root") && true >"$root/term.$term"; }; then
    for mark in $older; do
      if [ "$mark" != 0 ]; then rm -f "$root/term.$mark"; fi
    done
  fi
} 2>/dev/null
fenced() {
  if [ "$term" = 0 ]; then return 1; fi
  newest
  [ "$highest" -gt "$term" ]
}
refuse() { answer; printf 'fenced %s\n' "$highest"; exit 0; }
guard() { if fenced; then refuse; fi; }
"""
"""`announce` has the host know our term, `guard` ends the script where it knows a newer one. Both begin no process
but once a term, and do nothing for the term 0.

A term is the name of an empty file, so raising it is one atomic call that can lower nothing, whoever else writes. The
one before stays: who lists the folder while a term is added and an old one removed still sees one of the two.
"""


def place(workdir: str, fleet: str, term: int) -> tuple[str, str, str]:
    """The three words that scripts with a fence begin with; ValueError for an impossible folder, fleet or term.

    `term` is that of the reconciler that asks, 0 where there is no other that could lead: then nothing is fenced.
    """
    if not 0 <= term <= MOST_TERM:
        message = f"{term} is no term: a whole number from 0 to {MOST_TERM}"
        raise ValueError(message)
    return (*shell.place(workdir, fleet), str(term))
