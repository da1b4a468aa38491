"""The pages over a picture that a test paints: served by the real server, on a port of its own, from a real journal."""

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from reconciler import serving
from reconciler.core.desired import Adapter, Desired, Document, Drain, Host, Problem, Settings, Task, with_settings
from reconciler.core.observed import Observed, ObservedHost, ObservedTask, PullRequest, Run
from reconciler.core.standing import Standing
from reconciler.core.terms import Failure, Kind, Outcome, Phase, Wish
from reconciler.edges.reads import Reads
from reconciler.edges.view import Picture, View
from reconciler.repo.fleet import Fleet
from reconciler.repo.journal import Journal
from reconciler.serving import Served
from reconciler.web.address import Address
from reconciler.web.api import Api
from reconciler.web.app import app
from reconciler.web.pages.routes import Pages
from reconciler.web.site import Site
from reconciler.web.tokens import Tokens

SHELL = Adapter(run=("sh", "{prompt_file}"))
LOCAL = Host(transport="local", slots=4)


WORK = (
    "Cache the product page",
    "Drop the dead feature flags",
    "Log slow queries",
    "Test refunds in two currencies",
    "Split the order module",
    "Warn before a session ends",
    "Mend the broken footer links",
)
"""What people had done in the past of a painted fleet."""


@dataclass(kw_only=True)
class Painted:
    """What the pages show; a test may change it, and `show` it."""

    fleet: Fleet
    journal: Journal
    settings: Settings = field(default_factory=Settings)
    tasks: dict[str, Task] = field(default_factory=dict)
    seen: dict[str, ObservedTask] = field(default_factory=dict)
    hosts: dict[str, Host] = field(default_factory=lambda: {"here": LOCAL})
    known: dict[str, ObservedHost] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
    archived: frozenset[str] = frozenset()
    standing: Standing | None = None
    now: datetime = field(default_factory=lambda: datetime.now(UTC).replace(microsecond=0))
    clock_s: float = 0.0
    refused: list[str] = field(default_factory=list)
    listens: str = "127.0.0.1"
    view: View = field(init=False)

    def __post_init__(self) -> None:
        self.view = View(lambda: self.seen)
        self.show()

    def show(self) -> None:
        """What the last turn saw is now this; whatever pages stand are over."""
        self.clock_s += 60
        hosts = {name: Document(value=host, spec="a" * 40) for name, host in self.hosts.items()}
        reachable = {name: ObservedHost(reachable=True, since=self.now, spec="a" * 40) for name in self.hosts}
        tasks = {
            name: Document(value=with_settings(name, task, self.settings), spec="b" * 40)
            for name, task in self.tasks.items()
        }
        desired = Desired(
            settings=self.settings,
            tasks=tasks,
            hosts=hosts,
            adapters={name: Document(value=SHELL, spec="c" * 40) for name in ("codex", "claude-code", "shell")},
            since={name: self.now - timedelta(minutes=7) for name in self.tasks},
            problems=self.problems,
            archived=self.archived,
        )
        observed = Observed(fleet="0123456789ab", tasks=self.seen, hosts={**reachable, **self.known})
        self.view.show(Picture(desired=desired, observed=observed))

    def reads(self) -> Reads:
        return Reads(
            fleet=self.fleet,
            view=self.view,
            journal=self.journal,
            now=lambda: self.now,
            standing=lambda: self.standing,
        )


def task(title: str, **keys: object) -> Task:
    return Task(**{"title": title, "goal": "Do it.", "adapter": "codex", **keys})  # type: ignore[arg-type]


def run(epoch: int, at: datetime, **keys: object) -> Run:
    return Run(
        **{  # type: ignore[arg-type]
            "epoch": epoch,
            "run_id": f"0123456789ab.x.{epoch}",
            "host": "here",
            "adapter": "codex",
            "kind": Kind.IMPLEMENT,
            "assigned_at": at,
            "started_at": at,
            **keys,
        }
    )


def paint(painted: Painted) -> None:
    """A fleet in the middle of a working day: something in every column, and something wrong."""
    now = painted.now
    mine = timedelta(minutes=1)
    done = {"outcome": Outcome.SUCCEEDED, "input_tokens": 61_000, "output_tokens": 9_400, "cost_usd": 0.41}
    died = {"outcome": Outcome.FAILED, "failure": Failure.AGENT_ERROR, "counts_as_attempt": True, "cost_usd": 0.12}
    pr = {"url": "https://git.example.org/team/shop/pulls/%d", "state": "open"}
    painted.hosts = {
        "builder": Host(transport="ssh", address="builder.example.org", slots=4, capabilities=("gpu",)),
        "laptop": Host(transport="local", slots=2),
        "attic": Host(transport="ssh", address="attic.example.org", slots=8, drain=Drain(reason="new disks on Friday")),
        "cloud": Host(transport="ssh", address="cloud.example.org", slots=24),
    }
    painted.known = {
        "cloud": ObservedHost(reachable=False, since=now - 9 * mine, reason="connection refused", spec="a" * 40),
        "builder": ObservedHost(reachable=True, since=now, spec="a" * 40, versions={"codex": "0.92.0"}),
    }
    painted.tasks = {
        "rotate-api-keys": task("Rotate the API keys of the payment provider", adapter="claude-code"),
        "fix-flaky-cart-test": task("Fix the flaky cart test"),
        "upgrade-django": task("Upgrade Django to 5.2 and mend what it deprecates", adapter="claude-code"),
        "dark-mode": task("Give the settings page a dark mode"),
        "export-csv": task("Export orders as CSV", depends_on=("upgrade-django",)),
        "retry-webhooks": task("Retry webhooks with backoff", priority=5),
        "document-search": task("Document the search API", desired=Wish.HOLD),
        "speed-up-checkout": task("Make the checkout page load in under a second"),
        "remove-jquery": task("Remove jQuery"),
        "typed-settings": task("Type the settings module"),
        "old-migrations": task("Squash the old migrations"),
    }
    painted.seen = {
        "rotate-api-keys": ObservedTask(
            phase=Phase.BLOCKED, reason="waiting_input", owner="author", epoch=1, adapter="claude-code",
            needs="the agent asks for something: answer in the task file", assigned_host="builder",
            runs=(run(1, now - 50 * mine, host="builder", finished_at=now - 31 * mine, outcome=Outcome.FAILED,
                      failure=Failure.WAITING_INPUT, error="Which of the two accounts is production?",
                      input_tokens=18_000, output_tokens=900, cost_usd=0.09),),
        ),
        "fix-flaky-cart-test": ObservedTask(
            phase=Phase.RUNNING, epoch=2, attempts=1, adapter="codex", assigned_host="builder",
            last_activity_at=now - mine,
            runs=(run(1, now - 40 * mine, host="builder", finished_at=now - 20 * mine, **died),
                  run(2, now - 12 * mine, host="builder")),
        ),
        "upgrade-django": ObservedTask(
            phase=Phase.RUNNING, epoch=1, adapter="claude-code", assigned_host="builder", last_activity_at=now,
            runs=(run(1, now - 3 * mine, host="builder", adapter="claude-code"),),
        ),
        "dark-mode": ObservedTask(
            phase=Phase.REVIEW_PENDING, epoch=2, review_count=1, adapter="codex", assigned_host="laptop",
            pr=PullRequest(number=41, **{**pr, "url": pr["url"] % 41}),  # type: ignore[arg-type]
            runs=(run(1, now - 300 * mine, finished_at=now - 280 * mine, **done),
                  run(2, now - 100 * mine, finished_at=now - 84 * mine, **done)),
        ),
        "remove-jquery": ObservedTask(
            phase=Phase.COMPLETED, epoch=1, adapter="codex", assigned_host="laptop",
            pr=PullRequest(number=38, url=pr["url"] % 38, state="merged"),
            runs=(run(1, now - 600 * mine, finished_at=now - 560 * mine, **done),),
        ),
        "typed-settings": ObservedTask(
            phase=Phase.COMPLETED, epoch=1, adapter="codex", assigned_host="builder",
            runs=(run(1, now - 900 * mine, finished_at=now - 880 * mine, **done),),
        ),
        "old-migrations": ObservedTask(
            phase=Phase.FAILED, reason="agent_error", owner="author", epoch=3, attempts=3, adapter="codex",
            needs="3 of 3 attempts are used up: retry, or change the task", assigned_host="laptop",
            runs=tuple(run(n, now - (400 - 50 * n) * mine, finished_at=now - (380 - 50 * n) * mine, **died)
                       for n in (1, 2, 3)),
        ),
    }  # fmt: skip
    painted.problems = (
        Problem(
            file="state/tasks/speed-up-checkout.yaml",
            line=4,
            column=1,
            message='"validaton" is no key of a task; did you mean "validation"?',
        ),
    )
    for name, seen in painted.seen.items():
        runs = tuple(replace(one, run_id=f"0123456789ab.{name}.{one.epoch}") for one in seen.runs)
        painted.seen[name] = replace(seen, runs=runs)
    painted.show()


def past(painted: Painted, days: int = 30) -> None:
    """What a month may have left: some tasks a day, most of them done well."""
    for day in range(days):
        for number in range((day * 7) % 5 + (0 if day % 7 in {2, 3} else 2)):
            title = WORK[(day * 5 + number) % len(WORK)]
            name, end = (
                f"{title.lower().replace(' ', '-')}-{day}-{number}",
                painted.now - timedelta(days=day, hours=number),
            )
            bad, wide = (day + number) % 9 == 0, timedelta(minutes=20 + 7 * ((day * number) % 11))
            host, adapter = ("builder", "laptop", "cloud")[number % 3], ("codex", "claude-code")[(day + number) % 2]
            ended = run(
                1, end - wide, host=host, adapter=adapter, finished_at=end, input_tokens=40_000 + 900 * day,
                outcome=Outcome.FAILED if bad else Outcome.SUCCEEDED, output_tokens=7_000,
                cost_usd=0.2 + 0.07 * ((day * 3 + number) % 8),
            )  # fmt: skip
            merged = PullRequest(number=number, url="https://git.example.org/team/shop/pulls/9", state="merged",
                                 updated_at=end + timedelta(hours=2 + number))  # fmt: skip
            phase = Phase.FAILED if bad else Phase.COMPLETED
            painted.seen[name] = ObservedTask(
                phase=phase, reason="agent_error" if bad else None, epoch=1, runs=(ended,), adapter=adapter,
                assigned_host=host, pr=None if bad else merged, pr_title=title,
            )  # fmt: skip
    painted.show()


def many(painted: Painted, number: int) -> None:
    """So many tasks, in every phase."""
    phases = list(Phase)
    now = painted.now
    painted.tasks = {f"task-{one:05}": task(f"Piece of work {one}") for one in range(number)}
    painted.hosts = {f"host-{one:02}": Host(transport="local", slots=8) for one in range(20)}
    for one in range(number):
        phase = phases[one % len(phases)]
        ended = None if phase in {Phase.RUNNING, Phase.ASSIGNED} else now - timedelta(minutes=one % 500)
        if phase is not Phase.CREATED:
            painted.seen[f"task-{one:05}"] = ObservedTask(
                phase=phase, epoch=1, adapter="codex", assigned_host=f"host-{one % 20:02}",
                reason="auth" if phase is Phase.BLOCKED else None, owner="operator" if phase is Phase.BLOCKED else None,
                needs="mend the login" if phase is Phase.BLOCKED else None,
                runs=(run(1, now - timedelta(minutes=600), host=f"host-{one % 20:02}", finished_at=ended),),
            )  # fmt: skip
    painted.show()


@contextlib.contextmanager
def painting(folder: Path) -> Iterator[Painted]:
    """Something to paint on."""
    root = folder / "shop-fleet"
    root.mkdir(exist_ok=True)
    journal = Journal(folder / "journal.sqlite3")
    try:
        yield Painted(fleet=Fleet(root=root, top=root, common=root), journal=journal)
    finally:
        journal.close()


@contextlib.contextmanager
def served(painted: Painted) -> Iterator[int]:
    """Serve the pages until the block ends; the port."""
    server: list[Served] = []
    reads = painted.reads()
    clock = time.monotonic
    api = Api(
        reads=reads,
        edges=None,
        tokens=Tokens(lambda: reads.view.latest().desired, clock, painted.refused.append),
        listens=lambda: Address(host=painted.listens, port=server[0].address.port),
    )
    site = Site(
        secrets=tuple,
        keep=lambda _: False,
        arrived=lambda: None,
        readiness=dict,
        now=reads.now,
        refused=painted.refused.append,
    )
    pages = Pages(api=api, clock=lambda: painted.clock_s, refused=painted.refused.append)
    server.append(serving.serve(app(site, api, pages), Address(host="127.0.0.1", port=0)))
    try:
        yield server[0].address.port
    finally:
        server[0].stop()


def settings(**keys: object) -> Settings:
    return Settings(**keys)  # type: ignore[arg-type]
