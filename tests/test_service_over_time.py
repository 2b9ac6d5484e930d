"""What a service keeps up over time, on either store: one pipeline's troubles are its own."""

from __future__ import annotations

from collections import Counter

import psycopg
import pytest

from tests.project import Project, fresh_store

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
    """Beside one that always fails and one whose process dies, a pipeline runs on; each is due every second, once."""
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
    assert [] == tools.query("SELECT schedule_id, due_at FROM occurrences GROUP BY 1, 2 HAVING count(*) > 1")


def test_a_service_keeps_its_store_on_postgresql(tools):
    """With SCHEDULER_DB_URL the whole service, worker processes and all, keeps its runs on PostgreSQL."""
    tools.write("pipelines: {once: {chain: [tools.number]}}")
    with fresh_store() as url:
        tools.env["SCHEDULER_DB_URL"] = url
        with tools.service() as service:
            service.wait_for("once #1 succeeded")
            assert 0 == service.stop()
        with psycopg.connect(url.replace("+psycopg", "")) as connection:
            found = connection.execute("SELECT pipeline, state, items_out FROM runs").fetchall()
    assert [("once", "succeeded", 1)] == found
    assert not (tools.folder / "store.db").exists()
