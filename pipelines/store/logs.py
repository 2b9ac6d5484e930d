"""The log of each run: its newest lines, and a note that says how many older ones were dropped."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, delete, func, insert, select
from sqlalchemy.dialects import postgresql, sqlite

from pipelines.model import LogLine
from pipelines.store import bulk
from pipelines.store.columns import any_of
from pipelines.store.rows import to_line
from pipelines.store.schema import logs, runs

KEPT = 2_000
"""How many lines of a run are kept."""
_NOTE_SEQ = 0

_LAST = select(
    runs.c.id,
    select(func.coalesce(func.max(logs.c.seq), 0)).where(logs.c.run_id == runs.c.id).scalar_subquery().label("last"),
).where(any_of(runs.c.id, "ids"))
_INSERT = insert(logs)
_DROP = delete(logs).where(logs.c.run_id == bindparam("of"), logs.c.seq > _NOTE_SEQ, logs.c.seq <= bindparam("dropped"))
_TAIL = select(logs).where(logs.c.run_id == bindparam("of")).order_by(logs.c.seq.desc()).limit(bindparam("at_most"))
_AFTER = (
    select(logs)
    .where(logs.c.run_id == bindparam("of"), logs.c.seq > bindparam("after"))
    .order_by(logs.c.seq)
    .limit(bindparam("at_most"))
)


def _upsert(made: Any) -> Any:
    new = {"at": made.excluded.at, "text": made.excluded.text}
    return made.on_conflict_do_update(index_elements=["run_id", "seq"], set_=new)


_NOTES = {"sqlite": _upsert(sqlite.insert(logs)), "postgresql": _upsert(postgresql.insert(logs))}


def append(conn: Connection, batches: Sequence[tuple[int, Sequence[LogLine]]]) -> list[None]:
    """Add lines to the logs of runs (id, lines), dropping the oldest beyond `KEPT`.

    Lines of a run that is not there (any more) are left out.
    """
    wanted: dict[int, list[LogLine]] = {}
    for run_id, lines in batches:
        wanted.setdefault(run_id, []).extend(lines)
    last = {row.id: row.last for row in conn.execute(_LAST, {"ids": sorted(wanted)})}
    rows = [row for run_id in last for row in _rows(run_id, wanted[run_id], last[run_id])]
    bulk.execute(conn, _INSERT, rows)
    _drop(conn, {run_id: wanted[run_id] for run_id in last if wanted[run_id]}, last)
    return [None] * len(batches)


def tail(
    conn: Connection, run_id: int, limit: int = KEPT + 1, after_seq: int | None = None
) -> list[tuple[int, LogLine]]:
    """Return numbered lines of a run's log, oldest first: the newest `limit`, or the first `limit` after a number.

    Lines count from 1; number 0 is the note about dropped ones.
    """
    if after_seq is None:
        rows = conn.execute(_TAIL, {"of": run_id, "at_most": limit}).all()[::-1]
    else:
        rows = conn.execute(_AFTER, {"of": run_id, "after": after_seq, "at_most": limit}).all()
    return [(row.seq, to_line(row)) for row in rows]


def _rows(run_id: int, lines: Sequence[LogLine], last: int) -> list[dict[str, Any]]:
    """Return the rows of those lines that will still be there after the oldest are dropped."""
    numbered = list(enumerate(lines, start=last + 1))[-KEPT:]
    return [_row(run_id, seq, line) for seq, line in numbered]


def _row(run_id: int, seq: int, line: LogLine) -> dict[str, Any]:
    return {
        "run_id": run_id,
        "seq": seq,
        "at": line.at,
        "level": line.level,
        "source": line.source,
        "text": line.text,
    }


def _drop(conn: Connection, added: dict[int, list[LogLine]], last: dict[int, int]) -> None:
    dropped = {run_id: last[run_id] + len(lines) - KEPT for run_id, lines in added.items()}
    dropped = {run_id: number for run_id, number in dropped.items() if number > 0}
    if not dropped:
        return
    bulk.execute(conn, _DROP, [{"of": run_id, "dropped": number} for run_id, number in dropped.items()])
    notes = [
        _row(run_id, _NOTE_SEQ, LogLine(added[run_id][-1].at, logging.INFO, "log", _note(number)))
        for run_id, number in dropped.items()
    ]
    bulk.execute(conn, _NOTES[conn.dialect.name], notes)


def _note(number: int) -> str:
    return f"{number:,} older lines were dropped" if number > 1 else "1 older line was dropped"
