"""What a service keeps up over time: one pipeline's troubles are its own, and the past outlives a restart."""

from __future__ import annotations

from collections import Counter

import psycopg
import pytest

from tests.project import Project
from tests.store.conftest import fresh_schema

PLUGIN = """
import os

def number(item):
    return {"n": 1}

def fail(item):
    raise ValueError("no good")

def die(item):
    os._exit(7)
"""

TROUBLED = """
scheduler: {default_retry: {attempts: 1}}
pipelines:
  failing: {schedule: {interval: {seconds: 1}}, chain: [tools.fail]}
  dying: {schedule: {interval: {seconds: 1}}, chain: [tools.die]}
  good: {schedule: {interval: {seconds: 1}}, chain: [tools.number]}
"""


@pytest.fixture
def tools(project: Project):
    """A project with a few stages."""
    project.plugin("tools", PLUGIN)
    return project


def test_pipelines_in_trouble_stop_nobody(tools):
    """Beside one that always fails and one whose process dies, a pipeline runs on; each is due again and again."""
    tools.write(TROUBLED)
    with tools.service() as service:
        for said in ("good #", "failing #", "dying #"):
            service.wait_for(said, count=6)
        assert 0 == service.stop()
    ends = Counter(
        tools.query("SELECT pipeline, state FROM runs WHERE state NOT IN ('queued', 'skipped', 'cancelled')")
    )
    assert {("good", "succeeded"), ("failing", "failed"), ("dying", "crashed")} == set(ends)
    assert min(ends.values()) >= 2


def test_history_and_schedules_outlive_the_service(tools):
    """A restarted service has the runs of the one before, and its schedules go on from where they were."""
    tools.write(
        """
        pipelines:
          once: {chain: [tools.number]}
          yearly: {schedule: "0 0 1 1 *", chain: [tools.number]}
        """
    )
    rows = []
    for number in (1, 2):
        with tools.service() as service:
            service.wait_for(f"once #{number} succeeded")
            service.stop()
        rows.append(tools.query("SELECT id, created_at, state FROM schedules"))
    assert [(1, "startup", "succeeded", 1), (2, "startup", "succeeded", 1)] == tools.query(
        "SELECT id, started_by, state, items_out FROM runs WHERE pipeline = 'once' ORDER BY id"
    )
    assert rows[0] == rows[1]


def test_a_service_keeps_its_store_on_postgresql(tools):
    """With SCHEDULER_DB_URL the whole service, worker processes and all, keeps its runs on PostgreSQL."""
    tools.write("pipelines: {once: {chain: [tools.number]}}")
    with fresh_schema() as url:
        tools.env["SCHEDULER_DB_URL"] = url
        with tools.service() as service:
            service.wait_for("once #1 succeeded")
            assert 0 == service.stop()
        with psycopg.connect(url.replace("+psycopg", "")) as connection:
            found = connection.execute("SELECT pipeline, state, items_out FROM runs").fetchall()
    assert [("once", "succeeded", 1)] == found
    assert not (tools.folder / "store.db").exists()
