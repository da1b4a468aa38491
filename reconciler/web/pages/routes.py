"""Which page is at which path.

It answers nothing itself.
"""

from collections.abc import Callable
from dataclasses import dataclass

import falcon

from reconciler.web.api import Api
from reconciler.web.pages.access import Access, Login, Logout
from reconciler.web.pages.assets import Assets
from reconciler.web.pages.board import Board
from reconciler.web.pages.diffpage import DiffPage
from reconciler.web.pages.foresight import Foresight
from reconciler.web.pages.histories import Histories
from reconciler.web.pages.kept import Kept
from reconciler.web.pages.logpages import LogPage, RawLog
from reconciler.web.pages.numberspage import NumbersPage
from reconciler.web.pages.taskpage import TaskPage
from reconciler.web.tokens import Failures

NUMBERS_STAND_S = 10.0
"""How long numbers of days stand: they are made of every run that there was."""

Route = falcon.App[falcon.Request, falcon.Response]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pages:
    """The outside of the pages: what the API gets, a clock that counts seconds, and who is told what was refused."""

    api: Api
    clock: Callable[[], float]
    refused: Callable[[str], None]


def add(to: Route, pages: Pages) -> None:
    """Have the application answer with pages, too."""
    access = Access(pages.api, Failures(pages.clock), pages.refused)
    reads, kept = pages.api.reads, Kept(pages.clock)
    to.add_route("/", Board(reads, access, kept))
    to.add_route("/tasks/{task_id}", TaskPage(reads, access, Histories(reads.fleet), Foresight(reads, pages.clock)))
    to.add_route("/tasks/{task_id}/diff", DiffPage(reads, access))
    to.add_route("/tasks/{task_id}/runs/{epoch:int}/{stream}", LogPage(reads, access))
    to.add_route("/tasks/{task_id}/runs/{epoch:int}/{stream}/raw", RawLog(reads, access))
    to.add_route("/numbers", NumbersPage(reads, access, Kept(pages.clock, NUMBERS_STAND_S)))
    to.add_route("/login", Login(access))
    to.add_route("/logout", Logout(access))
    to.add_route("/static/{name}", Assets())
