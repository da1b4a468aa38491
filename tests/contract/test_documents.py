"""Documents as people and machines write them: what is read, what is refused and where, what an edit leaves alone."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from reconciler.repo.desired import loading
from reconciler.repo.yaml import documents
from reconciler.repo.yaml.documents import InvalidDocument

ROOT = Path(__file__).parents[2]


def flaws(text: bytes) -> list[tuple[int, int, str]]:
    with pytest.raises(InvalidDocument) as caught:
        documents.parse(text, "f.yaml")
    problems = caught.value.problems
    assert {problem.file for problem in problems} == {"f.yaml"}
    assert all("\n" not in problem.message and len(problem.message) < 320 for problem in problems)
    return [(problem.line, problem.column, problem.message) for problem in problems]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("on", "on"),
        ("no", "no"),
        ("YES", "YES"),
        ("12:30", "12:30"),
        ("12:30:45", "12:30:45"),
        ("2026-01-01", "2026-01-01"),
        ("2026-11-22T17:00:00Z", "2026-11-22T17:00:00Z"),
        ("017", 17),
        ("0o17", 15),
        ("0x1F", 31),
        ("0b1", "0b1"),
        ("1_000", "1_000"),
        ("+3", 3),
        ("-0", 0),
        ("1.5", 1.5),
        (".5", 0.5),
        ("1e3", 1000.0),
        ("1.", 1.0),
        ("1.2.3", "1.2.3"),
        ("true", True),
        ("True", True),
        ("tRUE", "tRUE"),
        ("null", None),
        ("~", None),
        ("", None),
        ("nil", "nil"),
        ("'1'", "1"),
        ('"\\u2028"', "\u2028"),
        ("!!str 1", "1"),
        ("! 1", "1"),
        ("!!float 1", 1.0),
        ("!!int '7'", 7),
        ("a\u2028b", "a\u2028b"),
        ("a\x85b", "a\x85b"),
        ("=", "="),
        ("|\n  a\u2028b\n   c\n", "a\u2028b\n c\n"),
        ("[a, b]", ["a", "b"]),
        ("{b:1}", {"b:1": None}),
        ("a#b", "a#b"),
        ("a # b", "a"),
        ("-", [None]),
        (".", "."),
        ("1e", "1e"),
        ("0x", "0x"),
        ("0o8", "0o8"),
    ],
)
def test_values_are_those_of_yaml_1_2(text: str, value: object) -> None:
    source = "a:\n-\n" if text == "-" else f"a: {text}\n"
    found = documents.parse(source.encode(), "f.yaml").data["a"]
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    "text", [b"", b"\n", b"# only a comment\n", b"---\n", b"---\n...\n", b"\xef\xbb\xbf", b"{}", b"null"]
)
def test_an_empty_document_is_an_empty_mapping(text: bytes) -> None:
    assert documents.parse(text, "f.yaml").data == {}


BOMB = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "line", "column", "words"),
    [
        (b"a: 1\na: 2\n", 2, 1, 'duplicate key "a": it stands on line 1 already'),
        (b"x:\n  b: 1\n  'b': 2\n", 3, 3, 'duplicate key "b"'),
        (b"{a: 1, a: 1}", 1, 8, "duplicate key"),
        (b"1: a\n'1': b\n", 2, 1, "duplicate key"),
        (BOMB.encode(), 4, 0, "anchors expand past 10,000 nodes"),
        (b"a: &a [*a]\n", 1, 8, "stands inside its own anchor"),
        (b"a: *b\n", 1, 4, "no anchor"),
        (b"a: &a {x: 1}\nb:\n  <<: *a\n", 3, 3, 'merge keys ("<<") are no part of YAML 1.2'),
        (b"title: x\n<<<<<<< HEAD\ngoal: a\n=======\ngoal: b\n>>>>>>> other\n", 2, 1, "unresolved merge conflict"),
        (b"title: x\r\n=======\r\ngoal: b\r\n", 2, 1, "unresolved merge conflict"),
        (b"||||||| base\n", 1, 1, "unresolved merge conflict"),
        (b">>>>>>> theirs", 1, 1, "unresolved merge conflict"),
        (b"a: " + b"x" * 262_144, 1, 1, "larger than 256 KiB"),
        (b"a: x\nb: \xff\n", 2, 4, "byte 0xff is not UTF-8"),
        ("a: é\n".encode("latin-1"), 1, 4, "byte 0xe9 is not UTF-8"),
        ("a: x\n".encode("utf-16"), 1, 1, "is not UTF-8"),
        (b"a: x\nb: y\x00z\n", 2, 5, "U+0000"),
        (b"a: \x1b[0m\n", 1, 4, "U+001B"),
        ("a: x\ufeff\n".encode(), 1, 5, "U+FEFF"),
        (b"a:\n\tb: 1\n", 2, 1, "a tab cannot indent"),
        (b"a:\tfine\n\tb: 1\n", 2, 0, "a tab cannot indent"),
        (b"a:\n  b: 1\n \tc: 2\n", 3, 2, "a tab cannot indent"),
        (b"a: 1\n---\nb: 2\n", 2, 1, "a second document starts here"),
        (b"- a\n- b\n", 1, 1, "the top level must be a mapping"),
        (b"just words\n", 1, 1, "the top level must be a mapping"),
        (b"42", 1, 1, "the top level must be a mapping"),
        (
            b"a: !!python/object/apply:os.system ['x']\n",
            1,
            4,
            'the tag "!!python/object/apply:os.system" is not allowed',
        ),
        (b"a: !custom x\n", 1, 4, 'the tag "!custom" is not allowed'),
        (b"!x {a: 1}\n", 1, 1, "the tag"),
        (b"a: !!int x\n", 1, 4, "does not fit its tag"),
        (b"a: !!binary eA==\n", 1, 4, "the tag"),
        (b"? [a]\n: b\n", 1, 3, "cannot be a key"),
        (b"a: .inf\n", 1, 4, "no finite number"),
        (b"a: -.INF\n", 1, 4, "no finite number"),
        (b"a: .nan\n", 1, 4, "no finite number"),
        (b"a: 1e999\n", 1, 4, "no finite number"),
        (b"a: " + b"9" * 5000, 1, 4, "more than 400 digits"),
        (b'a: "\\ud800"\n', 1, 4, "surrogate"),
        (b"a: 'x\n", 0, 0, "not valid YAML"),
        (b"a: [1,\n", 0, 0, "not valid YAML"),
        (b"a: b: c\n", 1, 5, "not valid YAML"),
        (b"title: x\n goal: y\n", 2, 0, "not valid YAML"),
        (b"a: " + b"[" * 5000, 1, 0, "nested deeper than 64 levels"),
        (b"a: " + b"{a: " * 5000, 1, 0, "nested deeper than 64 levels"),
        (b"a: @x\n", 1, 4, "not valid YAML"),
        (b"%YAML 3.0\n---\na: 1\n", 1, 0, "not valid YAML"),
    ],
)
def test_what_may_not_stand_in_a_file_is_named_with_its_place(text: bytes, line: int, column: int, words: str) -> None:
    found = flaws(text)
    assert len(found) == 1, found
    assert words in found[0][2]
    assert line in (0, found[0][0]), found
    assert column in (0, found[0][1]), found


def test_what_the_program_wrote_itself_may_be_larger() -> None:
    text = documents.dump({"runs": [{"summary": "x" * 4000}] * 100})
    assert len(documents.parse(text, "f.yaml", max_bytes=1_000_000).data["runs"]) == 100  # type: ignore[arg-type]  # a list
    assert "larger than 256 KiB" in flaws(text)[0][2]


def test_several_flaws_are_all_told() -> None:
    assert [line for line, _, _ in flaws(b"a: 1\na: 2\nb: !x y\nc: .inf\n")] == [2, 3, 4]


def test_conflict_markers_inside_a_block_of_text_are_text() -> None:
    text = b"goal: |\n  Resolve this:\n  <<<<<<< HEAD\n  =======\n  >>>>>>> x\n"
    assert "<<<<<<< HEAD\n" in str(documents.parse(text, "f").data["goal"])


def test_an_anchor_may_be_repeated_within_reason() -> None:
    data = documents.parse(b"a: &x [1, {b: 2}]\nc: *x\nd: *x\n", "f").data
    assert data["c"] == data["d"] == [1, {"b": 2}]


def test_places_are_those_of_keys_and_values() -> None:
    parsed = documents.parse("é: 1\nb:\n  - x\n  - {c: 😀, d: y}\n".encode(), "f")
    assert (parsed.key(("b",)), parsed.value(("b", 1, "d"))) == ((2, 1), (4, 15))
    assert parsed.key(("b", 1, "d")) == (4, 12)
    assert parsed.value(("b", 1, "missing", 3)) == parsed.value(("b", 1)) == (4, 5)


def test_machine_written_text_is_quoted_where_a_reader_could_err_and_blocks_are_literal() -> None:
    data: Mapping[str, object] = {
        "phase": "running",
        "since": "2026-11-22T17:00:00Z",
        "word": "on",
        "sha": "1e3",
        "text": "a\n\n  b\n",
        "none": None,
        "cut": "a\nb",
        "runs": [{"epoch": 1, "log": "x\ny\n"}, []],
        "empty": {},
        "list": ["two words", True, 1.5],
    }
    assert documents.dump(data).decode() == (
        'phase: running\nsince: "2026-11-22T17:00:00Z"\nword: "on"\nsha: "1e3"\ntext: |\n  a\n\n    b\n"none": null\n'
        "cut: |-\n  a\n  b\nruns:\n  - epoch: 1\n    log: |\n      x\n      y\n  - []\nempty: {}\n"
        "list:\n  - two words\n  - true\n  - 1.5\n"
    )


HOLD = {"desired": "hold"}


@pytest.mark.parametrize(
    ("before", "changes", "after"),
    [
        ("title: x\ndesired: run  # now\n# end\n", HOLD, "title: x\ndesired: hold  # now\n# end\n"),
        ("desired: 'run'\n", HOLD, "desired: 'hold'\n"),
        ('desired: "run"\nb: 1\n', HOLD, 'desired: "hold"\nb: 1\n'),
        ("desired:\nb: 1\n", HOLD, "desired: hold\nb: 1\n"),
        ("desired:   # what I want\nb: 1\n", HOLD, "desired: hold   # what I want\nb: 1\n"),
        ("a: 1\r\ndesired: run\r\nb: 2\r\n", HOLD, "a: 1\r\ndesired: hold\r\nb: 2\r\n"),
        ("a: 1\r\nb: 2", HOLD, "a: 1\r\nb: 2\r\ndesired: hold\r\n"),
        ("a: 1\nb: 2", HOLD, "a: 1\nb: 2\ndesired: hold\n"),
        ("a: 1\n\n# the end\n", HOLD, "a: 1\ndesired: hold\n\n# the end\n"),
        ("goal: |\n  a\n\n  b\n\n\n# c\nx: 1\n", {"goal": "z\ny\n"}, "goal: |\n  z\n  y\n\n\n# c\nx: 1\n"),
        ("goal: |+\n  a\n\n", HOLD, "goal: |+\n  a\n\ndesired: hold\n"),
        ("goal: |\n  a", HOLD, "desired: hold\ngoal: |\n  a"),
        ("{title: x, desired: run}\n", HOLD, "{title: x, desired: hold}\n"),
        ("{title: x}\n", HOLD, '{title: x, "desired": "hold"}\n'),
        ("{}\n", HOLD, '{"desired": "hold"}\n'),
        ("---\ntitle: x\n...\n", HOLD, "---\ntitle: x\ndesired: hold\n...\n"),
        ("# only\n", HOLD, "# only\ndesired: hold\n"),
        ("", HOLD, "desired: hold\n"),
        ("\ufefftitle: x\n", HOLD, "\ufefftitle: x\ndesired: hold\n"),
        ("a: 1 # one\nb:\n  - x\n  - y # last\n# tail\nc: 3\n", {"b": None}, "a: 1 # one\n# tail\nc: 3\n"),
        ("a: 1\nb: 2 # gone\n", {"b": None}, "a: 1\n"),
        ("{a: 1, b: 2}", {"b": None}, "{a: 1}"),
        ("{a: 1, b: 2}", {"a": None}, "{b: 2}"),
        ("a: 1\n", {"b": None}, "a: 1\n"),
        ("a: [1, 2] # two\nb: 1\n", {"a": 3}, "a: 3 # two\nb: 1\n"),
        ("a: 1\n", {"a": ["x", "z"]}, "a:\n  - x\n  - z\n"),
        (
            "generation: 1 # count\ndesired: hold\n",
            {"generation": 2, "desired": "run"},
            "generation: 2 # count\ndesired: run\n",
        ),
        ("a: &x run\ndesired: *x\nb: *x\n", HOLD, "a: &x run\ndesired: hold\nb: *x\n"),
        ("desired: &x run\nb: *x\n", HOLD, "desired: hold\nb: run\n"),
        ("# c\n  a: 1\n  b: |\n    x\n", HOLD, "# c\n  a: 1\n  b: |\n    x\n  desired: hold\n"),
        ("--- # c\n  a: |\n    x", HOLD, "--- # c\n  desired: hold\n  a: |\n    x"),
        ("desired: >-\n  run\n# c\n  # d\na: 1\n", HOLD, "desired: hold\n# c\n  # d\na: 1\n"),
        ("---\n# c\n...\n", HOLD, "---\n# c\ndesired: hold\n...\n"),
    ],
)
def test_an_edit_is_as_small_as_it_can_be(before: str, changes: dict[str, object], after: str) -> None:
    assert documents.edit(before.encode(), changes).decode() == after


def test_an_unreadable_file_is_not_edited() -> None:
    with pytest.raises(InvalidDocument, match="not valid YAML"):
        documents.edit(b"a: [", HOLD)


TASK = "title: t\ngoal: g\n"


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("task", TASK),
        ("task", "title: 'on'\ngoal: |\n  x\n"),
        ("task", TASK + "timeout: 1h30m\nidle_timeout: none\n"),
        ("task", TASK + "repository: git@git.example.org:team/x.git\nbase: main\nbranch: feature/a-b\n"),
        ("task", TASK + "repository: ssh://git@[::1]:22/x\n"),
        ("task", TASK + "env: {A: '1', b_2: ''}\nsecrets: [X]\n"),
        ("task", TASK + "priority: -5\nmax_reviews: 0\nexecution_mode: http_pull\n"),
        ("host", "transport: pull\n"),
        ("host", "transport: ssh\naddress: alias\njump: [u@h:22, '[::1]:22', gate]\n"),
        ("host", "transport: local\nworkdir: /srv/x\nlauncher: {submit: [a], alive: [b], cancel: [c]}\n"),
        ("host", "transport: local\ndrain: {reason: r, until: '2026-11-22T17:00:00+01:00'}\n"),
        ("adapter", "run: [a, [--model, '{model}'], '{permissions}', '--x={run_dir}/y', '{\"a\": 1}']\n"),
        ("adapter", "run: [a]\nexit_codes: {2: config, '41': auth}\noutput: {summary: [a, b], error: c}\n"),
        ("adapter", "run: [a]\nfailures: [{class: usage_limit, pattern: 'until (?P<at>.*)', resets: at}]\n"),
        ("adapter", "run: [a]\nversion: {run: [a, --version], pattern: '([0-9.]+)', minimum: 1.2.3}\n"),
        ("settings", ""),
        ("settings", "limits: {running: none, mass_death: none, launches_per_task_per_hour: 3}\n"),
        ("settings", "limits: {mass_death: {deaths: 3, share: 0.2, within: 2m}}\nlisten: '[::1]:80'\n"),
        ("settings", "closed_breakers: {fleet: 2026-11-22T17:00:00Z, host/a: '2026-11-22T17:00:00Z'}\n"),
        (
            "settings",
            "forge: {kind: forgejo, url: 'https://x', repositories: [a/b], label: go}\nlost_after: {ssh: 1h}\n",
        ),
    ],
)
def test_valid_examples_are_valid(kind: str, text: str) -> None:
    assert loading.load(kind, text.encode(), "f.yaml").problems == ()


@pytest.mark.parametrize(
    ("kind", "text", "message"),
    [
        ("task", TASK + "adpater: x\n", '3:1 unknown key "adpater": did you mean "adapter"?'),
        ("task", TASK + "priority: high\n", '3:11 "priority" must be an integer, not "high"'),
        ("task", TASK + "desired: halt\n", '3:10 "desired" must be one of run, hold, cancel, not "halt"'),
        ("task", TASK + "timeout: 90\n", '3:10 "timeout" must be a duration such as 90s, 45m or 1h30m, not 90'),
        ("task", TASK + "timeout: 1.5h\n", '3:10 "timeout" must be a duration'),
        ("task", TASK + "timeout: 0s\n", '3:10 "timeout" must be a duration'),
        ("task", TASK + "timeout: none\n", '3:10 "timeout" must be a duration'),
        ("task", TASK + "max_turns: true\n", '3:12 "max_turns" must be an integer, not true'),
        ("task", TASK + "generation: 0\n", '3:13 "generation" must be at least 1, not 0'),
        ("task", TASK + "host:\n", '"host" must be text, but has no value'),
        ("task", TASK + "env: {A: 1}\n", '3:10 "env.A" must be text without NUL, not 1: put it in quotes'),
        ("task", TASK + 'env: {A: "a\\0"}\n', "text without NUL"),
        ("task", TASK + "env: {1A: x}\n", '3:7 the key "1A" must be a variable name'),
        ("task", TASK + "env: {RECONCILER_RUN: x}\n", '"RECONCILER_RUN" is set by the reconciler itself'),
        ("task", TASK + "secrets: [A B]\n", '3:11 "secrets[0]" must be a variable name'),
        ("task", "title: t\n", '1:1 the required key "goal" is missing'),
        ("task", 'title: "a\\nb"\ngoal: g\n', '1:8 "title" must be one line of text'),
        ("task", "title: ' '\ngoal: g\n", '1:8 "title" must be one line of text'),
        ("task", TASK + 'host: "a\\n"\n', '3:7 "host" must be an id'),
        ("task", TASK + "repository: -oProxyCommand=x\n", "must not start with -"),
        ("task", TASK + "repository: 'ext::sh -c x'\n", 'must not use the transport "ext::"'),
        ("task", TASK + 'repository: "a\\u0007"\n', "must not hold control characters"),
        ("task", TASK + "branch: --x\n", '"branch" is no branch name of git'),
        ("task", TASK + "base: a..b\n", '"base" is no branch name of git'),
        ("task", TASK + "issue: javascript:x\n", "http"),
        ("host", "transport: ssh\n", '1:1 "address" is missing, an ssh host needs it'),
        ("host", "transport: ssh\naddress: -x\n", '2:10 "address" must be a host name'),
        ("host", "transport: local\nworkdir: rel/x\n", '2:10 "workdir" must be a path that starts with / or ~/'),
        ("host", 'transport: local\nworkdir: "/a\\nb"\n', '"workdir" must be'),
        ("host", "transport: local\ndrain: {reason: r, until: tomorrow}\n", '2:27 "drain.until" must be a time'),
        ("host", "transport: local\ndrain: {reason: r, until: '2026-02-30T00:00:00Z'}\n", "no day and time"),
        ("host", "transport: local\nlauncher: slurm\n", '"launcher" must be setsid or a mapping, not "slurm"'),
        ("host", "transport: local\nport: 70000\n", '"port" must be at most 65535'),
        ("host", "transport: local\ntoken_sha256: [abc]\n", '"token_sha256[0]" must be a SHA-256 digest'),
        ("host", "transport: ssh\naddress: a\njump: ['-x']\n", '"jump[0]" is no jump host'),
        ("adapter", "run: [a, '{foo}']\n", '1:10 unknown placeholder "{foo}"'),
        ("adapter", "run: [a, [b, '{foo}x']]\n", '1:14 unknown placeholder "{foo}"'),
        ("adapter", "run: [a, '{modle}']\n", 'unknown placeholder "{modle}": did you mean "{model}"?'),
        ("adapter", "run: [sh, -c, 'cat {prompt_fil}']\n", 'did you mean "{prompt_file}"?'),
        ("host", "transport: local\nlauncher: {submit: [a, '{scrip}'], alive: [b], cancel: [c]}\n", '"{script}"?'),
        ("host", "transport: local\nlauncher: {submit: ['{job}'], alive: [b], cancel: [c]}\n", 'placeholder "{job}"'),
        ("adapter", "run: [a, 'x{permissions}']\n", "must be a word of its own"),
        ("adapter", "run: [a]\noutput: {summary: ['a', 'b[']}\n", "no JMESPath expression"),
        ("adapter", "run: [a]\nfailures: [{class: auth, pattern: '('}]\n", "is no regular expression"),
        ("adapter", "run: [a]\nfailures: [{class: auth, pattern: 'x', resets: 1}]\n", "has no group 1"),
        ("adapter", "run: [a]\nversion: {run: [a], pattern: 'x'}\n", "must have one group"),
        ("adapter", "run: [a]\nexit_codes: {-1: auth}\n", "an exit code from 0 to 255"),
        ("adapter", "run: [a]\noutput: {files: {../x: a}}\n", "must be a name of letters"),
        ("adapter", "run: [a]\noutput: {files: {x: a/../../b}}\n", "must be a path inside the run folder"),
        ("adapter", "run: [a]\noutput: {files: {x: '-rf'}}\n", "must be a path inside the run folder"),
        ("adapter", "run: a b\n", '"run" must be a list, not "a b"'),
        ("settings", "lease: 3\n", '"lease" must be a duration'),
        ("settings", "listen: nowhere\n", '"listen" must be address:port'),
        ("settings", "limits: {running: many}\n", '"limits.running" must be an integer or none, not "many"'),
        ("settings", "limits: {mass_death: {share: 2}}\n", '"limits.mass_death.share" must be at most 1'),
        ("settings", "closed_breakers: {all: 2026-11-22T17:00:00Z}\n", "a breaker: fleet, host/ID"),
        ("settings", "closed_breakers: {fleet: today}\n", "a UTC time such as"),
        ("settings", "forge: {kind: gitlab, url: 'https://x'}\n", '"forge.kind" must be one of'),
        ("settings", "remote: 'ext::x'\n", '"remote" must not use the transport'),
    ],
)
def test_invalid_examples_say_what_is_wrong_and_where(kind: str, text: str, message: str) -> None:
    found = [f"{one.line}:{one.column} {one.message}" for one in loading.load(kind, text.encode(), "f.yaml").problems]
    assert any(message in one for one in found), found


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("adapter", "run: [sh, -c, 'f=$1; cat \"${f}\"', '${x}']\n"),
        ("adapter", "run: [sh, -c, \"awk '{print}' <{prompt_file}\"]\n"),
        (
            "host",
            "transport: local\nlauncher: {submit: [a, '{script}'], alive: [b, '{job}'], cancel: [c, '{run_id}']}\n",
        ),
    ],
)
def test_braces_of_other_languages_are_no_placeholders(kind: str, text: str) -> None:
    assert loading.load(kind, text.encode(), "f.yaml").problems == ()


@pytest.mark.parametrize("path", [path.relative_to(ROOT) for path in sorted(ROOT.glob("adapters/*.yaml"))], ids=str)
def test_shipped_adapters_are_valid(path: Path) -> None:
    assert loading.load("adapter", (ROOT / path).read_bytes(), str(path)).problems == ()


def test_this_repository_is_a_fleet_with_an_example_on_hold() -> None:
    task = loading.load("task", (ROOT / "state/tasks/say-hello.yaml").read_bytes(), "t")
    host = loading.load("host", (ROOT / "hosts/localhost.yaml").read_bytes(), "h")
    assert (task.problems, host.problems) == ((), ())
    assert getattr(task.value, "desired", None) == "hold"
