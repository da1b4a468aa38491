"""The one door to git: the few commands that the program needs, run with the environment scrubbed.

It never runs a hook, never asks on a terminal, and never changes what a person has staged or stashed.
"""

import os
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from reconciler.core.desired import Identity

TIMEOUT_S = 60.0
MAX_HISTORY = 200
MINIMUM = (2, 36)

_CONFIGURATION = ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_NOSYSTEM", "GIT_CONFIG_SYSTEM", "GIT_EXEC_PATH")
_REMOTES = ("GIT_ASKPASS", "GIT_SSH", "GIT_SSH_COMMAND", "GIT_SSH_VARIANT", "GIT_SSL_CAINFO", "GIT_SSL_CAPATH")
_KEPT = frozenset((*_CONFIGURATION, *_REMOTES))
_SET = {"GIT_LITERAL_PATHSPECS": "1", "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
_NO_CODE = ("-c", f"core.hooksPath={os.devnull}", "-c", "core.fsmonitor=false", "-c", "gc.auto=0")
_STEPS = {
    "MERGE_HEAD": "merge",
    "rebase-merge": "rebase",
    "rebase-apply": "rebase",
    "CHERRY_PICK_HEAD": "cherry-pick",
    "REVERT_HEAD": "revert",
    "BISECT_LOG": "bisect",
}


class GitFailed(Exception):
    """A git command failed; the message names it and repeats git's first line."""


class Refused(Exception):
    """A commit on the person's branch would get in the person's way; the message says what is to be done first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GitResult:
    """How a git command ended."""

    exit: int
    stdout: bytes
    stderr: bytes

    @property
    def text(self) -> str:
        """Stdout as text, without the newline at its end."""
        return self.stdout.decode(errors="surrogateescape").rstrip("\n")


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """Who makes a commit, and who wanted what is in it."""

    committer: Identity
    author: Identity


def run(
    repository: Path, *args: str, stdin: bytes | IO[bytes] = b"", check: bool = True, timeout_s: float = TIMEOUT_S
) -> GitResult:
    """Run one git command in `repository`; GitFailed when it cannot run, takes too long or (`check`) fails."""
    given, source = (stdin, None) if isinstance(stdin, bytes) else (None, stdin)
    command_name = name(args)
    try:
        done = subprocess.run(
            command(*args),
            cwd=repository,
            env=environment(os.environ),
            input=given,
            stdin=source,
            capture_output=True,
            timeout=timeout_s,
            check=False,
        )
    except FileNotFoundError as error:
        missing = "git was not found on PATH" if repository.is_dir() else f"the folder {repository} does not exist"
        raise GitFailed(f"git {command_name}: {missing}") from error
    except subprocess.TimeoutExpired as error:
        raise GitFailed(f"git {command_name}: no answer within {timeout_s:g} s") from error
    except OSError as error:
        raise GitFailed(f"git {command_name}: {error.strerror}") from error
    if check and done.returncode != 0:
        raise GitFailed(f"git {command_name}: {first_line(done.stderr) or f'exit {done.returncode}'}")
    return GitResult(exit=done.returncode, stdout=done.stdout, stderr=done.stderr)


def command(*args: str) -> list[str]:
    """The argv of a git command that runs no hook and starts no daemon or maintenance of its own."""
    return ["git", *_NO_CODE, *args]


def name(args: tuple[str, ...]) -> str:
    """The name of the command among the words for git: `gc` of `-c`, `a.b=1`, `gc`."""
    words = iter(args)
    for word in words:
        if word == "-c":
            next(words, None)
        elif not word.startswith("-"):
            return word
    return " ".join(args)


def environment(inherited: Mapping[str, str]) -> dict[str, str]:
    """The environment for git: what the person's own git gets, without anything that points at another repository."""
    kept = {name: value for name, value in inherited.items() if not name.startswith("GIT_") or name in _KEPT}
    return kept | _SET


def identity_words(identity: Identity | Signature) -> tuple[str, ...]:
    """The words that make git commit as `identity`, whatever the machine's configuration says."""
    signed = identity if isinstance(identity, Signature) else Signature(committer=identity, author=identity)
    people = {"author": signed.author, "committer": signed.committer, "user": signed.committer}
    settings = ((f"{role}.name={one.name}", f"{role}.email={one.email}") for role, one in people.items())
    return (*(word for pair in settings for setting in pair for word in ("-c", setting)), "-c", "commit.gpgSign=false")


def who(identity: Identity) -> str:
    """Name and address in the form that a commit object can hold."""
    name, email = (
        "".join(letter for letter in text if letter.isprintable() and letter not in "<>").strip()
        for text in (identity.name, identity.email)
    )
    return f"{name} <{email}>"


def first_line(stderr: bytes) -> str:
    """The line of git's complaint that says most: its first `fatal` or `error`, else its first line."""
    lines = [line.strip() for line in stderr.decode(errors="replace").splitlines() if line.strip()]
    loud = [line for line in lines if line.startswith(("fatal:", "error:"))]
    return "".join(character for character in (loud or lines or [""])[0] if character.isprintable())[:500]


def version(repository: Path) -> tuple[int, ...]:
    """The version of git, as numbers; `MINIMUM` is what the program needs."""
    words = run(repository, "version").text.split()
    numbers = words[2].split(".")[:3] if len(words) > 2 else []  # noqa: PLR2004 - "git version 2.39.5"
    return tuple(int(number) for number in numbers if number.isdigit())


def top_level(start: Path) -> Path | None:
    """The work tree that `start` is in, None outside of one."""
    found = run(start, "rev-parse", "--show-toplevel", check=False)
    return Path(os.fsdecode(found.stdout.rstrip(b"\n"))) if found.exit == 0 and found.stdout.strip() else None


def git_dir(repository: Path) -> Path:
    """The repository's own folder; in a linked worktree that worktree's."""
    return _absolute(repository, "--git-dir")


def git_path(repository: Path, name: str) -> Path:
    """Where git keeps `name` (`info/exclude`, `refs/heads/main`) for this worktree."""
    return _absolute(repository, "--git-path", name)


def common_dir(repository: Path) -> Path:
    """The folder with objects and branches, shared by all worktrees of the repository."""
    return _absolute(repository, "--git-common-dir")


def object_format(repository: Path) -> str:
    """The hash that names objects here: `sha1` or `sha256`."""
    return run(repository, "rev-parse", "--show-object-format").text


def head_branch(repository: Path) -> str | None:
    """The branch that is checked out, also when it has no commit yet; None when HEAD is detached."""
    found = run(repository, "symbolic-ref", "--quiet", "--short", "HEAD", check=False)
    return found.text if found.exit == 0 else None


def tip(repository: Path, ref: str) -> str | None:
    """The commit at which a full ref name (`refs/heads/main`) points, None where there is none."""
    found = run(repository, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}", check=False)
    return found.text if found.exit == 0 else None


def has(repository: Path, ref: str, path: str) -> bool:
    """Whether the commit at `ref` has this path, given from the top of the repository."""
    return run(repository, "cat-file", "-e", f"{ref}:{path}", check=False).exit == 0


def ls_tree(repository: Path, ref: str, path: str = "") -> dict[str, str]:
    """Every file under `path` at `ref`: path from the top of the repository -> blob id. Symlinks are left out."""
    where = ("--", path) if path else ()
    listing = run(repository, "ls-tree", "-r", "-z", "--full-tree", ref, *where).stdout
    files = {}
    for entry in filter(None, os.fsdecode(listing).split("\0")):
        head, _, name = entry.partition("\t")
        mode, kind, blob = head.split(" ")
        if kind == "blob" and mode != "120000":
            files[name] = blob
    return files


def read_blobs(repository: Path, ids: Iterable[str]) -> dict[str, bytes]:
    """The bytes of each blob, or commit, read through one process; a missing one is left out."""
    wanted = tuple(dict.fromkeys(ids))
    if not wanted:
        return {}
    answer = run(repository, "cat-file", "--batch", stdin="".join(f"{one}\n" for one in wanted).encode()).stdout
    blobs, place = {}, 0
    for one in wanted:
        end = answer.index(b"\n", place)
        head, place = answer[place:end].split(), end + 1
        if head[1] == b"missing":
            continue
        size = int(head[2])
        blobs[one], place = answer[place : place + size], place + size + 1
    return blobs


def write_blob(repository: Path, content: bytes) -> str:
    """Put bytes into the object store as they are, no filter applied; their blob id."""
    return run(repository, "hash-object", "-w", "--stdin", "--no-filters", stdin=content).text


def history(repository: Path, ref: str, path: str) -> tuple[str, ...]:
    """The blob ids that a path has had at `ref`, newest first, at most `MAX_HISTORY`; empty where it never was."""
    found = run(
        repository, "log", f"--max-count={MAX_HISTORY}", "--format=", "--raw", "--no-abbrev", "--no-renames",
        "--no-ext-diff", "-z", ref, "--", path,
    )  # fmt: skip
    heads = (head.split() for head in found.stdout.decode(errors="replace").split("\0") if head.startswith(":"))
    return tuple(words[3] for words in heads if words[4] != "D")


def tracked(repository: Path, path: str) -> bool:
    """Whether the index knows this path (relative to `repository`)."""
    return run(repository, "ls-files", "--error-unmatch", "--", path, check=False).exit == 0


def changed(repository: Path, *paths: str) -> bool:
    """Whether any of these paths differs from the last commit: edited, staged, deleted or not yet tracked."""
    return bool(run(repository, "status", "--porcelain", "-z", "--untracked-files=all", "--", *paths).stdout)


def in_progress(repository: Path) -> str | None:
    """The operation that a person has not finished yet: `merge`, `rebase`, `cherry-pick`, `revert` or `bisect`."""
    folder = git_dir(repository)
    return next((name for file, name in _STEPS.items() if (folder / file).exists()), None)


def index_locked(repository: Path) -> bool:
    """Whether some git command (a checkout, a commit) holds the index at this moment."""
    return (git_dir(repository) / "index.lock").exists()


def refuse_unready(top: Path, branch: str, *paths: str) -> None:
    """Raise Refused unless an ordinary commit of these paths on `branch` gets in nobody's way now."""
    here = head_branch(top)
    if here is None:
        raise Refused(f"HEAD is detached; check out {branch} first")
    if here != branch:
        raise Refused(f"{here} is checked out; check out {branch} first")
    if step := in_progress(top):
        raise Refused(f"a {step} is under way; finish or abort it first")
    for path in paths:
        if changed(top, path):
            raise Refused(f"{path} has uncommitted changes; commit or undo them first")


def _absolute(repository: Path, *question: str) -> Path:
    answer = run(repository, "rev-parse", "--path-format=absolute", *question).stdout
    return Path(os.fsdecode(answer.rstrip(b"\n")))
