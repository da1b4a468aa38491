"""The `sh` text by which one task at a time works on a repository's clone on a host.

A lock whose owner is dead is taken over; nobody waits for one longer than a bound.
"""

LOCK_WAIT_S = 600

LOCK = rf"""
lock() {{
  waited=0
  if command -v flock >/dev/null 2>&1; then
    ( : >>"$1.flock" ) 2>/dev/null || fail 'no_capacity the lock of the repository cannot be written'
    exec 9>>"$1.flock"
    until flock -n 9; do
      waited=$((waited + 1))
      if [ "$waited" -gt {LOCK_WAIT_S} ]; then fail 'transport the repository is busy with another task'; fi
      sleep 1
    done
    return 0
  fi
  started_at $$
  until ( umask 077; mkdir "$1.lock" ) 2>/dev/null; do
    waited=$((waited + 1))
    holder= held_since= held_boot=
    {{ read -r holder held_since held_boot; }} 2>/dev/null <"$1.lock/owner" || holder=
    dead=
    if [ -z "$holder" ]; then [ "$waited" -le 10 ] || dead=1
    elif [ "$held_boot" != "$boot" ] || ! lives "$holder" "$held_since"; then dead=1; fi
    if [ -n "$dead" ]; then unlock "$1"; waited=0; continue; fi
    if [ "$waited" -gt {LOCK_WAIT_S} ]; then fail 'transport the repository is busy with another task'; fi
    sleep 1
  done
  started_at $$
  echo "$$ $start $boot" >"$1.lock/owner"
  trap 'unlock "$repo"' EXIT
}}
unlock() {{ mv "$1.lock" "$1.lock.$$" 2>/dev/null && rm -rf "$1.lock.$$"; }}
"""
"""`lock PATH` by flock(1), else by a folder whose dead owner is seen by pid, start time and boot."""
