"""Several reconcilers under load, and whatever happens to the one that leads: no task runs twice, none is lost.

Both clones use the same host, as two machines would use the same machines.
"""

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.contract.sshd import required_tool
from tests.e2e.clones import Clones, Started, reconciling, start
from tests.e2e.fleets import Fleet, git
from tests.fault import test_link_faults
from tests.waiting import until

pytestmark = pytest.mark.fault

SAMPLED = "FAULT_SAMPLE" in os.environ
TASKS = 8 if SAMPLED else 24
ALONE = "refs/reconciler/superseded"

link = test_link_faults.link


@pytest.fixture
def clones(tmp_path: Path) -> Iterator[Clones]:
    made = Clones.make(tmp_path)
    yield made
    made.end()


def sampled_out(whether: bool = True) -> None:  # noqa: FBT001, FBT002 - said at its one place
    """A sample of all faults must be short, and this one is long."""
    if SAMPLED and whether:
        pytest.skip("it is left out of the sample")


def load(clones: Clones, wave: int, count: int = TASKS) -> list[str]:
    """People push this many short tasks; their ids."""
    names = [f"t{wave}-{number}" for number in range(count)]
    for name in names:
        clones.people.task(name, f"{clones.people.ran}sleep 0.{1 + int(name[-1])}", priority=-wave)
    clones.push(f"Want wave {wave}")
    return names


def completed(clones: Clones) -> int:
    listed = git(clones.bare.path, "ls-tree", "-r", "--name-only", "observed", check=False)
    return listed.count("/done/")


def each_once(clones: Clones, names: list[str], *, seconds: float = 180) -> None:
    """All of these come to be completed, each by one run, and the record says so in one line."""
    until(lambda: completed(clones) >= len(names), seconds=seconds, every=0.3)
    for name in names:
        seen = clones.origin.observed(name)
        assert (seen["phase"], seen.get("attempts", 0), len(seen["runs"])) == ("completed", 0, 1), seen
    assert sorted(clones.people.runs()) == sorted(f"{name}.1" for name in names)
    clones.linear()


def under_way(clones: Clones, few: int = 3) -> None:
    """Some tasks are done, and not all of them."""
    until(lambda: completed(clones) >= few, seconds=60, every=0.05)


def took_over(standby: Started, since_s: float, how: str, most_s: float) -> None:
    standby.until_said("leading in term 2", seconds=most_s + 30)
    took_s = time.monotonic() - since_s
    print(f"takeover after {how}: {took_s:.1f} s")  # noqa: T201 - a figure to be read
    assert took_s < most_s


def alone(fleet: Fleet) -> list[str]:
    """What was recorded by a leader that another one had followed, as it is kept."""
    return git(fleet.root, "for-each-ref", "--format=%(refname)", ALONE).splitlines()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP], ids=lambda number: number.name)
def test_a_leader_that_is_stopped_or_killed_is_followed_and_nothing_runs_twice(
    clones: Clones, how: signal.Signals
) -> None:
    sampled_out(how is signal.SIGKILL)
    one, two = clones.clone("one"), clones.clone("two")
    names = load(clones, 1)
    leader = start(one)
    try:
        leader.until_said("leading in term 1")
        with reconciling(two) as standby:
            standby.until_said("standing by: ")
            under_way(clones)
            leader.signal(how)
            took_over(standby, time.monotonic(), how.name, 30)
            names += load(clones, 2, 4)
            if how is signal.SIGSTOP:
                before = leader.said()
                leader.signal(signal.SIGCONT)
                said = leader.until_said("this process leads no more: ", "standing by: ").removeprefix(before)
                assert "created -> assigned" not in said
            each_once(clones, names)
            if how is signal.SIGSTOP:
                until(lambda: len({git(place, "rev-parse", "observed") for place in (one.root, clones.bare.path)}) == 1)
                print(f"recorded alone and kept: {alone(one)}")  # noqa: T201 - a figure to be read
    finally:
        leader.signal(signal.SIGCONT)
        leader.process.kill()
    assert clones.terms() == sorted(clones.terms())  # nothing was written in a term that was over


def test_at_the_products_own_pace_a_standby_leads_within_ninety_seconds(clones: Clones) -> None:
    sampled_out()
    one, two = clones.clone("one"), clones.clone("two")
    names = load(clones, 1, 4)
    leader = start(one, PACE="1")
    try:
        leader.until_said("leading in term 1")
        with reconciling(two, PACE="1") as standby:
            standby.until_said("standing by: ")
            under_way(clones, 1)
            leader.signal(signal.SIGKILL)
            took_over(standby, time.monotonic(), "SIGKILL at the product's own pace", 90)
            each_once(clones, names)
    finally:
        leader.process.kill()


@pytest.fixture
def daemon(link: test_link_faults.Link, clones: Clones) -> Iterator[str]:
    """The remote at the other end of a cable; its URL."""
    words = (
        "git", "daemon", "--reuseaddr", "--export-all", "--enable=receive-pack", f"--base-path={clones.folder}",
        f"--listen={link.far}", "--port=9418",
    )  # fmt: skip
    server = subprocess.Popen(
        [required_tool("ip"), "netns", "exec", link.name, *words],
        env={**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    url = f"git://{link.far}/fleet.git"
    try:
        until(lambda: subprocess.run(["git", "ls-remote", url], capture_output=True, check=False).returncode == 0)
        yield url
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def test_a_leader_that_is_cut_off_goes_on_with_its_runs_and_hands_them_over(
    clones: Clones, link: test_link_faults.Link, daemon: str
) -> None:
    sampled_out()
    one, two = clones.clone("one", daemon), clones.clone("two")
    names = load(clones, 1)
    with reconciling(one) as leader:
        leader.until_said("leading in term 1")
        with reconciling(two) as standby:
            standby.until_said("standing by: ")
            under_way(clones)
            link.cut()
            began = time.monotonic()
            took_over(standby, began, "a cut", 30)
            leader.until_said("could not be renewed in time, so nothing new starts; runs go on", seconds=60)
            names += load(clones, 2, 4)
            each_once(clones, names)
            link.mend()
            leader.until_said("this process leads no more: ", "standing by: ", seconds=90)
            until(lambda: git(one.root, "rev-parse", "observed") == git(clones.bare.path, "rev-parse", "observed"))
        leader.until_said("leading in term 3")
    kept = alone(one)
    print(f"recorded alone and kept: {kept}")  # noqa: T201 - a figure to be read
    warned = re.findall(rf"records that another leader has overtaken are kept at ({ALONE}/\S+)", leader.said())
    assert kept == warned
    for ref in kept:
        assert git(one.root, "merge-base", ref, "observed")
    assert clones.terms() == sorted(clones.terms())


def test_a_remote_that_is_gone_for_long_delays_only_what_is_new_and_is_caught_up_in_order(clones: Clones) -> None:
    sampled_out()
    one = clones.clone("one")
    waits = f"{clones.people.ran}until [ -e {clones.folder}/go ]; do sleep 0.05; done"
    running = [f"w{number}" for number in range(6)]
    for name in running:
        clones.people.task(name, waits)
    clones.push()
    away = clones.bare.path.with_name("away.git")
    with reconciling(one) as leader:
        for name in running:
            clones.until_phase(name, "running")
        clones.bare.path.rename(away)
        began = time.monotonic()
        (clones.folder / "go").touch()
        for name in running:
            leader.process.until_phase(name, "completed")
        delayed_s = time.monotonic() - began
        leader.until_said("could not be renewed in time, so nothing new starts; runs go on")
        until(lambda: time.monotonic() - began > 40, seconds=60)
        here = git(one.root, "rev-parse", "observed")
        away.rename(clones.bare.path)
        names = load(clones, 1, 6)
        each_once(clones, [*running, *names])
        assert git(clones.bare.path, "merge-base", "--is-ancestor", here, "observed") == ""
    assert delayed_s < 30
    assert set(clones.terms()) == {"1"}


def test_five_hundred_commits_of_people_and_those_of_the_reconciler_are_all_kept(clones: Clones) -> None:
    each = 10 if SAMPLED else 167
    one = clones.clone("one")
    places = [clones.clone(f"person-{number}") for number in range(3)]

    def commits(fleet: Fleet) -> list[str]:
        """Somebody who commits and pushes until it is in, again and again."""
        done = []
        for number in range(each):
            name = f"{fleet.folder.name}-{number}"
            goal = clones.people.ran if number % (each // 5) == 0 else "true"
            fleet.task(name, goal, desired="run" if goal != "true" else "hold")
            fleet.commit(name)
            while git(fleet.root, "push", "-q", "origin", "main", check=False) or not pushed(fleet):
                git(fleet.root, "pull", "-q", "--rebase", "origin", "main")
            done.append(name)
        return done

    def pushed(fleet: Fleet) -> bool:
        git(fleet.root, "fetch", "-q", "origin", "main")
        return git(fleet.root, "rev-list", "--count", "FETCH_HEAD..main") == "0"

    with reconciling(one) as leader:
        leader.until_said("leading in term 1")
        with ThreadPoolExecutor(3) as people:
            done = [name for names in people.map(commits, places) for name in names]
        wanted = {run for run in done if int(run.rpartition("-")[2]) % (each // 5) == 0}
        until(lambda: {run.rpartition(".")[0] for run in clones.people.runs()} == wanted, seconds=120)
        until(lambda: completed(clones) == len(wanted), seconds=120)
        until(lambda: git(one.root, "rev-parse", "main") == git(clones.bare.path, "rev-parse", "main"), seconds=60)
    assert len(done) == 3 * each
    subjects = git(clones.bare.path, "log", "--format=%s", "main").splitlines()
    assert sorted(set(subjects) & set(done)) == sorted(done)
    assert len(clones.people.runs()) == len(wanted)
    clones.linear()
    for repository in (one.root, clones.bare.path):
        git(repository, "fsck", "--full", "--no-dangling")


def test_a_service_clone_that_is_deleted_and_cloned_again_adopts_its_runs(clones: Clones) -> None:
    one = clones.clone("one")
    waits = f"{clones.people.ran}until [ -e {clones.folder}/go ]; do sleep 0.05; done"
    names = [f"w{number}" for number in range(5)]
    for name in names:
        clones.people.task(name, waits)
    clones.push()
    leader = start(one)
    for name in names:
        clones.until_phase(name, "running")
    leader.process.kill()
    subprocess.run(["rm", "-rf", str(one.root)], check=True)
    git(one.folder, "clone", "-q", str(clones.bare.path), str(one.root))
    began = time.monotonic()
    with reconciling(one) as again:
        again.until_said("leading in term 2")
        print(f"takeover of a new clone: {time.monotonic() - began:.1f} s")  # noqa: T201 - a figure to be read
        (clones.folder / "go").touch()
        each_once(clones, names)
