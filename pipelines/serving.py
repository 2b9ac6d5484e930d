"""Which service runs on a store, told by itself every few seconds, for those in other processes who ask."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from pipelines.catalog import Catalog
from pipelines.health import Health
from pipelines.model import JSON
from pipelines.reload import Reload
from pipelines.store import notes
from pipelines.store.notes import Note
from pipelines.store.writer import Reader, Writer

EVERY_S = 10.0
"""So often, in seconds, a service says that it is there."""
LOOK_S = 0.25
"""So soon, in seconds, it says so as well where its address or the pipelines file in force is another than it said."""
NAME = "service"
"""The note's name."""


@dataclass(frozen=True, slots=True)
class Serving:
    """The service that ran on the store last, as it said at `beat_at` (UTC); `since` is when it started.

    `health` is `Health.as_json`, `web` the address of REST and dashboard (None: off), `reload_problem` why the newest
    pipelines file is not in force (None: it is). A service that was killed has said nothing about it: see
    `store.holding.holder` for whether one runs now.
    """

    pid: int
    host: str
    since: datetime
    beat_at: datetime
    pipelines: int
    health: Mapping[str, JSON] = field(default_factory=dict)
    web: str | None = None
    reload_problem: str | None = None


async def read(reader: Reader) -> Serving | None:
    """Return what the last service said of itself; None where there never was one."""
    told: Any = await reader.read(notes.get, NAME)
    if not isinstance(told, dict):
        return None
    times = {name: datetime.fromisoformat(told[name]) for name in ("since", "beat_at")}
    return Serving(**{**told, **times})


class Here(Protocol):
    """What is needed of the engine that serves."""

    catalog: Catalog
    clock: Callable[[], datetime]
    reload: Reload
    web_address: str | None
    writer: Writer

    async def health(self) -> Health:
        """Read how the service is."""


async def beat(engine: Here, since: datetime) -> None:
    """Say that this process serves on the engine's store, for ever; it runs `since` (UTC), and may lead since later."""
    mine: dict[str, JSON] = {"pid": os.getpid(), "host": socket.gethostname(), "since": since.isoformat()}
    while True:
        health = (await engine.health()).as_json()
        told: dict[str, JSON] = {
            "beat_at": engine.clock().isoformat(),
            "health": dict(health),
            "pipelines": len(engine.catalog.pipelines),
            "web": engine.web_address,
            "reload_problem": engine.reload.problem,
        }
        engine.writer.post(notes.put, Note(NAME, {**mine, **told}, engine.clock()))
        await _another(lambda: (engine.web_address, engine.reload.problem))


async def _another(seen: Callable[[], object]) -> None:
    """Return when it is time to speak again, or sooner, when what is `seen` is not what it was."""
    before = seen()
    for _ in range(round(EVERY_S / LOOK_S)):
        await asyncio.sleep(LOOK_S)
        if seen() != before:
            return
