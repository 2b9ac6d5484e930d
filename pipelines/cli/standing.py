"""Where the service stands, asked from another process: who holds the store, and what it last said of itself."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pipelines import serving
from pipelines.errors import StoreError
from pipelines.health import Status
from pipelines.model import utcnow
from pipelines.serving import Serving
from pipelines.settings import Settings
from pipelines.store.database import file_of
from pipelines.store.holding import Holder, holder
from pipelines.store.peek import peek
from pipelines.store.writer import Reader

SILENT = timedelta(seconds=60)
"""A service that has said nothing of itself for so long is of no use: it speaks every ten seconds."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known at `now` (UTC): `holder` is the process that uses the store alone, None where there is none.

    `said` is what that process said of itself as a service; None where it said nothing, as when it has only begun, or
    runs pipelines once.
    """

    now: datetime
    holder: Holder | None = None
    said: Serving | None = None

    @property
    def runs(self) -> bool:
        """True where a service runs and has said so."""
        return self.said is not None

    @property
    def status(self) -> Status:
        """How the service is; down where none runs."""
        return Status.DOWN if self.said is None or self.faults else Status(str(self.said.health["status"]))

    @property
    def faults(self) -> tuple[str, ...]:
        """What is wrong as seen from outside, in words."""
        if self.holder is None:
            return ("no service runs",)
        if self.said is None:
            return (f"{who(self.holder)} uses the store, but has not said that it is a service",)
        silent = self.now - self.said.beat_at
        return (f"it has said nothing for {silent.total_seconds():.0f} s",) if silent > SILENT else ()

    @property
    def complaints(self) -> tuple[str, ...]:
        """All that is wrong, in words, the gravest first."""
        told: Any = self.said.health.get("complaints", []) if self.said is not None else []
        return (*self.faults, *map(str, told))


def who(holder: Holder) -> str:
    """Return `pid 12 on host h`, as far as it is known."""
    known = (f"pid {holder.pid}" if holder.pid else "another process", f"on host {holder.host}" if holder.host else "")
    return " ".join(filter(None, known))


def is_here(holder: Holder) -> bool:
    """Say whether a holder is a process of this machine that could be told to stop."""
    return holder.pid is not None and holder.host == socket.gethostname()


async def standing(settings: Settings) -> Standing:
    """Look how the service is.

    Raises:
        StoreError: the store cannot be asked.
    """
    within = timedelta(seconds=settings.run_lease_seconds)
    held, now = holder(settings.scheduler_db_url, within=within), utcnow()
    if held is None:
        return Standing(now)
    try:
        async with reader(settings) as reads:
            said = await serving.read(reads)
    except StoreError:
        return Standing(now, held)  # who holds it is only making its tables
    if said is not None and file_of(settings.scheduler_db_url) is None:  # of several, who spoke last speaks for all
        return Standing(now, Holder(said.pid, said.host, said.since.isoformat()), said)
    mine = said is not None and held.pid in (None, said.pid)
    return Standing(now, held, said if mine else None)


@asynccontextmanager
async def reader(settings: Settings) -> AsyncIterator[Reader]:
    """Within the block, read a store that is there.

    Raises:
        StoreError: there is none yet, or it cannot be opened.
    """
    with peek(settings.scheduler_db_url) as engine:
        if engine is None:
            raise StoreError(
                "there is no store yet where SCHEDULER_DB_URL says; 'pipecall start' or 'pipecall run NAME' makes it"
            )
        made = Reader(engine)
        try:
            yield made
        finally:
            await made.close()
