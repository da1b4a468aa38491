"""What all pages have in common: the fleet's name and the part of this process; and the page for what is not there.

It knows no task.
"""

from collections.abc import Mapping

import falcon

from reconciler.edges.reads import Reads
from reconciler.web.pages import answers, rendering


def values(reads: Reads, *, leaves: bool) -> Mapping[str, object]:
    """What every page is made with; `leaves`: with a way to have the browser forget its token."""
    standing = reads.standing()
    return {
        "fleet": reads.fleet.root.name,
        "role": "alone" if standing is None else standing.role,
        "leader": standing.leader if standing is not None else None,
        "leaves": leaves,
    }


def missing(req: falcon.Request, resp: falcon.Response, reads: Reads, what: str) -> None:
    """Answer 404 with a page that says what is not there."""
    body = rendering.render("missing.html", {**values(reads, leaves=False), "what": what})
    answers.page(req, resp, body, falcon.HTTP_404)
