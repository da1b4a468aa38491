"""The recorded REST answers and deliveries of a real server, read in place; without them the test is skipped.

`Replay` puts recorded answers over a test forge: the same JSON, with the names and commits of the test's own.
"""

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.forge.rest import Answer
from tests.forge.webhooks import Delivery, signed

FOLDER = Path(__file__).resolve().parents[3] / "shared" / "fixtures" / "forge"


def folder() -> Path:
    """Where the recordings are."""
    if not FOLDER.is_dir():
        pytest.skip("the recordings of a real forge are not at hand")
    return FOLDER


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One recorded request and its answer."""

    note: str
    method: str
    path: str
    status: int
    response: object


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """One recorded delivery, its headers as they were where they are known."""

    name: str
    forge: str
    event: str
    event_type: str
    headers: Mapping[str, str]
    secret: str
    body: bytes

    def delivery(self, url: str, secret: str) -> Delivery:
        """The delivery to that address: with its own headers where its secret is that one, else signed anew."""
        if self.headers and self.secret == secret:
            headers = {name: value for name, value in self.headers.items() if name != "Content-Length"}
            return Delivery(url=url, event=self.event, event_type=self.event_type, headers=headers, body=self.body)
        return signed(url, secret, self.event, self.event_type, self.body, kind=self.forge)


def recordings() -> list[Exchange]:
    """All recorded exchanges, in order."""
    document = json.loads((folder() / "rest_examples.json").read_bytes())
    keys = ("note", "method", "path", "status", "response")
    return [Exchange(**{key: one[key] for key in keys}) for one in document["exchanges"]]


def deliveries() -> list[Recorded]:
    """The bodies of the manifest, in its order."""
    document = json.loads((folder() / "manifest.json").read_bytes())
    return [
        Recorded(
            name=one["file"],
            forge=one["forge"],
            event=one["event"],
            event_type=one["event_type"] or "",
            headers=one.get("request_headers") or {},
            secret=one.get("secret") or "",
            body=(folder() / one["file"]).read_bytes(),
        )
        for one in document["entries"]
    ]


def life() -> list[Recorded]:
    """The deliveries of one pull request's whole life, in order; those that were sent as forms left out."""
    lines = (folder() / "sequence_full_pr_lifecycle.jsonl").read_text().splitlines()
    found: list[dict[str, Any]] = [json.loads(line) for line in lines]
    return [
        Recorded(
            name=str(one["seq"]),
            forge="gitea",
            event=one["headers"]["X-Gitea-Event"],
            event_type=one["headers"]["X-Gitea-Event-Type"],
            headers=one["headers"],
            secret="",
            body=base64.b64decode(one["body_b64"]),
        )
        for one in found
        if one["path"] == "/hook/json"
    ]


@dataclass(kw_only=True)
class Replay:
    """Recorded answers, as far as the life has come: `show` puts one at a path, `names` are put into each."""

    names: dict[str, str] = field(default_factory=dict)
    _shown: dict[tuple[str, str], Answer] = field(default_factory=dict)
    _recorded: Sequence[Exchange] = field(default_factory=recordings)

    def show(self, path: str, *notes: str, method: str = "GET", status: int = 200, listed: bool = False) -> None:
        """From now on this is answered as the exchanges with these notes were; `listed`: as one list of all of them."""
        found = [one for note in notes for one in self._recorded if one.note == note and one.status < 300]
        everything: list[object] = []
        for one in found:
            everything += one.response if isinstance(one.response, list) else [one.response]
        headers = {"X-Total-Count": str(len(everything))} if listed else {}
        document = everything if listed or isinstance(found[0].response, list) else found[0].response
        self._shown[method, path] = Answer(status=status, document=document, headers=headers)

    def answer(self, method: str, target: str) -> Answer | None:
        """The recorded answer, where there is one."""
        shown = self._shown.get((method, target.partition("?")[0]))
        if shown is None:
            return None
        return Answer(
            status=shown.status, document=json.loads(self.put_in(json.dumps(shown.document))), headers=shown.headers
        )

    def put_in(self, text: str) -> str:
        """The text with the test's own names in place of the recorded ones."""
        for recorded, own in self.names.items():
            text = text.replace(recorded, own)
        return text
