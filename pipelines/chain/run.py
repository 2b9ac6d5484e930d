"""The chain: builds its stages, enters them, pulls the stream to its end, closes all, and words the outcome.

What a stage does never comes out of here as an exception, except for the cancellation of the task that runs the chain.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from functools import partial
from time import perf_counter
from types import TracebackType
from typing import Any, Protocol

from pipelines.chain.caller import calling_stage
from pipelines.chain.counts import Boundary, Pacer, only_none
from pipelines.chain.failure import message_of, outcome_of
from pipelines.chain.fused import each, each_drained, many, many_drained
from pipelines.chain.kinds import Kind, Stage, kind_of, name_of, numbered, stream_of
from pipelines.chain.links import Link, blame, code_of, linked
from pipelines.errors import PipecallError
from pipelines.model import JSON, Job, Message, Outcome, RunState, StageCount, StageSpec, StateChange
from pipelines.transform import CURRENT_RUN, RunContext, RunPort

COUNTS_EVERY_S = 0.5
"""How often counts are told while a run goes on. In seconds."""


class StageBuilder(Protocol):
    """What a chain needs of the registry."""

    def build(self, spec: StageSpec) -> Any:
        """Return the stage that `spec` describes: an object, or a function with its arguments bound."""

    def renew(self, paths: Iterable[str]) -> None:
        """Look at every stage anew: at those of `paths` now, at others when they are built next."""


class _Outbound:
    """A run's port that also keeps what is emitted; of messages with the same key the first."""

    def __init__(self, port: RunPort) -> None:
        self._port = port
        self.messages: dict[str, Message] = {}

    async def lookup(self, collection: str, keys: Sequence[str]) -> Mapping[str, JSON]:
        return await self._port.lookup(collection, keys)

    async def scan(self, collection: str, after: str, limit: int) -> Sequence[tuple[str, JSON]]:
        return await self._port.scan(collection, after, limit)

    def emit(self, message: Message) -> None:
        self.messages.setdefault(message.key, message)
        self._port.emit(message)

    def progress(self, done: float | None, note: str) -> None:
        self._port.progress(done, note)


class Chain:
    """One run of a job's stages. Build it, await `run` once; `counts` may be read at any time from the same thread."""

    def __init__(self, job: Job, registry: StageBuilder, port: RunPort) -> None:
        """Prepare; nothing is built or imported before `run`."""
        self._outbound = _Outbound(port)
        self.context = RunContext(job, self._outbound, self._asking)
        self._job = job
        self._registry = registry
        self._names = numbered([spec.path.rpartition(".")[2].rpartition(":")[2] for spec in job.stages])
        self._written = self._names
        self._stages: Sequence[Stage] = ()
        self._pacer = Pacer()
        self._links: list[Link] = []
        self._start: Boundary | None = None
        self._entered: list[Stage] = []
        self._at: int | None = None
        self._trace: TracebackType | None = None
        self._building = False
        self._began = perf_counter()
        self._took_s: float | None = None

    async def run(self) -> Outcome:
        """Run the chain to its end and say how it ended.

        Raises:
            asyncio.CancelledError: the task was cancelled; the stages have been closed.
        """
        token = CURRENT_RUN.set(self.context)
        try:
            error = await self._close(await self._attempt())
        finally:
            CURRENT_RUN.reset(token)
        if isinstance(error, asyncio.CancelledError) and _cancelled():
            raise error
        stage = self._names[self._at] if error is not None and self._at is not None else None
        end = outcome_of(error, stage=stage, building=self._building, trace=self._trace)
        good = end["state"] is RunState.SUCCEEDED
        return Outcome(
            stages=self.counts(),
            messages=tuple(self._outbound.messages.values()),
            change=self.context.change() if good else StateChange(),
            **end,
        )

    def counts(self) -> tuple[StageCount, ...]:
        """Return what each stage did so far; zeros for a stage that has not been connected."""
        counted: list[StageCount] = []
        passed = self._start.passed if self._start is not None else 0
        upstream_s = self._start.busy_s if self._start is not None else 0.0
        for link in self._links:
            at_end = link is self._links[-1] and len(counted) + len(link.stages) == len(self._names)
            inclusive_s = self._spent_s() if at_end or link.boundary is None else link.boundary.busy_s
            counted += link.counts(passed, max(0.0, inclusive_s - upstream_s))
            passed, upstream_s = counted[-1].items_out, max(inclusive_s, upstream_s)
        rest = range(len(counted), len(self._names))
        counted += [StageCount(at, self._names[at], items_in=0, items_out=0, busy_s=0.0) for at in rest]
        return tuple(counted)

    @property
    def messages(self) -> tuple[Message, ...]:
        """What has been emitted so far."""
        return tuple(self._outbound.messages.values())

    def _spent_s(self) -> float:
        took_s = self._took_s if self._took_s is not None else perf_counter() - self._began
        return max(0.0, took_s - self._pacer.slept_s) if self._start is not None else 0.0

    async def _attempt(self) -> BaseException | None:
        try:
            self._stages = self._build()
            await self._enter(self._stages)
            await self._pull(linked(self._stages))
        except BaseException as error:  # noqa: BLE001 - whatever a stage raises, sys.exit too, is the run's outcome
            if self._at is None and (guilty := blame(self._links, error.__traceback__)) is not None:
                stage, self._trace = guilty
                self._at = stage.position
            return error
        finally:
            self._took_s = perf_counter() - self._began
            for link in self._links:
                link.freeze()
        return None

    def _asking(self) -> str:
        """Return the name, as its class path has it, of the stage whose code calls this."""
        stage = calling_stage(self._stages, self._links)
        at = stage.position if stage is not None else self._at
        if at is None:
            raise PipecallError(
                "it cannot be told which stage asks for a key, as a task or thread of its own does; ask in the stage "
                "itself, and hand over the key"
            )
        return self._written[at]

    def _build(self) -> list[Stage]:
        self._building = True
        if not self._job.stages:
            raise PipecallError(f"pipeline '{self._job.pipeline}' has no stages; add at least one to its chain")
        things = []
        for at, spec in enumerate(self._job.stages):
            self._at = at
            thing = self._registry.build(spec)
            things.append((thing, kind_of(thing)))
        self._names = numbered([name_of(thing) for thing, _ in things])
        self._building = False
        self._at = None
        named = zip(things, self._names, strict=True)
        return [Stage(at, name, thing, kind) for at, ((thing, kind), name) in enumerate(named)]

    async def _enter(self, stages: Sequence[Stage]) -> None:
        for stage in stages:
            if hasattr(stage.thing, "__aenter__") and stage.kind is Kind.STREAM:
                self._at = stage.position
                await stage.thing.__aenter__()
                self._entered.append(stage)
        self._at = None

    async def _pull(self, links: Sequence[Link]) -> None:
        """Connect the links and pull at the last one until nothing comes any more."""
        self._began = perf_counter()
        upstream = self._start = Boundary(only_none(), self._pacer)
        for link in links[:-1]:
            upstream = await self._connect(link, upstream)
        last = links[-1]
        if last.run is None:
            await (await self._connect(last, upstream)).drain()
            return
        self._links.append(last)
        items = upstream.items(_nothing)
        if last.source is None:
            last.code = each_drained.__code__
            await each_drained(items, last.run)
        else:
            last.code = many_drained.__code__
            await many_drained(items, last.source.thing, last.run, self._pacer)

    async def _connect(self, link: Link, upstream: Boundary) -> Boundary:
        self._at = link.stages[0].position
        self._links.append(link)
        items = upstream.items(link.settle)
        stream = await self._stream(link, items)
        link.code = code_of(stream)
        link.boundary = Boundary(stream, self._pacer)
        self._at = None
        return link.boundary

    async def _stream(self, link: Link, items: AsyncIterator[Any]) -> AsyncIterator[Any]:
        if link.run is None:
            return await stream_of(link.stages[0], items)
        if link.source is None:
            return each(items, link.run)
        return many(items, link.source.thing, link.run, self._pacer)

    async def _close(self, error: BaseException | None) -> BaseException | None:
        """Close streams from the last to the first, then stages in reverse; return what went wrong first."""
        for link in reversed(self._links):
            if link.boundary is not None:
                error = await self._closed(link.stages[0], link.boundary.close, error)
        while self._entered:
            stage = self._entered.pop()
            error = await self._closed(stage, partial(_leave, stage.thing, error), error)
        if self._start is not None:
            await self._start.close()
        return error

    async def _closed(
        self, stage: Stage, close: Callable[[], Any], error: BaseException | None
    ) -> BaseException | None:
        try:
            await close()
        except GeneratorExit:
            raise
        except BaseException as problem:  # noqa: BLE001 - closing goes on, and the first thing that went wrong is told
            if error is None or (isinstance(problem, asyncio.CancelledError) and _cancelled()):
                self._at, self._trace = stage.position, None
                return problem
            if problem is not error:
                kind = type(problem).__name__
                self.context.log.warning("closing %s failed as well: %s: %s", stage.name, kind, message_of(problem))
        return error


async def run_chain(
    job: Job,
    registry: StageBuilder,
    port: RunPort,
    *,
    on_counts: Callable[[tuple[StageCount, ...]], None] | None = None,
) -> Outcome:
    """Run a job's stages to the end and say how that ended.

    `on_counts` is told what each stage did so far, every half second.

    Raises:
        asyncio.CancelledError: the task was cancelled; the stages have been closed.
    """
    chain = Chain(job, registry, port)
    if on_counts is None:
        return await chain.run()
    teller = asyncio.create_task(_tell(chain, on_counts), name=f"counts of run {job.run_id}")
    try:
        return await chain.run()
    finally:
        teller.cancel()


async def _tell(chain: Chain, on_counts: Callable[[tuple[StageCount, ...]], None]) -> None:
    while True:
        await asyncio.sleep(COUNTS_EVERY_S)
        on_counts(chain.counts())


async def _leave(thing: Any, error: BaseException | None) -> None:
    if error is None:
        await thing.__aexit__(None, None, None)
    else:
        await thing.__aexit__(type(error), error, error.__traceback__)


def _cancelled() -> bool:
    """Tell whether the task itself was cancelled, and not just something that a stage awaited."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _nothing() -> None:
    pass
