"""What is said of a forge that does not answer, or cannot be asked, and of a pull request that waits there.

It decides nothing, and asks no forge.
"""

from reconciler.core.desired import Forge
from reconciler.core.observed import ForgeSeen, ObservedTask, PullRequest
from reconciler.core.terms import Verdict


def awaited(seen: ObservedTask, pr: PullRequest) -> str:
    """What the pull request of a task in review waits for."""
    last = {review.reviewer: review.verdict for review in seen.reviews if review.verdict is not Verdict.COMMENTED}
    if pr.state != "open" or not last or set(last.values()) != {Verdict.APPROVED}:
        return f"it waits for a review or merge of {pr.url}"
    return f"it waits for the merge of {pr.url}: {', '.join(sorted(last))} approved it"


def silence(forge: Forge, known: ForgeSeen) -> str:
    """Since when the forge has not answered, and why."""
    since = known.silent_since.strftime("%Y-%m-%dT%H:%M:%SZ") if known.silent_since is not None else "an unknown time"
    return f"{forge.url} has not answered since {since}{f' ({known.reason})' if known.reason else ''}"


def tokenless(forge: Forge) -> str:
    """Why the forge cannot be asked at all."""
    if forge.token_env is None:
        return f"the settings name no token_env for {forge.url}"
    return f"{forge.token_env}, the token for {forge.url}, is not set where the reconciler runs"
