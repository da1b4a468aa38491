"""What a look at the forge sees when people go on working while it looks."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.core.desired import Forge
from reconciler.forge import poll
from reconciler.forge.client import Client
from reconciler.forge.poll import Ask, Found, Known
from tests.forge.server import FakeForge


@pytest.fixture
def forge(tmp_path: Path) -> Iterator[FakeForge]:
    with FakeForge.running(tmp_path / "forge") as made:
        yield made


def looks(forge: FakeForge, ask: Ask) -> Found:
    async def look() -> Found:
        client = Client(Forge(kind="forgejo", url=forge.url), forge.token)
        try:
            return await poll.look(client, ask, Known())
        finally:
            await client.close()

    return asyncio.run(look())


@pytest.mark.parametrize("listing", [True, False])
def test_a_pull_request_is_never_older_than_the_reviews_that_are_seen_with_it(
    forge: FakeForge,
    listing: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    forge.push("task/one", {"one": "1\n"})
    number = forge.open("task/one", "One")

    def work_goes_on() -> None:
        head = forge.push("task/one", {"one": "2\n"})
        assert forge.request_changes(number, "Of what is new").commit == head

    forge.at("GET", "/pulls" if listing else f"/pulls/{number}", work_goes_on)
    marked = frozenset() if listing else frozenset({number})
    found = looks(forge, Ask(repository="acme/widgets", matters=lambda *_: True, listing=listing, marked=marked))
    (review,) = found.reviews[number]
    assert review.head_sha == found.known.pulls[number].head_sha == forge.pull(number)[1].head_sha
