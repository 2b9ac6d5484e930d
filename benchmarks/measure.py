"""What every measurement shares: a row of the table, percentiles, a probe of the event loop, a scheduler to measure."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from pipelines import Engine, Settings
from pipelines.catalog import Catalog
from pipelines.loading import load_catalog

PROBE_S = 0.001


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. `ratio` says how many times better ours is than the peer (None: no peer)."""

    work: str
    ours: str
    peer: str = ""
    ratio: float | None = None
    target: str = ""


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value that `share` (0–1) of `values` do not exceed."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


class LoopProbe:
    """Measures for how long the event loop was held at most, in seconds, while it is entered."""

    def __init__(self) -> None:
        """Nothing is measured before it is entered."""
        self.worst_s = 0.0

    async def __aenter__(self) -> LoopProbe:  # noqa: PYI034 - there are no subclasses
        """Begin."""
        self._task = asyncio.create_task(self._watch(), name="loop probe")
        return self

    async def __aexit__(self, *_: object) -> None:
        """End."""
        self._task.cancel()

    async def _watch(self) -> None:
        last = time.perf_counter()
        while True:
            await asyncio.sleep(PROBE_S)
            now = time.perf_counter()
            self.worst_s = max(self.worst_s, now - last - PROBE_S)
            last = now


def write_project(folder: Path, content: dict[str, Any]) -> None:
    """Write a pipelines file."""
    (folder / "pipelines.yml").write_text(yaml.dump(content, Dumper=getattr(yaml, "CSafeDumper", yaml.SafeDumper)))


def settings_for(folder: Path, **given: Any) -> Settings:
    """Settings for a project in `folder`; `given` are further ones."""
    url = f"sqlite:///{folder / 'store.db'}"
    return Settings(
        pipelines_config=folder / "pipelines.yml",
        scheduler_db_url=url,
        plugins_allow="benchmarks.stages",
        log_level="ERROR",
        **given,
    )


def catalog_of(folder: Path) -> Catalog:
    """Load the project in `folder`."""
    logging.getLogger().setLevel(logging.ERROR)
    return load_catalog(settings_for(folder), {})


@asynccontextmanager
async def scheduler_on(
    folder: Path, catalog: Catalog | None = None, *, settings: Mapping[str, Any] | None = None
) -> AsyncIterator[Engine]:
    """A scheduler over the project in `folder`, entered but not started; `settings` are further ones."""
    async with Engine(settings_for(folder, **(settings or {})), catalog or catalog_of(folder)) as scheduler:
        yield scheduler


def ms(seconds: float) -> str:
    """Milliseconds for the table."""
    return f"{seconds * 1000:.1f} ms" if seconds < 0.1 else f"{seconds * 1000:,.0f} ms"
