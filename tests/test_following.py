"""How far runs are is known wherever they are executed, and the store is asked no more than it must be."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest
from sqlalchemy import Engine, event

from pipelines.endings import Endings
from pipelines.errors import UnknownName
from pipelines.following import FRESH_S, Following
from pipelines.live_run import LiveRun
from pipelines.model import NewRun, Run, RunState, StageCount, StartedBy
from pipelines.store import database, ends, history, progress, runs
from pipelines.store.ends import CancelWaiting
from pipelines.store.progress import Progress
from pipelines.store.writer import Reader
from tests.store.conftest import engine, module_engine, module_url  # noqa: F401 - fixtures: each kind of database

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
STAGES = (StageCount(0, "s", 3, 2, 0.5),)


class Watch:
    """A clock that is set by hand."""

    now = 0.0

    def __call__(self) -> float:
        """The time in seconds."""
        return self.now


def queued(store: Engine, count: int) -> list[Run]:
    """Queue runs."""
    with database.writing(store).begin() as conn:
        wanted = [NewRun(pipeline="p", started_by=StartedBy.MANUAL) for _ in range(count)]
        return [run for made in runs.insert_lists(conn, [wanted]) for run in made]


def write(store: Engine, *rows: Progress) -> None:
    """Say how far runs are, as another process does."""
    with database.writing(store).begin() as conn:
        progress.put(conn, rows)


def known(store: Engine, *ids: int) -> dict[int, Progress]:
    """How far runs are by what the store has."""
    with store.connect() as conn:
        return progress.of(conn, ids)


@asynccontextmanager
async def reading(store: Engine):
    """A reader, and the list of the questions for progress that are asked meanwhile."""
    asked: list[str] = []

    def note(*given: object) -> None:
        if "progress" in str(given[2]):
            asked.append(str(given[2]))

    listen = (store, "before_cursor_execute", note)
    event.listen(*listen)
    reader = Reader(store)
    try:
        yield reader, asked
    finally:
        await reader.close()
        event.remove(*listen)


async def test_a_run_that_goes_on_here_costs_no_question(engine: Engine):  # noqa: F811
    """What is executed here is known from memory; on a store of its own a service never asks."""
    [run] = queued(engine, 1)
    live = {run.id: LiveRun(run, stages=STAGES, done=0.5, note="half")}
    async with reading(engine) as (reader, asked):
        alone = Following(reader, live=lambda: live, elsewhere=False, clock=lambda: NOON)
        together = Following(reader, live=lambda: live, elsewhere=True, clock=lambda: NOON)
        expected = {run.id: Progress(run.id, 0, NOON, 0.5, "half", STAGES)}
        assert expected == await alone.of([run.id, 999])
        assert expected == await together.of([run.id])
        assert [] == asked


async def test_all_who_show_runs_elsewhere_share_one_read(engine: Engine):  # noqa: F811
    """A hundred cards that look in the same moment cost one question, and later one more."""
    rows = [Progress(run.id, 1, NOON, 0.25, "a quarter", STAGES) for run in queued(engine, 100)]
    write(engine, *rows)
    watch = Watch()
    async with reading(engine) as (reader, asked):
        following = Following(reader, live=dict, elsewhere=True, clock=lambda: NOON, passed=watch)
        assert {row.run_id: row for row in rows} == await following.of(row.run_id for row in rows)
        assert rows == await asyncio.gather(*(following.one(row.run_id) for row in rows))
        assert 1 == len(asked)
        watch.now += FRESH_S
        assert rows == await asyncio.gather(*(following.one(row.run_id) for row in rows))
        assert 2 == len(asked)


async def test_what_is_shown_is_as_fresh_as_the_store(engine: Engine):  # noqa: F811
    """After a moment what was read before counts no more; a run that has said nothing is left out."""
    first, silent = queued(engine, 2)
    write(engine, Progress(first.id, 1, NOON, 0.1))
    watch = Watch()
    async with reading(engine) as (reader, _):
        following = Following(reader, live=dict, elsewhere=True, clock=lambda: NOON, passed=watch)
        assert [0.1] == [each.done for each in (await following.of([first.id, silent.id])).values()]
        write(engine, Progress(first.id, 1, NOON, 0.2), Progress(silent.id, 1, NOON, 0.9))
        watch.now += FRESH_S
        assert {first.id: 0.2, silent.id: 0.9} == {
            run_id: each.done for run_id, each in (await following.of([first.id, silent.id])).items()
        }


def test_an_attempt_that_is_over_says_nothing_of_the_next(engine: Engine):  # noqa: F811
    """The process that lost a run neither writes over nor removes what the one after it says."""
    [run] = queued(engine, 1)
    second = Progress(run.id, 2, NOON, 0.1, "again")
    write(engine, Progress(run.id, 1, NOON, 0.9), second)
    write(engine, Progress(run.id, 1, NOON, 1.0, "late"))
    with database.writing(engine).begin() as conn:
        progress.forget(conn, [(run.id, 1)])
    assert {run.id: second} == known(engine, run.id)
    with database.writing(engine).begin() as conn:
        progress.forget(conn, [(run.id, 2)])
    assert {} == known(engine, run.id)


def test_what_the_dead_left_is_removed_and_nothing_of_the_living(engine: Engine):  # noqa: F811
    """Rows of runs that run stay, whoever executes them; all others go."""
    running, waiting = queued(engine, 2)
    write(engine, Progress(running.id, 1, NOON, 0.5), Progress(waiting.id, 1, NOON, 0.5))
    with database.writing(engine).begin() as conn:
        conn.exec_driver_sql(f"UPDATE runs SET state = 'running' WHERE id = {running.id}")
        progress.prune(conn, [None])
    assert {running.id} == set(known(engine, running.id, waiting.id))


# ---------------------------------------------------------------- ends of which nobody tells


def cancel(store: Engine, *ids: int) -> None:
    """End runs that wait, as another process does whose signal is lost."""
    with database.writing(store).begin() as conn:
        assert [True] * len(ids) == ends.cancel_waiting(conn, [CancelWaiting(each, "enough", NOON) for each in ids])


async def test_an_end_is_noticed_though_its_signal_was_lost(engine: Engine):  # noqa: F811
    """Runs that are waited for are read again now and then, whoever waits for them."""
    first, second, third = queued(engine, 3)
    async with reading(engine) as (reader, _):
        endings = Endings(reader, again_s=0.05)
        waits = [asyncio.create_task(endings.wait(each.id)) for each in (first, second, third, first)]
        await asyncio.sleep(0)
        await asyncio.to_thread(cancel, engine, first.id, second.id)
        over = await asyncio.wait_for(asyncio.gather(waits[0], waits[1], waits[3]), 10)
        assert [first.id, second.id, first.id] == [run.id for run in over]
        assert {RunState.CANCELLED} == {run.state for run in over}
        assert not waits[2].done()
        endings.happened(third := (await reader.read(history.of_ids, [third.id]))[0])
        assert not waits[2].done()
        await asyncio.to_thread(cancel, engine, third.id)
        assert RunState.CANCELLED is (await asyncio.wait_for(waits[2], 10)).state


async def test_who_stops_waiting_keeps_nobody_else_from_it(engine: Engine):  # noqa: F811
    """Two wait for one run; one is cancelled, the other learns of the end."""
    [run] = queued(engine, 1)
    async with reading(engine) as (reader, _):
        endings = Endings(reader)
        gone, stays = (asyncio.create_task(endings.wait(run.id)) for _ in range(2))
        await reader.read(history.run, run.id)
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
        await asyncio.to_thread(cancel, engine, run.id)
        endings.happened((await reader.read(history.of_ids, [run.id]))[0])
        assert RunState.CANCELLED is (await asyncio.wait_for(stays, 10)).state


async def test_a_run_that_is_removed_is_not_waited_for(engine: Engine):  # noqa: F811
    """Whoever waits learns that there is none, at once or when it has gone."""
    [run] = queued(engine, 1)
    async with reading(engine) as (reader, _):
        endings = Endings(reader, again_s=0.02)
        with pytest.raises(UnknownName):
            await endings.wait(run.id + 1)
        waits = asyncio.create_task(endings.wait(run.id))
        await reader.read(history.run, run.id)
        with database.writing(engine).begin() as conn:
            conn.exec_driver_sql("DELETE FROM runs")
        with pytest.raises(UnknownName):
            await asyncio.wait_for(waits, 10)
