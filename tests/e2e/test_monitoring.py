"""What is offered for watching a fleet is true: dashboard, rules and document name what a real scrape has."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from reconciler.repo.yaml import documents
from tests.contract.web import Answer, request, signed
from tests.e2e.clones import Clones, reconciling
from tests.e2e.fleets import PROJECT
from tests.waiting import until

OFFERED = PROJECT / "docs" / "monitoring"
PAGE = (PROJECT / "docs" / "monitoring.md").read_text(encoding="utf-8")
OPERATIONS = (PROJECT / "docs" / "operations.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| `(?P<name>\w+)` \| (?P<type>\w+) \| (?P<labels>[^|]*) \| (?P<says>[^|]*) \|$", re.MULTILINE)
NAMES = re.compile(r"\b(?:reconciler|process)_[a-z_]+\b")
OPENMETRICS = "application/openmetrics-text;version=1.0.0,text/plain;q=0.5"


@dataclass(frozen=True)
class Scrape:
    """What Prometheus gets of a leader, in both of its forms."""

    plain: dict[str, Metric]
    open: dict[str, Metric]

    def value(self, family: str, sample: str, **labels: str) -> float:
        (found,) = (
            one.value
            for one in self.plain[family].samples
            if one.name == sample and labels.items() <= one.labels.items()
        )
        return float(found)

    @property
    def samples(self) -> set[str]:
        return {sample.name for family in self.plain.values() for sample in family.samples}


def parsed(text: str) -> list[Metric]:
    return list(text_string_to_metric_families(text))


def parsed_openly(text: str) -> list[Metric]:
    return list(openmetrics.text_string_to_metric_families(text))  # type: ignore[no-untyped-call]


@pytest.fixture(name="scrape", scope="module")
def _scrape(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scrape]:
    """A leader whose forge is away, after a task and a webhook, seen by Prometheus."""
    forge = {"kind": "forgejo", "url": "http://127.0.0.1:1", "token_env": "TOKEN", "webhook_secret_env": ["SECRET"]}
    forge["repositories"] = ["team/shop"]
    clones = Clones.make(tmp_path_factory.mktemp("watched"), forge=forge)
    one = clones.clone("one")
    waits = f"{clones.people.ran}until [ -e {clones.folder}/go ]; do sleep 0.05; done"
    clones.people.task("good", waits, delivery="none")
    clones.people.task("nowhere", "true", delivery="none", requires=["gpu"])
    clones.people.task("held", "true", desired="hold")
    clones.push()
    try:
        with reconciling(one, LISTEN="127.0.0.1:0", TOKEN="t", SECRET="correct horse") as leader:  # noqa: S106 - a test's
            clones.until_phase("good", "running")
            (clones.folder / "go").touch()
            clones.until_phase("good", "completed")
            port = leader.listens()
            body = b'{"ref": "refs/heads/x", "repository": {"full_name": "a/b"}}'
            assert request(port, "POST", "/webhooks/forgejo", body, signed(body)).status == 202
            assert request(port, "POST", "/webhooks/forgejo", body, signed(body, "wrong")).status == 401
            until(lambda: b'followed_total{outcome="nothing"} 1.0' in leader.ask("/metrics").body)
            plain = until(lambda: _silent(leader.ask("/metrics")))
            assert plain is not None
            assert plain.headers["Content-Type"].startswith("text/plain; version=0.0.4")
            better = request(port, "GET", "/metrics", None, {"Accept": OPENMETRICS})
            assert better.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
            yield Scrape(
                plain={one.name: one for one in parsed(plain.body.decode())},
                open={one.name: one for one in parsed_openly(better.body.decode())},
            )
    finally:
        clones.end()


def _silent(answer: Answer) -> Answer | None:
    """The answer, if it says that the forge does not answer."""
    return None if b"\nreconciler_forge_silent_seconds 0.0" in answer.body else answer


def test_a_scrape_tells_what_happened(scrape: Scrape) -> None:
    assert scrape.value("reconciler_tasks", "reconciler_tasks", phase="completed") == 1
    assert scrape.value("reconciler_tasks_on_hold", "reconciler_tasks_on_hold") == 1
    assert scrape.value("reconciler_waiting_tasks", "reconciler_waiting_tasks", cause="host") == 1
    assert scrape.value("reconciler_queue_age_seconds", "reconciler_queue_age_seconds") == 0
    ended = {"adapter": "shell", "outcome": "succeeded", "failure": "none"}
    assert scrape.value("reconciler_runs", "reconciler_runs_total", **ended) == 1
    assert scrape.value("reconciler_host_runs", "reconciler_host_runs_total", host="here", outcome="succeeded") == 1
    assert scrape.value("reconciler_facts", "reconciler_facts_total", fact="finished") == 1
    assert scrape.value("reconciler_effects", "reconciler_effects_total", effect="launch") >= 1
    for delay in ("assign_delay_seconds", "start_delay_seconds"):
        assert scrape.value(f"reconciler_{delay}", f"reconciler_{delay}_count") == 1
        assert 0 <= scrape.value(f"reconciler_{delay}", f"reconciler_{delay}_sum") < 60
    commits = scrape.value("reconciler_commit_seconds", "reconciler_commit_seconds_count")
    assert 3 <= commits <= scrape.value("reconciler_commit_facts", "reconciler_commit_facts_sum")
    assert scrape.value("reconciler_turn_seconds", "reconciler_turn_seconds_count") > 3
    assert scrape.value("reconciler_leader", "reconciler_leader") == 1
    assert scrape.value("reconciler_forge_silent_seconds", "reconciler_forge_silent_seconds") > 0
    assert scrape.value("reconciler_webhooks", "reconciler_webhooks_total", outcome="accepted") == 1
    assert scrape.value("reconciler_webhooks", "reconciler_webhooks_total", outcome="bad_signature") == 1
    answered = {"route": "/webhooks/forgejo", "status": "4xx"}
    assert scrape.value("reconciler_http_requests", "reconciler_http_requests_total", **answered) == 1


def test_both_forms_have_the_same_families_by_the_rules_of_their_names(scrape: Scrape) -> None:
    assert {one.removesuffix("_total") for one in scrape.plain} == {one.removesuffix("_total") for one in scrape.open}
    for family in scrape.open.values():
        assert re.fullmatch(r"(reconciler|process)(_[a-z]+)+", family.name)
        assert family.documentation.endswith(".")
        assert not any(sample.name.endswith("_created") for sample in family.samples)
    histograms = [one for one in scrape.open.values() if one.type == "histogram"]
    assert len(histograms) == 5


def test_the_page_lists_every_metric_and_no_other(scrape: Scrape) -> None:
    listed = [(row["name"], row["type"], row["labels"].strip(), row["says"]) for row in ROW.finditer(PAGE)]
    assert sorted(listed) == sorted(
        (_named(family), family.type, _labels(family), family.documentation)
        for family in scrape.open.values()
        if family.name.startswith("reconciler_")
    )


def _named(family: Metric) -> str:
    return f"{family.name}_total" if family.type == "counter" else str(family.name)


def _labels(family: Metric) -> str:
    names = {name for sample in family.samples for name in sample.labels} - {"le"}
    return ", ".join(f"`{name}`" for name in sorted(names))


def panels(dashboard: dict[str, Any]) -> list[dict[str, Any]]:
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def test_the_dashboard_asks_for_nothing_that_is_not_there(scrape: Scrape) -> None:
    dashboard = json.loads((OFFERED / "dashboard.json").read_text())
    asked = [target["expr"] for panel in panels(dashboard) for target in panel["targets"]]
    assert {name for one in asked for name in NAMES.findall(one)} <= scrape.samples
    assert all('job="$job"' in one for one in asked)
    sources = [panel["datasource"] for panel in panels(dashboard)]
    assert all(one == {"type": "prometheus", "uid": "${datasource}"} for one in sources)
    assert {one["name"] for one in dashboard["templating"]["list"]} == {"datasource", "job"}


def test_the_panels_of_the_dashboard_stand_beside_each_other() -> None:
    dashboard = json.loads((OFFERED / "dashboard.json").read_text())
    taken: set[tuple[int, int]] = set()
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"])
                 for y in range(place["y"], place["y"] + place["h"])}  # fmt: skip
        assert not cells & taken
        assert max(x for x, _ in cells) < 24
        taken |= cells
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])


def rules() -> list[dict[str, Any]]:
    document: Any = documents.parse((OFFERED / "rules.yaml").read_bytes(), "rules.yaml").data
    return [rule for group in document["groups"] for rule in group["rules"]]


def test_the_rules_ask_for_nothing_that_is_not_there(scrape: Scrape) -> None:
    assert {name for rule in rules() for name in NAMES.findall(rule["expr"])} <= scrape.samples


def test_what_to_watch_names_the_rules_and_the_rules_are_named_there() -> None:
    section = OPERATIONS.partition("## 5. What to watch")[2].partition("\n## ")[0]
    assert set(re.findall(r"`(Reconciler\w+)`", section)) == {rule["alert"] for rule in rules()}
    assert "(monitoring.md)" in section


def promtool() -> str:
    found = shutil.which("promtool")
    if found is None:
        pytest.skip("promtool is missing; it is in Debian's package prometheus")
    return found


def test_promtool_takes_the_rules_and_what_they_are_to_do(tmp_path: Path) -> None:
    for file in ("rules.yaml", "rules_test.yaml"):
        shutil.copy(OFFERED / file, tmp_path)
    words = [[promtool(), "check", "rules", "rules.yaml"], [promtool(), "test", "rules", "rules_test.yaml"]]
    for one in words:
        done = subprocess.run(one, cwd=tmp_path, capture_output=True, check=False, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


def test_promtool_takes_the_configurations_of_the_page(tmp_path: Path) -> None:
    found = re.findall(r"^```yaml\n# prometheus\.yml.*?\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert len(found) == 2
    for text in found:
        (tmp_path / "prometheus.yml").write_text(text.replace("/etc/prometheus/", f"{tmp_path}/"))
        (tmp_path / "reconciler.token").write_text("token")
        shutil.copy(OFFERED / "rules.yaml", tmp_path / "reconciler.yaml")
        words = [promtool(), "check", "config", "prometheus.yml"]
        done = subprocess.run(words, cwd=tmp_path, capture_output=True, check=False, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
