"""What a task's file leaves out comes from its id and from the settings."""

import pytest

from reconciler.core.desired import Forge, Settings, Task, with_settings
from reconciler.core.terms import Delivery, Permissions

FORGE = Settings(forge=Forge(kind="forgejo", url="https://forge.example"))


@pytest.mark.parametrize(
    ("repository", "settings", "delivery"),
    [
        (None, Settings(), Delivery.NONE),
        (None, FORGE, Delivery.NONE),
        ("r", Settings(), Delivery.BRANCH),
        ("r", FORGE, Delivery.PULL_REQUEST),
    ],
)
def test_what_must_be_seen_follows_from_the_repository_and_the_forge(
    repository: str | None, settings: Settings, delivery: Delivery
) -> None:
    assert with_settings("fix", Task(title="t", goal="g", repository=repository), settings).delivery is delivery


def test_the_settings_fill_in_what_the_file_leaves_out() -> None:
    settings = Settings(default_adapter="codex", model="m", permissions=Permissions.FULL)
    task = with_settings("fix", Task(title="Mend it", goal="g"), settings)
    assert (task.branch, task.pr_title, task.adapter, task.model) == ("task/fix", "Mend it", "codex", "m")
    assert task.permissions is Permissions.FULL


def test_what_the_file_says_stands() -> None:
    said = Task(
        title="t",
        goal="g",
        branch="b",
        pr_title="p",
        adapter="sh",
        model="n",
        delivery=Delivery.NONE,
        repository="r",
        permissions=Permissions.READ_ONLY,
    )
    assert with_settings("fix", said, FORGE) == said
