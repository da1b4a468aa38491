"""Terms on a host: what a deposed leader still sends changes nothing there, in every shell that is installed."""

import contextlib
import hashlib
import random
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from reconciler.core.command import Command, Completed, command_line, stdin
from reconciler.core.desired import Engine, Host
from reconciler.core.script import clean, deliver, fence, giveup, launch, poll, prepare, probe, shell, stop, sweep
from reconciler.core.script.deliver import Delivered, Delivery
from reconciler.core.script.launch import Launch
from reconciler.core.script.prepare import Preparation, Prepared
from reconciler.core.script.shell import Fenced
from reconciler.core.terms import StopReason
from tests.contract import runner
from tests.waiting import until

WORKDIR = '~/it\'s a "work dir"'
NEWER = 9

Step = tuple[Command, Callable[[Completed], object]]


class World:
    """A host with a project: `fix.1` has ended and left work, `alive.1` runs; each script for a given term."""

    def __init__(self, tmp_path: Path, name: str) -> None:
        self.host = runner.host(tmp_path, runner.installed(name))
        self.fleet = hashlib.sha256(str(tmp_path).encode()).hexdigest()[:12]
        self.root = Path(self.host.env["HOME"], 'it\'s a "work dir"', self.fleet)
        self.project = tmp_path / "project.git"
        self.shims = tmp_path / "shims"
        self.git("init", "-q", "-b", "main", str(tmp_path / "seed"))
        self.git("-C", str(tmp_path / "seed"), "commit", "-q", "--allow-empty", "-m", "first")
        self.git("clone", "-q", "--bare", str(tmp_path / "seed"), str(self.project))
        self.ready = self.do(self.prepare("fix", 1, 0))
        assert isinstance(self.ready, Prepared)
        self.do(self.launch("fix.1", 0, agent="echo work >left"))
        self.do(self.launch("alive.1", 0, agent="echo up; exec sleep 100"))
        until(lambda: self.states("fix.1") == ["ended"] and self.output("alive.1") == b"up\n")

    def git(self, *words: str) -> str:
        done = subprocess.run(["git", *words], env=dict(self.host.env), check=True, capture_output=True, text=True)
        return done.stdout

    def do(self, step: Step, **extra: str) -> object:
        command, parse = step
        return parse(self.host.run(command, **extra))

    def prepare(self, task: str, epoch: int, term: int) -> Step:
        order = Preparation(
            workdir=WORKDIR,
            fleet=self.fleet,
            task=task,
            epoch=epoch,
            branch=f"task/{task}",
            repository=str(self.project),
            term=term,
        )
        return prepare.prepare(order), prepare.parse_prepare

    def launch(self, run: str, term: int, agent: str = "sleep 100", prompt: bytes = b"") -> Step:
        assert isinstance(self.ready, Prepared)
        order = Launch(
            workdir=WORKDIR,
            fleet=self.fleet,
            run=run,
            workspace=self.ready.workspace,
            meta_json=b"{}",
            prompt=prompt,
            words=("sh", "-c", agent),
            variables={"TOKEN": "x"},
            term=term,
        )
        return launch.launch([order]), launch.parse_launch

    def give_up(self, run: str, term: int) -> Step:
        return giveup.give_up(WORKDIR, self.fleet, run, term), giveup.parse_give_up

    def stop(self, run: str, term: int, grace_s: int = 20) -> Step:
        command = stop.stop(WORKDIR, self.fleet, run, StopReason.CANCELLED, grace_s=grace_s, term=term)
        return command, stop.parse_stop

    def sweep(self, run: str, term: int) -> Step:
        return sweep.sweep(WORKDIR, self.fleet, [run], term), sweep.parse_sweep

    def deliver(self, term: int) -> Step:
        assert isinstance(self.ready, Prepared)
        order = Delivery(
            workdir=WORKDIR,
            fleet=self.fleet,
            workspace=self.ready.workspace,
            repository=str(self.project),
            branch="task/fix",
            base_sha=self.ready.base_sha or "",
            start_sha=None,
            message="Work",
            term=term,
        )
        return deliver.deliver(order), deliver.parse_deliver

    def clean(self, term: int, *runs: str, workspaces: tuple[str, ...] = ()) -> Step:
        return clean.clean(WORKDIR, self.fleet, runs, workspaces, term), clean.parse_clean

    def poll(self, term: int, *runs: str) -> poll.Polled:
        return poll.parse_poll(self.host.run(poll.poll(WORKDIR, self.fleet, runs, term=term)))

    def probe(self, term: int) -> probe.Probe:
        host = Host(transport="local", workdir=WORKDIR)
        return probe.parse_probe(self.host.run(probe.probe(host, [], self.fleet, term)))

    def states(self, *runs: str) -> list[str]:
        seen = self.poll(0, *runs).runs
        return [seen[run].state for run in runs]

    def output(self, run: str) -> bytes:
        path = self.root / "runs" / run / "stdout"
        return path.read_bytes() if path.exists() else b""

    def terms(self) -> set[str]:
        return {path.name.removeprefix("term.") for path in self.root.glob("term.*")}

    def newest(self) -> int:
        return max((int(term) for term in self.terms()), default=0)

    def all_of(self, term: int) -> dict[str, Step]:
        """Every script that changes something, in an order in which all of them have something to do."""
        return {
            "sweep": self.sweep("fix.1", term),
            "deliver": self.deliver(term),
            "give_up": self.give_up("lost.1", term),
            "launch": self.launch("new.1", term),
            "stop": self.stop("alive.1", term),
            "void": self.stop("none.1", term),
            "clean": self.clean(term, "fix.1"),
            "prepare": self.prepare("fix", 2, term),
        }

    def picture(self) -> dict[str, bytes | None]:
        """Everything on the host's disk and in the project, byte for byte."""
        return {
            str(path): path.read_bytes() if path.is_file() else None
            for top in (self.root, self.project)
            for path in top.rglob("*")
        }

    def meanwhile(self, program: str, word: str) -> str:
        """A PATH on which a newer term is told to the host when the program is first called with such a word."""
        self.shims.mkdir(exist_ok=True)
        real = shutil.which(program, path=self.host.env["PATH"])
        mark = str(self.root / f"term.{NEWER}").replace("'", "'\\''")
        shim = self.shims / program
        shim.write_text(f"#!/bin/sh\ncase \" $* \" in *'{word}'*) : >'{mark}' ;; esac\nexec '{real}' \"$@\"\n")
        shim.chmod(0o755)
        return f"{self.shims}:{self.host.env['PATH']}"


@pytest.fixture(params=["dash", "bash", "busybox"])
def world(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[World]:
    yield from _living(World(tmp_path, str(request.param)))


@pytest.fixture
def dash(tmp_path: Path) -> Iterator[World]:
    yield from _living(World(tmp_path, "dash"))


def _living(world: World) -> Iterator[World]:
    yield world
    for folder in (world.root / "runs").glob("*"):
        world.do(world.stop(folder.name, 0, grace_s=0))
        world.do(world.stop(folder.name, 0, grace_s=0))


def test_where_a_newer_term_was_seen_an_older_one_changes_nothing(world: World) -> None:
    world.poll(NEWER, "alive.1")
    next(world.root.glob("repos/*.git/worktrees/fix/index")).with_suffix(".lock").touch()
    before = world.picture()
    for name, step in world.all_of(NEWER - 1).items():
        with pytest.raises(Fenced, match=f"told of term {NEWER}") as caught:
            world.do(step)
        assert caught.value.term == NEWER, name
        assert world.picture() == before, name
    assert world.poll(NEWER - 1, "fix.1").runs["fix.1"].state == "ended"
    assert world.probe(NEWER - 1).missing == ()
    assert world.picture() == before
    assert world.states("alive.1", "new.1") == ["alive", "absent"]
    assert isinstance(world.ready, Prepared)
    Path(world.ready.workspace).rename(world.root / "work/moved")
    with pytest.raises(Fenced):
        world.do(world.deliver(NEWER - 1))


def test_every_script_tells_the_host_its_term_and_goes_on(world: World) -> None:
    for term, name in enumerate(world.all_of(1), 1):
        world.do(world.all_of(term)[name])
        assert world.newest() == term, name
    assert world.states("fix.1", "lost.1", "new.1") == ["absent", "void", "alive"]
    assert "stop" in {path.name for path in (world.root / "runs/alive.1").iterdir()}
    assert "task/fix" in world.git("-C", str(world.project), "branch")
    world.poll(20)
    assert world.newest() == 20
    world.probe(21)
    assert world.newest() == 21
    world.do(world.give_up("lost.1", 21))


def test_a_host_without_a_folder_of_the_fleet_is_fenced_by_the_first_look(world: World) -> None:
    world.fleet = "0123456789ab"
    world.root = world.root.parent / world.fleet
    assert world.probe(NEWER).missing == ()
    assert world.terms() == {str(NEWER)}
    assert world.root.stat().st_mode & 0o077 == 0
    with pytest.raises(Fenced):
        world.do(world.launch("t.1", NEWER - 1))
    assert [path.name for path in world.root.iterdir()] == [f"term.{NEWER}"]


def test_the_newest_of_many_terms_told_at_once_stays_and_none_is_ever_lowered(world: World) -> None:
    terms = list(range(1, 41))
    random.Random(5).shuffle(terms)  # noqa: S311 - a test's dice
    over = threading.Event()
    seen: list[int] = []

    def watch() -> None:
        while not over.is_set():
            seen.append(world.newest())

    with ThreadPoolExecutor(9) as pool:
        watching = pool.submit(watch)
        with contextlib.ExitStack() as closing:
            closing.callback(over.set)
            list(pool.map(world.poll, terms))
        watching.result()
    assert world.newest() == 40
    assert seen == sorted(seen)
    world.poll(41)
    assert world.terms() == {"40", "41"}


def test_what_is_no_term_counts_as_none(world: World) -> None:
    for name in ("term", "term.", "term.x", "term.-5", "term.007", "term.9e9", "term. 9", f"term.{10**18}", "term.9\n"):
        (world.root / name).write_text("99\n")
    world.do(world.stop("alive.1", 3))
    assert "3" in world.terms()
    assert (world.root / "term.x").exists()
    (world.root / "term.4").mkdir()
    with pytest.raises(Fenced, match="term 4"):
        world.do(world.stop("alive.1", 3))
    world.do(world.stop("alive.1", fence.MOST_TERM))
    with pytest.raises(Fenced, match=str(fence.MOST_TERM)):
        world.do(world.stop("alive.1", fence.MOST_TERM - 1))


def test_without_a_term_nothing_is_fenced_and_nothing_is_written(world: World) -> None:
    assert world.terms() == set()
    world.poll(NEWER, "alive.1")
    for step in world.all_of(0).values():
        world.do(step)
    assert world.terms() == {str(NEWER)}
    assert world.states("lost.1", "new.1") == ["void", "alive"]


def test_runs_from_before_there_were_terms_are_followed_and_stopped(world: World) -> None:
    assert world.poll(2, "alive.1").runs["alive.1"].state == "alive"
    assert world.do(world.stop("alive.1", 2)) == stop.Stopped(state="signalled")
    until(lambda: world.states("alive.1") == ["ended"])
    assert isinstance(world.do(world.deliver(2)), Delivered)


def test_a_launch_prepared_before_the_fence_starts_nothing_and_the_new_leader_starts_it_once(world: World) -> None:
    assert isinstance(world.do(world.prepare("fix", 2, 1)), Prepared)
    world.poll(2, "fix.2")
    with pytest.raises(Fenced):
        world.do(world.launch("fix.2", 1, agent="echo old"))
    assert world.states("fix.2") == ["absent"]
    world.do(world.launch("fix.2", 2, agent="echo new"))
    until(lambda: world.states("fix.2") == ["ended"])
    with pytest.raises(Fenced):
        world.do(world.launch("fix.2", 1, agent="echo old"))
    assert world.output("fix.2") == b"new\n"


def test_a_launch_that_stalled_half_sent_starts_nothing_when_it_goes_on(world: World) -> None:
    command, parse = world.launch("new.1", 1, prompt=b"x" * 300_000)
    sent = stdin(command)
    half = len(sent) - 200_000
    with subprocess.Popen(
        [*world.host.words, "-c", command_line(command)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=dict(world.host.env),
    ) as stalled:
        assert stalled.stdin is not None
        assert stalled.stdout is not None
        stalled.stdin.write(sent[:half])
        stalled.stdin.flush()
        until((world.root / "term.1").exists)
        world.poll(2, "new.1")
        stalled.stdin.write(sent[half:])
        stalled.stdin.close()
        answer = Completed(exit=0, stdout=stalled.stdout.read(), stderr=b"")
    with pytest.raises(Fenced, match="launch: the host was told of term 2"):
        parse(answer)
    assert world.states("new.1") == ["absent"]


def _nothing_started(world: World) -> bool:
    return world.states("new.1") == ["absent"]


def _nothing_pushed(world: World) -> bool:
    return "task/fix" not in world.git("-C", str(world.project), "branch")


def _nothing_signalled(world: World) -> bool:
    return world.states("alive.1") == ["alive"] and not (world.root / "runs/alive.1/stop.sent").exists()


def _work_is_there(world: World) -> bool:
    assert isinstance(world.ready, Prepared)
    return world.git("-C", world.ready.workspace, "status", "--porcelain") == "?? left\n"


def _nothing_kept(world: World) -> bool:
    clone = next(world.root.glob("repos/*.git"))
    return _work_is_there(world) and not world.git("-C", str(clone), "for-each-ref", "refs/reconciler")


@pytest.mark.parametrize(
    ("name", "program", "word", "kept"),
    [
        ("launch", "mkdir", "new.1", _nothing_started),
        ("launch", "mv", " new.", _nothing_started),
        ("give_up", "mkdir", "lost.1", lambda world: world.states("lost.1") == ["absent"]),
        ("stop", "ln", " stop ", _nothing_signalled),
        ("void", "mkdir", "none.1", lambda world: world.states("none.1") == ["absent"]),
        ("deliver", "git", " ls-remote ", _nothing_pushed),
        ("deliver", "git", " status ", lambda world: _nothing_pushed(world) and _work_is_there(world)),
        ("prepare", "git", " fetch ", _nothing_kept),
        ("prepare", "git", " commit-tree ", _work_is_there),
        ("clean", "rm", "fix.1", lambda world: world.states("fix.1", "lost.1") == ["absent", "void"]),
    ],
)
def test_a_fence_that_comes_while_a_script_works_stops_it_before_its_last_step(
    world: World, name: str, program: str, word: str, kept: Callable[[World], bool]
) -> None:
    steps = world.all_of(1)
    if program == "mv":
        (world.root / "runs/new.1").mkdir()
        (world.root / "runs/new.1/meta.json").write_text("of a launch that was cut")
    if name == "clean":
        world.do(steps["give_up"])
        steps["clean"] = world.clean(1, "fix.1", "lost.1")
    with pytest.raises(Fenced, match=f"told of term {NEWER}"):
        world.do(steps[name], PATH=world.meanwhile(program, word))
    assert kept(world)


def test_a_fence_that_comes_in_the_grace_of_a_stop_spares_the_agent_the_kill(world: World) -> None:
    world.do(world.launch("deaf.1", 1, agent="trap '' TERM; echo up; while :; do sleep 1; done"))
    until(lambda: world.output("deaf.1") == b"up\n")
    (world.root / "runs/deaf.1/stop").write_text("cancelled without a time\n")
    with pytest.raises(Fenced):
        world.do(world.stop("deaf.1", 1, grace_s=1), PATH=world.meanwhile("sleep", " 1 "))
    assert world.states("deaf.1") == ["alive"]


def test_a_fence_that_comes_while_an_engine_is_asked_spares_its_job(world: World) -> None:
    world.do(world.give_up("queued.1", 1))
    folder = world.root / "runs/queued.1"
    (folder / "job").write_text("17\n")
    engine = Engine(
        submit=("false",),
        alive=("sh", "-c", f': >"$1/../../term.{NEWER}"', "_", "{run_dir}"),
        cancel=("sh", "-c", ': >"$1/cancelled"', "_", "{run_dir}"),
    )
    asked = stop.stop(WORKDIR, world.fleet, "queued.1", StopReason.CANCELLED, launcher=engine, term=1)
    with pytest.raises(Fenced):
        stop.parse_stop(world.host.run(asked))
    assert not (folder / "cancelled").exists()


@pytest.mark.parametrize("term", [-1, fence.MOST_TERM + 1])
def test_a_term_that_no_shell_can_compare_is_refused(term: int) -> None:
    with pytest.raises(ValueError, match="is no term"):
        giveup.give_up(WORKDIR, "0123456789ab", "t.1", term)


def test_output_that_reads_like_a_refusal_is_none() -> None:
    said = shell.body("read", Completed(exit=0, stdout=shell.MARK + b"size 9\nfenced 9\n", stderr=b""))
    assert said == b"size 9\nfenced 9\n"
