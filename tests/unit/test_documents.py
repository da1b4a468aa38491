"""The documents: their links lead somewhere, their files are good, their commands exist, their lists are whole."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from reconciler.commands import arguments, everything
from reconciler.core import ending, massdeath, report, review
from reconciler.core.desired import Adapter, Host, Settings, Task
from reconciler.core.terms import Failure, Outcome
from reconciler.repo import schemas, storage
from reconciler.repo.desired import checks, fleetfiles
from reconciler.repo.yaml import documents
from tests.contract import captures

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md"), ROOT / "adapters" / "README.md"])
BLOCK = re.compile(r"^```(?P<kind>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?P<target>[^)\s]+)\)|(?:src|srcset)=\"(?P<picture>[^\"]+)\"")
COMMAND = re.compile(r"^(?:\w+=\S+ )?reconciler (?P<words>[^#\n|<&]+)", re.MULTILINE)
FILE = re.compile(r"# (?P<path>(?:state|hosts|adapters)/[\w/-]+\.yaml)(?P<part>, .*)?\n")
CUT = re.compile(r"\b[0-9a-f]{4}\.\.\.")
"""A digest of which only the beginning is shown."""

KINDS = {"task": Task, "host": Host, "adapter": Adapter, "settings": Settings}
AROUND = {
    "task": "title: T\ngoal: G\n",
    "host": "transport: ssh\naddress: builder\n",
    "adapter": "run: [agent]\n",
    "settings": "",
}
"""What stands in a file of which a document shows a part."""

every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())


def blocks(page: Path, kind: str) -> list[str]:
    return [found["text"] for found in BLOCK.finditer(page.read_text(encoding="utf-8")) if found["kind"] == kind]


def anchors(page: Path) -> set[str]:
    """The places of a page: its headings, as forges and the site name them."""
    headings = re.findall(r"^#+ (.+)$", BLOCK.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


@every_page
def test_every_link_leads_somewhere(page: Path) -> None:
    for found in LINK.finditer(BLOCK.sub("", page.read_text(encoding="utf-8"))):
        target, _, place = (found["target"] or found["picture"]).partition("#")
        if ":" in target:
            continue
        meant = page.parent / target if target else page
        assert meant.exists(), target
        assert not place or place in anchors(meant), (target, place)


@every_page
def test_every_file_that_is_shown_is_good(page: Path) -> None:
    for text in blocks(page, "yaml"):
        found = FILE.match(text)
        kind = fleetfiles.kind(found["path"]) if found else None
        if found is None or kind is None:
            continue
        whole = CUT.sub("a" * 64, f"{AROUND[kind] if found['part'] else ''}{text}")
        parsed = documents.parse(whole.encode(), found["path"])
        assert schemas.validate(kind, parsed, found["path"]) == ()
        assert checks.check(storage.structure(KINDS[kind], parsed.data), parsed, found["path"]) == ()


@every_page
def test_every_command_that_is_shown_is_one_that_can_be_typed(page: Path) -> None:
    known = {command.name: command for command in everything.commands()}
    for words in typed(page):
        assert arguments.read(words, known).command is known[words[0]]


def typed(page: Path) -> Iterator[list[str]]:
    for text in blocks(page, "sh"):
        for found in COMMAND.finditer(text.replace("\\\n", " ")):
            yield re.findall(r"\"[^\"]*\"|\S+", found["words"])


def test_the_commands_of_the_pages_are_looked_at() -> None:
    found = {words[0] for page in PAGES for words in typed(page)}
    assert {"new", "prompt", "reconcile", "status", "why", "doctor", "validate", "adapters", "hosts"} <= found


def test_the_adapter_of_ones_own_reads_what_its_page_prints() -> None:
    page = DOCS / "own-cli.md"
    text = blocks(page, "yaml")[-1]
    adapter = storage.structure(Adapter, documents.parse(text.encode(), "adapters/scribe.yaml").data)
    (printed,) = blocks(page, "text")
    output = captures.read(adapter, printed.partition("\n")[2].encode())
    result = report.judge(adapter, output, stop=None, resumed=None, now=datetime(2026, 11, 22, tzinfo=UTC))
    assert (result.outcome, result.summary, result.session) == (Outcome.SUCCEEDED, "NOTES.md says hello.", "s-81")
    assert (result.input_tokens, result.output_tokens, result.warnings) == (812, 40, ())
    cut = captures.read(adapter, printed.splitlines()[1].encode())
    assert report.judge(adapter, cut, stop=None, resumed=None, now=datetime(2026, 11, 22, tzinfo=UTC)).failure


def test_what_the_page_says_that_why_says_is_what_it_says() -> None:
    waits = (
        (DOCS / "troubleshooting.md").read_text(encoding="utf-8").partition("## It waits\n")[2].partition("\n## ")[0]
    )
    code = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "reconciler" / "core").glob("*.py"))
    said = [row.split(" | ")[0].removeprefix("| ") for row in waits.strip().splitlines()[2:]]
    assert len(said) > 10
    for part in (part for one in said for part in re.split(r"\.\.\.;?", one) if part.strip(" :")):
        assert part.strip() in code, part


def test_every_class_of_failure_and_every_reason_of_a_block_has_its_line() -> None:
    told = set(re.findall(r"`([a-z_]+)`", (DOCS / "troubleshooting.md").read_text(encoding="utf-8")))
    assert {str(failure) for failure in Failure} <= told
    assert {*map(str, ending.NEEDS), review.LIMIT, review.CLOSED, massdeath.MASS_DEATH, "not_started"} <= told
