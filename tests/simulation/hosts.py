"""One simulated host: its boots, disk and run folders, and the processes in them, each with a life in virtual time.

It knows no command: `protocol` answers those out of what is here.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Literal

from tests.simulation.agents import FOREVER_S, Act
from tests.simulation.clock import Clock

Link = Literal["up", "down", "silent", "deaf"]
"""How a host is reached: `down` refuses at once, `silent` swallows what is sent, `deaf` carries it out unanswered."""


@dataclass
class Process:
    """An agent with its supervisor. `stray` ones it left behind carry its tag."""

    host: "Host"
    run: str
    act: Act
    born_s: float
    boot: int
    ended_s: float | None = None
    vanished: bool = False
    strays: int = 0
    told_s: float | None = None
    _timer: asyncio.TimerHandle | None = None

    @property
    def alive(self) -> bool:
        return self.ended_s is None

    def output(self, stream: str, now_s: float) -> bytes:
        """What it has printed by now."""
        upto_s = (now_s if self.ended_s is None else min(now_s, self.ended_s)) - self.born_s
        return b"".join(one.data for one in self.act.chunks if one.stream == stream and one.after_s <= upto_s + 1e-6)

    def last_active_s(self, now_s: float) -> float:
        """When it last printed or worked."""
        upto_s = now_s - self.born_s
        last_s = max((one.after_s for one in self.act.chunks if one.after_s <= upto_s), default=0.0)
        busy = self.act.busy and upto_s <= max(self.act.lasts_s, last_s)
        return now_s if busy else self.born_s + last_s


@dataclass
class Folder:
    """A run folder. `claim` is `void`, or the boot and uptime under which a process claimed it."""

    name: str
    workspace: str = ""
    prepared: bytes | None = None
    meta: bytes | None = None
    filled: bool = False
    claim: Literal["void"] | tuple[int, float] | None = None
    process: Process | None = None
    exit: bytes | None = None
    stop: tuple[str, float] | None = None
    stop_sent: bool = False


@dataclass
class Workspace:
    """A git worktree: its commit, and whether something in it is not committed. No `head`: a plain folder."""

    head: str | None = None
    dirty: bool = False


@dataclass
class Events:
    """Whom a host tells what really happens on it."""

    begins: Callable[["Host", Folder], Act]
    began: Callable[["Host", Folder], None]
    ended: Callable[["Host", Folder], None]


@dataclass
class Host:
    """Everything that is true of one host."""

    id: str
    clock: Clock
    loop: asyncio.AbstractEventLoop
    events: Events
    boot: int = 1
    booted_s: float = -1000.0
    link: Link = "up"
    full: bool = False
    read_only: bool = False
    remote_away: bool = False
    folders: dict[str, Folder] = field(default_factory=dict)
    workspaces: dict[str, Workspace] = field(default_factory=dict)
    begun: dict[str, int] = field(default_factory=dict)
    alive: dict[str, Folder] = field(default_factory=dict)

    @property
    def boot_id(self) -> str:
        return f"{self.id}-boot-{self.boot}"

    def up_s(self) -> float:
        return self.clock.now_s - self.booted_s

    def state(self, folder: Folder | None) -> str:
        """What `look` says of a run folder."""
        if folder is None or folder.claim is None:
            return "absent"
        if folder.claim == "void":
            return "void"
        if folder.exit:
            return "ended"
        process = folder.process
        return "alive" if process is not None and process.alive and folder.claim[0] == self.boot else "gone"

    def living(self) -> list[Folder]:
        return list(self.alive.values())

    def claim(self, name: str, boot: int) -> None:
        """The supervisor's first act: it claims the folder and starts the agent, or leaves."""
        folder = self.folders.get(name)
        if boot != self.boot or folder is None or folder.claim is not None or not folder.filled:
            return
        if self.full or self.read_only:
            return
        folder.claim = (self.boot, self.up_s())
        if folder.stop is not None:
            folder.exit = b"143"
            return
        act = self.events.begins(self, folder)
        process = Process(host=self, run=name, act=act, born_s=self.clock.now_s, boot=self.boot, strays=act.strays)
        folder.process = process
        self.alive[name] = folder
        self.begun[name] = self.begun.get(name, 0) + 1
        process._timer = self.loop.call_later(act.lasts_s, self._ends, folder, act.exit)  # noqa: SLF001
        self.events.began(self, folder)

    def terminate(self, folder: Folder) -> None:
        """TERM to the agent's group."""
        process = folder.process
        if process is None or not process.alive or process.told_s is not None:
            return
        process.told_s = self.clock.now_s
        if process.act.dies_of_term_s is not None:
            self.loop.call_later(process.act.dies_of_term_s, self._ends, folder, b"143")

    def kill(self, folder: Folder) -> None:
        """KILL to everything that carries the tag."""
        if folder.process is not None:
            folder.process.strays = 0
            self._ends(folder, b"137")

    def crash(self, folder: Folder) -> None:
        """Something kills the agent, and that alone, before it is done."""
        process = folder.process
        if process is not None and process.alive and process.act.lasts_s < FOREVER_S:
            process.act = replace(process.act, name=f"{process.act.name}, killed", good=False, counts=True)
            self._ends(folder, b"139")

    def reboot(self) -> None:
        """Every process is gone, and the boot is another one."""
        for folder in self.living():
            if folder.process is not None:
                folder.process.vanished = True
            self._ends(folder, None)
        for folder in self.folders.values():
            if folder.process is not None:
                folder.process.strays = 0
        self.boot, self.booted_s = self.boot + 1, self.clock.now_s

    def _ends(self, folder: Folder, code: bytes | None) -> None:
        process = folder.process
        if process is None or not process.alive:
            return
        process.ended_s = self.clock.now_s
        self.alive.pop(folder.name, None)
        if process._timer is not None:  # noqa: SLF001 - the life of a process is this host's matter
            process._timer.cancel()  # noqa: SLF001
        folder.exit = None if self.full or self.read_only else code
        workspace = self.workspaces.get(folder.workspace)
        if workspace is not None and process.act.works:
            workspace.dirty = True
        self.events.ended(self, folder)
