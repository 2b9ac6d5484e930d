"""Following runs to their end from any process: what the store says of them, looked at a few times a second."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from pipelines.errors import PipecallError
from pipelines.model import LogLine, Run, RunState
from pipelines.reads import Reads
from pipelines.store.progress import Progress

LOOK_S = 0.25
"""So often, in seconds, the store is looked at."""
ASK_S = 5.0
"""So often, in seconds, it is asked whether there is still somebody who executes the runs."""
LINES = 500
"""So many lines of a log are read at one time."""


@dataclass(frozen=True, slots=True)
class Sight:
    """Where a run stands: how far it is (None: it has not said so), and the lines of its log that are new."""

    run: Run
    progress: Progress | None = None
    lines: tuple[LogLine, ...] = ()


@dataclass
class Follower:
    """Follows runs. `alive` says whether somebody still executes them (None: nobody needs to be asked)."""

    reads: Reads
    ids: Sequence[int]
    alive: Callable[[], Awaitable[bool]] | None = None
    seen: dict[int, int] = field(default_factory=dict)

    async def sights(self) -> AsyncIterator[list[Sight]]:
        """Yield where all the runs stand, again and again, until all are over; the last is of their ends.

        Raises:
            PipecallError: nobody executes them any more.
        """
        left = ASK_S
        while True:
            seen = [await self._sight(run_id) for run_id in self.ids]
            yield seen
            if all(sight.run.state.final for sight in seen):
                return
            await asyncio.sleep(LOOK_S)
            left -= LOOK_S
            if left <= 0:
                left = ASK_S
                await self._make_sure()

    async def _make_sure(self) -> None:
        if self.alive is not None and not await self.alive():
            numbers = ", ".join(f"#{run_id}" for run_id in self.ids)
            raise PipecallError(f"the service is gone; what became of {numbers} is decided when it starts again")

    async def _sight(self, run_id: int) -> Sight:
        run = await self.reads.run(run_id)  # first, so that a run which is over has its last lines below
        progress = None if run.state.final else await self.reads.progress(run_id)
        begun = run.state is not RunState.QUEUED  # what it said since is told after that it runs
        return Sight(run, progress, await self._new_lines(run_id) if begun else ())

    async def _new_lines(self, run_id: int) -> tuple[LogLine, ...]:
        found: list[LogLine] = []
        while True:
            numbered = await self.reads.lines(run_id, LINES, self.seen.get(run_id, 0))
            found += [line for _, line in numbered]
            if numbered:
                self.seen[run_id] = numbered[-1][0]
            if len(numbered) < LINES:
                return tuple(found)
