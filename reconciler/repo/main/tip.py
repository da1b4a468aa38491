"""Commits on top of a remote's `main`: made in the object store alone, pushed by compare-and-swap.

It touches no work tree, no index and no branch that somebody has checked out, and it never overwrites a commit there.
"""

import os
from collections.abc import Iterator, Mapping, Sequence

from reconciler.repo import git
from reconciler.repo.desired import fleetfiles
from reconciler.repo.fleet import BRANCH, Fleet
from reconciler.repo.git import Refused, Signature
from reconciler.repo.main.commits import Edit
from reconciler.repo.main.mainline import Mainline, Moved, Protected, WorkTree
from reconciler.repo.main.origin import Origin, Pushed
from reconciler.repo.remote.door import MAIN
from reconciler.repo.yaml import yamlbytes

MADE = "refs/reconciler/made"
"""Holds the newest commit that was made, so that git keeps it until it stands somewhere."""

_ESCAPES = {ord("\\"): "\\\\", ord('"'): '\\"', ord("\n"): "\\n"}


def mainline(fleet: Fleet, origin: Origin | None) -> Mainline:
    """Where the fleet's files count: at the tip of the remote's `main` where it lives on one, else in its work tree."""
    return Tip(fleet, origin) if origin is not None else WorkTree(fleet)


class Tip:
    """The files of the commit that is in force at `fleet.ref`; what is committed here is on the remote, or nowhere."""

    def __init__(self, fleet: Fleet, origin: Origin) -> None:
        """Look at nothing yet; `begin` does."""
        self.fleet = fleet
        self._origin = origin
        self._at: str | None = None

    def begin(self, *, strictly: bool) -> None:  # noqa: ARG002 - nobody's work can be in the way here
        """Look at the commit that is in force now, and stay there; Refused where there is none."""
        self._at = git.tip(self.fleet.top, self.fleet.ref)
        if self._at is None:
            refused = self._origin.follow()
            self._at = git.tip(self.fleet.top, self.fleet.ref)
            if self._at is None:
                raise Refused(refused or f"the remote has no {BRANCH}")

    def tip(self) -> str | None:
        """The commit that is looked at."""
        return self._at

    def task_paths(self) -> Mapping[str, Sequence[str]]:
        """Task id -> the files of the commit that carry it."""
        return fleetfiles.task_paths(fleetfiles.committed(fleetfiles.at(self.fleet.root, self._standing(), ("state",))))

    def exists(self, path: str) -> bool:
        """Whether the commit has the file."""
        return self._content(path) is not None

    def read(self, path: str) -> bytes:
        """The bytes of the file in the commit."""
        content = self._content(path)
        if content is None:
            raise FileNotFoundError(f"{path} is not there any more")
        return content[: yamlbytes.MAX_BYTES + 1]

    def commit(self, edits: Sequence[Edit], message: str, signed: Signature) -> str:
        """Make a commit on top of the one that is looked at, and have the remote's `main` go from this one to that."""
        onto = self._standing()
        for edit in edits:
            if self._content(edit.path) != edit.old:
                raise Refused(f"{edit.path} is not what it was taken for; look at it and try again")
        new = self._made(edits, message, signed)
        match self._origin.push(MAIN, new, onto):
            case Pushed.LANDED:
                git.run(self.fleet.top, "update-ref", self.fleet.ref, new, onto, check=False)  # else it is further on
                self._at = new
                return new
            case Pushed.MOVED:
                refused = self._origin.follow()
                raise Refused(refused) if refused is not None else Moved()
            case Pushed.REFUSED:
                raise Protected(new, self._origin)

    def _standing(self) -> str:
        if self._at is None:
            self.begin(strictly=True)
        return str(self._at)

    def _content(self, path: str) -> bytes | None:
        place = f"{self._standing()}:{self.fleet.prefix}{path}"
        found = git.run(self.fleet.top, "cat-file", "blob", place, check=False)
        return found.stdout if found.exit == 0 else None

    def _made(self, edits: Sequence[Edit], message: str, signed: Signature) -> str:
        """A commit of these edits, with nothing but `MADE` at it. What is not edited costs nothing."""
        stream = b"".join(self._stream(edits, (message + "\n").encode(errors="replace"), signed))
        words = ("fast-import", "--quiet", "--force", "--done", "--date-format=now")
        return git.run(self.fleet.top, "-c", "pack.compression=0", *words, stdin=stream).text

    def _stream(self, edits: Sequence[Edit], message: bytes, signed: Signature) -> Iterator[bytes]:
        yield f"commit {MADE}\nmark :1\n".encode()
        yield f"author {git.who(signed.author)} now\ncommitter {git.who(signed.committer)} now\n".encode(
            errors="replace"
        )
        yield b"data %d\n%b\nfrom %b\n" % (len(message), message, self._standing().encode())
        for edit in edits:
            path = _quoted(self.fleet.prefix + edit.path)
            if edit.new is None:
                yield b"D %b\n" % path
            else:
                yield b"M %b inline %b\ndata %d\n%b\n" % (self._mode(edit), path, len(edit.new), edit.new)
        yield b"\nget-mark :1\ndone\n"

    def _mode(self, edit: Edit) -> bytes:
        """The file's mode as it was, so that an edit changes the content alone."""
        if edit.old is None:
            return b"100644"
        words = ("ls-tree", "--full-tree", self._standing(), "--", self.fleet.prefix + edit.path)
        return git.run(self.fleet.top, *words).stdout.split()[0]


def _quoted(path: str) -> bytes:
    """A path that may hold anything, as fast-import reads it."""
    return b'"' + os.fsencode(path.translate(_ESCAPES)) + b'"'
