"""The remote as whoever commits to `main` needs it: functions to call.

It holds no connection of its own, and decides nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass

from reconciler.repo.git import Refused
from reconciler.repo.remote import Pushed

HEADS = "refs/heads/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Upstream:
    """What to call. Each raises RemoteFailed, and may be called from any thread.

    `push` moves a ref there, from the commit that it is known to be at (`None`: it is not there) to a new one:
    `push(ref, new, onto)`. `follow` fetches `main` and puts it in force where it may be. `at` says where a ref stands
    there now. `repository` is the fleet's own repository on the forge, `None` where it is not there.
    """

    push: Callable[[str, str, str | None], Pushed]
    follow: Callable[[], None]
    at: Callable[[str], str | None]
    repository: str | None

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
