"""Several schedulers on one PostgreSQL, as real processes: whoever dies, each instant runs once, and each run ends."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import psycopg

from pipelines import elapsed
from pipelines.locks.postgres_lock import LIFE_S
from pipelines.model import NewRun, ScheduleState, StartedBy, utcnow
from pipelines.store import database, runs, schedules, sharing
from pipelines.store.schedules import SetState
from pipelines.store.sharing import Sharing
from tests.many.books import Books, Figures, Limits
from tests.many.fleet import ELSEWHERE, LEADS, LEASE_S, Fleet, children, fleet, frozen, kill, seconds_until, send
from tests.many.plan import carry_out
from tests.project import Service, fresh_store, until
from tests.servers import own_postgres, own_redis

YAML = """
scheduler: {max_parallel_jobs: 4}
pipelines:
  tick: {executor: inline, schedule: {interval: {seconds: 1}}, chain: [mine.quick]}
  tock: {executor: inline, schedule: {interval: {seconds: 1}}, chain: [mine.quick]}
  gate: {schedule: "0 0 29 2 *", chain: [mine.gate]}
  inside: {executor: inline, schedule: "0 0 29 2 *", chain: [mine.gate]}
  stuck: {schedule: "0 0 29 2 *", chain: [mine.stuck]}
"""
TICKS = {"tick": 1, "tock": 1}
DUE = "SELECT count(*) FROM occurrences WHERE schedule_id = 'tick'"
PATIENT_S = 9.0
"""A lease so long that what happens much sooner did not wait for its end."""


def queue(made: Fleet, pipeline: str) -> int:
    """Queue a run that may be tried again, and tell the schedulers."""
    engine = database.connect(made.project.store_url)
    shared = engine.execution_options(**{sharing.OPTION: Sharing("a test", lambda _: None)})
    with shared.begin() as conn:
        [run] = runs.insert_runs(conn, [NewRun(pipeline, StartedBy.MANUAL, max_attempts=9)])
    engine.dispose()
    return run.id


def going_on(made: Fleet, pipeline: str) -> int:
    """Queue a run, and return its id once its stage is at work."""
    run = queue(made, pipeline)
    until(lambda: bool(made.spans_of(run)), f"{pipeline} never began", lambda: made.said)
    return run


@contextmanager
def on(tmp_path, **env: str) -> Iterator[Fleet]:
    """A fleet on a schema of its own; nothing runs yet."""
    with fresh_store() as url, fleet(tmp_path, url, YAML, **env) as made:
        yield made


def more_due(made: Fleet, count: int = 2) -> None:
    """Wait until so many more instants were recorded."""
    [(before,)] = made.rows(DUE)
    until(lambda: made.rows(DUE)[0][0] >= before + count, "nothing is due any more", lambda: made.said)


def set_state(made: Fleet, state: ScheduleState, *jobs: str) -> None:
    """Pause jobs or resume them, as any other process does."""
    engine = database.connect(made.project.store_url)
    with engine.begin() as conn:
        assert all(schedules.set_state(conn, [SetState(each, state, utcnow()) for each in jobs]))
    engine.dispose()


def more_beats(made: Fleet, of: Service) -> None:
    """Wait until a member has said twice more that it is there: whatever it was about to do is done."""
    for _ in range(2):
        [(now,)] = made.rows("SELECT now()")
        made.until_row("SELECT beat_at > %s FROM processes WHERE pid = %s", [True], now, of.process.pid)


def broken(made: Fleet) -> list[str]:
    """What is not as it must be, once all have stopped cleanly, and what they said then."""
    for each in made.members:
        if each.process.poll() is None:
            assert 0 == each.stop(), each.said
    found = Books(made, TICKS).check(Figures()).broken
    return [*found, made.said] if found else []


# ---------------------------------------------------------------- runs


def test_what_a_killed_scheduler_ran_is_taken_up_at_once_on_the_same_machine(tmp_path):
    """After kill -9 the other one tries the run again long before the lease is over, and after the child was gone."""
    with on(tmp_path, RUN_LEASE_SECONDS=f"{PATIENT_S:g}") as made:
        made.schedulers(2)
        run = going_on(made, "gate")
        victim = made.holder(run)
        kill(victim)
        took_s = seconds_until(lambda: len(made.spans_of(run)) > 1, f"it was not tried again:\n{made.said}")
        assert took_s < PATIENT_S / 2
        made.open_gate(is_open=True)
        made.until_state(run, "succeeded", 2)
        assert [] == broken(made)


def test_what_ran_on_a_machine_that_died_is_taken_up_after_the_lease(tmp_path):
    """Where nobody can see that a process is gone, its run is tried again once the lease is over, and not before."""
    with on(tmp_path) as made:
        made.schedulers(2)
        made.rows(ELSEWHERE)
        made.until_row("SELECT count(*) FROM processes WHERE machine = 'elsewhere:1'", [2])
        run = going_on(made, "gate")
        victim = made.holder(run)
        send(victim, signal.SIGSTOP)
        [(left_s,)] = made.rows("SELECT extract(epoch FROM lease_until - now()) FROM runs WHERE id = %s", run)
        since, before = elapsed.now_s(), len(made.spans_of(run))
        kill(victim)
        until(lambda: len(made.spans_of(run)) > before, "it was not tried again", lambda: made.said)
        assert float(left_s) - 0.1 < made.spans_of(run)[before].begin - since < LEASE_S + 8
        made.open_gate(is_open=True)
        made.until_state(run, "succeeded")
        assert [] == broken(made)


def test_a_frozen_scheduler_loses_its_run_and_never_overlaps(tmp_path):
    """Its child ends itself, amid a stage that blocks, before another begins; what wakes up ends nothing."""
    with on(tmp_path) as made:
        made.schedulers(2)
        run = going_on(made, "stuck")
        victim = made.holder(run)
        [child] = {span.pid for span in made.spans_of(run)}
        with frozen(victim):
            until(lambda: len(made.spans_of(run)) > 1, "it was not tried again", lambda: made.said)
            assert child not in {each.pid for each in children(victim) if each.status() != "zombie"}
        victim.wait_for("given up")
        made.open_gate(is_open=True)
        made.until_state(run, "succeeded")
        assert [] == broken(made)


WAIT_AMID_A_COMMIT = """
CREATE FUNCTION wait_amid() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(4711, hashtext(current_schema()));
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER wait_amid AFTER INSERT ON attempts DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN (NEW.run_id = {run} AND NEW.number = 1) EXECUTE FUNCTION wait_amid();
"""


def test_who_is_frozen_while_it_claims_begins_nothing_when_it_wakes(tmp_path):
    """A run that was claimed in time, but is begun only after its lease, is somebody else's by then."""
    with on(tmp_path) as made:
        made.schedulers(1)
        [(last,)] = made.rows("SELECT coalesce(max(id), 0) FROM runs")
        with psycopg.connect(made.url, autocommit=True) as conn:
            conn.execute("SELECT pg_advisory_lock(4711, hashtext(current_schema()))")
            made.rows("UPDATE schedules SET state = 'paused' WHERE id LIKE 't_ck'")
            run = last + 100
            made.rows("SELECT setval(pg_get_serial_sequence('runs', 'id'), %s)", run - 1)
            made.rows(WAIT_AMID_A_COMMIT.format(run=run))
            assert run == queue(made, "inside")
            until(lambda: made.rows(WAITS)[0][0] > 0, "nobody claims it", lambda: made.said)
            victim = made.members[0]
            send(victim, signal.SIGSTOP)
        made.until_state(run, "running", 1)
        made.schedulers(1, RUN_LEASE_SECONDS=f"{PATIENT_S:g}")
        until(lambda: bool(made.spans_of(run)), "nobody took it up", lambda: made.said)
        send(victim, signal.SIGCONT)
        more_beats(made, victim)
        made.open_gate(is_open=True)
        made.until_state(run, "succeeded", 2)
        assert [2] == [span.attempt for span in made.spans_of(run)]
        assert [] == broken(made)


# ---------------------------------------------------------------- instants


def test_a_leader_that_was_frozen_respects_pauses_that_it_slept_through(tmp_path):
    """What was paused meanwhile is not due when it wakes up, whether it is still paused or was resumed."""
    with on(tmp_path) as made:
        made.schedulers(1)
        more_due(made, 2)
        with frozen(made.members[0]):
            set_state(made, ScheduleState.PAUSED, "tick", "tock")
            [(paused,)] = made.rows("SELECT now()")
            until(lambda: made.rows("SELECT now() > %s + interval '2.5 s'", paused)[0][0], "time stands still")
            [(resumed,)] = made.rows("SELECT now()")
            set_state(made, ScheduleState.ACTIVE, "tick")
        made.until_row("SELECT count(*) > 1 FROM occurrences WHERE due_at > %s", [True], resumed + timedelta(seconds=1))
        late = "SELECT schedule_id, due_at FROM occurrences WHERE due_at > %s AND (due_at < %s OR schedule_id = 'tock')"
        assert [] == made.rows(late, paused, resumed), made.said


WAIT_AMID_AN_INSERT = """
CREATE FUNCTION wait_amid() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('application_name') LIKE '%% {pid}' THEN
        PERFORM pg_advisory_xact_lock(4711, hashtext(current_schema()));
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER wait_amid AFTER INSERT ON occurrences FOR EACH STATEMENT EXECUTE FUNCTION wait_amid();
"""
WAITS = (
    "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid = 4711 AND NOT granted"
    " AND objid = hashtext(current_schema())::bit(32)::bigint"
)


def test_a_leader_killed_between_an_occurrence_and_its_commit_loses_and_doubles_nothing(tmp_path):
    """What it had inserted is as if it had never been; the next leader records it, and all that was due meanwhile."""
    with on(tmp_path) as made:
        made.schedulers(2)
        victim = made.leader()
        with psycopg.connect(made.url, autocommit=True) as conn:
            conn.execute("SELECT pg_advisory_lock(4711, hashtext(current_schema()))")
            made.rows(WAIT_AMID_AN_INSERT.format(pid=victim.process.pid).replace("%%", "%"))
            until(lambda: made.rows(WAITS)[0][0] > 0, "the leader records nothing", lambda: made.said)
            kill(victim)
            other = next(each for each in made.members if each is not victim)
            until(lambda: LEADS in other.said, "nobody else leads", lambda: made.said)
        more_due(made, 3)
        assert [] == broken(made)


def test_a_leader_that_is_frozen_longer_than_its_lock_lives_doubles_nothing(tmp_path):
    """Another one leads meanwhile; the one that wakes up knows that it does not, and records nothing again."""
    with on(tmp_path, LOCK_LIFE_S="4") as made:
        made.schedulers(2, "tests/many/hasty_scheduler.py")
        victim = made.leader()
        with frozen(victim):
            until(lambda: sum(each.said.count(LEADS) for each in made.members) > 1, "nobody else leads")
            more_due(made)
        victim.wait_for("no longer leads")
        more_due(made)
        made.leader()
        assert [] == broken(made)


def test_a_leader_that_stops_hands_over_at_once(tmp_path):
    """It hands over the lead at once, and what it ran when its drain is over; that attempt does not count."""
    with on(tmp_path, SCHEDULER_DRAIN_S="2") as made:
        made.schedulers(2)
        victim = made.leader()
        other = next(each for each in made.members if each is not victim)
        both = [going_on(made, "gate"), going_on(made, "stuck")]
        send(victim, signal.SIGTERM)
        assert seconds_until(lambda: LEADS in other.said, "nobody else leads") < LIFE_S / 2
        assert 0 == victim.process.wait(20), victim.said
        for run in both:
            until(lambda: made.holder(run) is other, "it was not handed back", lambda: made.said)  # noqa: B023
        more_due(made)
        made.open_gate(is_open=True)
        for run in both:
            made.until_state(run, "succeeded")
        assert [] == broken(made)


def test_a_drain_that_is_longer_than_the_lease_keeps_it(tmp_path):
    """A run that goes on while its scheduler stops is nobody else's, however long that takes."""
    with on(tmp_path, SCHEDULER_DRAIN_S="60") as made:
        made.schedulers(2)
        run = going_on(made, "gate")
        victim = made.holder(run)
        [(before,)] = made.rows("SELECT lease_until FROM runs WHERE id = %s", run)
        send(victim, signal.SIGTERM)
        until(
            lambda: (made.rows("SELECT lease_until FROM runs WHERE id = %s", run)[0][0] - before).seconds > LEASE_S,
            "its lease was not renewed",
            lambda: made.said,
        )
        made.open_gate(is_open=True)
        assert 0 == victim.process.wait(20), victim.said
        made.until_state(run, "succeeded", 1)
        assert [] == broken(made)


# ---------------------------------------------------------------- locks


def test_without_a_lock_all_record_and_each_instant_runs_once(tmp_path):
    """With SCHEDULER_LOCK=none the store alone decides; one that is killed is not missed."""
    with on(tmp_path, SCHEDULER_LOCK="none") as made:
        victim, _ = made.schedulers(2)
        more_due(made, 3)
        kill(victim)
        more_due(made, 2)
        assert [] == broken(made)


def test_with_a_lock_on_a_file_the_next_one_leads_at_once(tmp_path):
    """With SCHEDULER_LOCK=file the lock vanishes with its process."""
    with on(tmp_path, SCHEDULER_LOCK="file") as made:
        made.schedulers(2)
        victim = made.leader()
        other = next(each for each in made.members if each is not victim)
        kill(victim)
        assert seconds_until(lambda: LEADS in other.said, "nobody else leads") < LIFE_S / 2
        more_due(made)
        assert [] == broken(made)


def test_a_redis_that_dies_and_comes_back_changes_nothing(tmp_path):
    """With SCHEDULER_LOCK=redis its leader leads on, or another does; every instant runs once all the same."""
    with own_redis(tmp_path) as redis, on(tmp_path, SCHEDULER_LOCK="redis", SCHEDULER_LOCK_URL=redis.url) as made:
        made.schedulers(2)
        made.leader()
        redis.kill()
        more_due(made)
        redis.start()
        more_due(made)
        made.leader()
        assert [] == broken(made)


# ---------------------------------------------------------------- the database


def test_a_postgresql_that_is_restarted_under_them_loses_nothing(tmp_path):
    """Both schedulers go on by themselves, also after a crash of the server; the run that goes on ends once."""
    with own_postgres(tmp_path) as server, fleet(tmp_path, server.url, YAML) as made:
        made.schedulers(2)
        made.leader()
        run = going_on(made, "gate")
        for how in ("fast", "immediate"):
            server.stop(how)
            server.start()
            more_due(made)
        made.open_gate(is_open=True)
        made.until_state(run, "succeeded")
        assert [None, None] == [each.process.poll() for each in made.members]
        assert [] == broken(made)


# ---------------------------------------------------------------- all of it


def test_no_fault_breaks_a_promise(tmp_path):
    """Three schedulers that are killed, frozen, stopped and cut off at random keep every promise; see the plan."""
    figures = carry_out(tmp_path, seconds=4, seed=7, schedulers=3, schedules=3)
    assert [] == figures.broken, str(figures)
    assert figures.faults.total() > 3, str(figures)


def test_the_books_show_what_is_broken(tmp_path):
    """Instants without a row or with two runs, and attempts that overlap or exceed a limit, are told."""
    with on(tmp_path) as made:
        made.schedulers(1)
        more_due(made, 3)
        run = going_on(made, "gate")
        made.open_gate(is_open=True)
        made.until_state(run, "succeeded")
        assert [] == broken(made)
        [(first,)] = made.rows("SELECT min(due_at) FROM occurrences WHERE schedule_id = 'tick'")
        made.rows("DELETE FROM occurrences WHERE schedule_id = 'tick' AND due_at = %s + interval '1 s'", first)
        made.rows("UPDATE runs SET due_at = %s WHERE schedule_id = 'tick'", first)
        made.rows("UPDATE runs SET state = 'running' WHERE id = %s", run)
        [span] = made.spans_of(run)
        with (made.folder / "ledger.txt").open("a") as file:
            file.write(f"begin {run} 2 1 {span.begin + 0.001:.6f}\n")
        verdicts = Books(made, TICKS, Limits({}, {"p": (0, ["gate"])}, 0)).check(Figures()).verdicts
        told = {promise for promise, words in verdicts.items() if words}
        assert {"on_crash: fail runs at most once", "runs of one schedule go one at a time"} == set(verdicts) - told - {
            "attempts are whole, and none is at work"
        }
