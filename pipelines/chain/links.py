"""Which stages share a loop, what each of them counted, and which one an error came from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import AsyncGeneratorType, CodeType, TracebackType
from typing import Any

from pipelines.chain.counts import Boundary
from pipelines.chain.fused import FusedRun, is_loop, slot_of
from pipelines.chain.kinds import Kind, Stage
from pipelines.model import StageCount


@dataclass(slots=True, eq=False)
class Link:
    """Stages that share one loop: one of any kind, or plain functions in a row, perhaps after a generator function."""

    stages: list[Stage]
    run: FusedRun | None = None
    code: CodeType | None = None
    """The code of its stream's frames, by which tracebacks tell that they passed through it."""
    boundary: Boundary | None = None
    """Where its items come out; None while it is not connected, and for a fused link at the chain's end."""
    stuck: int | None = None
    """The place in its run of the plain function that raised."""

    @property
    def source(self) -> Stage | None:
        """The generator function that its plain functions come after."""
        return self.stages[0] if self.stages[0].kind is Kind.MANY else None

    def settle(self) -> None:
        """Fix the count of what came out if no more can come."""
        if self.boundary is not None:
            self.boundary.settle()

    def freeze(self) -> None:
        """Fix the count of what came out."""
        if self.boundary is not None:
            self.boundary.freeze()

    def counts(self, taken: int, self_s: float) -> list[StageCount]:
        """Return what each stage did, given the items that went in and the seconds this link took itself."""
        outs, shares = self._outs(taken)
        weight = self_s / (sum(shares) or 1.0)
        counted = []
        for stage, given, share in zip(self.stages, outs, shares, strict=True):
            counted.append(StageCount(stage.position, stage.name, taken, given, share * weight))
            taken = given
        return counted

    def _outs(self, taken: int) -> tuple[list[int], list[float]]:
        """Return for each stage the items it gave out and its share of the time."""
        if self.run is None:
            return [self.boundary.passed if self.boundary is not None else 0], [1.0]
        outs, shares = [], []
        if self.source is not None:
            taken = self.run.outs + self.run.dropped + (self.stuck is not None)
            outs, shares = [taken], [self.run.source_s]
        for slot in self.run.slots.values():
            taken -= slot.dropped + (self.stuck == slot.index)
            outs.append(taken)
            shares.append(slot.sampled_s)
        return outs, shares


def linked(stages: Sequence[Stage]) -> list[Link]:
    """Group stages: a plain function joins a plain or generator function before it, all else stands alone."""
    groups: list[list[Stage]] = []
    for stage in stages:
        if stage.kind is Kind.PLAIN and groups and groups[-1][0].kind in (Kind.PLAIN, Kind.MANY):
            groups[-1].append(stage)
        else:
            groups.append([stage])
    return [Link(group, _fused(group)) for group in groups]


def code_of(stream: Any) -> CodeType | None:
    """Return the code whose frames show in a traceback when the stream raises; None if it is not written in Python."""
    if isinstance(stream, AsyncGeneratorType):
        return stream.ag_code
    return getattr(getattr(type(stream), "__anext__", None), "__code__", None)


def blame(links: Sequence[Link], trace: TracebackType | None) -> tuple[Stage, TracebackType] | None:
    """Find the failing stage, and the part of the traceback that is its own.

    It is the one furthest upstream that the error passed through; None when it passed none.

    Streams are nested, the last stage's outermost, so frames match links from the last to the first. A fused link is
    told which of its functions raised, as that one did not give out the item that it took.
    """
    guilty, slot, above, own = None, None, len(links), trace
    while trace is not None:
        matching = [at for at in range(above) if links[at].code is trace.tb_frame.f_code]
        if matching:
            above = matching[-1]
            guilty, slot, own = links[above], None, trace
        if guilty is not None and guilty.run is not None and is_loop(trace):
            slot = slot_of(trace, guilty.run)
        trace = trace.tb_next
    if guilty is None or own is None:
        return None
    guilty.stuck = slot
    return guilty.stages[slot + (guilty.source is not None) if slot is not None else 0], own


def _fused(group: Sequence[Stage]) -> FusedRun | None:
    if group[0].kind not in (Kind.PLAIN, Kind.MANY):
        return None
    return FusedRun([stage.thing for stage in group if stage.kind is Kind.PLAIN])
