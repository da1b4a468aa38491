"""The remote as whoever commits to `main` needs it: what came of a push, taking in what others pushed.

It never reads from git's words whether a push landed: afterwards it looks at the ref.
"""

from enum import Enum

from reconciler.repo.fleet import Fleet
from reconciler.repo.git import Refused
from reconciler.repo.remote import intent
from reconciler.repo.remote.acceptance import FETCHED_MAIN, contains
from reconciler.repo.remote.door import MAIN, Move, Remote, RemoteFailed

HEADS = "refs/heads/"
TRIES = 2
"""How often a ref has to stay where it is, though the remote answers, until that is taken for the remote's will."""


class Pushed(Enum):
    """What came of moving one ref of the remote."""

    LANDED = "landed"
    """It has the new commit."""

    MOVED = "moved"
    """Somebody else was faster: it is not where it was thought to be."""

    REFUSED = "refused"
    """It is where it was: the remote keeps it for itself."""


class Origin:
    """The remote of one fleet. Raises RemoteFailed where it does not answer; safe for many threads.

    Whoever pushes here need not lead: a push from where `main` is known to be undoes nobody's, and what two of them
    are after is decided anew by the one that comes second.
    """

    def __init__(self, fleet: Fleet, remote: Remote) -> None:
        """Ask nothing yet."""
        self._fleet = fleet
        self._remote = remote

    def at(self, ref: str) -> str | None:
        """Where a ref of the remote stands."""
        return self._remote.refs(ref).get(ref)

    def push(self, ref: str, new: str, onto: str | None) -> Pushed:
        """Move a ref of the remote to a new commit, only from where it is known to be; `None`: it is not there."""
        for _ in range(TRIES):
            try:
                self._remote.push([Move(ref=ref, old=onto, new=new)])
            except RemoteFailed:
                now = self.at(ref)
            else:
                return Pushed.LANDED
            if now != onto:
                return self._come_of(ref, new, now)
        return Pushed.REFUSED

    def put(self, branch: str, commit: str) -> None:
        """Have a branch of the program's own stand at a commit, wherever it stood; Refused where it may not."""
        ref = HEADS + branch
        match self.push(ref, commit, self.at(ref)):
            case Pushed.LANDED:
                return
            case Pushed.MOVED:
                raise Refused(f"somebody else pushed to {branch} at the same time")
            case Pushed.REFUSED:
                raise Refused(f"the remote does not take the branch {branch}; let this program's account push it")

    def follow(self) -> str | None:
        """Put in force what `main` is there, where it may be; why it may not, in one sentence."""
        return intent.put_in_force(self._fleet, self._remote, self._remote.refs()).refused

    def _come_of(self, ref: str, new: str, now: str | None) -> Pushed:
        """What came of a push after which the ref stands elsewhere: there, further on, or where somebody put it."""
        if now is None or now == new or ref != MAIN:
            return Pushed.LANDED if now == new else Pushed.MOVED
        self._remote.fetch({MAIN: FETCHED_MAIN})
        return Pushed.LANDED if contains(self._fleet, FETCHED_MAIN, new) else Pushed.MOVED
