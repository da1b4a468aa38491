"""Asks the advisory service about the locked dependencies: `python -m tests.auditing LOCK`.

0: nothing is known against any of them. 1: something is. 3: the service could not be asked, or does not know some.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

NOT_ASKED = 3
TIMEOUT_S = 300
OPTIONS = ("--disable-pip", "--require-hashes", "--progress-spinner", "off", "--timeout", "15", "--format", "json")


def main(lock: str) -> int:
    """Run pip-audit, and say in a few lines what it found."""
    tool = Path(sys.executable).with_name("pip-audit")
    if not tool.exists():
        return told(NOT_ASKED, "pip-audit is not installed: pip install -e '.[audit]'")
    try:
        words = [str(tool), "--requirement", lock, *OPTIONS]
        done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=TIMEOUT_S)
    except subprocess.TimeoutExpired:
        return told(NOT_ASKED, f"not audited: the advisory service did not answer within {TIMEOUT_S} s")
    try:
        found: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        return told(NOT_ASKED, f"not audited: the advisory service cannot be reached: {last}")
    return judged(found)


def judged(found: list[dict[str, Any]]) -> int:
    """What follows from pip-audit's list of dependencies."""
    known = [(one["name"], one["version"], flaw["id"]) for one in found for flaw in one.get("vulns", [])]
    skipped = [one["name"] for one in found if "skip_reason" in one]
    for name, version, flaw in known:
        told(1, f"{name} {version}: {flaw}")
    if known:
        return told(1, f"{len(known)} advisories: raise what they name, and run `invoke lock`")
    if skipped:
        names = ", ".join(skipped[:5])
        return told(
            NOT_ASKED, f"not audited: the advisory service knows {len(skipped)} of {len(found)} not here: {names} ..."
        )
    return told(0, f"nothing is known against any of {len(found)} dependencies")


def told(code: int, text: str) -> int:
    print(text, flush=True)  # noqa: T201 - what the person who asked reads
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
