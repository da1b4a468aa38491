"""What is asked for by a pull request on the fleet's own repository, where `main` does not take commits directly.

It opens none; what was asked once is known by its key.
"""

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from reconciler.core import issues, markdown, pullbody
from reconciler.core.issues import Issue
from reconciler.core.pulls import Pull

_WORD = "intake "


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """One change of one task's file because of an issue. `subject` is the commit's; `starts`: merging it starts work.

    `basis` is what the change follows from: while that is the same, it is the same change.
    """

    task_id: str
    issue: Issue
    subject: str
    basis: str
    starts: bool

    @property
    def branch(self) -> str:
        """The branch that holds it: one for each task."""
        return f"reconciler/{self.task_id}"

    @property
    def key(self) -> str:
        """What it is known by, once a pull request stood for it."""
        return f"{self._beginning}{self.task_id}"

    @property
    def _beginning(self) -> str:
        return f"{_family(self.issue)}{hashlib.sha256(self.basis.encode(errors='replace')).hexdigest()[:16]} "

    def is_among(self, keys: Collection[str]) -> bool:
        """Whether one of these keys is of the same change, under whatever id."""
        return any(key.startswith(self._beginning) for key in keys)

    @property
    def title(self) -> str:
        """The pull request's title."""
        return pullbody.title(self.subject, self.branch)

    @property
    def body(self) -> str:
        """The pull request's text: which issue, what a merge does, what closing it does."""
        file = markdown.span(f"{self.task_id}.yaml")
        merged = (
            f"Merging this starts work: the task in {file} is given to an agent as it stands here."
            if self.starts
            else f"Merging this puts the task in {file} on hold: no run of it starts until that is lifted."
        )
        url = pullbody.link(issues.one_line(self.issue.url))
        return (
            f"For {url}\n\n{merged}\n\n"
            "Closing it is a no: it is not asked again as long as what it follows from stays as it is.\n\n"
            f"Issue: {url}\n"
        )

    def is_meant_by(self, pull: Pull) -> bool:
        """Whether a pull request on the branch is about this issue; the branch of a task may have served another."""
        return self.issue.name in pull.title or self.title == pull.title


def elsewhere(issue: Issue, keys: Collection[str]) -> frozenset[str]:
    """The ids of tasks that were asked for because of other issues: they are not free, though no file has them."""
    own = _family(issue)
    return frozenset(key.rpartition(" ")[2] for key in keys if key.startswith(_WORD) and not key.startswith(own))


def standing(proposal: Proposal, known: Collection[str], pulls: Sequence[Pull]) -> Pull | None:
    """The pull request by which this was asked already; None where it is to be asked now.

    An open one stands for whatever is asked of the task. A closed one was a no to what it was about: to something
    else, where `known`, the keys of what was asked, has earlier changes because of the issue.
    """
    mine = [pull for pull in pulls if pull.branch == proposal.branch and pull.same_repository]
    is_open = next((pull for pull in mine if pull.state == "open"), None)
    if is_open is not None or any(key.startswith(_family(proposal.issue)) for key in known):
        return is_open
    return next((pull for pull in mine if pull.state == "closed" and pull.title == proposal.title), None)


def _family(issue: Issue) -> str:
    """The beginning of the keys of all changes because of an issue."""
    return f"{_WORD}{''.join(issues.same_url(issue.url).split())} "
