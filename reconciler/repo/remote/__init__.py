"""The remote that a fleet may live on: what comes of a push, and that it cannot be reached."""

from enum import Enum


class RemoteFailed(Exception):
    """The remote cannot be reached, or does not answer as one; the message says so in one line."""


class Pushed(Enum):
    """What came of moving one ref of the remote, as the ref itself says afterwards."""

    LANDED = "landed"
    """It has the new commit."""

    MOVED = "moved"
    """Somebody else was faster: it is not where it was thought to be."""

    REFUSED = "refused"
    """It is where it was: the remote keeps it for itself."""
