"""Schedules, runs, pauses, cancels, restarts, reloads and clocks in any order, against a small model of what must come.

The model counts minutes on a wall clock and knows nothing of triggers, tables or tasks.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from pipelines.errors import ConfigError, InvalidTransition
from pipelines.model import Outcome, RunState, StateChange
from pipelines.store import ends, history, runs
from tests import servers
from tests.by_hand import ByHand, Clock, by_hand, utc
from tests.project import Project

MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
STOCKHOLM = ZoneInfo("Europe/Stockholm")
STARTS = [datetime(2027, 3, 27, 12, tzinfo=UTC), datetime(2027, 10, 30, 12, tzinfo=UTC)]
"""The days before the clocks of Stockholm are set forward, and back."""
SPAN = 50 * DAY
GRACE = {"often": timedelta(hours=2), "daily": 3 * DAY, "elapsed": timedelta(0)}
POLICY = {"often": "latest", "daily": "all", "elapsed": "none"}
FILE = """
scheduler: {{timezone: Europe/Stockholm}}
pipelines:
  often:
    retry: {{attempts: {attempts}}}
    schedule: {{cron: "*/20 * * * *", misfire: {{grace: 2h, policy: latest}}}}
    chain: [pipelines.transforms.log.Log]
  daily:
    retry: {{attempts: {attempts}}}
    schedule: {{daily: "{hour:02}:30", misfire: {{grace: 3d, policy: all}}}}
    chain: [pipelines.transforms.log.Log]
  elapsed:
    retry: {{attempts: {attempts}}}
    schedule: {{interval: {{minutes: 90}}, misfire: {{grace: 0s, policy: none}}}}
    chain: [pipelines.transforms.log.Log]
"""
JOBS = st.sampled_from(sorted(POLICY))
WHICH = st.integers(0, 20)
AHEAD = st.one_of(
    st.integers(1, 90).map(lambda minutes: minutes * MINUTE),
    st.integers(1, 40).map(lambda hours: timedelta(hours=hours)),
    st.just(7 * DAY),
)


@cache
def minutes(start: datetime) -> list[tuple[datetime, datetime]]:
    """Each minute of the span, with what the wall clock shows then."""
    every = (start - 5 * DAY + number * MINUTE for number in range(SPAN // MINUTE + 15 * 1440))
    return [(each, each.astimezone(STOCKHOLM)) for each in every]


@cache
def instants(job: str, hour: int | None, start: datetime) -> list[datetime]:
    """All instants of a job in the span, by looking at each minute's wall clock; `hour` is that of the daily one."""
    if job == "elapsed":
        return [each for each, _ in minutes(start) if int(each.timestamp()) % 5400 == 0]
    if job == "often":
        return [each for each, wall in minutes(start) if wall.minute % 20 == 0]
    first: dict[object, datetime] = {}
    for each, wall in minutes(start):
        if (wall.hour, wall.minute) >= (hour, 30):
            first.setdefault(wall.date(), each)
    return list(first.values())[1:]


@dataclass
class Job:
    """What the model knows of a job; `last` is the newest instant that it has dealt with."""

    last: datetime
    attempts: int
    paused: bool = False
    until: datetime | None = None
    ledger: dict[datetime, str] = field(default_factory=dict)


@dataclass
class ModelRun:
    """What the model knows of a run; `wished` says that somebody wants it cancelled while it goes on."""

    pipeline: str
    state: str
    max_attempts: int
    due_at: datetime | None = None
    attempt: int = 0
    not_before: datetime | None = None
    wished: bool = False


class Model:
    """The reference: what must be in the books."""

    def __init__(self, now: datetime) -> None:
        self.start = self.now = now
        self.hour, self.attempts = 2, 2
        self.jobs = {name: Job(now, self.attempts) for name in POLICY}
        self.runs: dict[int, ModelRun] = {}
        self.good: Counter[str] = Counter()

    def pass_time(self, now: datetime) -> list[ModelRun]:
        """Set the clock; return the runs that this makes, those of each job by their instants."""
        self.now = now
        for job in self.jobs.values():
            if job.until and job.until <= now:
                self.resume(job)
        return [run for name, job in self.jobs.items() if not job.paused for run in self._due(name, job)]

    def resume(self, job: Job) -> None:
        job.paused, job.until, job.last, job.attempts = False, None, max(job.last, self.now), self.attempts

    def _due(self, name: str, job: Job) -> list[ModelRun]:
        every = instants(name, self.hour if name == "daily" else None, self.start)
        due = [each for each in every if job.last < each <= self.now]
        longest = max(GRACE[name], MINUTE) if POLICY[name] != "none" else timedelta(0)
        made = []
        for each in due:
            state = "queued"
            if each < self.now - longest or (POLICY[name] == "latest" and each != due[-1]):
                state = "missed"
            elif POLICY[name] != "all" and self._waits(name, made):
                state = "skipped"
            job.last = each
            if each not in job.ledger:
                job.ledger[each] = "run" if state == "queued" else state
                made.append(ModelRun(name, state, job.attempts, each))
        return made

    def _waits(self, name: str, made: list[ModelRun]) -> bool:
        return any(
            run.pipeline == name and run.due_at and run.state == "queued" for run in (*self.runs.values(), *made)
        )

    def claim(self, limit: int) -> list[int]:
        """Start the oldest that may: one at a time of a pipeline, and one that waits for a retry keeps its place."""
        claimed: list[int] = []
        for run_id, run in sorted(self.runs.items()):
            ready = run.state == "queued" or (run.state == "waiting_retry" and run.not_before <= self.now)
            others = [each for each in self.runs.values() if each.pipeline == run.pipeline and each is not run]
            blocking = {"running"} if run.state == "waiting_retry" else {"running", "waiting_retry"}
            if ready and len(claimed) < limit and not any(each.state in blocking for each in others):
                run.state, run.attempt = "running", run.attempt + 1
                claimed.append(run_id)
        return claimed

    def restart(self) -> None:
        """Do what a service does that comes up after one that died."""
        for run in self.runs.values():
            if run.state == "running":
                last = "crashed" if run.attempt == run.max_attempts else "queued"
                run.state = "cancelled" if run.wished else last
        for job in self.jobs.values():
            job.attempts = self.attempts


class Scheduling(RuleBasedStateMachine):
    """The scheduler over its store, and the model beside it."""

    server: str | None = None

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.Runner()
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr("pipelines.execution.process.WARM", 0)  # nothing is executed here
        self.folder = tempfile.TemporaryDirectory()
        self.project = Project(Path(self.folder.name), server=self.server)
        self.stack: AsyncExitStack | None = None

    @initialize(start=st.sampled_from(STARTS))
    def begin(self, start: datetime) -> None:
        """Start a service for the first time."""
        self.model = Model(start)
        self.clock = Clock(start)
        self._write()
        self._come_up()

    def teardown(self) -> None:
        self._go_down()
        self.loop.close()
        self.patch.undo()
        self.folder.cleanup()
        if self.server is not None:
            servers.empty(self.server)

    # ------------------------------------------------------------ time

    @precondition(lambda self: self.clock.now - self.model.start < SPAN - 8 * DAY)
    @rule(ahead=AHEAD)
    def time_passes(self, ahead: timedelta) -> None:
        """Time goes on by minutes or hours, or the machine sleeps for a week."""
        now = self.clock.now + ahead
        self.loop.run(self.here.to(now))
        self._made(self.model.pass_time(now))

    @precondition(lambda self: self.clock.now - self.model.start > -2 * DAY)
    @rule(hours=st.integers(1, 30))
    def clock_is_set_back(self, hours: int) -> None:
        """The clock is set back; nothing comes of it."""
        now = self.clock.now - timedelta(hours=hours)
        self.loop.run(self.here.to(now))
        self._made(self.model.pass_time(now))

    @precondition(lambda self: self.clock.now - self.model.start < SPAN - 8 * DAY)
    @rule(ahead=st.one_of(st.just(timedelta(0)), AHEAD), edited=st.booleans())
    def service_is_down(self, ahead: timedelta, edited: bool) -> None:
        """The service dies and comes up again later, on a file in which a time may have been edited."""
        self._go_down()
        self.clock.now += ahead
        self.model.restart()
        if edited:
            self.model.hour = 16 - self.model.hour
            self.model.jobs["daily"].last = self.clock.now
            self._write()
        self._come_up()
        self._made(self.model.pass_time(self.clock.now))

    # ------------------------------------------------------------ people

    @rule(name=JOBS, ahead=st.one_of(st.none(), AHEAD))
    def pause(self, name: str, ahead: timedelta | None) -> None:
        """Somebody pauses a job, for a time or until further notice."""
        job, until = self.model.jobs[name], self.clock.now + ahead if ahead else None
        if (job.paused, job.until) != (True, until):
            self.loop.run(self.here.scheduler.jobs.pause(name, self._write_plainly, until=until, reason=None))
            job.paused, job.until = True, until

    @rule(name=JOBS)
    def resume(self, name: str) -> None:
        """Somebody resumes a job; one that is not paused cannot be."""
        resume = self.here.scheduler.jobs.resume(name, self._write_plainly)
        if not self.model.jobs[name].paused:
            with pytest.raises(InvalidTransition):
                self.loop.run(resume)
            return
        self.loop.run(resume)
        self.model.resume(self.model.jobs[name])

    @rule(name=JOBS)
    def run_now(self, name: str) -> None:
        """Somebody asks for a run."""
        (run,) = self.loop.run(self.here.scheduler.run_now([name]))
        self.model.runs[run.id] = ModelRun(name, "queued", self.model.attempts)

    @precondition(lambda self: self.model.runs)
    @rule(which=WHICH)
    def cancel(self, which: int) -> None:
        """Somebody cancels a run: what waits is cancelled, what is over cannot be, who executes the others is told."""
        run_id = sorted(self.model.runs)[-1 - which % len(self.model.runs)]
        run = self.model.runs[run_id]
        if run.state in ("queued", "waiting_retry"):
            self.loop.run(self.here.scheduler.cancel(run_id))
            run.state = "cancelled"
        elif run.state == "running":
            self.loop.run(self.here.scheduler.cancel(run_id))
            run.wished = True
        else:
            with pytest.raises(InvalidTransition):
                self.loop.run(self.here.scheduler.cancel(run_id))

    @rule(attempts=st.integers(1, 3), edited=st.booleans())
    def reload(self, attempts: int, edited: bool) -> None:
        """Another valid file is put in force while the service runs; a time may be another."""
        self.model.attempts = attempts
        for job in self.model.jobs.values():
            job.attempts = attempts
        if edited:
            self.model.hour = 16 - self.model.hour
            self.model.jobs["daily"].last = self.clock.now
        self._write()
        self.loop.run(self.here.scheduler.reload.now())

    @rule()
    def reload_of_a_wrong_file(self) -> None:
        """A file that is wrong changes nothing."""
        self.project.write(FILE.format(attempts=0, hour=self.model.hour))
        with pytest.raises(ConfigError):
            self.loop.run(self.here.scheduler.reload.now())
        self._write()

    # ------------------------------------------------------------ execution

    @rule(limit=st.integers(0, 4))
    def claim(self, limit: int) -> None:
        """The worker starts what may run."""
        wish = runs.Claim(limit=limit, owner="here", now=self.clock.now)
        claimed = self.loop.run(self._call(runs.claim, wish))
        assert self.model.claim(limit) == [run.id for run in claimed]

    @precondition(lambda self: self._at_work())
    @rule(which=WHICH, how=st.sampled_from(["succeeded", "failed", "waiting_retry"]))
    def end(self, which: int, how: str) -> None:
        """An attempt ends, the last one where somebody wants no more; whoever ends it a second time is refused."""
        run_id = self._at_work()[which % len(self._at_work())]
        run = self.model.runs[run_id]
        state = RunState.FAILED if how == "waiting_retry" else RunState(how)
        counted = StateChange(values={"good": self.model.good[run.pipeline] + 1})
        no_more = how == "waiting_retry" and run.wished
        run.state, run.not_before = "cancelled" if no_more else how, self.clock.now + 10 * MINUTE
        self.model.good[run.pipeline] += how == "succeeded"
        finish = ends.Finish(
            run_id=run_id,
            attempt=run.attempt,
            outcome=Outcome(state, change=counted),
            at=self.clock.now,
            next_state=RunState(how),
            not_before=run.not_before,
        )
        assert self.loop.run(self._call(ends.finish, finish))
        assert not self.loop.run(self._call(ends.finish, finish))

    def _at_work(self) -> list[int]:
        return sorted(run_id for run_id, run in self.model.runs.items() if run.state == "running")

    # ------------------------------------------------------------ what must be true

    @invariant()
    def the_books_agree(self) -> None:
        """Ledger, runs, attempts, counts, durable state and pauses are those of the model."""
        if self.stack is None:
            return
        ledger = sorted((name, *entry) for name, job in self.model.jobs.items() for entry in job.ledger.items())
        recorded = self.project.query("SELECT schedule_id, due_at, outcome FROM occurrences")
        assert ledger == sorted((name, utc(due_at), outcome) for name, due_at, outcome in recorded)
        rows = self.project.query("SELECT id, pipeline, state, attempt, max_attempts FROM runs ORDER BY id")
        assert rows == [
            (run_id, run.pipeline, run.state, run.attempt, run.max_attempts)
            for run_id, run in sorted(self.model.runs.items())
        ]
        busy = self.project.query("SELECT run_id FROM attempts WHERE state = 'running' ORDER BY run_id")
        assert self._at_work() == [run_id for (run_id,) in busy]
        over = Counter((run.pipeline, run.state) for run in self.model.runs.values() if RunState(run.state).final)
        assert sorted((*key, count) for key, count in over.items()) == self.project.query(
            "SELECT pipeline, state, count FROM run_counts ORDER BY pipeline, state"
        )
        kept = {name: int(value) for name, value in self.project.query("SELECT pipeline, value FROM state_values")}
        assert kept == +self.model.good
        paused = {row.id: (row.state == "paused", row.paused_until) for row in self.here.scheduler.jobs.rows.values()}
        assert paused == {name: (job.paused, job.until) for name, job in self.model.jobs.items()}

    # ------------------------------------------------------------ machinery

    def _write(self) -> None:
        self.project.write(FILE.format(attempts=self.model.attempts, hour=self.model.hour))

    def _come_up(self) -> None:
        self.stack = AsyncExitStack()
        self.here: ByHand = self.loop.run(self.stack.enter_async_context(by_hand(self.project, self.clock)))

    def _go_down(self) -> None:
        if self.stack is not None:
            self.loop.run(self.stack.aclose())
            self.stack = None

    def _made(self, made: list[ModelRun]) -> None:
        """Take runs into the model under the ids that the store gave them."""
        ids = {
            (run.schedule_id, run.due_at): run.id
            for run in self.loop.run(self.here.scheduler.reader.read(history.runs, limit=10_000))
            if run.id not in self.model.runs
        }
        assert set(ids) == {(run.pipeline, run.due_at) for run in made}
        self.model.runs |= {ids[run.pipeline, run.due_at]: run for run in made}

    async def _call(self, fn, arg):
        return await self.here.scheduler.writer.call(fn, arg)

    async def _write_plainly(self, fn, arg):
        return await self._call(fn, arg)


class OnAServer(Scheduling):
    """The same over PostgreSQL."""


@pytest.fixture(autouse=True)
def server(request):
    """The store in PostgreSQL, for the stories that are told over it."""
    if request.cls is TestAgainstTheModelOnAServer:
        OnAServer.server = request.getfixturevalue("server_store")


TestAgainstTheModel = Scheduling.TestCase
TestAgainstTheModel.settings = settings(
    max_examples=8, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)
TestAgainstTheModelOnAServer = OnAServer.TestCase
TestAgainstTheModelOnAServer.settings = settings(TestAgainstTheModel.settings, max_examples=3)
