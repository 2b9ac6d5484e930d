"""Claiming runs together with what an attempt of each needs to know, in one trip to the database."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection

from pipelines.model import JSON, Run
from pipelines.store import runs, state


def take(conn: Connection, claims: Sequence[runs.Claim]) -> list[list[tuple[Run, dict[str, JSON]]]]:
    """Claim as `runs.claim` does; each run comes with its pipeline's small durable values."""
    taken = runs.claim(conn, claims)
    values = state.values_of(conn, {run.pipeline for each in taken for run in each}) if any(taken) else {}
    return [[(run, values.get(run.pipeline, {})) for run in each] for each in taken]
