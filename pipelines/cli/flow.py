"""Looking at what flows between the stages of a chain, by stages of our own that stand between the user's.

They only watch, count, hold back from sinks, or stop after so many items; the chain itself is the engine's.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from pipelines.chain import StageBuilder
from pipelines.model import Outcome, StageCount, StageSpec
from pipelines.registry import Registry

SAMPLES = 5
"""So many items are kept for showing after each stage."""
TAP, LIMIT = "<tap>", "<limit>"
"""What stands in the place of a class path for stages of our own; no class path of a user's can look so."""


@dataclass(slots=True)
class Passed:
    """What came out of one stage: the first items as text, and how many there were."""

    samples: list[str] = field(default_factory=list)
    count: int = 0


class Tap:
    """Passes items on and remembers the first ones, as text: stages after it may change the items themselves."""

    def __init__(self, passed: Passed, text_of: Callable[[Any], str]) -> None:
        """`text_of` makes the text of an item, fit for a terminal."""
        self._passed = passed
        self._text_of = text_of

    async def __call__(self, items: AsyncIterator[Any]) -> AsyncIterator[Any]:
        """Pass items on."""
        async for item in items:
            if self._passed.count < SAMPLES:
                self._passed.samples.append(self._text_of(item))
            self._passed.count += 1
            yield item


class FirstItems:
    """Passes on so many items and then ends, which closes the stages before it."""

    def __init__(self, limit: int) -> None:
        """`limit` is at least 1."""
        self._limit = limit

    async def __call__(self, items: AsyncIterator[Any]) -> AsyncIterator[Any]:
        """Pass the first items on."""
        left = self._limit
        async for item in items:
            yield item
            left -= 1
            if not left:
                return


class HeldBack:
    """Stands in for a stage that takes items out to somewhere: they go on as if it had; it goes by that one's name."""

    def __init__(self, name: str) -> None:
        """`name` is that of the stage that is left out."""
        self.__name__ = name

    async def __call__(self, items: AsyncIterator[Any]) -> AsyncIterator[Any]:
        """Pass items on."""
        async for item in items:
            yield item


class Flow(StageBuilder):
    """Builds the stages of a chain with stages of our own between them, and knows afterwards what passed where."""

    def __init__(
        self,
        registry: Registry,
        *,
        text_of: Callable[[Any], str],
        show: bool = False,
        dry_run: bool = False,
        limit: int | None = None,
    ) -> None:
        """Build with `registry`; `show` taps, `dry_run` spares what takes items out, `limit` ends the first stage."""
        self._registry = registry
        self._text_of = text_of
        self._show = show
        self._dry_run = dry_run
        self._limit = limit
        self._own: list[bool] = []
        self.passed: list[Passed] = []
        self.held_back: set[int] = set()
        """The places of the stages that were left out, from 0."""

    def specs(self, stages: Sequence[StageSpec]) -> tuple[StageSpec, ...]:
        """Return the stages of a chain with ours between them."""
        between: list[StageSpec] = []
        for place, spec in enumerate(stages):
            between.append(spec)
            if place == 0 and self._limit is not None:
                between.append(StageSpec(LIMIT))
            if self._show:
                between.append(StageSpec(TAP))
        self._own = [spec.path in (TAP, LIMIT) for spec in between]
        return tuple(between)

    def build(self, spec: StageSpec) -> Any:
        """See `StageBuilder.build`; called once for each of `specs`, in their order."""
        if spec.path == LIMIT:
            return FirstItems(self._limit or 1)
        if spec.path == TAP:
            return Tap(self.passed[-1], self._text_of)
        self.passed.append(Passed())
        target = self._registry.resolve(spec.path)
        if self._dry_run and takes_out(target):
            self.held_back.add(len(self.passed) - 1)
            return HeldBack(target.__name__)
        return self._registry.build(spec)

    def renew(self, paths: Iterable[str]) -> None:
        """See `Registry.renew`."""
        self._registry.renew(paths)

    def counts(self, outcome: Outcome) -> list[StageCount]:
        """Return the counts of the user's own stages."""
        return [count for count, own in zip(outcome.stages, self._own, strict=True) if not own]


def takes_out(target: Any) -> bool:
    """Tell whether a stage's class takes items out to somewhere: a `Sink`, or one that says so by `outward`."""
    return isinstance(target, type) and bool(getattr(target, "outward", hasattr(target, "handle")))
