"""One attempt of one run: build its job, execute it, decide what follows, record the end in one transaction.

Which run is next is `worker`'s business; where the chain runs, `execution`'s. What comes back while the attempt goes on
is in `live_run`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from random import Random
from time import monotonic
from typing import TypeVar

from pipelines.catalog import Catalog
from pipelines.definition import PipelineDefinition
from pipelines.errors import PipecallError, StoreError
from pipelines.execution import Executor
from pipelines.live_run import LiveRun, RunLog
from pipelines.model import (
    ExecutorKind,
    Job,
    Outcome,
    Run,
    RunError,
    RunState,
    utcnow,
)
from pipelines.redaction import Redactor
from pipelines.retry import next_attempt_at
from pipelines.store import ends, leases
from pipelines.store.batches import Write
from pipelines.store.writer import Reader, Writer

A = TypeVar("A")
R = TypeVar("R")

logger = logging.getLogger(__name__)

LONGEST_WAIT_S = 5.0
"""At most so long, in seconds, between two tries to record an end that the store refuses."""

STOPPED_AT_ONCE = "the service was stopped at once"
CLAIMED_LONG_AGO = "it was claimed too long ago to begin it now"


class Runner:
    """Executes claimed runs. `ended` is called with each run whose attempt is over, as the store now has it."""

    def __init__(
        self,
        *,
        catalog: Catalog,
        writer: Writer,
        reader: Reader,
        executors: Mapping[ExecutorKind, Executor],
        env: Mapping[str, str],
        redactor: Redactor,
        clock: Callable[[], datetime] = utcnow,
    ) -> None:
        """`env` fills `${NAME}` in keyword arguments, `redactor` hides secrets, `clock` gives the time now, UTC."""
        self._catalog = catalog
        self._writer = writer
        self._reader = reader
        self._executors = executors
        self._env = env
        self._redactor = redactor
        self._clock = clock
        self._random = Random()  # noqa: S311 - jitter, not secrets
        self._until_s: float | None = None

    def hurry(self, seconds: float) -> None:
        """Try for so long only, from now on, to record ends that the store refuses: this process is about to stop."""
        until_s = monotonic() + seconds
        self._until_s = until_s if self._until_s is None else min(self._until_s, until_s)

    async def attempt(self, live: LiveRun, executed: Callable[[], None]) -> Run | None:
        """Execute one attempt of a claimed run and record how it ended.

        `executed` is called when the chain has ended and its slot is free, before the end is recorded. Returns the run
        as recorded (final, `waiting_retry`, or `queued` again where it was given back); None when it was no longer ours
        to record. When the task is cancelled, the chain is killed and the run recorded as cancelled, or, where its
        lease was lost, not at all.
        """
        log = RunLog(live, writer=self._writer, reader=self._reader, redactor=self._redactor)
        if live.lease.over:  # this process slept after it had claimed it, or the database was that slow
            live.over = True
            executed()
            return await self._hand_back(live, log, CLAIMED_LONG_AGO, begun=False)
        return await self._attempt(live, log, executed)

    async def _attempt(self, live: LiveRun, log: RunLog, executed: Callable[[], None]) -> Run | None:
        definition, outcome = None, Outcome(state=RunState.CANCELLED, reason=STOPPED_AT_ONCE)
        try:
            definition, outcome = await self._execute(live, log)
        except asyncio.CancelledError:
            outcome = replace(outcome, stages=live.stages)
        live.over = True
        if outcome.state is RunState.CRASHED and live.lease.over:
            live.lost = live.lost or "its lease could not be renewed in time"  # its process has noticed first
        executed()
        if live.lost is not None:
            log.say(logging.ERROR, "given up: %s", live.lost)
            return None
        if live.going_back and outcome.state is RunState.CANCELLED:
            return await self._hand_back(live, log, live.cancel_reason)
        return await self._record(live, log, definition, outcome)

    async def _execute(self, live: LiveRun, log: RunLog) -> tuple[PipelineDefinition | None, Outcome]:
        run = live.run
        log.say(logging.INFO, f"attempt {run.attempt}/{run.max_attempts}{_cause(run)}")
        definition = self._catalog.pipelines.get(run.pipeline)
        if definition is None:
            return None, _broken("UnknownName", f"pipeline '{run.pipeline}' is no longer in the pipelines file")
        try:
            job = self._job(live, definition)
        except PipecallError as error:
            return definition, _broken(type(error).__name__, str(error))
        executor = self._executors[definition.executor]
        timeout_s = definition.timeout.total_seconds()
        outcome = await executor.execute(job, log, timeout_s=timeout_s, cancel=live.cancel, lease=live.lease)
        return definition, self._redactor.outcome(_with_cancel_reason(outcome, live))

    def _job(self, live: LiveRun, definition: PipelineDefinition) -> Job:
        run = live.run
        return Job(
            run_id=run.id,
            attempt=run.attempt,
            max_attempts=run.max_attempts,
            pipeline=run.pipeline,
            stages=definition.stage_specs(self._env),
            params=definition.resolved_params(self._env, run.params),
            started_by=str(run.started_by),
            due_at=run.due_at,
            values=live.values,
            secrets=self._redactor.secrets,
        )

    async def _record(
        self, live: LiveRun, log: RunLog, definition: PipelineDefinition | None, outcome: Outcome
    ) -> Run | None:
        run, now = live.run, self._clock()
        retry_at = self._next_attempt_at(run, definition, outcome, now)
        finish = ends.Finish(
            run_id=run.id,
            attempt=run.attempt,
            outcome=outcome,
            at=now,
            next_state=RunState.WAITING_RETRY if retry_at else outcome.state,
            not_before=retry_at,
            definition_hash=definition.hash if definition else None,
            min_items=definition.expect.min_items if definition else 0,
        )
        if not await self._written(ends.finish, finish, log):
            log.say(logging.WARNING, "its end was not recorded: the run is no longer held by this process")
            return None
        _tell(log, run, outcome, retry_at, now)
        return _as_recorded(run, finish)

    async def _hand_back(self, live: LiveRun, log: RunLog, reason: str, *, begun: bool = True) -> Run | None:
        run, now = live.run, self._clock()
        wish = leases.HandBack(run.id, run.attempt, now, reason, begun)
        state = await self._written(leases.hand_back, wish, log)
        if state is None:
            log.say(logging.WARNING, "%s: another process has it by now", reason)
            return None
        become = state if state.final else "given back, to be run again"
        log.say(logging.WARNING, "%s: %s", reason, become)
        return replace(run, state=state, reason=reason if state.final else None, owner=None)

    async def _written(self, fn: Write[A, R], what: A, log: RunLog) -> R:
        """Record an end, however long the store refuses: a full disk must not make a run go on for ever.

        Raises:
            StoreError: this process is about to stop, and the store still refuses; see `hurry`.
        """
        wait_s = 1.0
        while True:
            try:
                return await self._writer.call(fn, what)
            except StoreError as error:
                if self._until_s is not None and monotonic() > self._until_s:
                    raise
                log.say(logging.ERROR, "its end cannot be recorded: %s; tried again in %g s", error, wait_s)
            await asyncio.sleep(wait_s)
            wait_s = min(wait_s * 2, LONGEST_WAIT_S)

    def _next_attempt_at(
        self, run: Run, definition: PipelineDefinition | None, outcome: Outcome, now: datetime
    ) -> datetime | None:
        if definition is None:
            return None
        return next_attempt_at(
            definition, outcome, run.attempt, max_attempts=run.max_attempts, now=now, random=self._random
        )


def _as_recorded(run: Run, finish: ends.Finish) -> Run:
    """Return the run as the store has it after `finish`."""
    outcome, over = finish.outcome, finish.next_state.final
    return replace(
        run,
        state=finish.next_state,
        reason=outcome.reason,
        error=outcome.error,
        ended_at=finish.at if over else None,
        not_before=finish.not_before,
        items_in=outcome.items_in,
        items_out=outcome.items_out,
        definition_hash=finish.definition_hash,
    )


def _cause(run: Run) -> str:
    who = f" by {run.actor}" if run.actor else ""
    due = f", due {run.due_at:%Y-%m-%d %H:%M:%S}Z" if run.due_at else ""
    return f" (started by {run.started_by}{who}{due})"


def _broken(kind: str, message: str) -> Outcome:
    return Outcome(state=RunState.FAILED, error=RunError(type=kind, message=message), retryable=False)


def _with_cancel_reason(outcome: Outcome, live: LiveRun) -> Outcome:
    if outcome.state is not RunState.CANCELLED:
        return outcome
    reason = "; ".join(part for part in (live.cancel_reason, outcome.reason) if part)
    return Outcome(state=RunState.CANCELLED, reason=reason, stages=outcome.stages)


def _level(state: RunState) -> int:
    if state.good:
        return logging.INFO
    return logging.WARNING if state is RunState.CANCELLED else logging.ERROR


def _tell(log: RunLog, run: Run, outcome: Outcome, retry_at: datetime | None, now: datetime) -> None:
    seconds = (now - run.started_at).total_seconds() if run.started_at else 0.0
    why = str(outcome.error) if outcome.error else outcome.reason
    parts = [f"{outcome.state} in {seconds:.2f} s", f"{outcome.items_in} in, {outcome.items_out} out"]
    parts += [why] if why else []
    parts += [f"next attempt in {(retry_at - now).total_seconds():.0f} s"] if retry_at else []
    log.say(_level(outcome.state), " · ".join(parts))
    if outcome.error and outcome.error.traceback:
        log.say(logging.ERROR, outcome.error.traceback.rstrip())
