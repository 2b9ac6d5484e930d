"""A store with a long history for the doors to show: written with SQL, as to run it all would take days.

A fifth of the runs are of the pipeline `p0`, which is due every minute, the others evenly of all. None failed; one in
a hundred timed out, but none of `p0`.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import text

from benchmarks.measure import write_project
from pipelines.model import utcnow
from pipelines.store import database

AUDITED = 100_000
_NUMBERS = "WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n WHERE id < :count)"
_BUSY = "id % 5 = 0"
_NAME = f"CASE WHEN {_BUSY} THEN 'p0' ELSE 'p' || (id % :pipelines) END"
_AT = "strftime('%Y-%m-%d %H:%M:%f000', :first + id * :step_s, 'unixepoch')"
_ENDED = "strftime('%Y-%m-%d %H:%M:%f000', :first + id * :step_s + 2.5, 'unixepoch')"
_STATE = f"CASE WHEN id % 100 = 7 AND NOT ({_BUSY}) THEN 'timed_out' ELSE 'succeeded' END"
_RUNS = (
    "INSERT INTO runs (id, pipeline, schedule_id, due_at, started_by, params, state, queued_at, started_at, ended_at, "
    f"attempt, items_in, items_out) {_NUMBERS} SELECT id, {_NAME}, {_NAME}, {_AT}, 'schedule', '{{}}', {_STATE}, "
    f"{_AT}, {_AT}, {_ENDED}, 1, 10, 10 FROM n"
)
_ATTEMPTS = (
    f"INSERT INTO attempts (run_id, number, state, started_at, ended_at) {_NUMBERS} "
    f"SELECT id, 1, {_STATE}, {_AT}, {_ENDED} FROM n"
)
_STAGES = (
    f"INSERT INTO stages (run_id, attempt, position, name, items_in, items_out, busy_s) {_NUMBERS} "
    "SELECT id, 1, 0, 'nothing', 10, 10, 0.5 FROM n"
)
_LOGS = (
    f"INSERT INTO logs (run_id, seq, at, level, source, text) {_NUMBERS} "
    f"SELECT id, 1, {_AT}, 20, 'stage', 'a line of this run' FROM n"
)
_OCCURRENCES = (
    f"INSERT INTO occurrences (schedule_id, due_at, outcome, run_id) {_NUMBERS} "
    f"SELECT {_NAME}, {_AT}, CASE WHEN id % 100 = 9 THEN 'missed' ELSE 'run' END, id FROM n"
)
_COUNTS = (
    "INSERT INTO run_counts (pipeline, state, count, last_ended_at) "
    "SELECT pipeline, state, count(*), max(ended_at) FROM runs GROUP BY pipeline, state"
)
_AUDIT = (
    f"INSERT INTO audit (at, actor_id, actor, door, place, verb, target, detail, allowed, run_id) {_NUMBERS} SELECT "
    f"{_AT}, 'terminal:ann', 'ann', 'terminal', '{{}}', 'run', {_NAME}, '{{}}', 1, id FROM n WHERE id <= :audited"
)


def write(folder: Path, *, runs: int, pipelines: int, now: datetime | None = None) -> None:
    """Write a pipelines file, and a store with so many runs of its pipelines in the last 60 days before `now` (UTC)."""
    times = ["* * * * *"] + [f"{at % 60} {at // 60 % 24} * * *" for at in range(1, pipelines)]
    stage = {"executor": "inline", "chain": ["benchmarks.stages.nothing"]}
    content = {f"p{number}": stage | {"schedule": when} for number, when in enumerate(times)}
    write_project(folder, {"pipelines": content})
    engine = database.connect(f"sqlite:///{folder / 'store.db'}")
    database.migrate(engine)
    span = timedelta(days=60)
    given = {
        "count": runs,
        "pipelines": pipelines,
        "first": ((now or utcnow()) - span).timestamp(),
        "step_s": span.total_seconds() / (runs + 1),
        "audited": min(AUDITED, runs),
    }
    with database.writing(engine).begin() as conn:
        for statement in (_RUNS, _ATTEMPTS, _STAGES, _LOGS, _OCCURRENCES, _COUNTS, _AUDIT):
            conn.execute(text(statement), given)
    engine.dispose()
