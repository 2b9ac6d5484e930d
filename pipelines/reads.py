"""What people ask about runs, answered from the store; every door reads through this."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from pipelines.catalog import Catalog
from pipelines.errors import UnknownName
from pipelines.model import (
    Attempt,
    AuditEntry,
    Incident,
    Lease,
    LogLine,
    Machines,
    Mute,
    Occurrence,
    PipelineStats,
    Process,
    Question,
    Queue,
    Run,
    RunState,
    StageCount,
)
from pipelines.settings import Settings
from pipelines.store import (
    audit,
    history,
    incidents,
    logs,
    machines,
    outbox,
    processes,
    progress,
    questions,
    queues,
    strips,
    troubles,
)
from pipelines.store.progress import Progress
from pipelines.store.strips import Mark
from pipelines.store.writer import Reader

LOOKED_AT = 1_000
"""So many runs of a schedule are looked through for one page of those that are wanted."""


class Reads:
    """Questions to the store. Each raises StoreError where the database refuses."""

    def __init__(
        self,
        reader: Reader,
        settings: Settings,
        catalog: Catalog | None = None,
        *,
        in_all: Callable[[], int | None] = lambda: None,
    ) -> None:
        """Ask through `reader`, as `settings` say; `catalog` has the pipelines in force (None: they are not known).

        `in_all` says how many runs may go on at one time on all machines (None: no limit but their slots).
        """
        self._reader = reader
        self._settings = settings
        self._catalog = catalog
        self._in_all = in_all
        self._seen: Machines | None = None

    async def run(self, run_id: int) -> Run:
        """Return a run.

        Raises:
            UnknownName: there is none.
        """
        run = await self._reader.read(history.run, run_id)
        if run is None:
            raise UnknownName("run", str(run_id), None)
        return run

    async def runs_of(self, ids: Sequence[int]) -> list[Run]:
        """Return those of the runs that are there, in any order."""
        return await self._reader.read(history.of_ids, ids)

    async def live(self, limit: int) -> list[Run]:
        """Return the newest `limit` runs of each state that is not over, oldest first."""
        return await self._reader.read(history.live, limit)

    async def runs(
        self,
        *,
        pipeline: str | None = None,
        state: RunState | None = None,
        schedule_id: str | None = None,
        limit: int = 50,
        before_id: int | None = None,
    ) -> list[Run]:
        """Return runs, newest first; None leaves a filter out."""
        return await self._reader.read(
            history.runs, pipeline=pipeline, state=state, schedule_id=schedule_id, limit=limit, before_id=before_id
        )

    async def page(
        self,
        *,
        pipeline: str | None = None,
        state: RunState | None = None,
        schedule_id: str | None = None,
        limit: int = 50,
        before_id: int | None = None,
    ) -> tuple[list[Run], int | None]:
        """Return up to `limit` runs, newest first, and the id that the next page begins before (None: that was all).

        Each question is one that an index answers. None has a schedule and anything else: then a bounded number of the
        schedule's runs is looked through, so that a page may hold fewer than `limit`, or none, and still have a next.
        """
        sift = schedule_id is not None and (state is not None or pipeline is not None)
        wide: dict[str, Any] = {} if sift else {"pipeline": pipeline, "state": state}
        most = LOOKED_AT if sift else limit + 1
        rows = await self.runs(**wide, schedule_id=schedule_id, before_id=before_id, limit=most)
        fitting = [row for row in rows if state in (None, row.state) and pipeline in (None, row.pipeline)]
        if len(fitting) > limit:
            return fitting[:limit], fitting[limit - 1].id
        return fitting, rows[-1].id if len(rows) == most else None

    async def ledger(self, schedule_id: str | None = None, limit: int = 50) -> list[tuple[Occurrence, str]]:
        """Return the instants that did not become runs, of one schedule or of all, with the pipeline, latest first."""
        return await self._reader.read(history.ledger, schedule_id, limit)

    async def machines(self) -> Machines:
        """Return who takes part, the queues (those of pipelines even where nothing waits in them), and the leases."""
        names = {each.queue for each in self._catalog.pipelines.values()} if self._catalog is not None else set()
        by_workers = self._settings.executor == "procrastinate"
        within = timedelta(seconds=self._settings.run_lease_seconds)
        self._seen = await self._reader.read(machines.read, within, names, by_workers=by_workers, limit=self._in_all())
        return self._seen

    def seen(self) -> Machines | None:
        """Return who took part when `machines` was asked last, without I/O; None where it never was."""
        return self._seen

    async def processes(self) -> list[Process]:
        """Return the schedulers and workers, the leader first; those as well that have fallen silent."""
        return await self._reader.read(processes.all_of)

    async def queues(self) -> list[Queue]:
        """Return the queues by name: those in use, and those of the pipelines."""
        return list((await self.machines()).queues)

    async def leases(self) -> list[Lease]:
        """Return the runs that go on, oldest first, with who holds each until when."""
        return await self._reader.read(queues.held)

    async def attempts(self, run_id: int) -> list[Attempt]:
        """Return a run's attempts in their order."""
        return await self._reader.read(history.attempts, run_id)

    async def stages(self, run_id: int) -> list[StageCount]:
        """Return the counts of the stages of a run's last attempt."""
        return await self._reader.read(history.stages, run_id)

    async def strips(self, pipelines: Iterable[str], limit: int = 20) -> dict[str, list[Mark]]:
        """Return the newest `limit` runs of each pipeline in few columns, oldest first, by its name."""
        return await self._reader.read(strips.of_pipelines, pipelines, limit)

    async def newest(self, limit: int = 1_000) -> list[Mark]:
        """Return the newest runs of all pipelines in few columns, newest first."""
        return await self._reader.read(strips.newest, limit)

    async def progress(self, run_id: int) -> Progress | None:
        """Return how far a run is that goes on, in whichever process; None where it has not said so."""
        return (await self._reader.read(progress.of, [run_id])).get(run_id)

    async def stats(self, pipeline: str | None = None) -> list[PipelineStats]:
        """Return the counts of each pipeline that ever ran, or of one."""
        return await self._reader.read(history.stats, pipeline)

    async def tally(self, names: Iterable[str]) -> list[tuple[str, RunState, int, datetime]]:
        """Return how many runs of each named pipeline ended in each state, and when the last did; others as ''."""
        return await self._reader.read(history.tally, names)

    async def log(self, run_id: int, tail: int = logs.KEPT + 1) -> list[LogLine]:
        """Return the newest lines of a run's log, oldest first."""
        return [line for _, line in await self._reader.read(logs.tail, run_id, tail)]

    async def lines(self, run_id: int, limit: int, after: int | None = None) -> list[tuple[int, LogLine]]:
        """Return numbered lines of a run's log, oldest first: the newest `limit`, or the first after a number."""
        return await self._reader.read(logs.tail, run_id, limit, after)

    async def durations(self, pipeline: str, limit: int = 30) -> list[float]:
        """Return how long a pipeline's newest successful runs took, in seconds, newest first."""
        return await self._reader.read(history.durations, pipeline, limit)

    async def undeliverable(self, limit: int = 100) -> list[outbox.Letter]:
        """Return the messages that were refused for good, newest first."""
        return await self._reader.read(outbox.dead, limit)

    async def incident(self, incident_id: int) -> Incident:
        """Return a pipeline's trouble.

        Raises:
            UnknownName: there is none of this id.
        """
        incident = await self._reader.read(incidents.get, incident_id)
        if incident is None:
            raise UnknownName("incident", str(incident_id), [])
        return incident

    async def open_incidents(self, limit: int = 100) -> list[Incident]:
        """Return the trouble that goes on, newest first."""
        return await self._reader.read(incidents.open_now, limit)

    async def question(self, question_id: int) -> Question:
        """Return what people were asked about missed runs.

        Raises:
            UnknownName: there is no question of this id.
        """
        question = await self._reader.read(questions.get, question_id)
        if question is None:
            raise UnknownName("question", str(question_id), [])
        return question

    async def open_questions(self, limit: int = 100) -> list[Question]:
        """Return what nobody has decided yet, newest first."""
        return await self._reader.read(questions.open_now, limit)

    async def mutes(self) -> list[Mute]:
        """Return all mutes, those that are over but not yet told of as well, by pipeline."""
        return await self._reader.read(troubles.muted)

    async def audit(self, limit: int = 50, before_id: int | None = None) -> Sequence[AuditEntry]:
        """Return what was asked for last, newest first; or what was before the entry `before_id`."""
        return await self._reader.read(audit.newest, limit, before_id)

    async def request(self, request_id: str) -> AuditEntry | None:
        """Return what took effect when a request came first; None where it is new."""
        return await self._reader.read(audit.of_request, request_id)
