"""Gathers what a card tells of a run: from memory while the run goes on, from the store once it is over."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from statistics import median
from typing import TYPE_CHECKING, Any

from bot.card import Facts, payload
from pipelines import RunState, StageCount, UnknownName

if TYPE_CHECKING:
    from pipelines import Engine, Parcel, PipelineDefinition, Run

USUAL_OF = 30
"""The usual duration is the median of so many successful runs."""
STREAK = 50
"""So many earlier runs are looked at to tell how many failed in a row."""

_BAD = frozenset({RunState.FAILED, RunState.TIMED_OUT, RunState.CRASHED})


class CardFacts:
    """The facts of cards, over one scheduler. What is shown has its secrets hidden."""

    def __init__(self, scheduler: Engine) -> None:
        """Read from `scheduler`."""
        self._scheduler = scheduler

    async def of(self, run: Run, *, notice: str = "") -> Facts:
        """Return the facts of a run as it stands; `notice` is a line of our own.

        Raises:
            StoreError: the store cannot be read.
        """
        reads = self._scheduler.reads
        live = await self._scheduler.following.one(run.id) if run.state is RunState.RUNNING else None
        usual = [] if run.state.final else await reads.durations(run.pipeline, USUAL_OF)
        text = self._scheduler.redactor.text
        return Facts(
            run=self._clean(run),
            stages=live.stages if live is not None and live.stages else await self._stages(run),
            done=live.done if live is not None else None,
            note=text(live.note) if live is not None else "",
            usual_s=median(usual) if usual else None,
            usual_of=len(usual),
            waits=self._scheduler.overview.waiting_for(run) or "",
            streak=await self._streak(run),
            notice=notice,
        )

    async def render(self, parcel: Parcel) -> dict[str, Any] | None:
        """Return a card's last state as a message's body, for delivery; None when the run is not recorded any more.

        Raises:
            StoreError: the store cannot be read.
        """
        try:
            run = await self._scheduler.reads.run(int(parcel.body["run_id"]))
        except UnknownName:
            return None
        return payload(await self.of(run))

    def _clean(self, run: Run) -> Run:
        redactor = self._scheduler.redactor
        return replace(
            run,
            params=redactor.values(run.params),
            error=redactor.error(run.error) if run.error is not None else None,
            reason=redactor.text(run.reason) if run.reason else run.reason,
        )

    async def _stages(self, run: Run) -> tuple[StageCount, ...]:
        """Return the counts of the last attempt, or zeros for each stage where nothing has been done yet."""
        if run.state.final or run.state is RunState.WAITING_RETRY:
            recorded = await self._scheduler.reads.stages(run.id)
            if recorded or run.state.final:
                return tuple(recorded)
        definition = self._scheduler.catalog.pipelines.get(run.pipeline)
        names = stage_names(definition) if definition is not None else ()
        return tuple(StageCount(at, name, 0, 0, 0.0) for at, name in enumerate(names))

    async def _streak(self, run: Run) -> int:
        """Return how many runs failed in a row, this one included; others than good and bad ones do not count."""
        if run.state not in _BAD:
            return 0
        streak = 1
        for each in await self._scheduler.reads.runs(pipeline=run.pipeline, limit=STREAK, before_id=run.id):
            if each.state is RunState.SUCCEEDED:
                break
            streak += each.state in _BAD
        return streak


def stage_names(definition: PipelineDefinition) -> Iterator[str]:
    """Yield the names of a chain's stages as the engine counts them: the second `Select` is `Select#2`."""
    seen: Counter[str] = Counter()
    for stage in definition.chain:
        name = stage.path.rpartition(".")[2].rpartition(":")[2]
        seen[name] += 1
        yield name if seen[name] == 1 else f"{name}#{seen[name]}"
