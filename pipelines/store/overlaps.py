"""Which due runs are skipped because another run of their schedule waits or goes on; `Overlap` says how it is meant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, Select, bindparam, func, select

from pipelines.model import Overlap, Run, RunState
from pipelines.store.columns import any_of
from pipelines.store.schema import in_states, runs

NEWER = "a newer run was due"
"""Why a run gives way to the next of its schedule (`cancel_running`)."""

_WAITING = (
    select(runs.c.schedule_id, func.min(runs.c.id).label("first"))
    .where(in_states(RunState.QUEUED), any_of(runs.c.schedule_id, "ids"))
    .group_by(runs.c.schedule_id)
)
_OF_SCHEDULES = any_of(func.coalesce(runs.c.schedule_id, ""), "ids")
"""Said so that the index of live runs serves it: that by schedule would read all of a schedule's past."""
_AT_WORK = (
    select(runs.c.schedule_id, func.min(runs.c.id).label("first"))
    .where(in_states(RunState.RUNNING, RunState.WAITING_RETRY), _OF_SCHEDULES)
    .group_by(runs.c.schedule_id)
)
_OLDER = (
    select(runs.c.id)
    .where(
        in_states(RunState.QUEUED, RunState.RUNNING, RunState.WAITING_RETRY),
        _OF_SCHEDULES,
        runs.c.id < bindparam("before"),
    )
    .order_by(runs.c.id)
)


class Queued(NamedTuple):
    """A run that is about to be queued, and what its schedule says of overlap.

    One that is a `replay` of what was missed waits in line behind others, where any may wait.
    """

    run: Run
    overlap: Overlap
    replay: bool = False


def skipped(conn: Connection, wanted: Sequence[Queued]) -> Mapping[int, str]:
    """Return the ids of those that shall not run, each with the reason; `wanted` is in the order of their instants."""
    waiting = _oldest(conn, _WAITING, wanted, Overlap.QUEUE, Overlap.SKIP)
    newest = {each.run.schedule_id: each.run.id for each in wanted}
    at_work = _oldest(conn, _AT_WORK, wanted, Overlap.SKIP)
    reasons: dict[int, str] = {}
    for run, overlap, replay in wanted:
        schedule = run.schedule_id or ""
        first = run.id
        if overlap is Overlap.SKIP or (overlap is Overlap.QUEUE and not replay):
            first = waiting.setdefault(schedule, run.id)
        if overlap is Overlap.CANCEL_RUNNING and newest[run.schedule_id] != run.id:
            reasons[run.id] = NEWER
        elif overlap is Overlap.SKIP and schedule in at_work:
            reasons[run.id] = f"run #{at_work[schedule]} still runs"
        elif first != run.id:
            reasons[run.id] = f"run #{first} of this schedule is still waiting"
    return reasons


def _oldest(conn: Connection, found: Select[Any], wanted: Sequence[Queued], *overlaps: Overlap) -> dict[str, int]:
    """Return the oldest run that is `found`, by schedule, of schedules to whose overlap it matters."""
    ids = {each.run.schedule_id for each in wanted if each.overlap in overlaps}
    return {row.schedule_id: row.first for row in conn.execute(found, {"ids": ids})} if ids else {}


def older(conn: Connection, newer: Run) -> list[int]:
    """Return the runs of a run's schedule that are older than it and wait or go on, the oldest first."""
    return list(conn.execute(_OLDER, {"ids": [newer.schedule_id], "before": newer.id}).scalars())
