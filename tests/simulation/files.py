"""The files that people write, as values: what is in force of them, as the program's own reader would say.

It edits nothing by itself: `people` does.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Generic, TypeVar

from reconciler.core.desired import Desired, Document, Host, Problem, Settings, Task, with_settings
from reconciler.repo import storage
from reconciler.repo.desired.files import DesiredFiles
from reconciler.repo.desired.news import News
from reconciler.repo.yaml import documents
from tests.simulation import agents
from tests.simulation.memory import Disk, blob_id

T = TypeVar("T", Task, Host)


@dataclass
class File(Generic[T]):
    """One file: its newest good version as it was written and as it is in force, whether what stands there now is
    broken, and whether it is there at all."""

    value: T
    document: Document[T]
    broken: bool = False
    gone: bool = False

    @property
    def spec(self) -> str:
        return self.document.spec


@dataclass
class Fleet:
    """All files. `version` rises with every edit; `rebasing`: a git command is under way, so nothing is surely gone.

    `login` counts how often the secret was changed with which agents log in.
    """

    disk: Disk
    settings: Settings
    tasks: dict[str, File[Task]] = field(default_factory=dict)
    hosts: dict[str, File[Host]] = field(default_factory=dict)
    version: int = 0
    login: int = 0
    rebasing: bool = False
    changed: Callable[[], None] = lambda: None

    def write_task(self, name: str, task: Task) -> None:
        """Save a task's file."""
        spec = self._saved(documents.dump(storage.unstructure(task)))
        document = Document(value=with_settings(name, task, self.settings), spec=spec)
        self.tasks[name] = File(value=task, document=document)
        self.touched()

    def write_host(self, name: str, host: Host) -> None:
        """Save a host's file; its content is never quite what it was before."""
        spec = self._saved(documents.dump(storage.unstructure(host)) + f"# {self.version}\n".encode())
        self.hosts[name] = File(value=host, document=Document(value=host, spec=spec))
        self.touched()

    def close_breaker(self, name: str, opened_at: datetime) -> None:
        """Say in the settings, as the command does, that what opened the breaker is settled."""
        closed = {**self.settings.closed_breakers, name: opened_at}
        self.settings = replace(self.settings, closed_breakers=closed)
        self.touched()

    def _saved(self, content: bytes) -> str:
        spec = blob_id(content)
        self.disk.blobs[spec] = content
        return spec

    def touched(self) -> None:
        self.version += 1
        self.changed()


class SimulatedFiles(DesiredFiles):
    """What `DesiredFiles` says of the fleet; in the memory of one process, as there."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._since: dict[str, datetime] = {}
        self._known: tuple[object, Desired] | None = None
        self._away: frozenset[str] = frozenset()
        self._version = -1

    def refresh(
        self,
        now: datetime,
        *,
        observed_ids: Collection[str] = (),
        finished_ids: Collection[str] = frozenset(),
        live_hosts: Collection[str] = (),
        news: News | None = None,  # noqa: ARG002 - it looks at everything
    ) -> Desired:
        self._version = self._fleet.version
        state = (self._version, frozenset(live_hosts))
        if self._known is None or self._known[0] != state:
            self._known = (state, self._in_force_now(live_hosts))
            self._away = frozenset(name for name, file in self._fleet.tasks.items() if file.gone)
        desired = self._known[1]
        missing = sorted(one for one in self._away if one in observed_ids and one not in finished_ids)
        certain = [] if self._fleet.rebasing else missing
        self._since = {one: self._since.get(one, now) for one in certain}
        unsure = dict.fromkeys(missing, "the file is gone, and a rebase is under way: finish it")
        return replace(desired, absent=dict(self._since), refused={} if certain else unsure)

    def is_still(self, news: News) -> bool:
        return not (news.paths or news.everything)

    def is_shared_still(self) -> bool:
        return self._version == self._fleet.version

    def host(self, host_id: str) -> Host | None:
        file = self._fleet.hosts.get(host_id)
        return file.value if file is not None else None

    def _in_force_now(self, live_hosts: Collection[str]) -> Desired:
        fleet = self._fleet
        hosts = {name: file for name, file in fleet.hosts.items() if not file.gone or name in live_hosts}
        broken = [f"state/tasks/{name}.yaml" for name, file in fleet.tasks.items() if file.broken and not file.gone]
        return Desired(
            settings=fleet.settings,
            tasks={name: file.document for name, file in fleet.tasks.items() if not file.gone},
            hosts={name: file.document for name, file in hosts.items()},
            adapters={name: Document(value=value, spec=name) for name, value in agents.ADAPTERS.items()},
            retired_hosts=frozenset(name for name, file in hosts.items() if file.gone or file.broken),
            problems=tuple(Problem(file=name, line=1, column=1, message="broken") for name in broken),
            secrets={agents.SECRET_NAME: f"digest {fleet.login}"},
        )
