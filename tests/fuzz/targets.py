"""What is fuzzed: each target takes any bytes and raises where a promise about them is broken."""

import json
import socket
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from reconciler.core import issues, output, prompt, report
from reconciler.core.command import Completed
from reconciler.core.desired import Adapter, Task
from reconciler.core.issues import Issue
from reconciler.core.observed import Meta, ObservedTask, Run
from reconciler.core.output import Events
from reconciler.core.script import clean, deliver, giveup, launch, poll, prepare, probe, read, stop, sweep
from reconciler.core.script.shell import MARK, ProtocolError
from reconciler.core.terms import Kind, Phase
from reconciler.forge import payloads
from reconciler.repo import metas
from reconciler.repo.desired import loading
from reconciler.repo.observed import records
from reconciler.repo.yaml import documents
from reconciler.web import documents as bodies
from tests import deliveries
from tests.contract import captures
from tests.contract.web import Running, running, signed

ROOT = Path(__file__).parents[2]
NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
KINDS = ("task", "host", "adapter", "settings")
EVENTS = ("pull_request", "pull_request_rejected", "pull_request_review", "issues", "push", "")
PARSERS: tuple[Callable[[Completed], object], ...] = (
    clean.parse_clean,
    deliver.parse_deliver,
    deliver.parse_inspect,
    launch.parse_launch,
    giveup.parse_give_up,
    poll.parse_poll,
    prepare.parse_prepare,
    probe.parse_probe,
    read.parse_read,
    read.parse_read_meta,
    stop.parse_stop,
    sweep.parse_sweep,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One promise: `check` raises where it is broken; `seeds` are inputs that make sense, `words` pieces of them."""

    check: Callable[[bytes], None]
    seeds: Callable[[], list[bytes]]
    words: tuple[bytes, ...] = ()


def pick(data: bytes, several: tuple[str, ...]) -> tuple[str, bytes]:
    """One of several by the first byte, and the rest."""
    return several[(data[0] if data else 0) % len(several)], data[1:]


def document(data: bytes) -> None:
    """A file of the fleet is a value that survives a journey, or problems of one line each; never both."""
    kind, text = pick(data, KINDS)
    loaded = loading.load(kind, text, "f.yaml")
    assert (loaded.value is None) == bool(loaded.problems)
    assert all(problem.message.isprintable() and problem.message for problem in loaded.problems)
    if loaded.value is not None:
        again = documents.parse(documents.dump(documents.parse(text, "f.yaml").data), "f.yaml")
        assert loading.load(kind, documents.dump(again.data), "f.yaml").value == loaded.value


def record(data: bytes) -> None:
    """A file of the branch is a record or refused in one sentence."""
    with suppress(records.UnreadableRecord):
        records.decode({"state/observed/tasks/a.yaml": data})


def payload(data: bytes) -> None:
    """A webhook's body is refused, or read under any name without an exception."""
    event, body = pick(data, EVENTS)
    try:
        found = bodies.read(body)
    except bodies.Unreadable:
        return
    for kind in ("forgejo", "gitea", "github"):
        assert payloads.read(event, "", found, kind) is not None


def adapters() -> list[Adapter]:
    """Those that are shipped."""
    return [captures.adapter(path.stem) for path in sorted(captures.ADAPTERS.glob("*.yaml"))]


ADAPTERS = adapters()


def printed(data: bytes) -> None:
    """Whatever an agent prints is judged by every shipped adapter, and what is recorded of it can be read again."""
    number, text = data[:1], data[1:]
    adapter = ADAPTERS[(number[0] if number else 0) % len(ADAPTERS)]
    events = Events(adapter.output.format)
    half = len(text) // 2
    events.feed(text[:half])
    events.feed(text[half:])
    left = replace(
        events.read(ended=True),
        stderr_tail=output.tail(text),
        files=dict.fromkeys(adapter.output.files, output.file_value(text)),
        exit_code=1,
    )
    report.look(adapter, left)
    result = report.judge(adapter, left, stop=None, resumed=None, now=NOW)
    run = Run(
        epoch=1,
        run_id="0123456789ab.a.1",
        host="h",
        adapter="x",
        kind=Kind.IMPLEMENT,
        assigned_at=NOW,
        outcome=result.outcome,
        failure=result.failure,
        session=result.session,
        input_tokens=result.input_tokens,
        output_tokens=result.output_tokens,
        cost_usd=result.cost_usd,
        summary=result.summary,
        error=result.error,
        warnings=result.warnings,
    )
    fitted, kept = records.fitted(ObservedTask(phase=Phase.CREATED, epoch=1, runs=(run,)))
    assert records.decode({"state/observed/tasks/a.yaml": kept}).tasks["a"].runs == fitted.runs


def answered(data: bytes) -> None:
    """Whatever a host answers is a value or a ProtocolError in a short line."""
    number, text = data[:1], data[1:]
    parse = PARSERS[(number[0] if number else 0) % len(PARSERS)]
    for completed in (
        Completed(exit=0, stdout=MARK + text, stderr=text),
        Completed(exit=1, stdout=text, stderr=text),
    ):
        try:
            parse(completed)
        except (ProtocolError, read.Unreadable) as error:
            assert len(str(error)) < 1000  # noqa: PT017 - most answers are refused, and all of them may be


def meta(data: bytes) -> None:
    """A run folder's meta.json is believed of paths and commits alone, or refused."""
    run = Run(epoch=1, run_id="0123456789ab.a.1", host="h", adapter="x", kind=Kind.IMPLEMENT, assigned_at=NOW)
    task = Task(title="t", goal="g", branch="task/a", secrets=("TOKEN",))
    try:
        found = metas.restored(data, "a", run, task, ADAPTERS[0])
    except metas.UnreadableMeta:
        return
    assert (found.task, found.adapter, found.branch, found.run_id) == (task, ADAPTERS[0], "task/a", run.run_id)


def issue(data: bytes) -> None:
    """Whatever an issue says is a task that is run by its file, and stays data in the prompt."""
    text = data.decode("utf-8", "surrogateescape")
    title, _, body = text.partition("\n")
    written = issues.task_data(
        Issue(repository="a/b", number=1, url="https://f.example/a/b/issues/1", title=title, body=body, author="x"),
        "https://f.example/a/b.git",
    )
    loaded = loading.load("task", documents.dump(written), "f.yaml")
    assert isinstance(loaded.value, Task), loaded.problems
    task = replace(loaded.value, branch="task/a")
    assert prompt.build(task, ADAPTERS[0], base="main", reviews=(), missed=None)


class Web:
    """The server, kept up from one input to the next."""

    def __init__(self) -> None:
        """Not started yet: importing this module listens nowhere."""
        self._open = ExitStack()
        self._running: Running | None = None

    def check(self, data: bytes) -> None:
        """No bytes are answered by a 5xx, kept without a signature, or stop the next request."""
        web = self.running()
        answer = send(web.port, data)
        assert b"HTTP/1.1 5" not in answer, answer
        assert b"HTTP/1.0 5" not in answer, answer
        assert web.ask("GET", "/healthz").status == 200
        assert b"Traceback" not in answer

    def running(self) -> Running:
        """The server, started at the first call."""
        if self._running is None:
            folder = self._open.enter_context(tempfile.TemporaryDirectory())
            self._running = self._open.enter_context(running(Path(folder)))
        return self._running

    def close(self) -> None:
        """Stop it."""
        self._open.close()
        self._running = None


def send(port: int, data: bytes) -> bytes:
    """What is answered to these bytes, after which nothing more is sent."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        answer = b""
        with suppress(OSError):  # the server may hang up before all is said
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
        with suppress(ConnectionError):
            while piece := connection.recv(65536):
                answer += piece
        return answer


WEB = Web()


def fleet_files() -> list[bytes]:
    """The shipped files, each with the byte that names its kind."""
    kinds = {"adapters": b"\2", "hosts": b"\1", "state": b"\0"}
    paths = [path for folder in kinds for path in sorted((ROOT / folder).rglob("*.yaml"))]
    found = [
        kinds[path.relative_to(ROOT).parts[0]] + path.read_bytes() for path in paths if "observed" not in path.parts
    ]
    return [*found, b"\3default_adapter: codex\nlimits: {running: 3}\n", b"\0title: a\ngoal: |\n  b\nenv: {A: &a b}\n"]


def hooks() -> list[bytes]:
    """Webhooks as forges send them."""
    made = [deliveries.pull_event("opened"), deliveries.issue_event("opened"), deliveries.push()]
    return [bytes([number]) + json.dumps(body).encode() for number, body in zip((0, 3, 4), made, strict=True)]


def outputs() -> Iterator[bytes]:
    """What real CLIs printed, with the number of their adapter."""
    names = [path.stem for path in sorted(captures.ADAPTERS.glob("*.yaml"))]
    for name in captures.every()[::4]:
        cli = name.partition("-")[0]
        number = names.index(captures.NAMES.get(cli, cli))
        yield bytes([number]) + captures.capture(name).stdout[:4000]
    yield bytes([names.index("claude-code")]) + b'{"type":"result","is_error":true,"result":"limit|1795357800"}\n'


def answers() -> list[bytes]:
    """What hosts answer, with the number of their parser."""
    texts = (
        b"removed run t.1\nkept work t\nend clean\n",
        b"head " + b"a" * 40 + b"\nahead 1\n",
        b"head " + b"a" * 40 + b"\n",
        b"state alive\n",
        b"state void\n",
        b"host 1 b-c\nrun t.1 alive 0 1 2 3 -\nend\n",
        b"workspace /w\nrun_dir /r\nhome /h\nbase main\nbase_sha a\nstart_sha \nhead_sha b\n",
        (
            b"system Linux\nhome /h\nworkdir /w\nboot_id b\ngit git version 2\nmissing \npath /b\nwhy \nclock 1\n"
            b"version x 0\n1.2\n"
        ),
        b"size 3\nabc",
        b"state ended\nexit 0\nstop -\nmeta\n{}.",
        b"state killed\nsurvivors 0\n",
    )
    return [bytes([number]) + text for number, text in enumerate(texts)]


def kept_metas() -> list[bytes]:
    """A run's meta.json as it is written."""
    meta = Meta(
        run_id="0123456789ab.a.1",
        task_id="a",
        epoch=1,
        kind=Kind.IMPLEMENT,
        task=Task(title="t", goal="g", branch="task/a"),
        adapter_id="x",
        adapter=ADAPTERS[0],
        run_dir="/w/0123456789ab/runs/a.1",
        workspace="/w/0123456789ab/work/a",
        branch="task/a",
    )
    return [metas.text(meta).encode()]


def requests() -> list[bytes]:
    """Requests as clients send them."""
    body = b'{"ref": "refs/heads/x"}'
    lines = "".join(f"{name}: {value}\r\n" for name, value in signed(b"other").items()).encode()
    post = b"POST /webhooks/forgejo HTTP/1.1\r\nHost: x\r\n" + lines
    return [
        post + b"Content-Length: %d\r\n\r\n" % len(body) + body,
        post + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % len(body) + body + b"\r\n0\r\n\r\n",
        b"GET /api/v1/tasks?limit=3&cursor=x HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer abc\r\n\r\n",
        b"POST /api/v1/dequeue HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}",
    ]


YAML_WORDS = (
    b": ",
    b"- ",
    b"&a ",
    b"*a",
    b"!!str ",
    b"|\n",
    b">-\n",
    b"<<: ",
    b"? ",
    b"---\n",
    b"\t",
    b"{",
    b"[",
    b'"',
)
JSON_WORDS = (b"{", b"[", b'"', b"\\u", b"\\ud800", b"null", b"1e999", b"9" * 5000, b"-0", b"[" * 200, b'{"a":' * 200)
LINES = (b"\n", b" ", b"\xff", b"\0", b"9" * 5000, b"-1", b"\x1b[2J", "é\u2028".encode(), b"x" * 10_000)
HTTP_WORDS = (
    b"\r\n",
    b"\n",
    b": ",
    b"Content-Length: ",
    b"Transfer-Encoding: chunked\r\n",
    b"Host: ",
    b"%00",
    b"\r",
    b"HTTP/1.0",
)
MARKDOWN = (b"## Constraints\n", b"- [ ] ", b"```\n", b"~~~", b"<!--", b"-->", b"\r\n", b"\t", "\u202e".encode())

TARGETS: Mapping[str, Target] = {
    "answers": Target(check=answered, seeds=answers, words=LINES),
    "documents": Target(check=document, seeds=fleet_files, words=YAML_WORDS + LINES),
    "http": Target(check=WEB.check, seeds=requests, words=HTTP_WORDS + LINES),
    "issues": Target(
        check=issue, seeds=lambda: [b"Title\n\nGoal\n\n## Constraints\n- a\n- b\n"], words=MARKDOWN + LINES
    ),
    "metas": Target(check=meta, seeds=kept_metas, words=JSON_WORDS + LINES),
    "outputs": Target(check=printed, seeds=lambda: list(outputs()), words=JSON_WORDS + LINES),
    "payloads": Target(check=payload, seeds=hooks, words=JSON_WORDS + LINES),
    "records": Target(check=record, seeds=lambda: [b"phase: created\nruns: []\n"], words=YAML_WORDS + LINES),
}
