"""What hosts may answer beside the truth, and what no command may be made of: both end in one clear error."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from reconciler.core.command import Command, Completed
from reconciler.core.desired import Adapter, Engine, Host, Task
from reconciler.core.mask import Blot
from reconciler.core.observed import Meta
from reconciler.core.script import (
    argv,
    clean,
    deliver,
    engine,
    giveup,
    launch,
    poll,
    prepare,
    probe,
    read,
    shell,
    stop,
    sweep,
)
from reconciler.core.script.shell import MARK, ProtocolError
from reconciler.core.terms import Kind

FLEET = "0123456789ab"


def answer(text: str, *, stderr: str = "") -> Completed:
    return Completed(exit=0, stdout=MARK + text.encode(), stderr=stderr.encode())


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        (clean.parse_clean, "removed everything\n"),
        (probe.parse_probe, "system Linux"),
        (probe.parse_probe, "system Linux\n"),
        (read.parse_read, "sizes 3\nabc"),
        (read.parse_read, "size 3"),
        (read.parse_read_meta, "state alive\nexit -\nstop -\n"),
        (poll.parse_poll, "host 1 b\n"),
        (stop.parse_stop, "survivors 0\nstate elsewhere\n"),
        (stop.parse_stop, "survivors many\nstate ended\n"),
        (sweep.parse_sweep, "run t.1 swept\n"),
        (sweep.parse_sweep, "run t.1 elsewhere\nend\n"),
        (launch.parse_launch, "run t.1 state elsewhere\n"),
        (launch.parse_launch, "run t.1 state alive"),
        (launch.parse_launch, "state alive\n"),
        (giveup.parse_give_up, "state elsewhere\n"),
        (deliver.parse_deliver, "head abc"),
    ],
)
def test_an_answer_that_is_none_is_a_protocol_error_in_one_line(
    parse: Callable[[Completed], object], text: str
) -> None:
    with pytest.raises(ProtocolError) as caught:
        parse(answer(text))
    assert "\n" not in str(caught.value)


def test_a_host_that_answers_nothing_is_quoted_with_what_it_complained_of() -> None:
    with pytest.raises(ProtocolError, match="no answer: sh: not found"):
        launch.parse_launch(Completed(exit=127, stdout=b"", stderr=b"sh: not\nfound\n"))


def test_a_file_that_was_broken_off_is_not_taken_for_all_of_it() -> None:
    claim = b"12 345 0f1e2d3c"
    assert read.parse_read(Completed(exit=0, stdout=MARK + b"size 15\n" + claim, stderr=b"")) is not None
    with pytest.raises(ProtocolError, match="it ended with 255 after 19 bytes"):
        read.parse_read(Completed(exit=255, stdout=MARK + b"size 15\n" + claim[:11], stderr=b""))


def test_a_version_line_that_is_none_is_a_protocol_error() -> None:
    head = "system Linux\nhome /h\nworkdir /w\nboot_id b\ngit git version 2.39.5\nmissing\npath /bin\nwhy\nclock 12\n"
    assert probe.parse_probe(answer(f"{head}version codex 0\ncodex-cli 1.2.3\n")).versions == {
        "codex": "codex-cli 1.2.3"
    }
    with pytest.raises(ProtocolError, match="no line about a version"):
        probe.parse_probe(answer(f"{head}verse codex 0\nx\n"))


def test_a_folder_that_is_not_there_is_absent_and_a_refusal_is_a_message() -> None:
    assert read.parse_read_meta(answer("missing\n")).state == "absent"
    assert deliver.parse_inspect(answer("")) is None
    said = launch.parse_launch(answer("run t.1 failed the run folder cannot be filled\n", stderr="mv: no\nspace\n"))[
        "t.1"
    ]
    assert (said.state, said.message) == ("absent", "the run folder cannot be filled: mv: no space")


@pytest.mark.parametrize(
    ("missing", "git_version", "says"),
    [
        (("Linux",), "2.39.5", "runs need Linux"),
        (("/proc",), "2.39.5", "mount it"),
        (("setsid",), "2.39.5", "setsid not found on PATH"),
        ((), "2.29.9", "too old"),
        ((), "", "without a version"),
        (("workdir",), "2.39.5", "make it writable"),
    ],
)
def test_what_a_host_lacks_is_said_with_what_to_do(missing: tuple[str, ...], git_version: str, says: str) -> None:
    seen = probe.Probe(
        system="Linux",
        home="/h",
        workdir="/w",
        boot_id="b",
        git_version=git_version,
        missing=missing,
        versions={},
        path="/bin",
        why="read-only",
    )
    assert says in str(probe.problems(seen))


def delivery(branch: str) -> deliver.Delivery:
    return deliver.Delivery(
        workdir="/w",
        fleet=FLEET,
        workspace="/w/x",
        repository="r",
        branch=branch,
        base_sha="a",
        start_sha=None,
        message="m",
    )


@pytest.mark.parametrize(
    "make",
    [
        lambda: Command(name="x", script="", words=("a\nb",)),
        lambda: deliver.deliver(delivery("-x")),
        lambda: prepare.prepare(prepare.Preparation(workdir="/w", fleet=FLEET, task="a", epoch=1, branch="--x")),
        lambda: poll.poll("/w", FLEET, [f"t.{epoch}" for epoch in range(1, poll.MOST_RUNS + 2)]),
        lambda: engine.text(Engine(submit=(), alive=("a",), cancel=("c",))),
        lambda: read.read("/w", FLEET, "t.1", "stdout", -1, 5),
        lambda: shell.place("", FLEET),
        lambda: shell.place("/w", "nothing"),
        lambda: probe.probe(Host(transport="local"), [("../x", ("x",))]),
    ],
)
def test_no_command_is_made_of_what_cannot_be_a_word(make: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match=r"\w+ \w+"):
        make()


def test_the_head_of_a_workspace_is_asked_for_by_a_fixed_script() -> None:
    assert deliver.inspect("/w", FLEET, "/w/x").words == ("/w", FLEET, "/w/x")


def test_a_template_may_name_everything_a_run_was_started_with() -> None:
    meta = Meta(
        run_id=f"{FLEET}.fix.2",
        task_id="fix",
        epoch=2,
        kind=Kind.IMPLEMENT,
        task=Task(title="t", goal="g", model="m", max_turns=7, timeout=timedelta(hours=1)),
        adapter_id="x",
        adapter=Adapter(run=("x",)),
        run_dir="/w/runs/fix.2",
        workspace="/w/work/fix",
        branch="task/fix",
        new_session="n",
    )
    known = argv.values(meta)
    assert argv.fill(("{task}", ("{session}",), "{max_turns}:{prompt_file}"), known) == (
        "fix",
        "7:/w/runs/fix.2/prompt",
    )


def test_a_blot_keeps_every_other_byte_in_its_place() -> None:
    blot = Blot(["hunter22"])
    assert blot.longest >= len("hunter22")
    assert blot.out(b"a hunter22 b") == b"a ******** b"
    assert (Blot([]).longest, Blot([]).out(b"as it is")) == (0, b"as it is")


DIGITS = b"9" * 5000


@pytest.mark.parametrize(
    ("parse", "said"),
    [
        (poll.parse_poll, b"host 1 boot\nrun t.1 alive " + DIGITS + b" 0 0 0 -\nend\n"),
        (poll.parse_poll, b"host 1 " + b"b" * 300_000 + b"\nend\n"),
        (read.parse_read, b"size " + DIGITS + b"\n"),
        (stop.parse_stop, b"state ended\nsurvivors " + DIGITS + b"\n"),
        (deliver.parse_deliver, b"head " + b"a" * 40 + b"\nahead " + DIGITS + b"\n"),
        (deliver.parse_deliver, b"undelivered " + b"x" * 300_000 + b"\n"),
        (prepare.parse_prepare, b"failed " + b"x" * 300_000 + b"\n"),
    ],
)
def test_an_answer_beyond_all_measure_is_a_protocol_error_and_its_message_is_short(
    parse: Callable[[Completed], object], said: bytes
) -> None:
    with pytest.raises(ProtocolError) as caught:
        parse(Completed(exit=0, stdout=MARK + said, stderr=b""))
    assert len(str(caught.value)) <= shell.MOST_MESSAGE
