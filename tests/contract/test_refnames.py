"""The rules for branch names are git's own."""

import os
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.repo.desired import refnames

NAMES = [
    "main",
    "task/a",
    "a/b/c",
    "a.b",
    "a..b",
    ".a",
    "a/.b",
    "a.lock",
    "a.lock/b",
    "a/b.lock",
    "a.locker",
    "-a",
    "a/-b",
    "--x",
    "HEAD",
    "a/HEAD",
    "head",
    "@{-1}",
    "a@{b",
    "a@b",
    "a/@",
    "{",
    "a b",
    "a~1",
    "a^",
    "a:b",
    "a?",
    "a*",
    "a[",
    "a]",
    "a\\b",
    "/a",
    "a/",
    "a//b",
    "a.",
    "a./b",
    "é",
    "😀",
    "a\tb",
    "a\x7f",
    "refs/heads/x",
    "-",
    ".",
    "..",
    "a\nb",
    "",
    "a,b",
    "!x",
    "#1",
]


def git_takes(name: str) -> bool:
    env = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_DIR": "/dev/null"}
    done = subprocess.run(["git", "check-ref-format", "--branch", name], env=env, capture_output=True, check=False)
    return done.returncode == 0


@pytest.mark.parametrize("name", NAMES)
def test_a_branch_is_taken_when_git_takes_it(name: str) -> None:
    assert (refnames.branch_problem(name) is None) == git_takes(name)


@settings(deadline=None, max_examples=150)
@given(st.text("ab./-@{}~^:?*[\\ \x7f\té", min_size=1, max_size=8).filter(lambda name: name != "@"))
def test_any_name_is_judged_as_git_does(name: str) -> None:
    assert (refnames.branch_problem(name) is None) == git_takes(name)


def test_the_name_that_git_reads_as_head_is_refused() -> None:
    assert refnames.branch_problem("@") is not None
