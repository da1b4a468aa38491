"""What the endpoints under `/api/v1` get: the program's inside, who asks, and where is listened.

It answers nothing itself.
"""

from collections.abc import Callable
from dataclasses import dataclass

import falcon

from reconciler.core.standing import Standing
from reconciler.edges import Edges
from reconciler.edges.reads import Reads
from reconciler.web import nearby
from reconciler.web.address import Address
from reconciler.web.tokens import Agent, Tokens

RETRY_AFTER_S = 10


def standby(standing: Standing | None) -> falcon.HTTPServiceUnavailable:
    """The answer to whoever wants something done at a process that only stands by."""
    leader = standing.leader if standing is not None and standing.leader is not None else "nobody yet"
    said = f"this reconciler stands by and takes nothing; {leader} leads"
    return falcon.HTTPServiceUnavailable(description=said, retry_after=RETRY_AFTER_S)


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    """The outside of the API. `listens` gives the address that is listened on, `None` while that is not known.

    There are no `edges` where this process stands by: then it only answers who reads.
    """

    reads: Reads
    edges: Edges | None
    tokens: Tokens
    listens: Callable[[], Address | None]

    def leading(self) -> Edges:
        """The program's inside; raises HTTPError 503 where another process leads."""
        if self.edges is None:
            raise standby(self.reads.standing())
        return self.edges

    def is_own(self, req: falcon.Request) -> bool:
        """Whether it certainly comes from this machine itself."""
        listens = self.listens()
        return nearby.is_own(
            listens=listens.host if listens is not None else None,
            peer=str(req.env.get("REMOTE_ADDR", "")),
            host=req.get_header("Host") or "",
            headers=req.headers,
        )

    def reader(self, req: falcon.Request) -> Agent | None:
        """The agent that reads; `None`: somebody at this machine, who may read all. Raises HTTPError 401, and 429."""
        own = self.is_own(req)
        return None if own and req.get_header("Authorization") is None else self.tokens.agent(req)
