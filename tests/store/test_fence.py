"""Whatever is claimed, ended, cancelled and recovered in whatever order: one attempt at a time, limits kept."""

from __future__ import annotations

from collections import Counter

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from pipelines.model import LIVE_STATES, Run, RunState
from pipelines.store import database, ends, history, leases, runs
from tests.store.conftest import empty
from tests.store.samples import NOON, after, claim, end, finish, manual

LIMITS = {"a": 1, "b": 2, "c": 3}
STEPS = st.one_of(
    st.tuples(st.just("queue"), st.sampled_from(sorted(LIMITS)), st.integers(1, 3)),
    st.tuples(st.just("claim"), st.integers(0, 4)),
    st.tuples(st.just("end"), st.integers(0, 9), st.sampled_from(["succeeded", "failed", "retry", "hand back"])),
    st.tuples(st.just("end late"), st.integers(0, 9)),
    st.tuples(st.just("cancel"), st.integers(0, 9)),
    st.tuples(st.just("recover"), st.sampled_from([frozenset(), frozenset({"a"})])),
)


class Story:
    """What was done so far, and what must be true of it."""

    def __init__(self, conn) -> None:
        self.conn = conn
        self.known: list[Run] = []
        self.held: list[Run] = []
        self.given_up: list[Run] = []
        self.final: dict[int, RunState] = {}

    def queue(self, pipeline: str, max_attempts: int) -> None:
        new = manual(pipeline, max_attempts=max_attempts, max_instances=LIMITS[pipeline])
        self.known += runs.insert_runs(self.conn, [new])

    def claim(self, limit: int) -> None:
        claimed = claim(self.conn, limit, now=after(100))
        assert len(claimed) <= limit
        self.held += claimed

    def end(self, which: int, how: str) -> None:
        if not self.held:
            return
        run = self.held.pop(which % len(self.held))
        if how == "retry":
            done = end(run, RunState.FAILED, next_state=RunState.WAITING_RETRY, not_before=NOON)
        elif how == "hand back":
            done = end(run, RunState.CANCELLED, next_state=RunState.QUEUED)
        else:
            done = end(run, RunState(how))
        assert [True, False] == finish(self.conn, done, done)
        self.given_up.append(run)

    def end_late(self, which: int) -> None:
        if self.given_up:
            run = self.given_up[which % len(self.given_up)]
            assert [False] == finish(self.conn, end(run, RunState.SUCCEEDED))

    def cancel(self, which: int) -> None:
        if self.known:
            run = history.run(self.conn, self.known[which % len(self.known)].id)
            waits = run.state in (RunState.QUEUED, RunState.WAITING_RETRY)
            assert [waits] == ends.cancel_waiting(self.conn, [ends.CancelWaiting(run.id, "no", NOON)])

    def recover(self, fail: frozenset[str]) -> None:
        named = ", ".join(f"'{name}'" for name in sorted(fail)) or "''"
        self.conn.execute(text(f"UPDATE runs SET at_most_once = (pipeline IN ({named}))"))
        (swept,) = leases.sweep(self.conn, [leases.Sweep(NOON, exclusive=True)])
        crashed = sum(each.state is RunState.CRASHED for each in swept)
        gone = [run for run in self.held if run.attempt >= run.max_attempts or run.pipeline in fail]
        assert (len(self.held), len(gone)) == (len(swept), crashed)
        self.given_up += self.held
        self.held = []

    def check(self) -> None:
        """What holds after every step."""
        found = {run.id: run for run in history.runs(self.conn, limit=1000)}
        running = {run.id for run in found.values() if run.state is RunState.RUNNING}
        assert {run.id for run in self.held} == running
        per_pipeline = Counter(found[run_id].pipeline for run_id in running)
        assert all(count <= LIMITS[pipeline] for pipeline, count in per_pipeline.items())
        open_ = self.conn.execute(text("SELECT run_id FROM attempts WHERE state = 'running'")).scalars().all()
        assert sorted(running) == sorted(open_)
        for run_id, state in self.final.items():
            assert state is found[run_id].state
        self.final = {run.id: run.state for run in found.values() if run.state.final}
        executed = sum(
            state in (RunState.SUCCEEDED, RunState.FAILED, RunState.CRASHED) for state in self.final.values()
        )
        assert executed == sum(stats.executed for stats in history.stats(self.conn))
        assert sum(run.state in LIVE_STATES for run in found.values()) == len(
            history.unfinished(self.conn, [run.id for run in self.known])
        )


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=st.lists(STEPS, max_size=25))
def test_one_attempt_at_a_time_within_the_limits(engine, steps):
    """After any steps: running is exactly what is held, limits are kept, late ends are refused, ends are for good."""
    empty(engine)
    with database.writing(engine).begin() as conn:
        story = Story(conn)
        for name, *args in steps:
            getattr(story, name.replace(" ", "_"))(*args)
            story.check()
