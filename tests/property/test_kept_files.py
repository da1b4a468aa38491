"""Files that are taken in one by one make the fleet that all of them make at once, whatever people do to them."""

import random
import shutil
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from reconciler.core.desired import Desired
from reconciler.repo import git
from reconciler.repo.desired.files import DesiredFiles
from reconciler.repo.desired.news import News
from reconciler.repo.journal import Journal
from tests.recording import NOW, PERSON, new_fleet, own_git_config, person_commits

__all__ = ["own_git_config"]

IDS = [f"t{number}" for number in range(7)]
ODD = ("title: [\n", "title: T\ngoal: G\nprioritty: 1\n", "title: T\ngoal: G\n---\n", "title: &a T\ngoal: *a\n")


class People:
    """What people do to files, and what is recorded of their tasks meanwhile."""

    def __init__(self, root: Path, dice: random.Random) -> None:
        self.root, self.dice = root, dice
        self.known: set[str] = set()
        self.finished: set[str] = set()

    def act(self) -> News:
        """One thing; what is told of it."""
        dice = self.dice
        folder = dice.choice(["", "", "", "sub/", "new/"])
        path = self.root / f"state/tasks/{folder}{dice.choice(IDS)}.yaml"
        match dice.randrange(15):
            case 0 | 1 | 2 | 3 | 4:
                path.parent.mkdir(exist_ok=True)
                path.write_text(self.task())
            case 5:
                path.parent.mkdir(exist_ok=True)
                path.write_text(dice.choice(ODD))
            case 6:
                path.unlink(missing_ok=True)
            case 7:
                there = [*(self.root / "state/tasks").rglob("*.yaml")]
                path = dice.choice(there) if there else path
                other = path.with_name(f"{dice.choice(IDS)}.yaml")
                if there:
                    path.rename(other)
                return News(paths=frozenset({path, other}))
            case 8 | 11:
                return self.surround()
            case 9:
                return self.record()
            case 10:
                shutil.rmtree(self.root / "state/tasks/new", ignore_errors=True)
                path = self.root / "state/tasks/new"
            case 12 | 13:
                there = [*(self.root / "state/tasks").rglob("*.yaml")]
                path, number = dice.choice(there) if there else path, dice.random()
                person_commits(
                    self.root, path.relative_to(self.root).as_posix(), f"{dice.choice([self.task(), *ODD])}# {number}\n"
                )
            case _:
                person_commits(self.root, f"notes/{dice.random()}", "x")
        return News(paths=frozenset({path}))

    def surround(self) -> News:
        """A change of a host or of the settings; of these nobody need be told before anything is given out."""
        dice = self.dice
        if dice.random() < 0.5:
            said = ["default_adapter: shell\n", "model: m\n", "permissions: full\n", "model: [\n"]
            (self.root / "state/settings.yaml").write_text(dice.choice(said))
            return News()
        path = self.root / "hosts" / f"{dice.choice('hi')}.yaml"
        path.write_text(f"transport: local\nslots: {dice.randrange(1, 9)}\n")
        if dice.random() < 0.3:
            path.unlink()
        return News()

    def record(self) -> News:
        name = self.dice.choice(IDS)
        for kind in (self.known, self.finished):
            kind.discard(name)
        if self.dice.random() < 0.8:
            self.known.add(name)
            if self.dice.random() < 0.4:
                self.finished.add(name)
        return News(tasks=frozenset({name}))

    def task(self) -> str:
        dice = self.dice
        lines = [f"title: T{dice.randrange(3)}", "goal: G"]
        if dice.random() < 0.8:
            lines.append(f"adapter: {dice.choice(['shell', 'shel'])}")
        if dice.random() < 0.5:
            lines.append(f"depends_on: [{', '.join(dice.sample([*IDS, 'gone'], dice.choice([1, 2])))}]")
        if dice.random() < 0.6:
            lines.append(f"repository: https://x.example/{dice.choice('ab')}.git")
            if dice.random() < 0.6:
                lines.append(f"branch: {dice.choice(['task/t0', 'task/t1', 'same'])}")
        if dice.random() < 0.3:
            lines.append(f"secrets: [{dice.choice(['ONE', 'TWO'])}]")
        return "".join(f"{line}\n" for line in lines)


@pytest.fixture(params=range(4))
def people(tmp_path: Path, request: pytest.FixtureRequest) -> People:
    fleet = new_fleet(tmp_path / "fleet")
    (fleet.root / "hosts").mkdir()
    person_commits(fleet.top, "adapters/shell.yaml", 'run: [sh, "{prompt_file}"]\n')
    return People(fleet.root, random.Random(request.param))  # noqa: S311 - a test's dice


def test_what_is_taken_in_by_and_by_is_what_all_files_say(people: People, tmp_path: Path) -> None:
    journals = Journal(tmp_path / "one"), Journal(tmp_path / "other")
    kept, whole = (DesiredFiles(people.root, journal=one, secret=lambda name: name, key=b"k") for one in journals)
    now, news = NOW, None
    for number in range(40):
        now += timedelta(days=36500) if number == 0 else timedelta(seconds=20)
        news = people.act() if number else None
        if news is not None and people.dice.random() < 0.2:
            news = News(paths=frozenset({people.root / "state"}), tasks=news.tasks)  # what was told got lost
        if number and not kept.is_shared_still():
            news = News(everything=True)
        by_and_by = kept.refresh(now, observed_ids=people.known, finished_ids=people.finished, news=news)
        at_once = whole.refresh(now, observed_ids=people.known, finished_ids=people.finished)
        assert comparable(by_and_by) == comparable(at_once)
        if number % 8 == 0:
            anew = DesiredFiles(people.root, journal=journals[1], secret=lambda name: name, key=b"k")
            first = anew.refresh(now, observed_ids=people.known, finished_ids=people.finished)
            assert first.tasks == comparable(at_once).tasks
    for journal in journals:
        journal.close()


def test_what_commits_bring_by_and_by_is_what_the_last_one_says(people: People, tmp_path: Path) -> None:
    person_commits(people.root, "state/settings.yaml", "remote: origin\n")
    journal, dice = Journal(tmp_path / "journal"), people.dice
    kept = DesiredFiles(people.root, journal=journal, secret=lambda name: name, key=b"k")
    for number in range(14):
        path = dice.choice(
            [f"state/tasks/{dice.choice(IDS)}.yaml"] * 6 + ["hosts/h.yaml", "state/archive/t1.yaml", "n"]
        )
        text = f"transport: local\nslots: {number + 1}\n" if path == "hosts/h.yaml" else f"{people.task()}# {number}\n"
        if dice.random() < 0.2 and (people.root / path).exists():
            (people.root / path).unlink()
            git.run(people.root, *git.identity_words(PERSON), "commit", "--quiet", "--all", "--message", "Remove it")
        else:
            person_commits(people.root, path, dice.choice([text] * 12 + [*ODD]) + f"# {number}\n")
        now = NOW + timedelta(seconds=40 * number)
        news = News(everything=dice.random() < 0.2)
        live = dice.choice([[], ["h"], ["h", "t1"]])
        by_and_by = kept.refresh(now, observed_ids=IDS[:2], live_hosts=live, news=news)
        anew = DesiredFiles(people.root, journal=journal, secret=lambda name: name, key=b"k")
        at_once = anew.refresh(now, observed_ids=IDS[:2], live_hosts=live)
        assert replace(comparable(by_and_by), absent={}) == replace(comparable(at_once), absent={})
        assert by_and_by.absent.keys() == at_once.absent.keys()
    journal.close()


def comparable(desired: Desired) -> Desired:
    return replace(desired, tasks=dict(desired.tasks), refused=dict(desired.refused))
