"""Loose objects beside those of a real git."""

from pathlib import Path

import pytest

from reconciler.repo import git, looseobjects
from reconciler.repo.desired.blobs import blob_id
from tests.recording import own_git_config

__all__ = ["own_git_config"]


@pytest.mark.parametrize("shared", ["umask", "group"])
def test_a_blob_in_a_folder_that_is_not_there_yet_is_as_git_would_have_kept_it(tmp_path: Path, shared: str) -> None:
    git.run(tmp_path, "init", "--quiet", f"--shared={shared}")
    objects, content = tmp_path / ".git/objects", b"title: a\n"
    blob = blob_id(content, "sha1")
    by_git = objects / git.write_blob(tmp_path, b"title: b\n")[:2]
    assert looseobjects.write(objects, blob, content)
    assert git.read_blobs(tmp_path, (blob,)) == {blob: content}
    assert (objects / blob[:2]).stat().st_mode == by_git.stat().st_mode
    assert by_git != objects / blob[:2]
