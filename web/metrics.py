"""`GET /metrics`: what Prometheus reads of the service. What is told is in `families`; here it is read and served.

A reading serves everybody who asks within a second, so that many who ask cost no more than one. It costs the store a
handful of rows for each of the named pipelines, whatever there is in all; its text is made beside the event loop.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from typing import Annotated

from fastapi import APIRouter, Depends, FastAPI, Request, Response
from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.core import Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from pipelines import Engine, StoreError
from web.access import Caller, caller
from web.families import Ended, Reading, Reloads, families
from web.release import program_version
from web.tallies import Names, Spread, Tallies

FRESH_S = 1.0
"""So long, in seconds, a reading is as good as a new one."""

router = APIRouter()


class Metrics(Collector):
    """Metrics of one service, in a registry of its own. Make it once, at the start: it watches from then on."""

    def __init__(self, engine: Engine, *, names: Names | None = None) -> None:
        """Watch `engine`; `names` has the pipelines with series of their own (None: the first of the file)."""
        self._engine = engine
        self._names = names or Names()
        self._names.take(engine.catalog.pipelines)
        self._tallies = Tallies(self._names)
        self._turn = asyncio.Lock()
        self._reading: Reading | None = None
        self._read_at = 0.0
        self._ended: Ended = ()
        self._version = program_version()
        self.registry = CollectorRegistry()
        for make in (ProcessCollector, PlatformCollector, GCCollector):
            make(registry=self.registry)
        self.registry.register(self)
        engine.watch(self._tallies.happened)

    def collect(self) -> Iterator[Metric]:
        """Return what was read last."""
        if self._reading is not None:
            yield from families(self._reading)

    async def text(self, accept: str) -> tuple[bytes, str]:
        """Return the text for who accepts `accept`, and its type. While the store refuses, its counts stand still."""
        encode, content_type = choose_encoder(accept)
        async with self._turn:
            now = asyncio.get_running_loop().time()
            if self._reading is None or now - self._read_at >= FRESH_S:
                self._reading, self._read_at = await self._read(), now
            return await asyncio.to_thread(encode, self.registry), content_type

    async def _read(self) -> Reading:
        engine = self._engine
        self._names.take(engine.catalog.pipelines)
        health = await engine.health()
        if health.refused is None:
            with suppress(StoreError):  # the next reading tells it
                self._ended = await engine.reads.tally(self._names.known)
        jobs = [job.row for job in engine.overview.jobs()]
        return Reading(
            health=health,
            version=self._version,
            names=tuple(self._names.known),
            pipelines=len(engine.catalog.pipelines),
            ended=self._ended,
            durations={name: _told(spread) for name, spread in self._tallies.durations.items()},
            lag=_told(self._tallies.lag),
            schedules=Counter(row.state for row in jobs),
            next_due_at=min((row.next_due_at for row in jobs if row.next_due_at is not None), default=None),
            reloads=_reloads(engine),
            machines=engine.reads.seen(),
        )


@router.get("/metrics", include_in_schema=False)
async def metrics(request: Request, _: Annotated[Caller, Depends(caller)]) -> Response:
    """Return the metrics as text for Prometheus."""
    source: Metrics = request.app.state.metrics
    text, content_type = await source.text(request.headers.get("accept", ""))
    return Response(text, headers={"content-type": content_type})


def serve_metrics(app: FastAPI, engine: Engine) -> None:
    """Count what happens in `engine` from now on, and serve it."""
    app.state.metrics = Metrics(engine)
    app.include_router(router)


def _told(spread: Spread) -> tuple[list[tuple[str, float]], float]:
    return spread.buckets, spread.total_s


def _reloads(engine: Engine) -> Reloads:
    last = engine.reload.last
    return Reloads(ok=engine.reload.problem is None, at=last.at if last is not None else None)
