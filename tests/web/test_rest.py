"""The REST interface over a real socket: who may ask, what each verb does, and how faults are told."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from pipelines import Role, Tokens
from web.face import WebFace

YAML = """
pipelines:
  prices:
    chain:
      - class: demo.Once
    schedule: {daily: "09:30", id: prices-daily}
"""
CODE = """
from pipelines import Fetcher

class Once(Fetcher):
    async def fetch(self):
        yield 1
"""


@pytest.fixture
async def served(project):
    """A running engine with its web face; gives (engine, client)."""
    project.plugin("demo", CODE)
    project.write(YAML)
    async with project.scheduler(web="on", web_port=0) as engine:
        await engine.start()
        await engine.start_timetable()
        face = WebFace(engine.settings)
        await face.start(engine)
        async with asyncio.timeout(10):
            while face.state() != "ready":
                await asyncio.sleep(0.01)
        async with httpx.AsyncClient(base_url=face.address, timeout=10) as client:
            yield engine, client, face
        await face.stop()
        await engine.drain(5)


async def test_a_run_is_made_followed_and_made_only_once(served):
    """POST runs a pipeline and says where to follow it; the same key again gives the same run."""
    engine, client, _ = served
    first = await client.post("/api/pipelines/prices/runs", headers={"Idempotency-Key": "a"})
    again = await client.post("/api/pipelines/prices/runs", headers={"Idempotency-Key": "a"})
    await engine.wait(first.json()["id"])
    seen = await client.get(first.headers["Location"])
    assert (202, 200, first.json()["id"]) == (first.status_code, again.status_code, again.json()["id"])
    assert "succeeded" == seen.json()["run"]["state"]
    assert 1 == len((await client.get("/api/runs")).json()["runs"])


@pytest.mark.parametrize(
    "path",
    [
        *("pipelines", "pipelines/prices", "runs", "schedules", "schedules/prices-daily", "scheduler"),
        *("scheduler/health", "stats", "missed", "audit", "messages/undeliverable", "openapi.json", "docs"),
    ],
)
async def test_each_read_answers(served, path):
    """Each read answers with 200 and the headers that all answers have."""
    _, client, _ = served
    answer = await client.get(f"/api/{path}")
    assert (200, "nosniff", "no-store") == (
        answer.status_code,
        answer.headers["x-content-type-options"],
        answer.headers["cache-control"],
    )


async def test_a_token_is_needed_as_soon_as_there_is_one(served):
    """Open on loopback without tokens; with one, only with it, and only for what its level allows; revoked, no more."""
    engine, client, _ = served
    tokens = Tokens(engine.writer, engine.reader)
    token = await tokens.make("ci", Role.VIEWER, by="test")
    mine = {"Authorization": f"Bearer {token}"}
    assert 401 == (await client.get("/api/runs")).status_code
    assert 200 == (await client.get("/api/runs", headers=mine)).status_code
    denied = await client.post("/api/pipelines/prices/runs", headers=mine)
    assert (403, "it needs operator; you are viewer") == (denied.status_code, denied.json()["missing"])
    await tokens.make("other", Role.ADMIN, by="test")
    await tokens.revoke("ci")
    assert 401 == (await client.get("/api/runs", headers=mine)).status_code


async def test_wrong_tokens_are_slowed_down(served):
    """After ten wrong tokens in a minute an address is not listened to for a while."""
    _, client, _ = served
    codes = [(await client.get("/api/runs", headers={"Authorization": "Bearer x"})).status_code for _ in range(11)]
    assert [401] * 10 + [429] == codes


@pytest.mark.parametrize(
    ("method", "path", "more", "status"),
    [
        ("GET", "/api/pipelines/prizes", {}, 404),
        ("GET", "/api/runs/0", {}, 422),
        ("GET", "/api/runs/99999999999999999999", {}, 422),
        ("GET", "/api/runs", {"headers": {"Host": "evil.example"}}, 421),
        ("GET", "/api/nothing", {}, 404),
        ("PUT", "/api/runs", {}, 405),
        ("POST", "/api/pipelines/prices/runs", {"content": b"x" * 70_000}, 413),
        ("POST", "/api/pipelines/prices/runs", {"content": b"\xff\x00{"}, 422),
        ("POST", "/api/pipelines/prices/runs", {"content": b"[" * 30_000}, 422),
        ("POST", "/api/pipelines/prices/runs", {"headers": {"Origin": "http://evil.example"}}, 403),
        ("POST", "/api/pipelines/prices/runs", {"json": {"params": {"days": 1}}}, 422),
        ("POST", "/api/schedules", {"json": {"pipeline": "prices", "when": "whenever"}}, 422),
        ("POST", "/api/schedules/prices-daily/enable", {}, 409),
        ("DELETE", "/api/schedules/prices-daily", {}, 409),
        ("GET", "/api/pipelines/a%00b%0d%0a", {}, 404),
    ],
)
async def test_faults_are_told_as_problems(served, method, path, more, status):
    """Whatever is wrong with a request, the answer is a problem with its status, never a fault of ours."""
    _, client, _ = served
    answer = await client.request(method, path, **more)
    assert (status, "application/problem+json") == (answer.status_code, answer.headers["content-type"])


async def test_a_job_is_made_paused_resumed_removed_and_restored(served):
    """The life of a job through the interface."""
    _, client, _ = served
    wish = {"pipeline": "prices", "when": "every 30 minutes", "name": "often"}
    codes = [(await client.post("/api/schedules", json=wish)).status_code]
    codes += [(await client.post(f"/api/schedules/often/{verb}")).status_code for verb in ("disable", "enable")]
    codes += [(await client.delete("/api/schedules/often")).status_code]
    codes += [(await client.post("/api/schedules/often/restore")).status_code]
    assert [201, 200, 200, 200, 200] == codes


async def test_events_tell_of_a_run_and_end_with_the_service(served):
    """Who listens hears of a run until it is over; the stream ends when the service leaves."""
    engine, client, face = served
    states = []
    async with client.stream("GET", "/api/events") as answer:
        lines = answer.aiter_lines()
        assert "retry: 3000" == await anext(lines)
        await engine.run_now(["prices"])
        async with asyncio.timeout(10):
            async for line in lines:
                if '"state": "' in line:
                    states.append(line.split('"state": "')[1].split('"')[0])
                if "succeeded" in states:
                    break
            leaving = asyncio.create_task(face.leave())
            async for _ in lines:
                pass
            await leaving
    assert states[0] in {"queued", "running"}  # that it was queued is not told of one that started at once
    assert "succeeded" == states[-1]


async def test_beyond_this_machine_a_token_is_needed(project):
    """Without any token the web refuses to listen where others can reach it, and says what to do."""
    project.plugin("demo", CODE)
    project.write(YAML)
    async with project.scheduler(web="on", web_port=0, web_host="0.0.0.0") as engine:
        face = WebFace(engine.settings)
        await face.start(engine)
        async with asyncio.timeout(10):
            while not face.state().startswith("disabled"):
                await asyncio.sleep(0.01)
        await face.stop()
        assert "pipecall token create" in face.state()
