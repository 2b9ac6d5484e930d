"""Alerts, scraping and the board: they ask for metrics that there are, and the page about them names all."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta

import pytest
import yaml

from pipelines import Health, Machines, Queue, RunState
from tests.deploy.image import DEPLOY
from tests.project import ROOT
from web.families import Reading, Reloads, families
from web.tallies import DURATIONS_S, LAGS_S, Spread

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
BOARD = json.loads((DEPLOY / "grafana" / "board.json").read_text())
RULES = [
    rule
    for group in yaml.safe_load((DEPLOY / "prometheus" / "alerts.yml").read_text())["groups"]
    for rule in group["rules"]
]
SCRAPE = yaml.safe_load((DEPLOY / "prometheus" / "scrape.yml").read_text())
PAGE = (ROOT / "docs" / "deployment.md").read_text()
PANELS = [(panel["title"], target["expr"]) for panel in BOARD["panels"] for target in panel["targets"]]
FOREIGN = {"up", "process_resident_memory_bytes"}
SERIES = re.compile(r"\b([a-z]+_[a-z_]+|up)\b\s*(?:\{([^}]*)\})?(?=[\s\[\])+*/=><-]|$)")
FUNCTIONS = {"histogram_quantile", "avg_over_time"}


@pytest.fixture(scope="module")
def told():
    """Each metric that a service with everything to tell has, with the labels and values it comes with."""
    health = Health(
        at=NOON,
        loop_lag_s=0.0,
        waiting_writes=0,
        dropped_lines=0,
        running=0,
        queued=0,
        slots=1,
        tick_age_s=1.0,
        faces={"web": "ready"},
    )
    reading = Reading(
        health=health,
        version="1",
        names=("p",),
        pipelines=1,
        ended=[("p", RunState.SUCCEEDED, 1, NOON)],
        durations={"p": (Spread(DURATIONS_S).buckets, 0.0)},
        lag=(Spread(LAGS_S).buckets, 0.0),
        schedules={},
        next_due_at=NOON,
        reloads=Reloads(ok=True, at=NOON),
        machines=Machines(at=NOON, within=timedelta(seconds=30), queues=(Queue("default"),)),
    )
    found: dict[str, dict[str, set[str]]] = {}
    for family in families(reading):
        for sample in family.samples:
            labels = found.setdefault(sample.name, {})
            for label, value in sample.labels.items():
                labels.setdefault(label, set()).add(value)
    return found


def wanted(expression: str) -> list[tuple[str, str]]:
    """The series that an expression asks for, each with what stands between its braces."""
    bare = re.sub(r"\b(?:by|on|without)\s*\([^)]*\)", " ", expression)
    return [(name, labels) for name, labels in SERIES.findall(bare) if name not in FUNCTIONS]


def check(expression: str, told: dict[str, dict[str, set[str]]]) -> None:
    """Hold that each series exists, with each label, and each value of it."""
    asked = wanted(expression)
    assert asked, expression
    for name, labels in asked:
        if name in FOREIGN:
            continue
        assert name in told, expression
        for label, kind, value in re.findall(r'(\w+)\s*(=~|=)\s*"([^"]*)"', labels):
            if label != "job":
                values = set(value.split("|")) if kind == "=~" else {value}
                assert values <= told[name].get(label, set()), expression
    assert expression.count("(") == expression.count(")")


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_alerts_ask_for_what_there_is(rule, told):
    """An alert asks for metrics, labels and values that there are, and says what it means and how grave it is."""
    check(rule["expr"], told)
    assert rule["labels"]["severity"] in ("critical", "warning")
    assert {"summary", "description"} == rule["annotations"].keys()


@pytest.mark.parametrize(("title", "expression"), PANELS, ids=lambda text: str(text)[:30])
def test_panels_ask_for_what_there_is(title, expression, told):
    """A panel asks for metrics, labels and values that there are."""
    check(expression, told)


def test_the_board_can_be_imported():
    """It names its format and itself, lets people choose the data source, and no two panels lie over each other."""
    assert ("pipecall", True) == (BOARD["uid"], BOARD["schemaVersion"] >= 39)
    assert ["datasource", "query"] == [each["type"] for each in BOARD["templating"]["list"]]
    sources = {target["datasource"]["uid"] for panel in BOARD["panels"] for target in panel["targets"]}
    assert {"${datasource}"} == sources
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in BOARD["panels"])
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert (len(cells), True) == (len(set(cells)), all(x < 24 for x, _ in cells))
    ids = [panel["id"] for panel in BOARD["panels"]]
    assert sorted(set(ids)) == sorted(ids)


def test_the_scrape_is_what_the_alerts_expect():
    """The example scrapes the path there is, with a token, under the job's name that the alerts ask for."""
    (job,) = SCRAPE["scrape_configs"]
    assert ("/metrics", "Bearer", ["alerts.yml"]) == (
        job["metrics_path"],
        job["authorization"]["type"],
        SCRAPE["rule_files"],
    )
    jobs = {found for rule in RULES for found in re.findall(r'job="(\w+)"', rule["expr"])}
    assert {job["job_name"]} == jobs


def test_the_page_names_every_metric(told):
    """The page about deployment has each metric that there is, and none that there is not."""
    there = {re.sub(r"_(bucket|count|sum)$", "", name) for name in told}
    named = {
        name for line in PAGE.splitlines() if line.startswith("| `") for name in re.findall(r"`(pipecall_\w+)", line)
    }
    assert there == named
