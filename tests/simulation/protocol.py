"""Answers the fixed scripts of the run protocol as their `sh` would, out of a simulated host.

It reads a command's words and payload in the order in which the script takes them, and decides nothing for the program.
"""

import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from reconciler.core.command import Command, Completed
from reconciler.core.script.shell import MARK
from tests.simulation.hosts import Folder, Host, Workspace
from tests.simulation.remotes import MAIN, Remote

AFTER_CLAIM_S = 0.01
TERMLESS = frozenset({"read", "read-many", "read-meta", "inspect"})
"""The scripts that change nothing, and so bear no term."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Order:
    """What a launch says of one run."""

    run: str
    make: bool
    workspace: str
    meta: bytes


class Protocol:
    """The scripts, over the remotes that hosts can reach. `slow_claim_s` says how long a supervisor takes to claim."""

    def __init__(self, remotes: Mapping[str, Remote], slow_claim_s: Callable[[Host, str], float]) -> None:
        self._remotes = remotes
        self._slow_claim_s = slow_claim_s
        self._scripts: Mapping[str, Callable[[Host, Command], Completed]] = {
            "probe": self._probe,
            "poll": self._poll,
            "prepare": self._prepare,
            "launch": self._launch,
            "give-up": self._give_up,
            "read": self._read,
            "read-many": self._read_many,
            "read-meta": self._read_meta,
            "stop": self._stop,
            "sweep": self._sweep,
            "deliver": self._deliver,
            "inspect": self._inspect,
            "clean": self._clean,
        }

    def run(self, host: Host, command: Command) -> Completed:
        """Carry the command out, now and at once. Nobody else leads here, so the term that scripts bear is 0."""
        if command.name not in TERMLESS:
            workdir, fleet, _, *words = command.words
            command = replace(command, words=(workdir, fleet, *words))
        return self._scripts[command.name](host, command)

    def _probe(self, host: Host, command: Command) -> Completed:
        missing = " workdir" if host.read_only or host.full else ""
        why = "Read-only file system" if missing else ""
        return _said(
            f"system Linux\nhome /h\nworkdir {command.words[0]}\nboot_id {host.boot_id}\ngit git version 2.43.0\n"
            f"path /usr/bin:/bin\nmissing{missing}\nwhy {why}\nclock {int(host.clock.now_s)}\n"
        )

    def _poll(self, host: Host, command: Command) -> Completed:
        lines = [f"host {int(host.up_s())} {host.boot_id}"]
        now_s = host.clock.now_s
        for name in _asked(command):
            folder = host.folders.get(name)
            state, elapsed, idle, out, err = host.state(folder), 0, 0, 0, 0
            if folder is not None and isinstance(folder.claim, tuple) and folder.claim[0] == host.boot:
                elapsed = int(host.up_s() - folder.claim[1])
            process = folder.process if folder is not None else None
            if process is not None:
                out, err = len(process.output("stdout", now_s)), len(process.output("stderr", now_s))
                idle = int(now_s - process.last_active_s(now_s)) if state == "alive" else 0
            stopping = folder.stop[0] if folder is not None and folder.stop is not None else "-"
            code = _code(folder) if folder is not None and state == "ended" else "-"
            lines.append(f"run {name} {state} {idle} {elapsed} {out} {err} {stopping} {code}")
        return _said("\n".join([*lines, "end", ""]))

    def _prepare(self, host: Host, command: Command) -> Completed:
        _, fleet, task, epoch, reuse, repository, _, branch, base, *_ = command.words
        name = f"{task}.{epoch}"
        if host.full or host.read_only:
            return _failed("no_capacity the run folder cannot be made", "No space left on device")
        folder = host.folders.setdefault(name, Folder(name=name))
        if folder.claim is not None:
            known = folder.prepared or b"failed config the run was started by something else\n"
            return _said(known.decode())
        folder.workspace = _workspace(host, task, int(epoch), name, reuse=reuse == "1")
        base_sha = start_sha = head_sha = ""
        if repository:
            if host.remote_away:
                return _failed("fetching the repository", "Could not resolve host")
            remote = self._remotes[repository]
            base = base or MAIN
            base_sha, start_sha = remote.refs[base], remote.refs.get(branch, "")
            unmerged = start_sha and not remote.contains(base_sha, start_sha)
            head_sha = start_sha if unmerged else base_sha
        host.workspaces[folder.workspace] = Workspace(head=head_sha or None)
        root = f"/h/work/{fleet}"
        folder.prepared = (
            f"workspace {root}/work/{folder.workspace}\nrun_dir {root}/runs/{name}\nhome /h\n"
            f"base {base}\nbase_sha {base_sha}\nstart_sha {start_sha}\nhead_sha {head_sha}\n"
        ).encode()
        return _said(folder.prepared.decode())

    def _launch(self, host: Host, command: Command) -> Completed:
        return _said("".join(f"run {order.run} {self._launched(host, command, order)}\n" for order in _orders(command)))

    def _launched(self, host: Host, command: Command, order: _Order) -> str:
        folder = host.folders.setdefault(order.run, Folder(name=order.run))
        if folder.claim is None:
            if order.make:
                task, _, epoch = order.run.rpartition(".")
                made = replace(command, words=(*command.words[:2], task, epoch, "1", "", "", "", ""))
                if self._prepare(host, made).exit != 0:
                    return "failed the run folder cannot be made"
            if host.full or host.read_only:
                return "failed the run folder cannot be filled"
            folder.meta = order.meta
            folder.filled = True
            folder.workspace = order.workspace.rpartition("/")[2]
            slow_s = self._slow_claim_s(host, order.run)
            host.loop.call_later(AFTER_CLAIM_S + slow_s, host.claim, order.run, host.boot)
            if not slow_s:
                return "state alive"
        return f"state {host.state(folder)}"

    def _give_up(self, host: Host, command: Command) -> Completed:
        folder = self._void(host, command.words[2])
        return _said(f"state {host.state(folder)}\n")

    def _void(self, host: Host, name: str) -> Folder:
        folder = host.folders.setdefault(name, Folder(name=name))
        if folder.claim is None and not (host.full or host.read_only):
            folder.claim = "void"
        return folder

    def _read(self, host: Host, command: Command) -> Completed:
        _, _, run, file, offset, limit = command.words
        folder = host.folders.get(run)
        content = _file(host, folder, file) if folder is not None else None
        if content is None:
            return _said("missing\n")
        part = content[int(offset) : int(offset) + int(limit)]
        return Completed(exit=0, stdout=MARK + f"size {len(content)}\n".encode() + part, stderr=b"")

    def _read_many(self, host: Host, command: Command) -> Completed:
        _, _, *words = command.words
        pieces = []
        for run, stream, offset, size in zip(*(iter(words[:-1]),) * 4, strict=True):
            folder = host.folders.get(run)
            content = (_file(host, folder, stream) if folder is not None else None) or b""
            pieces.append(content[int(offset) : int(offset) + int(size)] + f"\nend {run}/{stream}\n".encode())
        return Completed(exit=0, stdout=MARK + b"".join(pieces), stderr=b"")

    def _read_meta(self, host: Host, command: Command) -> Completed:
        folder = host.folders.get(command.words[2])
        if folder is None:
            return _said("missing\n")
        code = (folder.exit or b"").partition(b"\n")[0]
        stopping = folder.stop[0].encode() if folder.stop is not None else b""
        head = f"state {host.state(folder)}\n".encode() + b"exit " + code + b"\nstop " + stopping + b"\nmeta\n"
        return Completed(exit=0, stdout=MARK + head + (folder.meta or b"") + b".", stderr=b"")

    def _stop(self, host: Host, command: Command) -> Completed:
        name, reason, grace_s = command.words[2], command.words[3], float(command.words[4])
        folder = self._void(host, name)
        if host.state(folder) != "alive":
            if folder.process is not None:
                folder.process.strays = 0
            return _said("state ended\nsurvivors 0\n")
        if folder.stop is None and not (host.full or host.read_only):
            folder.stop = (reason, host.up_s())
        if folder.stop is None or (host.up_s() - folder.stop[1] >= grace_s and folder.stop_sent):
            host.kill(folder)
            return _said("state killed\nsurvivors 0\n")
        folder.stop_sent = True
        host.terminate(folder)
        return _said("state signalled\nsurvivors 0\n")

    def _sweep(self, host: Host, command: Command) -> Completed:
        lines = []
        for name in command.words[2:-1]:
            folder = host.folders.get(name)
            alive = folder is not None and host.state(folder) == "alive"
            if folder is not None and folder.process is not None and not alive:
                folder.process.strays = 0
            lines.append(f"run {name} {'alive' if alive else 'swept'}\n")
        return _said("".join([*lines, "end\n"]))

    def _deliver(self, host: Host, command: Command) -> Completed:
        _, _, path, repository, branch, base_sha, start_sha, *_ = command.words
        workspace = host.workspaces.get(path.rpartition("/")[2])
        if workspace is None or workspace.head is None:
            return _failed("config the workspace is gone", "")
        remote = self._remotes[repository]
        if workspace.dirty and (host.full or host.read_only):
            return _failed("committing what the agent left", "No space left on device")
        if workspace.dirty:
            workspace.head, workspace.dirty = remote.commit(workspace.head), False
        head = workspace.head
        if not remote.ahead(head, base_sha):
            return _undelivered("there is no commit beyond the base", head)
        if host.remote_away:
            return _failed("asking the remote for the branch", "Could not resolve host")
        there = remote.refs.get(branch, "")
        if there not in {head, start_sha}:
            return _undelivered("somebody else pushed to the branch meanwhile", head)
        remote.push(branch, head)
        return _said(f"head {head}\nahead {remote.ahead(head, base_sha)}\n")

    def _inspect(self, host: Host, command: Command) -> Completed:
        workspace = host.workspaces.get(command.words[2].rpartition("/")[2])
        return _said(f"head {workspace.head if workspace is not None and workspace.head else ''}\n")

    def _clean(self, host: Host, command: Command) -> Completed:
        lines = []
        for kind, name in zip(command.words[2::2], command.words[3::2], strict=True):
            if kind == "run":
                folder = host.folders.get(name)
                if folder is None:
                    continue
                kept = host.state(folder) == "alive"
                if not kept:
                    del host.folders[name]
            else:
                kept = any(one.workspace == name and host.state(one) == "alive" for one in host.folders.values())
                if not kept and host.workspaces.pop(name, None) is None:
                    continue
            lines.append(f"{'kept' if kept else 'removed'} {kind} {name}\n")
        return _said("".join([*lines, "end clean\n"]))


def _workspace(host: Host, task: str, epoch: int, name: str, *, reuse: bool) -> str:
    """In which folder the run is to work: where the last one did, unless that one lives."""
    own = f"{task}.{epoch}"
    if not reuse:
        return own
    before = (host.folders.get(f"{task}.{number}") for number in range(epoch - 1, 0, -1))
    place = next((one.workspace for one in before if one is not None and one.workspace), task)
    used = (one for one in host.folders.values() if one.workspace == place and one.name != name)
    return own if any(host.state(one) == "alive" for one in used) else place


def _code(folder: Folder) -> str:
    """What the script makes of `exit`: up to three digits, else a dash."""
    word = (folder.exit or b"").partition(b"\n")[0].decode(errors="replace")
    return word if word.isascii() and word.isdigit() and len(word) <= 3 else "-"


def _file(host: Host, folder: Folder, file: str) -> bytes | None:
    if file == "started" and isinstance(folder.claim, tuple):
        return f"100 7 {host.id}-boot-{folder.claim[0]} {int(folder.claim[1])} 0\n".encode()
    if file in {"stdout", "stderr"} and folder.process is not None:
        return folder.process.output(file, host.clock.now_s)
    return None


def _asked(command: Command) -> list[str]:
    """The runs that a poll is about, which its payload begins with: `runs='...'`."""
    first, _, _ = command.payload.decode("utf-8", "surrogateescape").partition("\n")
    return shlex.split(first)[0].removeprefix("runs=").split()


def _orders(command: Command) -> Iterator[_Order]:
    """The runs of a launch: of each, `order` with its words comes first, and the file `meta.json` next."""
    words = shlex.split(command.payload.decode("utf-8", "surrogateescape"))
    for at in (number for number, word in enumerate(words) if word == "order" and words[number + 5] == "part"):
        run, make, workspace, _, _, _, meta = words[at + 1 : at + 8]
        yield _Order(run=run, make=make == "1", workspace=workspace, meta=meta.encode("utf-8", "surrogateescape"))


def _said(answer: str, exit_code: int = 0) -> Completed:
    return Completed(exit=exit_code, stdout=MARK + answer.encode("utf-8", "surrogateescape"), stderr=b"")


def _failed(step: str, said: str) -> Completed:
    return Completed(exit=1, stdout=MARK + f"failed {step}\n".encode(), stderr=said.encode())


def _undelivered(why: str, head: str) -> Completed:
    return _said(f"undelivered {why}\nhead {head}\n")
