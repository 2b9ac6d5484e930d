"""Tickets are written with the run, only where there is room, and none that is lost stays lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, text

from pipelines.errors import StoreError
from pipelines.model import NewRun, Outcome, Run, RunState, StartedBy, utcnow
from pipelines.store import database, ends, leases, runs, sharing, ticket_tables, tickets
from pipelines.store.runs import Claim
from pipelines.store.sharing import Sharing
from pipelines.store.ticket_tables import NOTE
from pipelines.store.tickets import Dispatch, Drop, ProcrastinateTickets
from pipelines.store.transactions import Transactions
from tests.project import fresh_store, until

VERSIONS: dict[str, str | None] = {}
POOLS: dict[str, int] = {}
IN_ALL: list[int | None] = []


@pytest.fixture(scope="module")
def shared() -> Iterator[Engine]:
    """A store on PostgreSQL in which queued runs get tickets."""
    with fresh_store() as url:
        engine = database.connect(url)
        database.migrate(engine)
        given = ProcrastinateTickets(lambda: POOLS, lambda: IN_ALL[0] if IN_ALL else None)
        engine = engine.execution_options(**{sharing.OPTION: Sharing("here", VERSIONS.get, given)})
        with engine.begin() as conn:
            ticket_tables.install(conn, [None])
        yield engine
        engine.dispose()


@pytest.fixture
def engine(shared) -> Iterator[Engine]:
    yield shared
    for kept in (VERSIONS, POOLS, IN_ALL):
        kept.clear()
    with shared.begin() as conn:
        conn.execute(
            text("TRUNCATE runs, attempts, signals, run_counts, procrastinate_jobs, procrastinate_workers CASCADE")
        )


def new(pipeline: str = "one", **given: Any) -> NewRun:
    return NewRun(pipeline=pipeline, started_by=StartedBy.MANUAL, **given)


def queue(engine: Engine, *news: NewRun) -> list[Run]:
    with engine.begin() as conn:
        return runs.insert_runs(conn, news)


def jobs(engine: Engine) -> list[Any]:
    with engine.connect() as conn:
        return list(conn.execute(text("SELECT *, args->>'run_id' AS run_id FROM procrastinate_jobs ORDER BY id")))


def ticketed(engine: Engine) -> list[int]:
    with engine.connect() as conn:
        return list(conn.execute(text("SELECT id FROM runs WHERE ticket IS NOT NULL ORDER BY id")).scalars())


def dispatch(engine: Engine, *looks: Dispatch) -> list[int]:
    with engine.begin() as conn:
        found = sharing.of(conn)
        assert found is not None
        assert isinstance(found.tickets, ProcrastinateTickets)
        return found.tickets.dispatch(conn, looks or (Dispatch(),))


def drop(engine: Engine, run_id: int, ticket: int) -> None:
    with engine.begin() as conn:
        found = sharing.of(conn)
        assert found is not None
        assert isinstance(found.tickets, ProcrastinateTickets)
        found.tickets.drop(conn, [Drop(run_id, ticket)])


def start(engine: Engine, *ids: int) -> list[Run]:
    with engine.begin() as conn:
        return runs.claim(conn, [Claim(len(ids), "worker", utcnow(), only=frozenset(ids))])[0]


def finish(engine: Engine, run: Run, state: RunState = RunState.SUCCEEDED, **given: Any) -> None:
    with engine.begin() as conn:
        outcome = Outcome(state=RunState.SUCCEEDED if state is RunState.SUCCEEDED else RunState.FAILED)
        assert [True] == ends.finish(conn, [ends.Finish(run.id, run.attempt, outcome, utcnow(), state, **given)])


def test_a_run_and_its_ticket_are_there_together(engine):
    """A commit leaves the run, its job and the number of the job in the run; the job names run, queue and priority."""
    run = queue(engine, new(queue="gpu", priority=3))[0]
    job = jobs(engine)[0]
    assert ("gpu", 3, str(run.id), None, "todo") == (
        job.queue_name,
        job.priority,
        job.run_id,
        job.scheduled_at,
        job.status,
    )
    with engine.connect() as conn:
        assert job.id == conn.execute(text("SELECT ticket FROM runs")).scalar_one()


def test_a_rollback_leaves_neither(engine):
    """A transaction that fails after the run was queued leaves no run and no job."""

    def fail(conn: Connection) -> None:
        runs.insert_runs(conn, [new()])
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), engine.begin() as conn:
        fail(conn)
    with engine.connect() as conn:
        assert 0 == conn.execute(text("SELECT count(*) FROM runs")).scalar_one()
    assert [] == jobs(engine)


def test_a_connection_that_breaks_while_tickets_are_written_is_tried_again(engine):
    """What procrastinate says of a session that was ended counts as a database that gave way: all is done once."""
    broken: list[int] = []

    def work(conn: Connection) -> list[Run]:
        if not broken:
            broken.append(conn.execute(text("SELECT pg_backend_pid()")).scalar_one())
            with engine.connect() as other:
                end = text("SELECT pg_terminate_backend(:pid)").bindparams(pid=broken[0])
                until(lambda: not other.execute(end).scalar_one(), "the session does not end")
            given = sharing.of(conn)
            assert given is not None
            given.tickets.hand_over(conn, [replace(runs.queued(new(), 1, utcnow()), state=RunState.WAITING_RETRY)])
        return runs.insert_runs(conn, [new()])

    transactions = Transactions(engine, give_up_s=20)
    made = transactions.run(work, durable=True)
    transactions.close()
    assert [run.id for run in made] == [int(job.run_id) for job in jobs(engine)]


def test_hundreds_of_runs_of_one_transaction_get_their_tickets(engine):
    """1,200 runs with room get 1,200 jobs, each with its own run, in their order."""
    made = queue(engine, *(new(f"p{number}") for number in range(1200)))
    assert [str(run.id) for run in made] == [job.run_id for job in jobs(engine)]
    assert [run.id for run in made] == ticketed(engine)


def test_only_runs_with_room_get_tickets(engine):
    """Of five runs of a pipeline with two places two get tickets; further ones, queued later, get none."""
    made = queue(engine, *(new(max_instances=2) for _ in range(5)))
    queue(engine, new(max_instances=2))
    assert [made[0].id, made[1].id] == ticketed(engine)


def test_a_run_of_higher_priority_gets_a_ticket_beside_one_that_waits(engine):
    """A run that goes first gets a ticket although a ticket of lower priority is out for the only place."""
    queue(engine, new())
    first = queue(engine, new(priority=5))[0]
    assert first.id in ticketed(engine)
    assert str(first.id) == max(jobs(engine), key=lambda job: job.priority).run_id


@pytest.mark.parametrize("limit", [lambda: POOLS.update(db=1), lambda: IN_ALL.append(1)], ids=["pool", "in all"])
def test_limits_over_all_pipelines_bound_the_tickets(engine, limit: Callable[[], None]):
    """With one place in the pool, or in all, one of three pipelines' runs gets a ticket."""
    limit()
    made = queue(engine, *(new(name, pool="db") for name in "abc"))
    assert [made[0].id] == ticketed(engine)


def test_a_queue_that_nobody_serves_holds_up_no_other(engine):
    """Tickets that wait in one queue take no room from runs of another queue in the same pool."""
    POOLS["db"] = 1
    made = queue(engine, new("a", pool="db", queue="gpu"), new("b", pool="db"))
    assert [run.id for run in made] == ticketed(engine)


def test_the_end_of_a_run_gives_its_place_to_the_next(engine):
    """After the end of the first, a dispatch gives the oldest that waits a ticket, and nobody else one."""
    first, second, _ = queue(engine, new(), new(), new())
    [running] = start(engine, first.id)
    assert [0] == dispatch(engine)
    finish(engine, running)
    assert [1] == dispatch(engine)
    assert [0] == dispatch(engine)
    assert second.id in ticketed(engine)
    assert 2 == len(jobs(engine))


def test_a_run_that_waits_for_its_next_attempt_has_a_ticket_for_then(engine):
    """A failed attempt's transaction writes a job that is due when the next attempt is."""
    [run] = queue(engine, new(max_attempts=2))
    [running] = start(engine, run.id)
    due = utcnow() + timedelta(minutes=5)
    finish(engine, running, RunState.WAITING_RETRY, not_before=due)
    assert due == jobs(engine)[-1].scheduled_at
    assert [0] == dispatch(engine, Dispatch(lost_after=timedelta()))


def test_a_run_that_is_taken_up_has_a_new_ticket(engine):
    """The sweep of a run whose holder died writes a ticket in its own transaction."""
    [run] = queue(engine, new(max_attempts=2))
    start(engine, run.id)
    with engine.begin() as conn:
        leases.sweep(conn, [leases.Sweep(utcnow(), dead=frozenset({"worker"}))])
    assert [str(run.id)] * 2 == [job.run_id for job in jobs(engine)]


def test_a_ticket_that_was_dropped_is_given_again(engine):
    """A dropped ticket leaves its run without one until the next dispatch; the drop of an older one changes nothing."""
    [run] = queue(engine, new())
    [job] = jobs(engine)
    drop(engine, run.id, job.id + 1_000)
    assert [run.id] == ticketed(engine)
    drop(engine, run.id, job.id)
    assert [] == ticketed(engine)
    assert [1] == dispatch(engine)
    assert [run.id] == ticketed(engine)


def test_a_ticket_that_was_lost_is_given_again(engine):
    """A job that was fetched by a worker which then died counts as lost after the given time, not before."""
    [run] = queue(engine, new())
    with engine.begin() as conn:
        conn.execute(text("UPDATE procrastinate_jobs SET status = 'doing'"))
    assert [0] == dispatch(engine, Dispatch(lost_after=timedelta(minutes=1)))
    assert [1] == dispatch(engine, Dispatch(lost_after=timedelta()))
    assert [str(run.id)] == [job.run_id for job in jobs(engine)]  # what the worker left is gone


def test_a_ticket_in_hand_is_not_lost(engine):
    """A job that waits longer than the time is no lost ticket."""
    queue(engine, new())
    assert [0] == dispatch(engine, Dispatch(lost_after=timedelta()))
    assert 1 == len(jobs(engine))


def test_a_run_of_another_version_is_left_to_who_has_it(engine):
    """A dispatch gives a ticket to a run of the version in force here, and none to one that needs another."""
    VERSIONS["one"] = "new"
    made = queue(engine, new(), new())
    with engine.begin() as conn:
        conn.execute(text("UPDATE runs SET ticket = NULL, version = 'old' WHERE id = :id"), {"id": made[0].id})
    assert [1] == dispatch(engine)
    assert [made[1].id] == ticketed(engine)


def test_two_who_dispatch_at_once_give_one_ticket(engine):
    """A run that another transaction is giving a ticket is passed over."""
    [run] = queue(engine, new())
    drop(engine, run.id, jobs(engine)[0].id)
    with engine.begin() as conn:
        conn.execute(text("SELECT FROM runs WHERE id = :id FOR UPDATE"), {"id": run.id})
        assert [0] == dispatch(engine)
    assert [1] == dispatch(engine)


def test_a_long_queue_name_fits_into_a_channel(engine):
    """A queue with a name of 80 characters gets its tickets, under a name of its own that PostgreSQL takes."""
    names = ["q" * 79 + each for each in "ab"]
    made = queue(engine, *(new(queue=name) for name in names))
    assert [run.id for run in made][:1] == ticketed(engine)[:1]
    assert {tickets.queue_of(name) for name in names} >= {job.queue_name for job in jobs(engine)}
    assert tickets.queue_of(names[0]) != tickets.queue_of(names[1])


def execute(engine: Engine, statements: Sequence[str]) -> None:
    for statement in statements:
        with engine.begin() as conn:
            conn.exec_driver_sql(statement, execution_options={"no_parameters": True})


def test_an_older_procrastinate_is_brought_up_to_date():
    """Tables at the state of 3.2, as a note says, get the later migrations, once; new ones need none."""
    with fresh_store() as url:
        engine = database.connect(url)
        database.migrate(engine)
        known = ticket_tables.migrations()
        execute(engine, [each.sql for each in known if each.name < "03.03"])
        with engine.begin() as conn:
            ticket_tables.notes.put(conn, [ticket_tables.Note(NOTE, "03.02.00_50_post_batch_defer_jobs.sql")])
        for _ in range(2):
            with engine.begin() as conn:
                ticket_tables.install(conn, [None])
                assert known[-1].name == ticket_tables.notes.get(conn, NOTE)
        with engine.connect() as conn:
            assert conn.execute(text("SELECT to_regproc('procrastinate_retry_job_v2') IS NOT NULL")).scalar_one()
        engine.dispose()


def test_the_jobs_of_another_program_are_not_touched():
    """In a schema where another program has jobs of procrastinate's, the service does not start: it would take them."""
    with fresh_store() as url:
        engine = database.connect(url)
        database.migrate(engine)
        with engine.begin() as conn:
            ticket_tables.install(conn, [None])
            conn.execute(
                text("INSERT INTO procrastinate_jobs (task_name, queue_name) VALUES ('their.mail', 'default')")
            )
        with engine.begin() as conn, pytest.raises(StoreError, match=r"another program's, such as 'their\.mail'"):
            ticket_tables.install(conn, [None])
        engine.dispose()
