"""Whole pipelines over real data, served on loopback: a table of companies and a large feed with hostile markup."""

from __future__ import annotations

import csv
import json
import sqlite3

from aiohttp import web

from pipelines.model import Run, RunState
from tests.project import Project
from tests.transforms.loopback import real_file, serving


async def once(project: Project, name: str) -> Run:
    """Run one pipeline to its end in a worker process."""
    async with project.scheduler() as scheduler:
        await scheduler.start()
        (run,) = await scheduler.run_now([name])
        return await scheduler.wait(run.id)


async def test_companies_by_sector(project: Project):
    """503 companies come over HTTP as CSV; those of one sector go into a sorted file, all of them into a table."""
    table = real_file("sp500.csv")
    store = f"sqlite:///{project.folder}/companies.db"
    async with serving({"/sp500.csv": {"body": table.read_bytes(), "content_type": "text/csv"}}) as url:
        project.write(
            f"""
            pipelines:
              companies:
                retry: {{attempts: 1}}
                chain:
                  - class: pipelines.transforms.HttpFetch
                    kwargs: {{url: "{url}/sp500.csv", format: text}}
                  - class: pipelines.transforms.Csv
                    kwargs: {{types: {{CIK: int}}}}
                  - class: pipelines.transforms.SqlSink
                    kwargs: {{url: "{store}", table: companies, key: Symbol, mode: upsert}}
                  - class: pipelines.transforms.Filter
                    kwargs: {{where: "item['GICS Sector'] == 'Energy'"}}
                  - class: pipelines.transforms.Sort
                    kwargs: {{by: Security}}
                  - class: pipelines.transforms.FileSink
                    kwargs: {{path: "{project.folder}/energy.csv"}}
            """
        )
        run = await once(project, "companies")
        again = await once(project, "companies")
    with table.open(encoding="utf-8", newline="") as file:
        companies = list(csv.DictReader(file))
    energy = sorted(each["Security"] for each in companies if each["GICS Sector"] == "Energy")
    with (project.folder / "energy.csv").open(encoding="utf-8", newline="") as file:
        written = [each["Security"] for each in csv.DictReader(file)]
    stored = sqlite3.connect(project.folder / "companies.db")
    try:
        count = stored.execute("SELECT count(*) FROM companies").fetchone()[0]
    finally:
        stored.close()
    assert (RunState.SUCCEEDED, RunState.SUCCEEDED, 503) == (run.state, again.state, count), run.error
    assert energy == sorted(written)


async def test_a_hostile_feed_is_watched(project: Project):
    """A large feed with hostile markup gives its entries once; a second run finds nothing new."""
    feed = real_file("atom_feed.xml").read_bytes()
    async with serving({"/feed": {"body": feed, "content_type": "application/atom+xml"}}) as url:
        project.write(
            f"""
            pipelines:
              news:
                retry: {{attempts: 1}}
                chain:
                  - class: pipelines.transforms.Feed
                    kwargs: {{url: "{url}/feed", conditional: false}}
                  - class: pipelines.transforms.OnlyNew
                    kwargs: {{key: id}}
                  - class: pipelines.transforms.FileSink
                    kwargs: {{path: "{project.folder}/news-{{run_id}}.jsonl"}}
            """
        )
        first = await once(project, "news")
        second = await once(project, "news")
    entries = [json.loads(line) for line in (project.folder / "news-1.jsonl").read_text().splitlines()]
    assert (RunState.SUCCEEDED, feed.count(b"<entry>"), 0) == (first.state, first.items_out, second.items_out), (
        first.error
    )
    assert [] == [entry["id"] for entry in entries if "<script" in entry["summary"].lower()]


async def test_a_server_in_trouble_is_asked_again(project: Project):
    """A server that answers 503 with Retry-After is asked again when it said so, and the run succeeds."""
    asked = []

    async def busy_once(request: web.Request) -> web.Response:
        asked.append(request.path)
        if len(asked) == 1:
            return web.Response(status=503, headers={"Retry-After": "0"})
        return web.json_response([{"n": 1}, {"n": 2}])

    async with serving({"/": busy_once}) as url:
        project.write(
            f"""
            pipelines:
              p:
                retry: {{attempts: 2, delay: 1h}}
                chain: [{{class: pipelines.transforms.HttpFetch, kwargs: {{url: "{url}/"}}}}]
            """
        )
        run = await once(project, "p")
    assert (RunState.SUCCEEDED, 2, 2) == (run.state, run.attempt, run.items_out), run.error
