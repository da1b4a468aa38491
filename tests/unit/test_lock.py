"""The lock file: every dependency in one version, with the digests of its files, and no registry."""

import re
import tomllib
from pathlib import Path

import pytest

from tests import auditing

ROOT = Path(__file__).parents[2]
LOCK = (ROOT / "requirements.lock").read_text()
PINNED = dict(re.findall(r"^([a-z0-9.-]+)==([^ ;\\]+)", LOCK, re.MULTILINE))


def wanted() -> list[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return [*project["dependencies"], *(one for extra in project["optional-dependencies"].values() for one in extra)]


def numbers(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version)]


@pytest.mark.parametrize("requirement", wanted())
def test_what_the_project_asks_for_is_locked_in_a_version_that_fits(requirement: str) -> None:
    name, _, minimum = requirement.partition(">=")
    assert numbers(PINNED[name.lower().replace(".", "-")]) >= numbers(minimum)


def test_every_file_has_a_digest_and_nothing_names_a_registry() -> None:
    blocks = re.split(r"^(?=[a-z0-9])", LOCK, flags=re.MULTILINE)[1:]
    assert len({block.partition("==")[0] for block in blocks}) == len(PINNED) > 40
    assert [block.splitlines()[0] for block in blocks if "--hash=sha256:" not in block] == []
    assert "://" not in LOCK
    assert "index" not in LOCK.replace("ruamel", "")


@pytest.mark.parametrize(
    ("found", "code", "said"),
    [
        ([{"name": "a", "version": "1", "vulns": []}], 0, "nothing is known against any of 1"),
        ([{"name": "a", "version": "1", "vulns": [{"id": "CVE-1"}]}], 1, "a 1: CVE-1"),
        ([{"name": "a", "skip_reason": "unknown"}], auditing.NOT_ASKED, "not audited"),
    ],
)
def test_an_audit_that_could_not_ask_is_not_a_good_one(
    found: list[dict[str, object]], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert auditing.judged(found) == code
    assert said in capsys.readouterr().out
