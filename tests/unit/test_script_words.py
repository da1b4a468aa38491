"""What scripts refuse to carry, and what their parsers refuse to believe."""

import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.core.command import Completed
from reconciler.core.desired import Engine
from reconciler.core.script import clean, deliver, engine, git, launch, poll, prepare, read, shell, stop, supervise
from reconciler.core.terms import Failure, StopReason

FLEET = "0123456789ab"


def said(text: str, exit_code: int = 0, stderr: str = "") -> Completed:
    return Completed(exit=exit_code, stdout=shell.MARK + text.encode(), stderr=stderr.encode())


@pytest.mark.parametrize("run", ["", "t", "t.0", "t.01", "../x.1", "t.1\n", "T.1", "t.1.2", "t 1.1", "-t.1"])
def test_a_run_that_is_none_is_refused(run: str) -> None:
    with pytest.raises(ValueError, match="is no run"):
        stop.stop("~/w", FLEET, run, StopReason.CANCELLED)
    with pytest.raises(ValueError, match="is no run"):
        poll.poll("~/w", FLEET, [run])
    with pytest.raises(ValueError, match="is no run"):
        clean.clean("~/w", FLEET, runs=[run])


def test_a_fleet_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="is no fleet id"):
        poll.poll("~/w", "../../etc", [])


@pytest.mark.parametrize("workspace", ["..", "../x", "a/b", "", "."])
def test_a_workspace_that_is_none_is_refused(workspace: str) -> None:
    with pytest.raises(ValueError, match="is no"):
        clean.clean("~/w", FLEET, workspaces=[workspace])


@pytest.mark.parametrize("path", ["/etc/passwd", "../x", "a/../../x", "", "-n", "env"])
def test_a_path_out_of_the_run_folder_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="inside the run folder"):
        read.read_file("~/w", FLEET, "t.1", path)


@pytest.mark.parametrize("name", ["", "1A", "A-B", "A=B", "A\n", "A B", "Ä"])
def test_a_variable_s_name_that_no_shell_can_export_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="is no name of an environment variable"):
        supervise.exports({name: "x"}, (), "r")


def test_a_nul_is_refused() -> None:
    with pytest.raises(ValueError, match="NUL"):
        supervise.exports({"A": "a\0b"}, (), "r")


@settings(deadline=None, max_examples=50)
@given(st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20), max_size=5))
def test_any_words_reach_a_shell_as_they_are(words: list[str]) -> None:
    script = f"printf '%s\\0' {shell.quoted(tuple(words))}" if words else ":"
    done = subprocess.run(["sh", "-c", script], capture_output=True, check=True)
    assert done.stdout == b"".join(word.encode() + b"\0" for word in words)


def test_no_data_is_in_a_script() -> None:
    order = prepare.Preparation(workdir="~/odd", fleet=FLEET, task="t", epoch=1, branch="b", repository="r$(x)")
    assert "odd" not in prepare.prepare(order).script
    assert "r$(x)" not in prepare.prepare(order).script
    assert poll.poll("~/a", FLEET, []).script == poll.poll("~/b", FLEET, ["t.1"]).script


@pytest.mark.parametrize(
    "answer",
    ["", "host 1\nend\n", "host 1 boot\n", "host 1 boot\nrun t.1 alive 0 0 0 0 -\n",
     "host 1 boot\nrun t.1 odd 0 0 0 0 -\nend\n",
     "host 1 boot\nrun t.1 alive x 0 0 0 -\nend\n", "host 1 boot\nrun t.1 alive 0\nend\n"],
)  # fmt: skip
def test_a_malformed_poll_is_refused(answer: str) -> None:
    with pytest.raises(shell.ProtocolError):
        poll.parse_poll(said(answer))


def test_a_script_that_died_is_no_answer() -> None:
    dead = Completed(exit=137, stdout=b"", stderr=b"Killed\n")
    for parse in (launch.parse_launch, poll.parse_poll, stop.parse_stop, prepare.parse_prepare, deliver.parse_deliver):
        with pytest.raises(shell.ProtocolError, match="ended with 137 and no answer: Killed"):
            parse(dead)


@pytest.mark.parametrize(
    ("word", "code"), [("0", 0), ("137", 137), ("255", 255), ("256", None), ("", None), ("-1", None)]
)
def test_an_exit_status_is_a_number_or_unknown(word: str, code: int | None) -> None:
    assert poll.exit_code(word) == code


@pytest.mark.parametrize(
    ("stderr", "failure"),
    [
        ("fatal: Could not read from remote repository. git@x: Permission denied (publickey).", Failure.AUTH),
        ("fatal: Authentication failed for 'https://u:p@x/y'", Failure.AUTH),
        ("fatal: could not read Username for 'https://x': terminal prompts disabled", Failure.AUTH),
        ("Host key verification failed.", Failure.AUTH),
        ("fatal: unable to access 'https://x/': Could not resolve host: x", Failure.TRANSPORT),
        ("ssh: connect to host x port 22: Connection timed out", Failure.TRANSPORT),
        ("fatal: the remote end hung up unexpectedly", Failure.TRANSPORT),
        ("fatal: unable to access 'https://x/': The requested URL returned error: 503", Failure.TRANSPORT),
        ("error: file write error: No space left on device", Failure.NO_CAPACITY),
        ("fatal: could not create leading directories: Read-only file system", Failure.NO_CAPACITY),
        ("fatal: repository 'https://x/' not found", Failure.CONFIG),
        ("fatal: transport 'ext' not allowed", Failure.CONFIG),
    ],
)
def test_git_s_words_name_whose_fault_it_is(stderr: str, failure: Failure) -> None:
    found, message = git.failure(said("", 1, stderr), "fetching the repository")
    assert found == failure
    assert message.startswith("fetching the repository: ")


def test_credentials_in_a_url_are_not_repeated() -> None:
    _, message = git.failure(said("", 1, "fatal: 'https://user:secret@host/x' not found"), "fetching")
    assert "secret" not in message


def test_an_engine_s_words_are_quoted_and_its_job_is_a_variable() -> None:
    text = engine.text(Engine(submit=("sbatch", "{script}"), alive=("squeue", "-j{job}", "$(x)"), cancel=("x", "a b")))
    assert text.decode().split("\n")[:3] == [
        "engine_submit() { 'sbatch' '" + "'\"$dir/job.sh\"'" + "'; }",
        "engine_alive() { 'squeue' '-j'\"$job\"'' '$(x)'; }",
        "engine_cancel() { 'x' 'a b'; }",
    ]
