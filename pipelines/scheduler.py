"""`PipelineScheduler`: the engine for Python programs that are not asynchronous: add jobs, start, ask, stop.

It is one of the doors: each change goes through `Verbs`, like those of the chat and the terminal. Programs with an
event loop of their own use `Engine`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, overload

from pipelines.callables import check_call
from pipelines.engine import Engine
from pipelines.errors import UnknownName
from pipelines.health import Health
from pipelines.hosted import DOOR
from pipelines.job_making import JobMaking
from pipelines.model import PipelineStats, Run
from pipelines.pipeline import check_json
from pipelines.schedule import Schedule, read_schedules
from pipelines.verbs import Verbs

MOST = 2**63
"""No number in the store is so large."""


class PipelineScheduler(JobMaking):
    """A scheduler for callables and pipelines, in a thread of its own. Its methods may be called from any thread.

    Jobs are kept in the store by their names: added again at the next start of the program, each goes on where it was.
    Use it as a context manager, or `start` and `stop` it.
    """

    # ------------------------------------------------------------ runs

    def run_now(self, name: str, *, context: Mapping[str, Any] | None = None) -> Run:
        """Queue a run of a pipeline, or of a job by its name, and return it; `wait` tells how it ends.

        `context` are values for it: JSON; over those of the job where `name` is one.

        Raises:
            UnknownName: there is no such pipeline or job.
            BadParameter: it does not take these values.
            InvalidTransition: the scheduler is not started.
        """
        check_json(f"the context of the run of '{name}'", context or {})
        given = dict(context or {})
        with self._lock:
            self._retime(self._inventory.take_registered())
        return self._call(lambda engine, verbs: self._run(name, given, engine, verbs))

    async def _run(self, name: str, given: dict[str, Any], engine: Engine, verbs: Verbs) -> Run:
        row = engine.jobs.rows.get(name)
        if name not in engine.catalog.pipelines and row is None:
            raise UnknownName("pipeline or job", name, {*engine.catalog.pipelines, *engine.jobs.rows})
        if row is not None and (row.source == DOOR or name not in engine.catalog.pipelines):
            name, given = row.pipeline, {**row.params, **given}
        made = self._inventory.made(name)
        if made is not None and made.first is not None:
            check_call(name, made.first, given)
        return await verbs.run(self._asked, name, given)

    def wait(self, run_id: int, *, timeout: float | None = None) -> Run:
        """Return a run once it is over.

        Raises:
            TimeoutError: it is not, after `timeout` seconds (None: wait for ever).
            UnknownName: there is no such run.
            InvalidTransition: the scheduler is not started, or stopped meanwhile.
        """
        check_run(run_id)

        async def ended(engine: Engine, _: Verbs) -> Run:
            async with asyncio.timeout(timeout):
                return await engine.wait(run_id)

        try:
            return self._call(ended)
        except TimeoutError:
            raise TimeoutError(f"run #{run_id} is not over after {timeout:g} s") from None

    def cancel(self, run_id: int) -> Run:
        """Cancel a run that waits or goes on, and return it as it then stands.

        What runs in a worker process always ends. A function in a thread cannot be stopped from outside: its run ends
        after 10 seconds, and says that the thread goes on; an async function is cancelled.

        Raises:
            UnknownName: there is no such run.
            InvalidTransition: it is over already, or the scheduler is not started.
        """
        check_run(run_id)
        return self._call(lambda _, verbs: verbs.cancel(self._asked, run_id))

    # ------------------------------------------------------------ jobs

    def list_schedules(self) -> list[Schedule]:
        """Return all schedules by name: this program's, those of the pipelines file, and those made elsewhere.

        Before the start, those that this program has added so far.
        """
        if not self.running:
            with self._lock:
                return [self._inventory.wishes[name].schedule for name in sorted(self._inventory.wishes)]

        async def listed(engine: Engine, _: Verbs) -> list[Schedule]:
            rows = engine.jobs.rows
            return await read_schedules([rows[name] for name in sorted(rows)], engine)

        return self._call(listed)

    def enable(self, name: str) -> None:
        """Let a disabled schedule be due again, from now on; what was due meanwhile is not made up for.

        Raises:
            UnknownName: there is no such schedule.
            InvalidTransition: it is not disabled, or the scheduler is not started.
        """
        self._call(lambda _, verbs: verbs.resume(self._asked, name))

    def disable(self, name: str, *, until: datetime | None = None, reason: str | None = None) -> None:
        """Let a schedule be due no more, over restarts too, until it is enabled or `until` (aware) has come.

        Raises:
            UnknownName: there is no such schedule.
            InvalidTransition: it is disabled just so already, or the scheduler is not started.
            ValueError: `until` has no time zone.
        """
        if until is not None and (not isinstance(until, datetime) or until.tzinfo is None):
            raise ValueError(
                f"until: {until!r} is no datetime with a time zone; such as datetime.now(UTC) + timedelta(hours=1)"
            )
        at = until.astimezone(UTC) if until is not None else None
        self._call(lambda _, verbs: verbs.pause(self._asked, name, until=at, reason=reason))

    def unschedule(self, name: str) -> None:
        """Take a schedule away; its history stays.

        Raises:
            UnknownName: there is no such schedule.
            InvalidTransition: it stands in the pipelines file.
        """
        with self._lock:
            if self.running:
                self._call(lambda _, verbs: verbs.remove(self._asked, name))
            elif name not in self._inventory.wishes:
                raise UnknownName("job", name, self._inventory.wishes)
            self._inventory.wishes.pop(name, None)

    def clear(self) -> int:
        """Take away all schedules that were made in Python, by this program or an earlier one; return how many."""
        with self._lock:
            names = [each.name for each in self.list_schedules() if each.source == DOOR]
            for name in names:
                self.unschedule(name)
        return len(names)

    # ------------------------------------------------------------ what happened

    @overload
    def get_job_stats(self, name: None = None) -> list[PipelineStats]: ...

    @overload
    def get_job_stats(self, name: str) -> PipelineStats: ...

    def get_job_stats(self, name: str | None = None) -> list[PipelineStats] | PipelineStats:
        """Return how many runs of each pipeline that ever ran succeeded, failed, were skipped or missed; or of one.

        `name` is that of a pipeline, or of a job, which stands for its pipeline.

        Raises:
            UnknownName: nothing goes by this name, and nothing that did ever ran.
        """

        async def counted(engine: Engine, _: Verbs) -> list[PipelineStats] | PipelineStats:
            if name is None:
                return await engine.reads.stats()
            row = engine.jobs.rows.get(name)
            pipeline = row.pipeline if row is not None else name
            found = await engine.reads.stats(pipeline)
            if not found and pipeline not in engine.catalog.pipelines:
                raise UnknownName("pipeline or job", name, {*engine.catalog.pipelines, *engine.jobs.rows})
            return found[0] if found else PipelineStats(pipeline)

        return self._call(counted)

    def get_history(self, name: str | None = None, *, limit: int = 50) -> list[Run]:
        """Return runs, newest first: all, those of a pipeline, or those of a schedule.

        Raises:
            UnknownName: nothing goes by this name, and nothing that did ever ran.
            ValueError: `limit` is no number of runs.
        """
        if not 0 <= limit < MOST:
            raise ValueError(f"limit: found {limit}; expected a whole number from 0 to {MOST - 1:,}")

        async def told(engine: Engine, _: Verbs) -> list[Run]:
            pipelines, jobs = engine.catalog.pipelines, engine.jobs.rows
            if name is not None and name in jobs and name not in pipelines:
                return await engine.reads.runs(schedule_id=name, limit=limit)
            runs = await engine.reads.runs(pipeline=name, limit=limit)
            runs = runs or (await engine.reads.runs(schedule_id=name, limit=limit) if name else [])
            if not runs and name is not None and name not in pipelines:
                raise UnknownName("pipeline or job", name, {*pipelines, *jobs})
            return runs

        return self._call(told)

    def health_check(self) -> Health:
        """Return how the scheduler is: `status`, and `complaints` in words.

        Raises:
            InvalidTransition: it is not started.
        """
        return self._call(lambda engine, _: engine.health())


def check_run(run_id: object) -> None:
    """Let the number of a run pass.

    Raises:
        UnknownName: it can be none's.
    """
    if not isinstance(run_id, int) or not 0 < run_id < MOST:
        raise UnknownName("run", str(run_id), None)
