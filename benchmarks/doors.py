"""How soon pages, REST and metrics are answered with a million runs kept, and for how long that holds the event loop.

A service with the web over it, asked over a real socket by another process, one request after the other. The peer is
the same uvicorn and FastAPI with an answer of the same size that stands in memory.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import Any

from fastapi import FastAPI
from starlette.responses import HTMLResponse

from benchmarks import long_history
from benchmarks.measure import LoopProbe, Row, ms, percentile, scheduler_on
from pipelines import Engine
from pipelines.interpreter import settle_memory
from tests.project import ROOT
from web.face import WebFace
from web.server import address_of, listening, make_server

RUNS, PIPELINES = 1_000_000, 10_000
TIMES = 50
TARGET = "p50 ≤ 100 ms"
PAGES: Mapping[str, str] = MappingProxyType(
    {
        "overview": "/",
        "pipelines": "/pipelines",
        "pipelines, a search": "/pipelines?q=p99",
        "pipelines that fail": "/pipelines?only=failing",
        "pipelines, last page": "/pipelines?page=200",
        "a pipeline": "/pipelines/p77",
        "a pipeline with a fifth of all runs": "/pipelines/p0",
        "runs": "/runs",
        "runs, deep": "/runs?before={middle}",
        "runs that timed out": "/runs?state=timed_out",
        "runs that failed (none)": "/runs?state=failed",
        "runs that wait (none)": "/runs?state=queued",
        "runs of a pipeline": "/runs?pipeline=p77",
        "runs of a pipeline in a state (none)": "/runs?pipeline=p0&state=timed_out",
        "runs of a pipeline that is not there": "/runs?pipeline=nobody",
        "runs of a schedule": "/runs?schedule=p0",
        "runs of a schedule in a state (none)": "/runs?schedule=p0&state=timed_out",
        "runs of a schedule and another pipeline": "/runs?schedule=p0&pipeline=p77",
        "a run": "/runs/{middle}",
        "calendar": "/calendar",
        "missed": "/missed",
        "missed, 800 rows": "/missed?limit=800",
        "audit": "/audit",
        "audit, 800 rows": "/audit?limit=800",
        "schedules": "/schedules",
        "schedules, a search": "/schedules?q=p99",
    }
)
REST: Mapping[str, str] = MappingProxyType(
    {
        "GET /api/pipelines (all)": "/api/pipelines",
        "GET /api/pipelines/NAME": "/api/pipelines/p77",
        "GET /api/schedules (all)": "/api/schedules",
        "GET /api/runs": "/api/runs",
        "GET /api/runs, 500": "/api/runs?limit=500",
        "GET /api/runs of a schedule in a state (none)": "/api/runs?schedule=p0&state=timed_out",
        "GET /api/runs of a schedule and another pipeline": "/api/runs?schedule=p0&pipeline=p77",
        "GET /api/runs of all three (none)": "/api/runs?schedule=p0&pipeline=p0&state=timed_out",
        "GET /api/runs/NUMBER": "/api/runs/{middle}",
        "GET /api/stats (all)": "/api/stats",
        "GET /api/missed": "/api/missed",
        "GET /api/audit": "/api/audit",
        "GET /api/scheduler/health": "/api/scheduler/health",
        "GET /metrics": "/metrics",
    }
)


@dataclass(frozen=True, slots=True)
class Asked:
    """What came of asking for one page: how long each answer took, its size, for how long the loop was held."""

    taken_s: Sequence[float]
    size: int
    held_s: float


def measure() -> Iterator[Row]:
    """Yield a row for each page and route."""
    with TemporaryDirectory() as name:
        long_history.write(Path(name), runs=RUNS, pipelines=PIPELINES)
        yield from asyncio.run(_measured(Path(name)))


async def _measured(folder: Path) -> list[Row]:
    paths = {name: path.format(middle=RUNS // 2) for name, path in {**PAGES, **REST}.items()}
    began = time.perf_counter()
    async with _served(folder) as (_, address):
        ready_s = time.perf_counter() - began
        firsts = await _asked(address, paths, times=1)
    async with _served(folder) as (_, address):
        ours = await _asked(address, paths, times=TIMES)
    peer = await _of_peer({name: each.size for name, each in ours.items()})
    slowest = max(firsts, key=lambda name: firsts[name].taken_s[0])
    rows = [
        Row(f"start of the service over {RUNS:,} runs and {PIPELINES:,} pipelines", ms(ready_s)),
        Row(f"the slowest first answer after it: {slowest}", ms(firsts[slowest].taken_s[0])),
    ]
    return rows + [_row(name, ours[name], peer[name]) for name in paths]


def _row(name: str, ours: Asked, peer: Asked) -> Row:
    what = name if name in REST else f"page “{name}”"
    ratio = percentile(peer.taken_s, 0.5) / percentile(ours.taken_s, 0.5)
    return Row(
        f"{what}, {ours.size // 1000:,} KB: p50 / p99 / loop held", _told(ours), _told(peer), ratio, _target(name)
    )


def _target(name: str) -> str:
    return "" if name.endswith("(all)") else TARGET


def _told(asked: Asked) -> str:
    p50, p99 = percentile(asked.taken_s, 0.5), percentile(asked.taken_s, 0.99)
    return f"{ms(p50)} / {ms(p99)} / {ms(asked.held_s)}"


@asynccontextmanager
async def _served(folder: Path) -> AsyncIterator[tuple[Engine, str]]:
    """A service with the web, but without the sweep of what is old: that has a measurement of its own."""
    async with scheduler_on(folder, settings={"web_port": 0}) as engine:
        await engine.start()
        await engine.start_timetable()
        face = WebFace(engine.settings)
        await face.start(engine)
        settle_memory()
        try:
            while face.address is None:
                if face.state().startswith("disabled"):
                    raise RuntimeError(f"the web is {face.state()}")
                await asyncio.sleep(0.01)
            yield engine, face.address
        finally:
            await face.stop()


async def _asked(address: str, paths: Mapping[str, str], *, times: int) -> dict[str, Asked]:
    """Ask for each path, `times` times; raises RuntimeError where one is refused."""
    host, port = address.removeprefix("http://").split(":")
    asker = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.asker", host, port),
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        return {name: await _one(asker, path, times) for name, path in paths.items()}
    finally:
        with contextlib.suppress(ProcessLookupError):
            asker.kill()
        await asker.wait()


async def _one(asker: asyncio.subprocess.Process, path: str, times: int) -> Asked:
    assert asker.stdin is not None
    assert asker.stdout is not None
    async with LoopProbe() as probe:
        await asyncio.sleep(0.01)
        asker.stdin.write(json.dumps([path, times]).encode() + b"\n")
        line = await asker.stdout.readline()
    told: dict[str, Any] = json.loads(line)
    if told["status"] != 200:
        raise RuntimeError(f"{path} was answered with {told['status']}: the wrong thing was measured")
    return Asked(told["taken_s"], told["bytes"], probe.worst_s)


async def _of_peer(sizes: Mapping[str, int]) -> dict[str, Asked]:
    app = FastAPI(openapi_url=None)
    for number, size in enumerate(sizes.values()):
        app.add_api_route(f"/{number}", partial(_constant, "x" * size), response_class=HTMLResponse)
    server = make_server(app)
    with await listening("127.0.0.1", 0) as opened:
        serving = asyncio.create_task(server.serve(sockets=[opened]), name="peer")
        found = await _asked(address_of(opened), {name: f"/{at}" for at, name in enumerate(sizes)}, times=TIMES)
        server.should_exit = True
        await serving
    return found


async def _constant(text: str) -> HTMLResponse:
    return HTMLResponse(text)
