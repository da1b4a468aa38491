"""Whose commits count, judged over real histories with real signatures: what is in force, what is not, and why."""

import subprocess
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.core.desired import Desired, Identity
from reconciler.repo import git
from reconciler.repo.desired import blobs, fleetfiles, trust
from reconciler.repo.desired.files import DesiredFiles
from reconciler.repo.desired.judging import Judge
from reconciler.repo.desired.validation import validate_paths
from reconciler.repo.journal import Journal
from tests.recording import own_git_config

__all__ = ["own_git_config"]

NOW = datetime(2040, 1, 1, tzinfo=UTC)
ADA = Identity(name="Ada", email="ada@example.org")
BOB = Identity(name="Bob", email="bob@example.org")
EVE = Identity(name="Eve", email="eve@example.org")
SETTINGS = "state/settings.yaml"
BY_ADA = "remote: origin\ntrust:\n  authors: [ada@example.org]\n"
SIGNED = "remote: origin\ntrust:\n  signed: allowed_signers\n"
MAIN = "refs/heads/main"

Files = Mapping[str, str | None]
Step = tuple[Identity, dict[str, str | None], bool]
SHELL = {"adapters/sh.yaml": "run: [sh]\n"}


def task(title: str) -> str:
    return f"title: {title}\ngoal: g\nadapter: sh\n"


def path(name: str) -> str:
    return f"state/tasks/{name}.yaml"


class Team:
    """A fleet's repository without a work tree to speak of, people who commit to it, and its desired side."""

    def __init__(self, top: Path, below: str = "") -> None:
        self.top, self.root, self.below = top, top / below, below and f"{below}/"
        self.root.mkdir(parents=True)
        git.run(top, "init", "--quiet", "--initial-branch=main")
        self.journal = Journal(top.parent / "journal.sqlite3")
        self.files = self.reopened()

    def reopened(self, journal: Journal | None = None) -> DesiredFiles:
        return DesiredFiles(self.root, journal=journal or self.journal, secret=lambda _: None, key=b"k")

    def drafts(self, who: Identity, files: Files, *, after: str = "", merges: str = "") -> str:
        """A commit by this author, on another one or on that of `main`, without moving a branch of anybody."""
        before = after or git.tip(self.top, MAIN) or ""
        git.run(self.top, "update-ref", "-d", "refs/heads/draft")
        self.imports(self.words(who, files, after=before, merges=merges))
        return git.tip(self.top, "refs/heads/draft") or ""

    def commit(self, who: Identity, files: Files, *, after: str = "", merges: str = "") -> str:
        """A commit by this author that `main` has."""
        made = self.drafts(who, files, after=after, merges=merges)
        self.moves(made)
        return made

    def history(self, steps: Iterable[Step]) -> list[str]:
        """Commits on one another; those that are to be merges bring in the same files as Eve committed them."""
        words, before = "", ""
        for number, (who, chosen, merge) in enumerate(steps):
            files = {name: text_of(name, version, who, number) for name, version in chosen.items()}
            side = f":{2 * number + 1}" if merge else ""
            if merge:
                words += self.words(EVE, files, after=before, mark=side)
            words += self.words(who, files, after=before, merges=side, mark=(before := f":{2 * number + 2}"))
        self.imports(words, f"--export-marks={self.top / 'marks'}")
        marks = dict(line.split() for line in (self.top / "marks").read_text().splitlines())
        return [marks[f":{2 * number + 2}"] for number in range(len(marks)) if f":{2 * number + 2}" in marks]

    def words(self, who: Identity, files: Files, *, after: str, merges: str = "", mark: str = "") -> str:
        """A commit as `git fast-import` takes it, on the branch `draft`."""
        lines = ["commit refs/heads/draft\n", *([f"mark {mark}\n"] if mark else [])]
        lines += [f"{role} {who.name} <{who.email}> 1700000000 +0000\n" for role in ("author", "committer")]
        subject = f"{who.name} was here"
        lines.append(f"data {len(subject)}\n{subject}\n")
        lines += [f"from {after}\n"] if after else []
        lines += [f"merge {merges}\n"] if merges else []
        for name, text in files.items():
            where = self.below + name
            data = "" if text is None else f"data {len(text.encode())}\n{text}\n"
            lines.append(f"M 100644 inline {where}\n{data}" if data else f"D {where}\n")
        return "".join(lines)

    def imports(self, words: str, *options: str) -> None:
        git.run(self.top, "fast-import", "--quiet", "--force", *options, stdin=words.encode())

    def signs(self, key: Path, files: Files, who: Identity = EVE) -> str:
        """A commit with an SSH signature."""
        made = self.drafts(who, files)
        words = ("-c", "gpg.format=ssh", *git.identity_words(who), "commit-tree", f"-S{key}", f"{made}^{{tree}}")
        self.moves(git.run(self.top, *words, "-p", MAIN, "-m", "Signed").text)
        return made

    def moves(self, commit: str) -> None:
        git.run(self.top, "update-ref", MAIN, commit)

    def now(self, *observed: str) -> Desired:
        """What is in force; a reconciler that was stopped meanwhile, and one that knows nothing yet, say the same."""
        found = self.files.refresh(NOW, observed_ids=observed)
        again = self.reopened().refresh(NOW, observed_ids=observed)
        fresh = self.reopened(Journal(Path(":memory:"))).refresh(NOW, observed_ids=observed)
        assert found == again == fresh
        return found

    def titles(self) -> dict[str, str]:
        return {name: one.value.title for name, one in self.now().tasks.items()}

    def problems(self) -> dict[str, str]:
        return {one.file: one.message for one in self.now().problems}


@pytest.fixture
def team(tmp_path: Path) -> Team:
    made = Team(tmp_path / "fleet")
    made.commit(ADA, {SETTINGS: BY_ADA, **SHELL, path("a"): task("Old")})
    return made


@pytest.fixture
def keys(tmp_path: Path) -> dict[str, Path]:
    """Who -> private key."""
    found = {}
    for name in ("ada", "mallory"):
        found[name] = tmp_path / name
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(found[name])], check=True)
    return found


def allowed(key: Path) -> str:
    return f"ada@example.org {Path(f'{key}.pub').read_text()}"


def test_a_change_by_somebody_else_is_not_in_force_and_the_problem_names_the_commit(team: Team) -> None:
    made = team.commit(EVE, {path("a"): task("New"), path("b"): task("Bad")})
    found = team.now()
    assert {name: one.value.title for name, one in found.tasks.items()} == {"a": "Old"}
    said = f"commit {made[:10]} by Eve <eve@example.org> is not trusted: Eve was here; "
    todo = ": have somebody of settings.trust commit it, or revert it"
    assert [(one.file, one.line, one.column, one.message) for one in found.problems] == [
        (path("a"), 0, 0, f"{said}the version before it stays in force{todo}"),
        (path("b"), 0, 0, f"{said}the file is not in force{todo}"),
    ]
    assert found.refused == {"b": f"{said}the file is not in force{todo}"}


@pytest.mark.parametrize(
    ("entry", "counts"),
    [
        ("ADA@example.org", True),
        ("Ada", True),
        ("Ada <Ada@Example.org>", True),
        ("ada", False),
        ("Bob <ada@example.org>", False),
        ("Ada <eve@example.org>", False),
        ("example.org", False),
    ],
)
def test_an_author_is_known_by_address_by_name_or_by_both(tmp_path: Path, entry: str, *, counts: bool) -> None:
    team = Team(tmp_path / "fleet")
    team.commit(EVE, {SETTINGS: f"remote: origin\ntrust: {{authors: ['{entry}']}}\n"})
    team.commit(ADA, {path("a"): task("By Ada")})
    assert (set(team.now().tasks) == {"a"}) == counts


def test_what_an_author_committed_after_somebody_else_counts_for_the_paths_it_touches(team: Team) -> None:
    team.commit(EVE, {path("a"): task("New"), path("b"): task("Bad")})
    team.commit(ADA, {path("a"): task("Newer")})
    assert team.titles() == {"a": "Newer"}
    assert set(team.problems()) == {path("b")}


def test_going_back_to_what_is_in_force_settles_it_whoever_does_it(team: Team) -> None:
    team.commit(EVE, {path("a"): task("New"), path("b"): task("Bad")})
    team.commit(BOB, {path("a"): task("Old"), path("b"): None})
    assert (team.titles(), team.problems(), team.now().refused) == ({"a": "Old"}, {}, {})


def test_a_file_that_somebody_else_deleted_stays_in_force(team: Team) -> None:
    team.commit(EVE, {path("a"): None, "adapters/sh.yaml": None})
    found = team.now("a")
    assert (set(found.tasks), set(found.adapters), dict(found.absent), dict(found.refused)) == ({"a"}, {"sh"}, {}, {})
    assert "; the file it removed stays in force: " in team.problems()[path("a")]
    team.commit(ADA, {path("a"): task("Old")})
    team.commit(ADA, {path("a"): None})
    assert dict(team.now("a").absent) == {"a": NOW}


def test_a_task_that_somebody_else_renames_keeps_its_name(team: Team) -> None:
    team.commit(EVE, {path("a"): None, path("sub/a"): task("Old"), path("b"): task("Old")})
    assert team.titles() == {"a": "Old"}
    assert team.now().tasks["a"].value.branch == "task/a"
    assert set(team.problems()) == {path("a"), path("sub/a"), path("b")}


def test_every_kind_of_file_is_covered(team: Team) -> None:
    team.commit(
        EVE,
        {
            "hosts/far.yaml": "transport: ssh\naddress: evil.example.org\n",
            "adapters/sh.yaml": "run: [evil]\n",
            "state/archive/old.yaml": task("Old"),
            SETTINGS: BY_ADA + "keep_runs: 3\n",
            "README.md": "anything",
        },
    )
    found = team.now()
    assert (set(found.hosts), found.adapters["sh"].value.run, found.archived) == (set(), ("sh",), frozenset())
    assert found.settings.keep_runs == 10
    assert len(found.problems) == 4


def test_nobody_else_can_switch_trust_off_or_become_trusted(team: Team) -> None:
    for text in (None, "remote: origin\n", "{}\n", BY_ADA.replace("ada@", "eve@"), "broken: ["):
        team.commit(EVE, {SETTINGS: text})
        team.commit(EVE, {path("b"): task("Bad")})
        assert team.titles() == {"a": "Old"}
        assert team.now().settings.trust is not None
    team.commit(ADA, {SETTINGS: "remote: origin\n"})
    assert team.titles() == {"a": "Old", "b": "Bad"}
    assert team.problems() == {}


def test_rules_hold_from_the_commit_after_the_one_that_makes_them(tmp_path: Path) -> None:
    team = Team(tmp_path / "fleet")
    team.commit(EVE, {path("early"): task("Early")})
    team.commit(EVE, {SETTINGS: BY_ADA, path("with"): task("With")})
    team.commit(EVE, {path("late"): task("Late")})
    assert set(team.now().tasks) == {"early", "with"}
    team.commit(ADA, {SETTINGS: BY_ADA.replace("ada@", "bob@")})
    team.commit(ADA, {path("ada"): task("Too late")})
    team.commit(BOB, {path("bob"): task("In time")})
    assert set(team.now().tasks) == {"early", "with", "bob"}


def test_broken_settings_keep_the_rules_of_their_last_good_version(team: Team) -> None:
    team.commit(ADA, {SETTINGS: "trust: {authors: [ada@example.org]}\n"})
    team.commit(EVE, {path("b"): task("Bad")})
    assert team.titles() == {"a": "Old"}
    assert '"trust" needs "remote"' in team.problems()[SETTINGS]


def test_whoever_merges_brings_it_in(team: Team) -> None:
    side = team.drafts(EVE, {path("b"): task("By Eve")})
    good = team.drafts(ADA, {path("c"): task("By Ada")})
    team.commit(ADA, {path("b"): task("By Eve")}, merges=side)
    team.commit(EVE, {path("c"): task("By Ada")}, merges=good)
    assert team.titles() == {"a": "Old", "b": "By Eve"}
    assert set(team.problems()) == {path("c")}
    team.commit(ADA, {path("d"): task("Squashed from Eve")})
    assert set(team.now().tasks) == {"a", "b", "d"}


def test_history_that_puts_another_in_front_of_what_was_judged_waits_for_somebody_trusted(team: Team) -> None:
    before = git.tip(team.top, MAIN) or ""
    known = team.commit(ADA, {path("a"): task("Newer")})
    assert team.titles() == {"a": "Newer"}
    mine = team.drafts(EVE, {SETTINGS: BY_ADA.replace("ada@", "eve@")}, after=before)
    turned = team.commit(EVE, {path("a"): task("Bad"), path("b"): task("Bad")}, after=mine, merges=known)
    for files in (team.files, team.reopened()):
        found = files.refresh(NOW)
        assert [one.value.title for one in found.tasks.values()] == ["Newer"]
        (problem,) = found.problems
        assert f"push a merge of {turned[:10]} into {known[:10]}" in problem.message
    team.commit(ADA, {path("a"): task("Newest")}, after=known, merges=turned)
    assert (team.titles(), team.problems()) == ({"a": "Newest"}, {})


def test_a_broken_version_falls_back_to_one_that_was_in_force(team: Team) -> None:
    team.commit(EVE, {path("a"): task("Bad")})
    team.titles()
    team.commit(ADA, {path("a"): "title: ["})
    assert team.titles() == {"a": "Old"}
    team.commit(ADA, {path("b"): "title: ["})
    team.commit(EVE, {path("b"): task("Bad")})
    assert team.titles() == {"a": "Old"}
    assert "the file is not valid" in team.now().refused["b"]


def test_a_fleet_may_be_a_folder_of_a_repository(tmp_path: Path) -> None:
    team = Team(tmp_path / "repository", "ops/fleet")
    team.commit(ADA, {SETTINGS: BY_ADA, path("a"): task("Old")})
    team.commit(EVE, {path("a"): task("New"), path("b"): task("Bad")})
    team.commit(ADA, {path("c"): "title: ["})
    assert team.titles() == {"a": "Old"}
    assert set(team.problems()) == {path("a"), path("b"), path("c")}


def test_a_signature_counts_when_git_finds_it_good_for_an_allowed_signer(tmp_path: Path, keys: dict[str, Path]) -> None:
    team = Team(tmp_path / "fleet")
    team.commit(EVE, {SETTINGS: SIGNED, "allowed_signers": allowed(keys["ada"]), **SHELL})
    team.signs(keys["ada"], {path("good"): task("Signed")})
    team.signs(keys["mallory"], {path("other"): task("By another key")})
    team.commit(ADA, {path("none"): task("Not signed")})
    assert set(team.now().tasks) == {"good"}
    assert set(team.problems()) == {path("other"), path("none")}
    team.signs(keys["mallory"], {"allowed_signers": allowed(keys["mallory"])})
    team.signs(keys["mallory"], {path("other"): task("Again")})
    assert set(team.now().tasks) == {"good"}
    assert "the version before it stays in force" in team.problems()["allowed_signers"]
    team.signs(keys["ada"], {"allowed_signers": allowed(keys["ada"])})
    team.signs(keys["ada"], {"allowed_signers": allowed(keys["mallory"])})
    team.signs(keys["ada"], {path("good"): task("Too late")})
    team.signs(keys["mallory"], {path("other"): task("In time")})
    assert team.titles() == {"good": "Signed", "other": "In time"}


def test_a_signature_or_an_author_is_enough(tmp_path: Path, keys: dict[str, Path]) -> None:
    team = Team(tmp_path / "fleet")
    rules = SIGNED + "  authors: [Bob]\n"
    team.commit(EVE, {SETTINGS: rules, "allowed_signers": allowed(keys["ada"])})
    team.signs(keys["ada"], {path("signed"): task("t")}, EVE)
    team.commit(BOB, {path("listed"): task("t")})
    team.commit(EVE, {path("neither"): task("t")})
    assert set(team.now().tasks) == {"signed", "listed"}


def test_no_other_program_is_run_for_a_signature_and_no_other_kind_counts(
    tmp_path: Path, keys: dict[str, Path]
) -> None:
    team, ran = Team(tmp_path / "fleet"), tmp_path / "ran"
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\necho \"$@\" >>{ran}\necho '[GNUPG:] GOODSIG 1 Ada'\necho '[GNUPG:] TRUST_FULLY'\n")
    program.chmod(0o755)
    for key in ("gpg.program", "gpg.openpgp.program", "gpg.x509.program", "gpg.ssh.program"):
        git.run(team.top, "config", key, str(program))
    team.commit(EVE, {SETTINGS: SIGNED, "allowed_signers": allowed(keys["ada"])})
    for name, kind in (("pgp", "PGP SIGNATURE"), ("x509", "SIGNED MESSAGE")):
        made = team.commit(EVE, {path(name): task("t")})
        head, _, message = git.run(team.top, "cat-file", "commit", made).stdout.decode().partition("\n\n")
        words = f"{head}\ngpgsig -----BEGIN {kind}-----\n \n iQ==\n -----END {kind}-----\n\n{message}"
        team.moves(git.run(team.top, "hash-object", "-w", "-t", "commit", "--stdin", stdin=words.encode()).text)
    git.run(team.top, "config", "--unset", "gpg.ssh.program")
    team.signs(keys["ada"], {path("ssh"): task("t")})
    git.run(team.top, "config", "gpg.ssh.program", str(program))
    assert set(team.now().tasks) == {"ssh"}
    assert not ran.exists()


@pytest.mark.parametrize("form", ["configured", "absolute", "home"])
def test_the_allowed_signers_of_the_machine_are_looked_at_again_when_they_change(
    tmp_path: Path, keys: dict[str, Path], monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    team, file = Team(tmp_path / "fleet"), tmp_path / "home" / "signers"
    file.parent.mkdir()
    monkeypatch.setenv("HOME", str(file.parent))
    git.run(team.top, "config", "gpg.ssh.allowedSignersFile", "~/signers")
    signed = {"configured": "true", "absolute": str(file), "home": "~/signers"}[form]
    team.commit(EVE, {SETTINGS: f"remote: origin\ntrust: {{signed: {signed}}}\n", **SHELL})
    team.signs(keys["ada"], {path("a"): task("t")})
    assert set(team.now().tasks) == set()
    assert team.problems()[SETTINGS].startswith('"trust.signed" ')
    file.write_text(allowed(keys["ada"]))
    assert set(team.now().tasks) == {"a"}
    assert team.problems() == {}
    file.write_text(allowed(keys["mallory"]))
    assert set(team.now().tasks) == set()


def test_a_key_that_is_revoked_or_out_of_date_does_not_count(tmp_path: Path, keys: dict[str, Path]) -> None:
    team, revoked = Team(tmp_path / "fleet"), tmp_path / "revoked"
    git.run(team.top, "config", "gpg.ssh.revocationFile", str(revoked))
    late = allowed(keys["mallory"]).replace(" ", ' valid-before="20200101" ', 1)
    team.commit(EVE, {SETTINGS: SIGNED, "allowed_signers": allowed(keys["ada"]) + late, **SHELL})
    revoked.write_text("")
    team.signs(keys["mallory"], {path("late"): task("t")})
    team.signs(keys["ada"], {path("a"): task("t")})
    assert set(team.now().tasks) == {"a"}
    revoked.write_text(Path(f"{keys['ada']}.pub").read_text())
    assert set(team.now().tasks) == set()


def test_a_person_validates_files_whoever_committed_them(team: Team) -> None:
    git.run(team.top, "checkout", "--quiet", "--force", "main")
    team.commit(EVE, {path("b"): task("Bad")})
    git.run(team.top, "reset", "--quiet", "--hard", "main")
    assert validate_paths(team.root) == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("trust: {authors: [ada]}\n", '1:8: "trust" needs "remote": without it the files of the work tree count'),
        ("remote: o\ntrust: {}\n", '2:8: "trust" names nobody: add "authors" or "signed"'),
        ("remote: o\ntrust: {authors: ['Ada <ada']}\n", 'is no author: "Ada <ada", write an address'),
        ("remote: o\ntrust: {signed: ../x}\n", '"trust.signed" is no path: "../x", write a path inside the fleet'),
        ("remote: o\ntrust: {signed: false}\n", '"trust.signed" must be true or text, not false'),
    ],
)
def test_rules_that_say_nothing_are_a_problem_of_the_settings(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / SETTINGS).write_text(text)
    (problem,) = validate_paths(tmp_path)
    assert said in f"{problem.line}:{problem.column}: {problem.message}"


def test_what_others_wrote_reaches_no_terminal_as_it_is(team: Team) -> None:
    team.commit(Identity(name="E\x1b[2Jve" + "x" * 300, email="eve@example.org"), {path("b"): task("Bad")})
    message = team.problems()[path("b")]
    assert message.isprintable()
    assert len(message) < 500


PATHS = (path("a"), path("b"), "hosts/h.yaml", SETTINGS)
STEP = st.tuples(
    st.sampled_from([ADA, ADA, BOB, EVE]),
    st.dictionaries(st.sampled_from(PATHS), st.sampled_from([None, "0", "1", "2", "3"]), min_size=1, max_size=3),
    st.booleans(),
)
BY_BOTH = BY_ADA.replace("ada@example.org", "Bob, Ada")
RULES = {BY_ADA: {ADA}, BY_BOTH: {ADA, BOB}, "remote: origin\n": None}
BROKEN = "remote: ["


@settings(deadline=None, max_examples=25)
@given(steps=st.lists(STEP, min_size=1, max_size=9), stopped=st.sets(st.integers(0, 8)))
def test_any_history_is_judged_as_one_would_by_hand(
    tmp_path_factory: pytest.TempPathFactory, steps: list[Step], stopped: set[int]
) -> None:
    """In force is, path by path, what the newest commit that counted left there."""
    team = Team(tmp_path_factory.mktemp("history") / "fleet")
    hand, commits = ByHand(), team.history(steps)
    judge = Judge(team.root, journal=team.journal, ref=MAIN)
    for number, (step, commit) in enumerate(zip(steps, commits, strict=True)):
        hand.follow(step, number)
        if number in stopped:
            judge = Judge(team.root, journal=team.journal, ref=MAIN)
        judged = judge.judged(commit)
        files = fleetfiles.at(team.root, commit, fleetfiles.FOLDERS)
        assert trust.in_force(files, judged.held) == hand.blobs()
        assert Judge(team.root, journal=Journal(Path(":memory:")), ref=MAIN).judged(commit) == judged
        assert judged.held.keys() == {name for name in PATHS if hand.tree.get(name) != hand.in_force.get(name)}


class ByHand:
    """What a person would say of a history, told only who committed what."""

    def __init__(self) -> None:
        self.tree: dict[str, str] = {}
        self.in_force: dict[str, str] = {}
        self.rules: set[Identity] | None = None
        self.last_good: set[Identity] | None = None

    def follow(self, step: Step, number: int) -> None:
        who, chosen, _ = step
        counts = self.rules is None or who in self.rules
        for name, version in chosen.items():
            text = text_of(name, version, who, number)
            if self.tree.get(name) != text:
                put(self.tree, name, text)
                if counts:
                    put(self.in_force, name, text)
        said = self.in_force.get(SETTINGS)
        self.last_good = RULES.get(said or "", self.last_good)
        self.rules = self.last_good if said is not None else None
        if self.rules is None:
            self.in_force = dict(self.tree)

    def blobs(self) -> dict[str, str]:
        return {name: blobs.blob_id(text.encode(), "sha1") for name, text in self.in_force.items()}


def put(files: dict[str, str], name: str, text: str | None) -> None:
    if text is None:
        files.pop(name, None)
    else:
        files[name] = text


def text_of(name: str, version: str | None, who: Identity, number: int) -> str | None:
    """A version of a file; that of a task says who wrote it in which commit, but for version 0."""
    if version is None:
        return None
    if name == SETTINGS:
        return (*RULES, BROKEN)[int(version)]
    return task("Plain" if version == "0" else f"{who.name} {number}")
