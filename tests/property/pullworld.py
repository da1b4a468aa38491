"""A forge with one branch: what people do there, and what it shows of the branch after each of their deeds.

It knows nothing of tasks.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from reconciler.core.observed import Review
from reconciler.core.pulls import Pull, Shown
from reconciler.core.terms import Verdict

BEGIN = datetime(2026, 1, 1, 12, tzinfo=UTC)


@dataclass
class Branch:
    """Pull requests of one branch, their reviews, and what was shown so far."""

    head: int = 0
    seconds: int = 0
    pulls: dict[int, Pull] = field(default_factory=dict)
    reviews: dict[int, tuple[Review, ...]] = field(default_factory=dict)
    shown: list[Shown] = field(default_factory=list)

    def does(self, deed: str, pick: int) -> None:
        """Let somebody do it, where it can be done; what is to be seen then is shown."""
        deeds: dict[str, Callable[[int], None]] = {
            "open": self._open,
            "draft": lambda pick: self._open(pick, draft=True),
            "ready": self._ready,
            "push": self._push,
            "close": lambda pick: self._end(pick, merge=False),
            "merge": lambda pick: self._end(pick, merge=True),
            "reopen": self._reopen,
            "demand": lambda pick: self._review(pick, Verdict.CHANGES_REQUESTED),
            "approve": lambda pick: self._review(pick, Verdict.APPROVED),
            "comment": lambda pick: self._review(pick, Verdict.COMMENTED),
            "stale": lambda pick: self._review(pick, Verdict.CHANGES_REQUESTED, behind=1),
        }
        before = dict(self.pulls)
        deeds[deed](pick)
        if self.pulls == before and deed != "stale":
            self._instead(pick)
        self.shown.append(Shown(pulls=tuple(self.pulls.values()), reviews=dict(self.reviews)))

    def _instead(self, pick: int) -> None:
        """Something that can be done always, so that few histories are idle."""
        if self._which(pick, state="open", draft=False) is not None:
            self._review(pick, Verdict.CHANGES_REQUESTED)
        elif self._which(pick, state="closed") is not None:
            self._reopen(pick)
        else:
            self._open(pick)

    def _now(self) -> datetime:
        self.seconds += 1
        return BEGIN + timedelta(seconds=self.seconds)

    def _which(self, pick: int, **where: object) -> Pull | None:
        fit = [
            pull for pull in self.pulls.values() if all(getattr(pull, name) == value for name, value in where.items())
        ]
        return fit[pick % len(fit)] if fit else None

    def _put(self, pull: Pull) -> None:
        self.pulls[pull.number] = pull

    def _open(self, pick: int, *, draft: bool = False) -> None:
        number = len(self.pulls) + 1
        self._put(
            Pull(
                repository="team/app",
                number=number,
                url=f"u{number}",
                title=f"title {pick}",
                state="open",
                branch="task/task",
                same_repository=True,
                draft=draft,
                head_sha=f"h{self.head}",
                author="ann",
                updated_at=self._now(),
            )
        )

    def _ready(self, pick: int) -> None:
        pull = self._which(pick, draft=True)
        if pull is not None:
            self._put(replace(pull, draft=False, updated_at=self._now()))

    def _push(self, pick: int) -> None:
        """A push shows in the head alone, as on Gitea; sometimes the pull request counts as updated, too."""
        self.head += 1
        for pull in list(self.pulls.values()):
            if pull.state == "open":
                at = self._now() if pick % 2 else pull.updated_at
                self._put(replace(pull, head_sha=f"h{self.head}", updated_at=at))

    def _end(self, pick: int, *, merge: bool) -> None:
        pull = self._which(pick, state="open", draft=False)
        if pull is not None:
            self._put(replace(pull, state="merged" if merge else "closed", updated_at=self._now()))

    def _reopen(self, pick: int) -> None:
        pull = self._which(pick, state="closed")
        if pull is not None:
            self._put(replace(pull, state="open", head_sha=f"h{self.head}", updated_at=self._now()))

    def _review(self, pick: int, verdict: Verdict, *, behind: int = 0) -> None:
        pull = self._which(pick, state="open", draft=False)
        if pull is None or behind > self.head:
            return
        now = self._now()
        review = Review(
            id=f"r{self.seconds:03}",
            reviewer=("bob", "eve")[pick % 2],
            verdict=verdict,
            submitted_at=now,
            head_sha=f"h{self.head - behind}",
        )
        self._put(replace(pull, updated_at=now))
        self.reviews[pull.number] = (*self.reviews.get(pull.number, ()), review)
