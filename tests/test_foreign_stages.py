"""Stages written for another asyncio code base with the same contract run here, but for their import line."""

from __future__ import annotations

import pytest

from pipelines.model import RunState
from pipelines.store import history
from tests.project import Project

WITH_BASES = """
from typing import Any, AsyncIterator
from pipelines import Fetcher, Sink, Transform

class RawItem:
    def __init__(self, payload: bytes) -> None:
        self.payload = payload

class Source(Fetcher):
    def __init__(self, count: int = 3, **options: Any) -> None:
        self.count = count

    @property
    def name(self) -> str:
        return "source"

    async def fetch(self) -> AsyncIterator[RawItem]:
        for number in range(self.count):
            yield RawItem(str(number).encode())

class Parse(Transform):
    async def __call__(self, items: AsyncIterator[Any]) -> AsyncIterator[Any]:
        async for item in items:
            yield {"n": int(item.payload)}

class Store(Sink):
    def __init__(self, path: str) -> None:
        self.path = path

    @property
    def name(self) -> str:
        return "store"

    async def __aenter__(self) -> "Store":
        self.file = open(self.path, "w")
        return self

    async def __aexit__(self, *exc: Any) -> None:
        self.file.close()

    async def handle(self, item: Any) -> None:
        self.file.write(f"{item['n']}\\n")
"""

WITHOUT_BASES = (
    WITH_BASES.replace("from pipelines import Fetcher, Sink, Transform\n", "")
    .replace("(Fetcher)", "")
    .replace("(Sink)", "")
    .replace("(Transform)", "")
)


@pytest.mark.parametrize("code", [WITH_BASES, WITHOUT_BASES], ids=["with base classes", "without"])
@pytest.mark.parametrize("executor", ["inline", "thread", "process"])
async def test_the_same_contract_is_enough(project: Project, code: str, executor: str):
    """`fetch`, `__call__(items)`, `handle`, a `name` property, context managers: all as they were written."""
    project.plugin("scraper", code)
    project.write(
        f"""
        pipelines:
          p:
            executor: {executor}
            chain:
              - {{class: scraper.Source, kwargs: {{count: 4, colour: blue}}}}
              - scraper.Parse
              - {{class: scraper.Store, kwargs: {{path: "{project.folder}/stored"}}}}
        """
    )
    async with project.scheduler() as scheduler:
        await scheduler.start()
        (run,) = await scheduler.run_now(["p"])
        run = await scheduler.wait(run.id)
        stages = await scheduler.reader.read(history.stages, run.id)
    assert (RunState.SUCCEEDED, "0\n1\n2\n3\n") == (run.state, (project.folder / "stored").read_text()), run.error
    assert [("Source", 1, 4), ("Parse", 4, 4), ("Store", 4, 4)] == [
        (stage.name, stage.items_in, stage.items_out) for stage in stages
    ]
