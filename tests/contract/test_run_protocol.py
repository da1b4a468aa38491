"""Runs, as they are launched, followed and stopped by real processes in every shell that is installed."""

import hashlib
import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from reconciler.core.desired import Engine, Host
from reconciler.core.script import (
    clean,
    giveup,
    launch,
    poll,
    prepare,
    probe,
    read,
    readmany,
    shell,
    stop,
    supervise,
    sweep,
)
from reconciler.core.script.launch import Launch, Launched
from reconciler.core.script.poll import Seen
from reconciler.core.script.readmany import Piece
from reconciler.core.script.stop import Stopped
from reconciler.core.terms import StopReason
from tests.contract import runner
from tests.waiting import until

WORKDIR = '~/it\'s a "work dir"'
HOSTILE = "a'b\"c\n\n$(touch /tmp/never) `id` \\ ü \t*\n"


class World:
    """A host with run folders, and the processes that a test started there."""

    def __init__(self, tmp_path: Path, name: str) -> None:
        self.host = runner.host(tmp_path, name)
        self.fleet = hashlib.sha256(str(tmp_path).encode()).hexdigest()[:12]
        self.workspace = tmp_path / "work space's"
        self.workspace.mkdir()
        self.root = Path(self.host.env["HOME"], 'it\'s a "work dir"', self.fleet)

    def order(self, run: str, agent: str, **changes: object) -> Launch:
        order = Launch(
            workdir=WORKDIR,
            fleet=self.fleet,
            run=run,
            workspace=str(self.workspace),
            meta_json=b'{"run": 1}',
            prompt=b"",
            words=("sh", "-c", agent),
            variables={},
        )
        return replace(order, **changes)  # type: ignore[arg-type]  # the names of fields, from tests

    def launch(self, run: str, agent: str, **changes: object) -> Launched:
        return launch.parse_launch(self.host.run(launch.launch([self.order(run, agent, **changes)])))[run]

    def seen(self, run: str) -> Seen:
        return poll.parse_poll(self.host.run(poll.poll(WORKDIR, self.fleet, [run]))).runs[run]

    def ended(self, run: str) -> int | None:
        until(lambda: self.seen(run).state == "ended")
        return read.parse_read_meta(self.host.run(read.read_meta(WORKDIR, self.fleet, run))).exit_code

    def output(self, run: str, stream: str = "stdout") -> bytes:
        path = self.root / "runs" / run / stream
        return path.read_bytes() if path.exists() else b""

    def stop(self, run: str, grace_s: int = 20, reason: StopReason = StopReason.CANCELLED) -> Stopped:
        return stop.parse_stop(self.host.run(stop.stop(WORKDIR, self.fleet, run, reason, grace_s=grace_s)))

    def claim(self, run: str) -> list[str]:
        return (self.root / "runs" / run / "started").read_text().split()


@pytest.fixture(params=["dash", "bash", "busybox"])
def world(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[World]:
    made = World(tmp_path, runner.installed(str(request.param)))
    yield made
    end_all(made)


@pytest.fixture
def dash(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path, "dash")
    yield made
    end_all(made)


def end_all(world: World) -> None:
    """Stop everything that a test started there."""
    for folder in (world.root / "runs").glob("*"):
        world.stop(folder.name, grace_s=0)
        world.stop(folder.name, grace_s=0)


def tagged(world: World, run: str) -> list[int]:
    wanted = f"RECONCILER_RUN={world.fleet}.{run}".encode()
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            entries = (folder / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if wanted in entries:
            found.append(int(folder.name))
    return found


def test_prompt_variables_and_exit_status_arrive_exactly(world: World) -> None:
    prompt = (HOSTILE * 8000).encode() + b"\xff\xfe no newline at the end"
    variables = {"HOSTILE": HOSTILE, "EMPTY": "", "IFS_": " \t", "UID": "7"}
    agent = 'cat; printf %s "$HOSTILE" >&2; echo "[${EMPTY-unset}][$RECONCILER_RUN][$PWD]" >&2; exit 7'
    assert world.launch("t.1", agent, prompt=prompt, variables=variables).state in {"alive", "ended"}
    assert world.ended("t.1") == 7
    assert world.output("t.1") == prompt
    expected = f"{HOSTILE}[][{world.fleet}.t.1][{world.workspace}]\n"
    assert world.output("t.1", "stderr").decode() == expected
    assert not Path("/tmp/never").exists()  # noqa: S108 - what the hostile text would make


def test_the_environment_is_an_allow_list(world: World) -> None:
    host = runner.Runner(
        words=world.host.words,
        env={
            **world.host.env,
            "SECRET_OF_THE_LOGIN": "x",
            "LC_TIME": "C",
            "HTTPS_PROXY": "http://p'1",
            "MULTI": "a\nHOME=/nowhere",
            "odd.name": "1",
            "CLAUDECODE": "1",
            "LANGUAGE": "en",
        },
    )
    order = world.order("t.1", "env -0", unset=("LANG",), variables={"MINE": "1"}, words=("env", "-0"))
    host.run(launch.launch([order]))
    assert world.ended("t.1") == 0
    names = {entry.split(b"=")[0].decode() for entry in world.output("t.1").split(b"\0") if entry}
    assert names - {"_", "SHLVL", "SHELL"} == {
        "HOME", "PATH", "USER", "LC_TIME", "HTTPS_PROXY", "LANGUAGE", "MINE", "RECONCILER_RUN",
    }  # fmt: skip


def test_words_and_variables_are_as_long_as_a_process_takes_and_no_longer(dash: World) -> None:
    longest = "x" * supervise.MOST_BYTES
    dash.launch("t.1", "", words=("sh", "-c", 'echo "${#1} ${#A}"', "-", longest), variables={"A": longest[2:]})
    assert dash.ended("t.1") == 0
    assert dash.output("t.1") == f"{len(longest)} {len(longest) - 2}\n".encode()
    for change in ({"words": ("echo", f"{longest}x")}, {"variables": {"A": longest[1:]}}):
        with pytest.raises(ValueError, match=f"has {len(longest) + 1} bytes: a process can be given at most"):
            launch.check(dash.order("t.2", "", **change))


def test_an_agent_has_three_descriptors_and_no_pipe_among_them(world: World) -> None:
    world.launch("t.1", "exec ls -l /proc/self/fd")
    assert world.ended("t.1") == 0
    lines = [line.partition(" -> ") for line in world.output("t.1").decode().splitlines()]
    found = {about.split()[-1]: place for about, arrow, place in lines if arrow}
    inside = world.root / "runs" / "t.1"
    assert [found[fd] for fd in ("1", "2")] == [str(inside / "stdout"), str(inside / "stderr")]
    assert [place for place in found.values() if place.startswith("pipe:")] == []


def test_the_run_folder_is_private_and_env_is_gone(world: World) -> None:
    os.umask(os.umask(0o022))
    world.launch("t.1", "umask; touch made", variables={"TOKEN": "secret-value"})
    assert world.ended("t.1") == 0
    folder = world.root / "runs" / "t.1"
    assert folder.stat().st_mode & 0o077 == 0
    names = {path.name for path in folder.iterdir() if not path.name.startswith("claim.")}
    assert sorted(names - {"activity"}) == [
        "agent", "exit", "meta.json", "prompt", "started", "stderr", "stdout", "workspace",
    ]  # fmt: skip
    assert all(b"secret-value" not in path.read_bytes() for path in folder.iterdir())
    assert world.output("t.1").strip() in {b"0022", b"022"}


def test_no_secret_is_ever_an_argument_and_no_path_one_of_a_shell(dash: World) -> None:
    seen: set[bytes] = set()

    def watch() -> bool:
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                seen.add((folder / "cmdline").read_bytes())
            except OSError:
                continue
        return dash.root.exists() and len(list((dash.root / "runs").glob("*/exit"))) == 10

    agent = "sleep 0.2"
    with ThreadPoolExecutor(2) as pool:
        for number in range(1, 11):
            order = dash.order(f"t.{number}", agent, prompt=b"prompt-text", variables={"TOKEN": "secret-value"})
            pool.submit(dash.host.run, launch.launch([order]))
        until(watch)
    assert any(b"supervise" in line for line in seen)
    leaks = [line for line in seen if b"secret-value" in line or b"prompt-text" in line]
    leaks += [line for line in seen if b"sh" in line.split(b"\0")[0] and b"work dir" in line]
    assert leaks == []


def test_a_launch_may_be_repeated_and_runs_once(world: World) -> None:
    agent = "echo ran; sleep 0.2"
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: world.launch("t.1", agent), range(8)))
    assert {answer.state for answer in answers} <= {"alive", "ended"}
    assert world.ended("t.1") == 0
    assert world.launch("t.1", "echo again").state == "ended"
    assert world.output("t.1") == b"ran\n"


def test_what_was_given_up_never_starts(world: World) -> None:
    assert giveup.parse_give_up(world.host.run(giveup.give_up(WORKDIR, world.fleet, "t.1"))).state == "void"
    assert world.launch("t.1", "echo ran").state == "void"
    assert world.seen("t.1").state == "void"
    assert not (world.root / "runs" / "t.1" / "stdout").exists()


def test_what_runs_cannot_be_given_up(dash: World) -> None:
    dash.launch("t.1", "sleep 100")
    assert giveup.parse_give_up(dash.host.run(giveup.give_up(WORKDIR, dash.fleet, "t.1"))).state == "alive"


def test_an_agent_is_detached_with_signals_as_they_are_by_default(dash: World) -> None:
    dash.launch(
        "t.1", "exec cat /proc/self/status /proc/self/stat", words=("cat", "/proc/self/status", "/proc/self/stat")
    )
    assert dash.ended("t.1") == 0
    said = dash.output("t.1").decode()
    assert "SigIgn:\t0000000000000000" in said
    pid, _, _, _, group, session = said.strip().split("\n")[-1].split(" ")[:6]
    assert pid == group == session


def test_an_agent_that_reads_where_nothing_comes_is_at_its_end_at_once(world: World) -> None:
    world.launch("t.1", "", words=("sh", "-c", "cat; test ! -t 0 && echo no terminal"), prompt_on_stdin=False)
    world.launch("t.2", "", words=("sh", "-c", "cat; cat"), prompt=b"all of it")
    assert (world.ended("t.1"), world.ended("t.2")) == (0, 0)
    assert (world.output("t.1"), world.output("t.2")) == (b"no terminal\n", b"all of it")


def test_a_cli_that_is_not_there_exits_127(world: World) -> None:
    world.launch("t.1", "", words=("no-such-cli", "--x"))
    assert world.ended("t.1") == 127
    assert b"no-such-cli" in world.output("t.1", "stderr")


def test_a_reused_pid_or_another_boot_is_never_taken_for_a_live_run(world: World) -> None:
    world.launch("t.1", "sleep 100")
    started = world.root / "runs" / "t.1" / "started"
    pid, began, boot, up, wall = world.claim("t.1")
    until(lambda: tagged(world, "t.1"))
    (world.root / "runs" / "t.1" / "agent").write_text(f"{pid} {int(began) + 1}\n")
    claims = {
        f"{pid} {began} {boot} {up} {wall}": "alive",
        f"{pid} {int(began) + 1} {boot} {up} {wall}": "gone",
        f"{pid} {began} 00000000-0000-0000-0000-000000000000 {up} {wall}": "gone",
        "": "gone",
        "void": "void",
    }
    found = {}
    for claim in claims:
        started.write_text(f"{claim}\n")
        found[claim] = world.seen("t.1").state
    started.write_text(f"{pid} {began} {boot} {up} {wall}\n")
    assert found == claims


def test_a_stop_never_signals_a_reused_pid(dash: World) -> None:
    dash.launch("t.1", "sleep 100")
    dash.launch("u.1", "sleep 100")
    until(lambda: tagged(dash, "t.1") and tagged(dash, "u.1"))
    pid, began, boot, up, wall = dash.claim("u.1")
    (dash.root / "runs" / "t.1" / "started").write_text(f"{pid} {int(began) - 1} {boot} {up} {wall}\n")
    (dash.root / "runs" / "t.1" / "agent").write_text(f"{pid} {int(began) - 1}\n")
    assert dash.stop("t.1", grace_s=0).state == "ended"
    assert tagged(dash, "t.1") == []
    assert dash.seen("u.1").state == "alive"


@pytest.mark.parametrize("content", [b"", b"\n", b"garbage\n", b"-1\n", b"999\n", b"0x0\n", b"\0\0\0"])
def test_an_exit_that_cannot_be_read_is_unknown_and_never_0(dash: World, content: bytes) -> None:
    dash.launch("t.1", "true")
    assert dash.ended("t.1") == 0
    (dash.root / "runs" / "t.1" / "exit").write_bytes(content)
    assert dash.seen("t.1").state == ("ended" if content else "gone")
    assert read.parse_read_meta(dash.host.run(read.read_meta(WORKDIR, dash.fleet, "t.1"))).exit_code is None


def test_a_killed_supervisor_leaves_the_agent_alive_and_then_gone(dash: World) -> None:
    dash.launch("t.1", "sleep 100")
    until(lambda: tagged(dash, "t.1"))
    os.kill(int(dash.claim("t.1")[0]), signal.SIGKILL)
    assert dash.seen("t.1").state == "alive"
    assert dash.stop("t.1").state == "signalled"
    until(lambda: dash.seen("t.1").state == "gone")


def test_a_polite_agent_ends_by_term_and_its_status_is_kept(world: World) -> None:
    world.launch("t.1", "trap 'echo bye; exit 9' TERM; echo up; while :; do sleep 0.05; done")
    until(lambda: world.output("t.1") == b"up\n")
    assert world.stop("t.1", reason=StopReason.TIMED_OUT).state == "signalled"
    assert world.ended("t.1") == 9
    assert world.stop("t.1", reason=StopReason.CANCELLED) == Stopped(state="ended")
    assert world.seen("t.1").stopping == StopReason.TIMED_OUT
    assert world.output("t.1") == b"up\nbye\n"


def test_an_agent_that_ignores_term_is_killed_with_all_that_it_started(world: World) -> None:
    tool = "setsid sh -c 'trap \"\" TERM; echo tool; sleep 100'"
    agent = f"trap '' TERM; {tool} & (setsid sleep 101 &) ; echo up; wait; sleep 9"
    world.launch("t.1", agent)
    world.launch("t.10", "sleep 100")
    until(lambda: world.output("t.1").count(b"\n") == 2 and len(tagged(world, "t.1")) >= 3)
    assert world.stop("t.1", grace_s=1).state == "signalled"

    def finished() -> bool:
        return world.stop("t.1", grace_s=1).state == "ended"

    until(finished)
    assert tagged(world, "t.1") == []
    assert world.ended("t.1") == 137
    assert world.seen("t.10").state == "alive"


def test_a_sweep_takes_what_an_ended_run_left_and_nothing_else(world: World) -> None:
    world.launch(
        "t.1", "(setsid sleep 100 &) ; (env 'X=\nRECONCILER_RUN=" + f"{world.fleet}.t.2" + "\n' setsid sleep 101 &)"
    )
    assert world.ended("t.1") == 0
    until(lambda: len(tagged(world, "t.1")) == 2)
    world.launch("t.2", "true")
    assert world.ended("t.2") == 0
    assert sweep.parse_sweep(world.host.run(sweep.sweep(WORKDIR, world.fleet, ["t.2"]))) == {"t.2": "swept"}
    assert len(tagged(world, "t.1")) == 2
    both = sweep.sweep(WORKDIR, world.fleet, ["t.1", "t.2"])
    assert sweep.parse_sweep(world.host.run(both)) == {"t.1": "swept", "t.2": "swept"}
    assert tagged(world, "t.1") == []


def test_a_sweep_leaves_a_live_run_alone(dash: World) -> None:
    dash.launch("t.1", "sleep 100")
    assert sweep.parse_sweep(dash.host.run(sweep.sweep(WORKDIR, dash.fleet, ["t.1"]))) == {"t.1": "alive"}
    assert dash.seen("t.1").state == "alive"


def test_a_stop_before_the_start_means_that_it_never_starts(dash: World) -> None:
    assert dash.stop("t.1").state == "ended"
    assert dash.launch("t.1", "echo ran").state == "void"


def test_output_is_read_by_offset_with_nothing_lost_or_doubled(world: World) -> None:
    world.launch("t.1", "i=0; while [ $i -lt 3000 ]; do echo line $i; i=$((i + 1)); done; printf '\\377\\000end'")
    got = b""

    def follow() -> bool:
        nonlocal got
        over = world.seen("t.1").state == "ended"
        chunk = read.parse_read(
            world.host.run(read.read(WORKDIR, world.fleet, "t.1", "stdout", len(got), 5000)), len(got)
        )
        if chunk is None:
            return False
        got += chunk.data
        assert chunk.end == len(got)
        return over and chunk.end == chunk.size

    until(follow, every=0)
    assert got == b"".join(f"line {number}\n".encode() for number in range(3000)) + b"\xff\x00end"


def test_a_hundred_megabytes_of_output_are_counted_and_read_at_the_end(dash: World) -> None:
    dash.launch("t.1", "head -c 100000000 /dev/zero; echo end")
    assert dash.ended("t.1") == 0
    assert dash.seen("t.1").stdout_bytes == 100_000_004
    chunk = read.parse_read(dash.host.run(read.read(WORKDIR, dash.fleet, "t.1", "stdout", 100_000_000, 100)))
    assert chunk is not None
    assert bytes(chunk.data) == b"end\n"


def test_files_outside_of_the_run_folder_are_not_read(dash: World) -> None:
    dash.launch("t.1", "true")
    assert dash.ended("t.1") == 0
    folder = dash.root / "runs" / "t.1"
    (folder / "last.json").write_text("{}")
    (folder / "link").symlink_to("/etc/passwd")
    (folder / "etc").symlink_to("/etc")
    chunks = {
        name: read.parse_read(dash.host.run(read.read_file(WORKDIR, dash.fleet, "t.1", name)))
        for name in ("last.json", "link", "etc/passwd", "missing")
    }
    assert [name for name, chunk in chunks.items() if chunk is not None] == ["last.json"]


def test_a_file_that_cannot_be_read_on_is_told_from_its_end(world: World) -> None:
    for run in ("a.1", "t.1", "u.1"):
        world.launch(run, "echo out")
        world.ended(run)
    folder = world.root / "runs" / "t.1"
    broken = runner.with_bad_sectors(world.host, folder / "stdout", folder / "meta.json")
    command = read.read(WORKDIR, world.fleet, "t.1", "stdout", 0, 100)
    chunk = read.parse_read(broken.run(command))
    assert chunk is not None
    assert (bytes(chunk.data), chunk.error.endswith("Input/output error")) == (b"", True)
    with pytest.raises(read.Unreadable, match="Input/output error"):
        read.parse_read_meta(broken.run(read.read_meta(WORKDIR, world.fleet, "t.1")))
    pieces = [Piece(run=run, stream="stdout", offset=0, size=4) for run in ("a.1", "t.1", "u.1")]
    many = readmany.read_many(WORKDIR, world.fleet, pieces)
    assert readmany.parse_read_many(broken.run(many), pieces) == [b"out\n"]
    assert readmany.parse_read_many(world.host.run(many), pieces) == [b"out\n"] * 3


def _age(world: World, run: str, seconds: int) -> None:
    """Let the last activity of a run lie further back, and its start as well."""
    path = world.root / "runs" / run / "activity"
    until(lambda: world.seen(run).state == "alive" and path.exists())
    world.seen(run)
    lines = path.read_text().split("\n")
    path.write_text("\n".join([str(max(0, int(lines[0]) - seconds)), *lines[1:]]))


def test_a_silent_agent_grows_idle_and_a_word_ends_that(world: World) -> None:
    world.launch(
        "t.1",
        "echo up; read -r x <go; echo word; sleep 100",
        words=("sh", "-c", "mkfifo go; echo up; read -r x <go; echo word; sleep 100"),
    )
    until(lambda: world.output("t.1") == b"up\n")
    until(lambda: world.seen("t.1").stdout_bytes == 3)
    world.seen("t.1")
    _age(world, "t.1", 300)
    assert world.seen("t.1").idle_s >= 300
    assert world.seen("t.1").idle_s >= 300
    (world.workspace / "go").write_text("go\n")
    until(lambda: world.output("t.1") == b"up\nword\n")
    assert world.seen("t.1").idle_s < 10


def test_computing_without_a_word_is_not_idle(world: World) -> None:
    world.launch("t.1", "(setsid timeout 60 sh -c 'while :; do :; done' &) ; sleep 100")
    until(lambda: len(tagged(world, "t.1")) >= 2)
    world.seen("t.1")
    world.seen("t.1")
    _age(world, "t.1", 1)
    until(lambda: world.seen("t.1").idle_s == 0)
    world.stop("t.1", grace_s=0)


def test_a_commit_counts_as_progress(dash: World) -> None:
    agent = "git init -q . && mkfifo go && read -r x <go && git commit -q --allow-empty -m x && touch done; sleep 100"
    identity = {key: value for key, value in dash.host.env.items() if key.startswith("GIT_")}
    dash.launch("t.1", agent, variables=identity)
    until((dash.workspace / "go").exists)
    until(lambda: dash.seen("t.1").idle_s == 0)
    dash.seen("t.1")
    _age(dash, "t.1", 100000)
    assert dash.seen("t.1").idle_s >= 100
    (dash.workspace / "go").write_text("go\n")
    until((dash.workspace / "done").exists)
    assert dash.seen("t.1").idle_s < 10


def test_one_poll_sees_many_runs_and_what_is_not_there(world: World) -> None:
    for number in (1, 2, 10):
        world.launch(f"t.{number}", f"echo {'x' * number}; echo err >&2; exit {number}")
        assert world.ended(f"t.{number}") == number
    world.launch("t-a.1", "sleep 100")
    answer = poll.parse_poll(world.host.run(poll.poll(WORKDIR, world.fleet, ["t.10", "none.1", "t.2", "t-a.1", "t.1"])))
    assert {run: (seen.state, seen.stdout_bytes, seen.stderr_bytes) for run, seen in answer.runs.items()} == {
        "t.1": ("ended", 2, 4),
        "t.2": ("ended", 3, 4),
        "t.10": ("ended", 11, 4),
        "t-a.1": ("alive", 0, 0),
        "none.1": ("absent", 0, 0),
    }


def test_a_clean_up_keeps_a_live_run(dash: World) -> None:
    dash.launch("t.1", "sleep 100")
    dash.launch("t.2", "true")
    assert dash.ended("t.2") == 0
    (dash.root / "work").mkdir()
    answer = clean.parse_clean(dash.host.run(clean.clean(WORKDIR, dash.fleet, runs=["t.1", "t.2"])))
    assert (answer.removed, answer.kept) == (("runs/t.2",), ("runs/t.1",))
    assert [folder.name for folder in (dash.root / "runs").iterdir()] == ["t.1"]


def test_a_probe_tells_versions_in_the_environment_of_a_run(world: World) -> None:
    versions = [
        ("one", ("sh", "-c", 'echo "v1 $MINE"')),
        ("missing", ("no-such-cli", "--version")),
        ("failing", ("false",)),
    ]
    host = Host(transport="local", workdir=WORKDIR, env={"MINE": "x'y"})
    seen = probe.parse_probe(world.host.run(probe.probe(host, versions)))
    assert seen.versions == {"one": "v1 x'y", "missing": None, "failing": None}
    assert probe.problems(seen) is None
    assert seen.workdir == str(world.root.parent)
    assert list(world.root.parent.glob("*/probe*")) == []


def test_a_probe_says_what_a_host_lacks(dash: World, tmp_path: Path) -> None:
    tools = tmp_path / "few"
    tools.mkdir()
    present = "sh cat cp cut dd env find grep head ln ls mkdir mv rm rmdir sed sleep tail tr uname wc"
    for name in present.split():
        (tools / name).symlink_to(f"/usr/bin/{name}")
    command = probe.probe(Host(transport="local", workdir=WORKDIR), [("one", ("true",))])
    seen = probe.parse_probe(dash.host.run(command, PATH=str(tools)))
    assert seen.missing == ("git", "setsid")
    assert "git, setsid not found on PATH" in (probe.problems(seen) or "")
    command = probe.probe(Host(transport="local", workdir="/proc/nothing"), [("one", ("true",))])
    seen = probe.parse_probe(dash.host.run(command))
    assert seen.missing == ("workdir",)
    assert "/proc/nothing cannot be used" in (probe.problems(seen) or "")


def test_noise_of_a_login_shell_is_no_part_of_an_answer(dash: World) -> None:
    done = dash.host.run(poll.poll(WORKDIR, dash.fleet, ["t.1"]))
    noisy = replace(done, stdout=b"Welcome!\nno newline" + done.stdout)
    assert poll.parse_poll(noisy).runs["t.1"].state == "absent"
    with pytest.raises(shell.ProtocolError, match="no answer"):
        poll.parse_poll(replace(done, stdout=b"Welcome!\n"))


def test_an_engine_submits_asks_and_cancels(world: World, tmp_path: Path) -> None:
    engine = tmp_path / "engine"
    engine.write_text(
        "#!/bin/sh\ncase $1 in\n"
        'submit) cd /; setsid "$2" </dev/null >/dev/null 2>&1 & echo "Submitted job $!" ;;\n'
        'alive) kill -0 "$2" ;;\n'
        'cancel) read -r p rest <"$3/agent"; kill -TERM -"$p" ;;\nesac\n'
    )
    engine.chmod(0o755)
    launcher = Engine(
        submit=(str(engine), "submit", "{script}"),
        alive=(str(engine), "alive", "{job}"),
        cancel=(str(engine), "cancel", "{job}", "{run_dir}"),
    )
    assert world.launch("t.1", "echo up; sleep 100", launcher=launcher).state in {"queued", "alive"}
    until(lambda: world.output("t.1") == b"up\n")

    def state() -> str:
        return poll.parse_poll(world.host.run(poll.poll(WORKDIR, world.fleet, ["t.1"], launcher))).runs["t.1"].state

    assert state() == "alive"
    command = stop.stop(WORKDIR, world.fleet, "t.1", StopReason.CANCELLED, grace_s=20, launcher=launcher)
    assert stop.parse_stop(world.host.run(command)).state == "signalled"
    until(lambda: "ended" in state())
    assert world.ended("t.1") == 143


def test_a_job_in_the_queue_is_no_run_yet_and_a_stop_takes_it_out(world: World, tmp_path: Path) -> None:
    queue = tmp_path / "queue"
    launcher = Engine(
        submit=("sh", "-c", f"touch {queue}; echo 17"), alive=("test", "-e", str(queue)), cancel=("rm", str(queue))
    )

    def state() -> str:
        return poll.parse_poll(world.host.run(poll.poll(WORKDIR, world.fleet, ["t.1"], launcher))).runs["t.1"].state

    assert world.launch("t.1", "true", launcher=launcher).state == "queued"
    job = world.root / "runs" / "t.1" / "job"
    os.utime(job, (0, 0))
    assert state() == "queued"
    queue.unlink()
    assert state() == "absent"
    job.touch()
    assert state() == "queued"  # an engine may show late what it has taken
    queue.touch()
    command = stop.stop(WORKDIR, world.fleet, "t.1", StopReason.CANCELLED, launcher=launcher)
    assert stop.parse_stop(world.host.run(command)).state == "ended"
    assert (state(), queue.exists()) == ("void", False)


def test_a_launch_makes_a_folder_to_work_in_where_it_is_expected_and_nowhere_else(world: World) -> None:
    root = world.root.resolve()
    elsewhere = world.launch("t.1", "pwd", workspace="/elsewhere/work/t", make=True)
    assert (elsewhere.elsewhere, world.seen("t.1").state) == (True, "absent")
    for _ in range(2):
        assert not world.launch("t.1", "pwd", workspace=f"{root}/work/t", make=True).elsewhere
    assert world.ended("t.1") == 0
    assert world.output("t.1") == f"{root}/work/t\n".encode()
    order = prepare.Preparation(workdir=WORKDIR, fleet=world.fleet, task="t", epoch=1, branch="b")
    prepared = prepare.parse_prepare(world.host.run(prepare.prepare(order)))
    assert isinstance(prepared, prepare.Prepared)
    assert (prepared.workspace, prepared.run_dir) == (f"{root}/work/t", f"{root}/runs/t.1")


def test_many_outputs_are_read_at_once_and_one_that_is_not_whole_costs_only_what_follows(world: World) -> None:
    for run in ("a.1", "b.1", "c.1"):
        world.launch(run, f"printf 'out of {run}\\nend\\n'; printf err >&2")
        world.ended(run)
    pieces = [
        Piece(run="a.1", stream="stdout", offset=4, size=11),
        Piece(run="b.1", stream="stderr", offset=0, size=3),
        Piece(run="c.1", stream="stdout", offset=0, size=99),
        Piece(run="a.1", stream="stderr", offset=0, size=3),
    ]
    command = readmany.read_many(WORKDIR, world.fleet, pieces)
    assert readmany.parse_read_many(world.host.run(command), pieces) == [b"of a.1\nend\n", b"err"]
    (world.root / "runs/b.1/stderr").unlink()
    (world.root / "runs/b.1/stderr").symlink_to("/etc/hostname")
    assert readmany.parse_read_many(world.host.run(command), pieces) == [b"of a.1\nend\n"]
