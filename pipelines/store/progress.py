"""How far runs are that go on, for those in other processes who watch them. A row is gone once its run has ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, delete, select
from sqlalchemy.dialects import postgresql, sqlite

from pipelines.model import RunState, StageCount
from pipelines.store.columns import any_of
from pipelines.store.face_schema import progress
from pipelines.store.schema import in_states, runs

_OF = select(progress).where(any_of(progress.c.run_id, "ids"))
_FORGET = delete(progress).where(progress.c.run_id == bindparam("of"), progress.c.attempt <= bindparam("number"))
_RUNNING = select(runs.c.id).where(in_states(RunState.RUNNING))
_LEFT = delete(progress).where(progress.c.run_id.not_in(_RUNNING))


@dataclass(frozen=True, slots=True)
class Progress:
    """How far one attempt of a run was at an instant (UTC).

    `done` (0–1, None: not known) and `note` are what it says itself, `stages` their counts so far.
    """

    run_id: int
    attempt: int
    at: datetime
    done: float | None = None
    note: str = ""
    stages: tuple[StageCount, ...] = ()


def put(conn: Connection, given: Sequence[Progress]) -> list[None]:
    """Store how far runs are; of those of one run the last stays, and none of an attempt before."""
    make = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}[conn.dialect.name]
    statement: Any = make(progress)
    new = statement.excluded
    names = ("attempt", "at", "done", "note", "stages")
    statement = statement.on_conflict_do_update(
        index_elements=["run_id"],
        set_={name: new[name] for name in names},
        where=new.attempt >= progress.c.attempt,
    )
    if given:
        conn.execute(statement, [_columns(each) for each in given])
    return [None] * len(given)


def forget(conn: Connection, given: Sequence[tuple[int, int]]) -> list[None]:
    """Remove what is known of attempts, (run, number), that are over; a later one elsewhere is not touched."""
    if given:
        conn.execute(_FORGET, [{"of": run_id, "number": number} for run_id, number in given])
    return [None] * len(given)


def prune(conn: Connection, given: Sequence[None]) -> list[None]:
    """Remove what is left of runs that do not run: whoever executed them died."""
    conn.execute(_LEFT)
    return [None] * len(given)


def of(conn: Connection, ids: Sequence[int]) -> dict[int, Progress]:
    """Return how far those of some runs are that have said so."""
    return {
        row.run_id: Progress(
            run_id=row.run_id,
            attempt=row.attempt,
            at=row.at,
            done=row.done,
            note=row.note,
            stages=tuple(StageCount(**each) for each in row.stages),
        )
        for row in conn.execute(_OF, {"ids": list(ids)})
    }


def _columns(given: Progress) -> dict[str, Any]:
    return {
        "run_id": given.run_id,
        "attempt": given.attempt,
        "at": given.at,
        "done": given.done,
        "note": given.note,
        "stages": [asdict(each) for each in given.stages],
    }
