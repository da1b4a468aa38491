"""What the endpoints under `/api/v1` get: the program's inside, who asks, and where is listened.

It answers nothing itself.
"""

from collections.abc import Callable
from dataclasses import dataclass

import falcon

from reconciler.edges import Edges
from reconciler.web import nearby
from reconciler.web.address import Address
from reconciler.web.tokens import Agent, Tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    """The outside of the API. `listens` gives the address that is listened on, `None` while that is not known."""

    edges: Edges
    tokens: Tokens
    listens: Callable[[], Address | None]

    def reader(self, req: falcon.Request) -> Agent | None:
        """The agent that reads; `None`: somebody at this machine, who may read all. Raises HTTPError 401, and 429."""
        listens = self.listens()
        own = nearby.is_own(
            listens=listens.host if listens is not None else None,
            peer=str(req.env.get("REMOTE_ADDR", "")),
            host=req.get_header("Host") or "",
            headers=req.headers,
        )
        return None if own and req.get_header("Authorization") is None else self.tokens.agent(req)
