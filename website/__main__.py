"""Builds the site, or serves it while its pages are written: `python -m website [--serve]`.

It installs nothing: without the group `docs` it says how to get it, and ends.
"""

import importlib.util
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MISSING = "the site is built by MkDocs, which is not installed here; install it: pip install -e '.[docs]'"


def main(words: list[str]) -> int:
    """Become MkDocs, which builds or serves the site; 1 where it is not installed."""
    if importlib.util.find_spec("mkdocs") is None or importlib.util.find_spec("material") is None:
        sys.stderr.write(f"{MISSING}\n")
        return 1
    rest = [word for word in words if word != "--serve"]
    does = ["serve"] if "--serve" in words else ["build", "--strict"]
    os.chdir(ROOT)
    return os.execv(sys.executable, [sys.executable, "-m", "mkdocs", *does, *rest])  # noqa: S606 - words, and no shell


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
