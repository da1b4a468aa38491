"""Takes in issues of the forge: one with the label becomes a task file on `main`, once; without it, it is put on hold.

It starts nothing: the file does.
"""

import asyncio
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit

from reconciler.core import issues, printable, repositories
from reconciler.core.desired import Desired, Forge, Task
from reconciler.core.issues import Issue
from reconciler.core.observed import ObservedTask
from reconciler.core.terms import Wish
from reconciler.edges import Edges
from reconciler.forge.client import ForgeRefused, ForgeUnreachable
from reconciler.repo.desired import checks
from reconciler.repo.main import issuework
from reconciler.repo.main.issuetasks import Newcomer
from reconciler.repo.main.issuework import Known, Place, Work
from reconciler.watching import proposing

MAX_NUMBER = 10**15
MAX_NAME = 200
MAX_URL = 2000

_REPOSITORY = re.compile(r"[^\s/\x00-\x1f\x7f]+/[^\s/\x00-\x1f\x7f]+")
_URL = re.compile(r"https?://[^\x00-\x20\x7f]+")


class IntakeDelayed(Exception):
    """Something could not be written into the fleet now; the same issues are to be given again later.

    The message says what stands in the way; people were told already. Whatever could be written was.
    """


async def take(edges: Edges, desired: Desired, shown: Sequence[Issue]) -> None:
    """Write what these issues ask for into the fleet: a task's file each, once; a hold for what is not wanted any more.

    The same issues may be given again and again, in any order: one that needs nothing costs nothing. Raises
    IntakeDelayed where a person's work is in the way or the remote does not answer, and ForgeUnreachable where the
    forge had to be asked who may cause work, or for a pull request; both after everything else was written. Then the
    same issues are to be given again.
    """
    forge = desired.settings.forge
    if forge is None:
        return
    plain = [one for issue in shown if (one := _plain(issue, forge)) is not None]
    work, silence = await _sorted(edges, desired, forge, edges.intakes.newest(plain))
    if work.known or work.newcomers:
        await _write(edges, desired, forge, work)
    if silence is not None:
        raise silence


async def _write(edges: Edges, desired: Desired, forge: Forge, work: Work) -> None:
    """Write it all; IntakeDelayed, and a word to people when that is news, where something has to wait.

    ForgeUnreachable where a pull request has to be opened and the forge does not answer.
    """
    place = Place(
        mainline=edges.mainline,
        desired=desired,
        observed=edges.branch.tasks,
        home=urlsplit(forge.url).hostname or "localhost",
        asked=proposing.asked(edges),
    )
    outcome = await asyncio.to_thread(issuework.write, place, edges.intakes, work)
    if outcome.changed:
        edges.changed()
    waiting = await proposing.propose(edges, outcome.withheld)
    delayed = outcome.delayed or waiting
    news, edges.intakes.delayed = delayed != edges.intakes.delayed, delayed
    if delayed is None:
        return
    if news:
        edges.warn(f"issues wait to be taken in: {delayed}")
    raise IntakeDelayed(delayed)


def _plain(issue: Issue, forge: Forge) -> Issue | None:
    """The issue with a URL that a file may hold; `None` where it is not in a repository that is watched."""
    known = _REPOSITORY.fullmatch(issue.repository) and len(issue.repository) <= MAX_NAME
    listed = not forge.repositories or any(repositories.same(issue.repository, one) for one in forge.repositories)
    if not known or not listed or not 0 < issue.number < MAX_NUMBER:
        return None
    url = issues.one_line(issue.url)
    if _URL.fullmatch(url) and len(url) <= MAX_URL:
        return replace(issue, url=url)
    return replace(issue, url=f"{forge.url.rstrip('/')}/{issue.repository}/issues/{issue.number}")


async def _sorted(
    edges: Edges, desired: Desired, forge: Forge, news: Mapping[str, Issue]
) -> tuple[Work, ForgeUnreachable | None]:
    """What is to be done about which of them, and what the forge did not answer; what needs nothing is left out."""
    work, tasks, seen = Work(), _tasks(desired), edges.branch.tasks()
    silence: ForgeUnreachable | None = None
    naming = _Naming(edges=edges, desired=desired, forge=forge)
    for url, issue in news.items():
        wanted = issue.open and forge.label in issue.labels
        written = edges.intakes.written.get(url)
        ids = dict.fromkeys([*tasks.get(url, ()), *([] if written is None else [written])])
        known = [Known(issue=issue, url=url, task_id=task_id, wanted=wanted) for task_id in ids]
        work.known += [one for one in known if _matters(one, edges, desired, seen)]
        if known or not wanted or url in edges.intakes.over:
            continue
        try:
            if await _may_cause_work(edges, forge, issue, url):
                work.newcomers[url] = Newcomer(issue=issue, repository=await naming.repository(issue))
        except ForgeUnreachable as error:
            silence = silence or error
    return work, silence


def _tasks(desired: Desired) -> dict[str, list[str]]:
    """The tasks of each issue, by URL."""
    found: dict[str, list[str]] = {}
    for task_id, document in desired.tasks.items():
        if document.value.issue is not None:
            found.setdefault(issues.same_url(document.value.issue), []).append(task_id)
    return found


def _matters(known: Known, edges: Edges, desired: Desired, seen: Mapping[str, ObservedTask]) -> bool:
    """Whether a task's file has to be looked at: it may be uncommitted, or may have to say something else."""
    if known.wanted and known.url not in edges.intakes.settled:
        return True
    if issuework.has_begun(known.task_id, seen):
        return False
    document = desired.tasks.get(known.task_id)
    if document is None or known.url in edges.intakes.written:
        return True
    return document.value.desired is (Wish.HOLD if known.wanted else Wish.RUN)


async def _may_cause_work(edges: Edges, forge: Forge, issue: Issue, url: str) -> bool:
    """Whether its author's issues become tasks; people are told once where they do not."""
    if forge.authors is not None:
        may = issue.author.casefold() in {login.casefold() for login in forge.authors}
        why = "this author is not listed"
    elif issue.vouched:
        return True
    else:
        may, why = await _may_write(edges, issue)
    if not may and edges.intakes.tell(url):
        edges.warn(
            f"issue {issue.url} by {_told(issue.author) or 'nobody'} was not taken: {why};"
            " list them in settings.forge.authors"
        )
    return may


async def _may_write(edges: Edges, issue: Issue) -> tuple[bool, str]:
    """Whether the forge says that the author may write to the repository, and what stands against it."""
    client, now = edges.forge.client, edges.now()
    if client is None:
        return False, "without a token the forge cannot be asked who may write to the repository"
    why = f"they may not write to {issue.repository}"
    may = edges.intakes.may(issue.repository, issue.author, now) if issue.author else False
    if may is None:
        try:
            may = await client.may_write(issue.repository, issue.author)
        except ForgeRefused as error:
            return False, f"the forge does not say who may write there: {_told(str(error))}"
        edges.intakes.said(issue.repository, issue.author, now, may=may)
    return may, why


def _told(text: str) -> str:
    return printable.short(text, issuework.MAX_TOLD)


@dataclass(slots=True, kw_only=True)
class _Naming:
    """By which URL or path new tasks name a repository of the forge."""

    edges: Edges
    desired: Desired
    forge: Forge
    _used: dict[str, Counter[str]] | None = None
    _asked: dict[str, str | None] = field(default_factory=dict)

    async def repository(self, issue: Issue) -> str:
        """What other tasks of the same repository say, else what the forge says."""
        if self._used is None:
            self._used = self._in_use()
        used = self._used.get(issue.repository.casefold())
        if used:
            return max(sorted(used), key=lambda name: used[name])
        if issue.clone_url is not None and self._is_good(issue.clone_url, issue):
            return issue.clone_url
        said = await self._said(issue.repository)
        if said is not None and self._is_good(said, issue):
            return said
        return f"{self.forge.url.rstrip('/')}/{issue.repository}.git"

    def _in_use(self) -> dict[str, Counter[str]]:
        """How many tasks name a repository how."""
        found: dict[str, Counter[str]] = {}
        for document in self.desired.tasks.values():
            named = repositories.of(document.value, self.forge)
            if named is not None and document.value.repository is not None:
                found.setdefault(named.casefold(), Counter())[document.value.repository] += 1
        return found

    async def _said(self, repository: str) -> str | None:
        """What the forge says when it is asked, once."""
        client = self.edges.forge.client
        if repository not in self._asked:
            try:
                self._asked[repository] = await client.clone_url(repository) if client is not None else None
            except ForgeRefused:
                self._asked[repository] = None
        return self._asked[repository]

    def _is_good(self, url: str, issue: Issue) -> bool:
        """Whether a URL may stand in a file, and is known again as one of this forge."""
        if issues.one_line(url) != url or len(url) > MAX_URL or checks.remote_problem(url) is not None:
            return False
        named = repositories.of(Task(title="", goal="", repository=url), self.forge)
        return named is not None and repositories.same(named, issue.repository)
