"""How the runs of each schedule went, as far as their rows are kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from pipelines.model import Run, RunState
from pipelines.store.columns import any_of
from pipelines.store.rows import to_run
from pipelines.store.schema import runs

_FAILURES = (RunState.FAILED, RunState.TIMED_OUT, RunState.CRASHED)
_OF_THESE = any_of(runs.c.schedule_id, "ids")
_COUNTS = (
    select(runs.c.schedule_id, runs.c.state, func.count().label("counted"))
    .where(_OF_THESE)
    .group_by(runs.c.schedule_id, runs.c.state)
)
_LAST = select(runs).where(runs.c.id.in_(select(func.max(runs.c.id)).where(_OF_THESE).group_by(runs.c.schedule_id)))


@dataclass(frozen=True, slots=True)
class Tally:
    """How many runs of a schedule succeeded and failed (timed out and crashed ones too), and the newest of any kind."""

    succeeded: int = 0
    failed: int = 0
    last: Run | None = None


def tallies(conn: Connection, schedule_ids: Sequence[str]) -> dict[str, Tally]:
    """Return the tally of each of these schedules; those that never ran have one as well."""
    counted: dict[str, dict[RunState, int]] = {each: {} for each in schedule_ids}
    for row in conn.execute(_COUNTS, {"ids": list(schedule_ids)}):
        counted[row.schedule_id][RunState(row.state)] = int(row.counted)
    last = {run.schedule_id: run for run in map(to_run, conn.execute(_LAST, {"ids": list(schedule_ids)}))}
    return {
        each: Tally(
            succeeded=states.get(RunState.SUCCEEDED, 0),
            failed=sum(states.get(state, 0) for state in _FAILURES),
            last=last.get(each),
        )
        for each, states in counted.items()
    }
