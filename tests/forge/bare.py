"""The bare git repository behind a repository of the test forge: read live, changed as the forge's own buttons do."""

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ENV = {
    "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "Forge",
    "GIT_AUTHOR_EMAIL": "forge@example.org",
    "GIT_COMMITTER_NAME": "Forge",
    "GIT_COMMITTER_EMAIL": "forge@example.org",
}
HEADS = "refs/heads/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bare:
    """One bare repository at `path`."""

    path: Path

    @classmethod
    def make(cls, path: Path) -> "Bare":
        """A repository whose branch `main` has one commit."""
        path.mkdir(parents=True)
        bare = cls(path=path)
        bare.git("init", "-q", "--bare", "-b", "main", ".")
        bare.commit("main", {"readme": "a project\n"}, "Begin")
        return bare

    def git(self, *args: str, stdin: str = "") -> str:
        """One git command; its output without the last newline."""
        env = {**ENV, "HOME": str(self.path)}
        done = subprocess.run(
            ["git", *args], cwd=self.path, env=env, input=stdin.encode(), capture_output=True, check=False
        )
        assert done.returncode == 0, (args, done.stderr)
        return done.stdout.decode().rstrip("\n")

    def heads(self) -> dict[str, str]:
        """Every branch and its commit, read from the files: a look costs no process."""
        found: dict[str, str] = {}
        packed = self.path / "packed-refs"
        if packed.exists():
            for line in packed.read_text().splitlines():
                sha, _, name = line.partition(" ")
                if name.startswith(HEADS):
                    found[name.removeprefix(HEADS)] = sha
        top = self.path / "refs" / "heads"
        for folder, _, names in os.walk(top):
            for name in names:
                if name.endswith(".lock"):
                    continue
                path = Path(folder) / name
                try:
                    found[path.relative_to(top).as_posix()] = path.read_text().strip()
                except FileNotFoundError:
                    continue
        return {name: sha for name, sha in found.items() if sha}

    def head(self, branch: str) -> str | None:
        """A branch's commit, `None` where it is not there."""
        return self.heads().get(branch)

    def has(self, sha: str) -> bool:
        """Whether there is such a commit."""
        env = {**ENV, "HOME": str(self.path)}
        done = subprocess.run(["git", "cat-file", "-e", f"{sha}^{{commit}}"], cwd=self.path, env=env, check=False)
        return done.returncode == 0

    def commit(self, branch: str, files: Mapping[str, str], message: str, *, start: str | None = None) -> str:
        """One more commit on a branch, which is made from `start` where it is not there."""
        parent = self.head(branch) or start
        stream = [f"commit {HEADS}{branch}", "committer Forge <forge@example.org> now", _data(message)]
        stream += [f"from {parent}"] if parent is not None else []
        for name, text in files.items():
            stream += [f"M 100644 inline {name}", _data(text)]
        self.git("fast-import", "--quiet", "--date-format=now", stdin="\n".join([*stream, ""]))
        sha = self.head(branch)
        assert sha is not None
        return sha

    def merge(self, head: str, base: str, how: str, message: str) -> str:
        """Merge a commit into the branch `base`, which then has the commit's files; the commit that came of it."""
        before = self.head(base)
        assert before is not None, base
        if how in {"rebase", "fast-forward-only"}:
            sha = head
        else:
            parents = ["-p", before] if how == "squash" else ["-p", before, "-p", head]
            sha = self.git("commit-tree", f"{head}^{{tree}}", *parents, "-m", message)
        self.git("update-ref", f"{HEADS}{base}", sha, before)
        return sha

    def delete(self, branch: str) -> None:
        """Delete a branch."""
        self.git("update-ref", "-d", f"{HEADS}{branch}")

    def between(self, before: str | None, after: str) -> list[str]:
        """The commits that came with a push, newest first."""
        words = ["rev-list", "--max-count=50", after, "--"]
        if before is not None:
            words.insert(3, f"^{before}")
        else:
            words.insert(3, "^main")
        return self.git(*words).splitlines()

    def message(self, sha: str) -> str:
        """A commit's message."""
        return self.git("show", "-s", "--format=%B", sha, "--")

    def files(self, commit: str) -> dict[str, str]:
        """What a commit holds: path and text."""
        names = self.git("ls-tree", "-r", "--name-only", commit).splitlines()
        return {name: self.git("show", f"{commit}:{name}") for name in names}


def _data(text: str) -> str:
    return f"data {len(text.encode())}\n{text}"
