"""The folders of data that the program ships with: `schemas` and `adapters`, from the wheel or beside the package.

Never looks into a fleet.
"""

from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

import reconciler


def folder(name: str) -> Traversable:
    """The shipped folder `name`; it is inside the package when installed, beside it in a checkout."""
    inside = resources.files(reconciler) / name
    return inside if inside.is_dir() else Path(reconciler.__file__).parent.parent / name
