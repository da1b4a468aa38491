"""What stands where on the site: pages made of the program, documents of elsewhere, links and pictures.

It knows nothing of MkDocs and writes nothing.
"""

import json
import posixpath
import re
from collections.abc import Callable, Mapping
from pathlib import Path

from reconciler.web import openapi
from website import commandpage, httppage, picture, schemapages

ROOT = Path(__file__).resolve().parents[1]
DOCS = "docs"

BROUGHT: Mapping[str, str] = {
    "adapters/README.md": "adapters.md",
    "ARCHITECTURE.md": "architecture.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
}
"""Documents of the repository that are pages of the site, and under which names."""

ELSEWHERE: Mapping[str, str] = {
    "README.md": "index.md",
    "docs/adr": "adr/0001-two-branches-one-writer-each.md",
    **{f"schemas/{kind}.schema.json": f"reference/{kind}.md" for kind in schemapages.KINDS},
}
"""What is no page itself, and which page tells of it."""

DIALOG = 'role="dialog"'
NAMED = f'{DIALOG} aria-label="Search"'

LINK = re.compile(r"(?<=\]\()(?P<target>[^)\s#:]+)(?P<place>#[^)\s]*)?(?=\))")
PICTURE = re.compile(
    r"<picture>\s*<source media=\"\(prefers-color-scheme: dark\)\" srcset=\"(?P<dark>[^\"]+)\">\s*"
    r"<img alt=\"(?P<alt>[^\"]+)\"\s+src=\"(?P<light>[^\"]+)\">\s*</picture>"
)
DIAGRAM = re.compile(r"^```mermaid\nstateDiagram-v2\n.*?^```$", re.MULTILINE | re.DOTALL)

CAPTION = """\
The strong arrows are the way of a task with which nothing goes wrong. Point at an arrow to see its events; the table
below has them all.
"""


def made() -> dict[str, Callable[[], str]]:
    """The files that are made of the program, by their places on the site."""
    pages = {f"reference/{kind}.md": lambda kind=kind: schemapages.page(kind) for kind in schemapages.KINDS}
    return {
        **pages,
        "reference/http.md": httppage.page,
        "reference/commands.md": commandpage.page,
        "site.css": (ROOT / "website" / "site.css").read_text,
        "reference/openapi.json": lambda: json.dumps(openapi.document(), indent=1),
    }


def text(markdown: str, own: str) -> str:
    """The text of the page at `own` with its links, its pictures and its diagram as the site has them."""
    home = next((source for source, place in BROUGHT.items() if place == own), f"{DOCS}/{own}")
    linked = LINK.sub(lambda found: f"{_moved(found['target'], home, own)}{found['place'] or ''}", markdown)
    shown = PICTURE.sub(r"![\g<alt>](\g<light>#only-light)![\g<alt>](\g<dark>#only-dark)", linked)
    return DIAGRAM.sub(f'<div class="drawing" tabindex="0">\n{picture.svg()}\n</div>\n\n{CAPTION}', shown)


def heard(output: str) -> str:
    """A finished page with a name for its search, for those who hear it; the theme gives it none."""
    return output if NAMED in output else output.replace(DIALOG, NAMED)


def _moved(target: str, home: str, own: str) -> str:
    """A link of the document at `home` as the page at `own` has it; what the site has no page for stays as it is."""
    meant = posixpath.normpath(posixpath.join(posixpath.dirname(home), target))
    place = BROUGHT.get(meant) or ELSEWHERE.get(meant)
    if place is None and meant.startswith(f"{DOCS}/"):
        place = meant.removeprefix(f"{DOCS}/")
    return target if place is None else posixpath.relpath(place, posixpath.dirname(own) or ".")
