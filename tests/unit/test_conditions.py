"""Why a task does not move: every reason, with the one who can change it."""

from dataclasses import replace
from datetime import datetime, timedelta

from reconciler.core import conditions
from reconciler.core.bounds import Limits
from reconciler.core.desired import Adapter, Desired, Document, Drain, Forge, Host, Settings, Task
from reconciler.core.observed import ForgeSeen, Held, Observed, ObservedHost, ObservedTask, Sighting
from reconciler.core.standing import Halt
from reconciler.core.terms import Delivery, ExecutionMode, Phase, Verdict, Wish
from tests.unit import lives

TASK = Task(title="t", goal="g", adapter="sh")
DESIRED = Desired(
    tasks={"fix": Document(value=TASK, spec="s")},
    hosts={"h": Document(value=Host(transport="local"), spec="s")},
    adapters={"sh": Document(value=Adapter(run=("sh",), secrets=("KEY",)), spec="s")},
    secrets={"KEY": "x"},
)
ANSWERS = {"h": ObservedHost(reachable=True, since=lives.NOON, spec="s")}


def asks(task: Task, **others: Task) -> Desired:
    files = {"fix": task, **others}
    return replace(DESIRED, tasks={name: Document(value=value, spec="s") for name, value in files.items()})


def happened(seen: ObservedTask | None = None, **others: ObservedTask) -> Observed:
    tasks = {"fix": seen, **others} if seen is not None else others
    return Observed(fleet="f", tasks=tasks, hosts=ANSWERS)


def why(desired: Desired, observed: Observed, now: datetime = lives.NOON) -> list[tuple[str, str]]:
    return [(reason.why, reason.who) for reason in conditions.waiting("fix", desired, observed, now)]


def test_nothing_keeps_a_ready_task() -> None:
    assert why(DESIRED, happened()) == []


def test_what_halts_the_fleet_keeps_a_task_and_a_run_that_was_assigned() -> None:
    halted = (Halt(why="main was rewritten", who="operator"),)
    assert why(DESIRED, replace(happened(), halts=halted)) == [("main was rewritten", "operator")]
    seen = lives.live(lives.assigned())
    waiting = replace(happened(seen), halts=halted, unpushed=frozenset({seen.runs[0].run_id}))
    said = [text for text, _ in why(DESIRED, waiting)]
    assert "main was rewritten" in said
    assert any(text.startswith("the assignment of ") for text in said)


def test_a_task_without_a_file_says_so() -> None:
    nobody = Desired()
    assert why(nobody, happened()) == [("it has no task file in force", "author")]
    assert why(replace(nobody, refused={"fix": "line 3: no title"}), happened()) == [("line 3: no title", "author")]


def test_everything_that_the_file_says_is_named() -> None:
    task = replace(TASK, desired=Wish.HOLD, depends_on=("a", "b", "c", "d"), secrets=("TOKEN",), adapter="none")
    b = ObservedTask(phase=Phase.BLOCKED, reason="auth", owner="operator", needs="log in")
    desired = replace(asks(task, d=replace(TASK, generation=2)), refused={"fix": "it shares its branch with x"})
    d = ObservedTask(phase=Phase.COMPLETED, epoch=1)
    c = ObservedTask(phase=Phase.FAILED)
    assert why(desired, happened(None, b=b, c=c, d=d)) == [
        ("it shares its branch with x", "author"),
        ("its file says desired: hold", "author"),
        ("it depends on a, which is created", "nobody"),
        ("it depends on b, which is blocked", "operator"),
        ("it depends on c, which is failed", "author"),
        ("it depends on d, which is to be done again", "nobody"),
        ("there is no adapter none: add adapters/none.yaml", "operator"),
        ("the secret TOKEN is not set where the reconciler runs", "operator"),
    ]


def test_a_task_needs_an_adapter_unless_its_agent_asks_for_work() -> None:
    none = replace(TASK, adapter=None)
    assert why(asks(none), happened()) == [("it names no adapter, and the settings have no default_adapter", "author")]
    pull = asks(replace(none, execution_mode=ExecutionMode.HTTP_PULL))
    host = {"h": Document(value=Host(transport="pull"), spec="s")}
    untold = "no agent of h has a token yet: make one with `reconciler token h`"
    assert why(replace(pull, hosts=host), happened()) == [(untold, "operator")]
    host["h"] = Document(value=Host(transport="pull", token_sha256=("0" * 64,)), spec="s")
    assert why(replace(pull, hosts=host), happened()) == [("it waits for an agent of h to ask for it", "agent")]


def test_a_secret_of_the_adapter_that_is_not_set_keeps_the_task() -> None:
    assert why(replace(DESIRED, secrets={}), happened()) == [
        ("the secret KEY is not set where the reconciler runs", "operator")
    ]


def test_every_phase_says_what_it_waits_for() -> None:
    expected = {
        lives.BLOCKED: (
            "it is blocked (waiting_input): the agent asks for something: answer in the task file",
            "author",
        ),
        lives.FAILED: ("it is failed (agent_error): retry it to have it done again", "author"),
        lives.COMPLETED: ("it is completed: retry it to have it done again", "author"),
        lives.IN_REVIEW: ("it waits for a review or merge of u", "reviewer"),
        ObservedTask(phase=Phase.BLOCKED, reason="x"): ("it is blocked (x): None", "operator"),
    }
    for seen, sentence in expected.items():
        assert why(DESIRED, happened(seen)) == [sentence]


def test_a_blocked_task_says_what_its_last_run_complained_of() -> None:
    run = replace(lives.BLOCKED.runs[-1], error="the host cannot run codex:\ninstall it there")
    (reason,) = why(DESIRED, happened(replace(lives.BLOCKED, runs=(run,))))
    assert reason[0].startswith("it is blocked (waiting_input: the host cannot run codex: install it there): ")


def test_a_live_run_says_where_it_is_and_when_it_will_be_lost() -> None:
    live = ("run f.task.1 on h has not ended", "nobody")
    assert why(DESIRED, happened(lives.RUNNING)) == [("it is running", "nobody"), live]
    silent = replace(happened(lives.RUNNING), silent={"h": lives.at(60)})
    reasons = conditions.waiting("fix", DESIRED, silent, lives.at(90))
    assert [(reason.why, reason.until) for reason in reasons][-1] == (
        "h does not answer: its run is lost after that",
        lives.at(60) + timedelta(minutes=30),
    )


def test_a_lost_run_that_came_back_is_named() -> None:
    seen = lives.live(lives.lost(), task=lives.RUNNING)
    observed = replace(happened(seen), sightings={"f.task.1": Sighting(state="alive")})
    assert ("run f.task.1 was lost and came back on h: it is stopped", "nobody") in why(DESIRED, observed, lives.at(99))
    gone = replace(happened(seen), sightings={"f.task.1": Sighting(state="gone")})
    assert why(DESIRED, gone, lives.at(99)) == []


def test_what_time_alone_ends_says_when() -> None:
    runs = tuple(replace(lives.ASSIGNED.runs[0], epoch=n, finished_at=lives.NOON) for n in range(1, 7))
    seen = ObservedTask(runs=runs, epoch=6, not_before=lives.at(40))
    reasons = conditions.waiting("fix", DESIRED, happened(seen), lives.at(1))
    assert [(reason.why, reason.until) for reason in reasons] == [
        ("it waits after a failure", lives.at(40)),
        ("it was launched 6 times within an hour", lives.at(3600)),
    ]


def test_the_limits_of_the_fleet_are_named() -> None:
    desired = replace(DESIRED, settings=Settings(limits=Limits(running=1, review=1)))
    observed = happened(None, a=lives.RUNNING, b=lives.IN_REVIEW)
    assert why(desired, observed) == [
        ("limits.running: 1 of 1 runs are live", "operator"),
        ("limits.review: 1 of 1 tasks wait for review", "reviewer"),
        ("h is full: 1 of 1 slots in use", "nobody"),
    ]


def test_a_fleet_without_a_host_says_so() -> None:
    assert why(replace(DESIRED, hosts={}), happened()) == [("the fleet has no host: add hosts/<id>.yaml", "operator")]


def test_every_host_says_why_it_is_unfit_and_until_when() -> None:
    drained = Host(transport="local", drain=Drain(reason="kernel", until=lives.at(60)))
    reasons = conditions.waiting(
        "fix", replace(DESIRED, hosts={"h": Document(value=drained, spec="s")}), happened(), lives.NOON
    )
    assert [(reason.why, reason.until) for reason in reasons] == [("h is drained: kernel", lives.at(60))]


def test_of_a_pinned_task_only_its_host_is_asked() -> None:
    hosts = {name: Document(value=Host(transport="local"), spec="s") for name in ("a", "h", "z")}
    unasked = replace(happened(), hosts={})
    assert why(replace(asks(replace(TASK, host="h")), hosts=hosts), unasked) == [("h was not asked yet", "nobody")]


def test_one_fit_host_is_enough() -> None:
    hosts = {**DESIRED.hosts, "a": Document(value=Host(transport="pull"), spec="s")}
    assert why(replace(DESIRED, hosts=hosts), happened()) == []


def test_a_task_is_cancelled_by_its_file_or_by_its_absence_for_thirty_seconds() -> None:
    cancel = asks(replace(TASK, desired=Wish.CANCEL))
    assert conditions.cancel_reason("fix", cancel, lives.NOON) == "requested"
    assert conditions.cancel_reason("fix", DESIRED, lives.NOON) is None
    gone = Desired(absent={"fix": lives.NOON})
    assert conditions.cancel_reason("fix", gone, lives.at(29)) is None
    assert conditions.cancel_reason("fix", gone, lives.at(30)) == "deleted"
    assert conditions.cancel_reason("other", gone, lives.at(30)) is None


URL = "https://git.example.org"
FORGE = Settings(forge=Forge(kind="forgejo", url=URL, token_env="FORGE_TOKEN"))  # noqa: S106 - the name of a variable
PULLED = replace(TASK, repository=f"{URL}/team/shop", branch="task/fix", delivery=Delivery.PULL_REQUEST)
ON_FORGE = replace(asks(PULLED), settings=FORGE)
UNOPENED = lives.live(lives.assigned(), lives.started(), lives.good(delivery=Delivery.PULL_REQUEST, head="a"))


def in_review(
    forge: ForgeSeen | None, seen: ObservedTask = UNOPENED, desired: Desired = ON_FORGE
) -> list[tuple[str, str]]:
    return why(desired, replace(happened(seen), forge=forge))


def test_a_task_without_its_pull_request_says_what_that_waits_for() -> None:
    opening = ("its pull request for task/task is to be opened by the reconciler", "nobody")
    assert in_review(ForgeSeen()) == [opening]
    silent = ForgeSeen(silent_since=lives.NOON, reason="connection refused")
    since = f"{URL} has not answered since 2026-01-01T12:00:00Z (connection refused)"
    assert in_review(silent) == [(f"{since}: its pull request waits for that", "operator")]
    done = ForgeSeen(done=frozenset({"pull team/shop task/task 1"}))
    assert in_review(done) == [("its pull request for task/task was opened and is to be seen", "nobody")]


def test_a_pull_request_that_the_forge_refused_says_why_and_until_when() -> None:
    held = ForgeSeen(held={"pull team/shop task/task 1": Held(why="403: may not write", until=lives.at(60))})
    (reason,) = conditions.waiting("fix", ON_FORGE, replace(happened(UNOPENED), forge=held), lives.NOON)
    assert (reason.who, reason.until) == ("operator", lives.at(60))
    assert reason.why.endswith("it is tried again: 403: may not write")


def test_a_forge_that_cannot_be_asked_leaves_the_pull_request_to_people() -> None:
    unset = f"FORGE_TOKEN, the token for {URL}, is not set where the reconciler runs"
    assert in_review(None) == [(f"{unset}: open a pull request for task/task by hand", "operator")]
    nameless = replace(ON_FORGE, settings=Settings(forge=Forge(kind="gitea", url=URL)))
    assert in_review(None, desired=nameless)[0][0].startswith(f"the settings name no token_env for {URL}: open")
    assert in_review(None, desired=asks(PULLED))[0][0].startswith("no forge is known")


def test_a_repository_elsewhere_is_named_as_the_reason() -> None:
    elsewhere = replace(asks(replace(PULLED, repository="https://elsewhere.example.org/a/b")), settings=FORGE)
    assert in_review(ForgeSeen(), desired=elsewhere)[0][0].startswith("its repository is not one of those on")


def test_the_agent_that_asks_for_work_opens_its_pull_request_itself() -> None:
    runs = (replace(UNOPENED.runs[0], head_sha=None),)
    pulled = replace(UNOPENED, runs=runs, execution_mode=ExecutionMode.HTTP_PULL)
    assert in_review(ForgeSeen(), pulled) == [("it waits for somebody to open a pull request for task/task", "agent")]
    assert in_review(ForgeSeen(), replace(UNOPENED, runs=runs))[0][1] == "author"


def test_a_pull_request_that_all_reviewers_approve_waits_for_its_merge() -> None:
    approved = lives.live(lives.reviewed("r1", verdict=Verdict.APPROVED), task=lives.IN_REVIEW)
    assert why(DESIRED, happened(approved)) == [("it waits for the merge of u: ann approved it", "reviewer")]
    torn = lives.live(lives.reviewed("r2", reviewer="bob", verdict=Verdict.COMMENTED), task=lives.IN_REVIEW)
    assert why(DESIRED, happened(torn)) == [("it waits for a review or merge of u", "reviewer")]


def test_news_of_a_silent_forge_are_late() -> None:
    reasons = in_review(ForgeSeen(silent_since=lives.NOON), lives.IN_REVIEW)
    assert reasons[1] == (
        f"{URL} has not answered since 2026-01-01T12:00:00Z: what happened there is not known",
        "operator",
    )


def test_a_block_that_lies_with_the_pull_request_names_it() -> None:
    closed = lives.live(lives.closed(updated=20), task=lives.IN_REVIEW)
    (reason,) = why(DESIRED, happened(closed))
    assert reason[0].endswith("reopen it, retry the task, or cancel it (u)")
