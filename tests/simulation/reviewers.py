"""People on the forge: they review, merge, close, reopen and push; and the webhooks that tell of it, lost or doubled.

What they do is decided by the weather, so that each thing can be taken back alone.
"""

import hashlib
import hmac
import json
from collections.abc import Callable
from dataclasses import dataclass

from reconciler.core.observed import Review
from reconciler.core.pulls import Pull
from reconciler.core.terms import Verdict
from tests import deliveries
from tests.simulation.clock import Clock
from tests.simulation.forge import REPOSITORY, Action, SimulatedForge
from tests.simulation.weather import Weather

HOOK_SECRET_NAME, HOOK_SECRET = "HOOK_SECRET", "hook-secret-of-simulation"
LOST, DOUBLED, LATE = "a webhook is lost", "a webhook comes twice", "a webhook comes late"
_WORDS = {
    Verdict.APPROVED: "pull_request_review_approved",
    Verdict.CHANGES_REQUESTED: "pull_request_review_rejected",
    Verdict.COMMENTED: "pull_request_review_comment",
}


@dataclass
class Team:
    """The people around one repository. `post` sends a delivery; `demanded` hears of demands."""

    weather: Weather
    clock: Clock
    after: Callable[[float, Callable[[], None]], object]
    post: Callable[[str, bytes, dict[str, str]], None]
    demanded: Callable[[Pull, Review], None]
    forge: SimulatedForge | None = None

    def told(self, action: Action, pull: Pull, review: Review | None) -> None:
        """Something happened to a pull request: webhooks go out, and somebody may come and look."""
        self._tell(action, pull, review)
        if action in {"opened", "synchronized", "reopened"}:
            name = self.weather.numbered(f"visit {pull.number}")
            self.after(self.weather.between(5.0, 200.0, name), lambda: self._visit(pull, name))

    def _visit(self, seen: Pull, name: str) -> None:
        forge, now_s = self.forge, self.clock.now_s
        if forge is None or now_s >= self.weather.until_s:
            return
        pull = forge.pulls[seen.number]
        if (
            pull.state != "open"
            or pull.head_sha != seen.head_sha
            or f"a person on the forge: {name}" in self.weather.without
        ):
            return
        self.weather.note("a person on the forge", f"a person on the forge: {name}", now_s)
        what = self.weather.choose(
            {"merge": 36, "changes": 34, "approve": 8, "close": 8, "comment": 6, "push": 8}, f"does {name}"
        )
        self._does(what, pull, name)

    def _does(self, what: str, pull: Pull, name: str) -> None:
        forge = self.forge
        if forge is None:
            return
        match what:
            case "merge":
                forge.review(pull.number, "grace", Verdict.APPROVED)
                forge.merge(pull.number)
            case "changes":
                self._demand(pull, "grace")
                if self.weather.draw(f"second {name}") < 0.3:
                    self._demand(pull, "linus")
            case "approve":
                forge.review(pull.number, "grace", Verdict.APPROVED)
            case "close":
                forge.close(pull.number)
                if self.weather.draw(f"reopen {name}") < 0.6:
                    later_s = self.weather.between(5.0, 300.0, f"reopens {name}")
                    self.after(later_s, lambda: forge.reopen(pull.number))
            case "push":
                remote = forge.remote
                remote.push(pull.branch, remote.commit(remote.refs[pull.branch]))
            case _:
                forge.review(pull.number, "linus", Verdict.COMMENTED)

    def _demand(self, pull: Pull, reviewer: str) -> None:
        if self.forge is not None:
            self.demanded(pull, self.forge.review(pull.number, reviewer, Verdict.CHANGES_REQUESTED))

    def _tell(self, action: Action, pull: Pull, review: Review | None) -> None:
        name, now_s = self.weather.numbered(f"webhook {action} {pull.number}"), self.clock.now_s
        if self.weather.strikes(LOST, 0.15, name, now_s):
            return
        body = json.dumps(_body(action, pull, review)).encode()
        event = "pull_request" if review is None else _WORDS[review.verdict].removesuffix("_comment")
        headers = {
            "X-Forgejo-Event": event if review is None else f"pull_request_{_short(review)}",
            "X-Forgejo-Event-Type": event,
            "X-Forgejo-Delivery": name,
            "X-Forgejo-Signature": hmac.new(HOOK_SECRET.encode(), body, hashlib.sha256).hexdigest(),
        }
        late = self.weather.strikes(LATE, 0.15, name, now_s)
        later_s = self.weather.between(5.0, 300.0, f"late {name}") if late else 0.1
        self.after(later_s, lambda: self.post("/webhooks/forgejo", body, headers))
        if self.weather.strikes(DOUBLED, 0.15, name, now_s):
            again_s = self.weather.between(0.0, 120.0, f"again {name}")
            self.after(later_s + again_s, lambda: self.post("/webhooks/forgejo", body, headers))


def _short(review: Review) -> str:
    return {Verdict.APPROVED: "approved", Verdict.CHANGES_REQUESTED: "rejected"}.get(review.verdict, "comment")


def _body(action: Action, pull: Pull, review: Review | None) -> dict[str, object]:
    """The delivery as Forgejo makes it."""
    at = pull.updated_at.isoformat() if pull.updated_at is not None else None
    shown = deliveries.pull(
        number=pull.number,
        html_url=pull.url,
        title=pull.title,
        state="open" if pull.state == "open" else "closed",
        merged=pull.state == "merged",
        merged_at=at if pull.state == "merged" else None,
        head=deliveries.side(pull.branch, sha=pull.head_sha),
        updated_at=at,
    )
    where = deliveries.repository(REPOSITORY)
    if review is None:
        return deliveries.pull_event(action, pull.author, number=pull.number, pull_request=shown, repository=where)
    said = {"type": _WORDS[review.verdict], "content": review.body}
    return deliveries.pull_event(
        "reviewed", review.reviewer, number=pull.number, pull_request=shown, repository=where, review=said
    )
