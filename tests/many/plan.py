"""A seeded plan of faults for several schedulers on one PostgreSQL: killed, frozen, stopped, cut off, changed."""

from __future__ import annotations

import heapq
import itertools
import random
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil

from tests import forked
from tests.many.books import Books, Figures, Limits
from tests.many.fleet import LEASE_S, READY, Fleet, children, fleet, send
from tests.project import ROOT, Service
from tests.proxy import Proxy, proxied
from tests.servers import OwnPostgres, own_postgres

CHANGED = ("changed-0", "changed-1", "changed-2")
PATIENCE_S = 90.0
"""So long, in seconds, all may take to come to an end after the last fault."""
SETTLED_S = 3
"""So long after a pause or before a resume, in seconds, an instant may be on either side of it."""
TYPED_S = 120
"""So long, in seconds, a command at a terminal may take: its store may be restarted, or locked by who is frozen."""
WRITTEN_S = 3.0
"""After so long, in seconds, a run that is queued as of now is to be seen: who queued it may have been interrupted."""
LIVE = """SELECT id, pipeline, state, attempt FROM runs
WHERE state IN ('queued', 'running', 'waiting_retry') AND queued_at < %s ORDER BY id"""
IN_ALL, POOL = 8, 2
NOT_STARTED = "could not be brought up to date"
"""Who says so lost its connection while it started; whoever started it does so again."""


def yaml(schedules: int) -> str:
    """Return the pipelines file: most are quick, some take a while, and some block."""
    each = "retry: {attempts: 50, delay: 0}"
    quick = "".join(
        f"  quick-{number}: {{executor: inline, schedule: {{interval: {{seconds: 1}}}}, {each}, chain: [mine.quick]}}\n"
        for number in range(schedules)
    )
    changed = "".join(
        f"  {name}: {{executor: inline, schedule: {{interval: {{seconds: 1}}}}, {each}, chain: [mine.quick]}}\n"
        for name in CHANGED
    )
    return f"""
scheduler: {{max_parallel_jobs: {IN_ALL}, pools: {{shared: {POOL}}}}}
pipelines:
{quick}{changed}
  work-0: {{schedule: {{interval: {{seconds: 2}}}}, pool: shared, {each}, chain: [mine.work]}}
  work-1: {{schedule: {{interval: {{seconds: 2}}}}, pool: shared, {each}, chain: [mine.work]}}
  wide: {{schedule: {{interval: {{seconds: 1}}}}, max_instances: 2, overlap: allow, {each}, chain: [mine.work]}}
  block: {{schedule: {{interval: {{seconds: 2}}}}, pool: shared, {each}, chain: [mine.block]}}
  once: {{schedule: {{interval: {{seconds: 2}}}}, on_crash: fail, retry: {{attempts: 1}}, chain: [mine.work]}}
"""


def periods(schedules: int) -> dict[str, int]:
    """Return the schedules that nobody changes, with their period in seconds since 1970."""
    slow = dict.fromkeys(("work-0", "work-1", "block", "once"), 2)
    return {f"quick-{number}": 1 for number in range(schedules)} | slow | {"wide": 1}


LIMITS = Limits({"wide": 2}, {"shared": (POOL, ("work-0", "work-1", "block"))}, IN_ALL)


class Plan:
    """Breaks a fleet for so many seconds; all that chance decides comes from `seed`."""

    def __init__(
        self,
        made: Fleet,
        server: OwnPostgres,
        *,
        seed: int,
        schedulers: int,
        schedules: int,
        proxies: Sequence[Proxy] = (),
    ) -> None:
        """Start nothing yet. There is a worker behind each of the `proxies` (none: schedulers execute runs)."""
        self.figures = Figures()
        self._fleet, self._server, self._dice = made, server, random.Random(seed)
        self._count, self._schedules = schedulers, schedules
        self._later: list[tuple[float, int, Callable[[], object]]] = []
        self._numbers = itertools.count()
        self._up: list[Service] = []
        self._proxies = proxies
        self._behind: dict[int, Proxy] = {}
        self._paused: dict[str, datetime] = {}
        self._rests: list[tuple[str, datetime, datetime]] = []
        self._typed: list[tuple[subprocess.Popen[bytes], str]] = []
        self._faults: dict[str, tuple[int, Callable[[Service], object]]] = {
            "kill -9": (8, self._kill),
            "frozen for less than a lease": (4, lambda it: self._freeze(it, self._dice.uniform(0.1, LEASE_S * 0.8))),
            "frozen for longer than a lease": (5, lambda it: self._freeze(it, self._dice.uniform(1.2, 3) * LEASE_S)),
            "frozen for longer than the lock lives": (1, lambda it: self._freeze(it, self._dice.uniform(10.5, 13))),
            "SIGTERM": (5, self._stop),
            "kill -9 of a child": (3, self._kill_child),
            "sessions of PostgreSQL ended": (8, self._cut),
            "PostgreSQL restarted": (1, self._restart),
            "job paused or resumed": (7, self._change),
        }
        if proxies:
            self._faults |= {"black hole": (5, self._swallow), "connections reset": (3, self._reset)}

    def carry_out(self, seconds: float) -> Figures:
        """Let things go wrong, then let all come to an end, and read the books."""
        self._up = [self._begin() for _ in range(self._count)] + [self._begin(each) for each in self._proxies]
        for each in self._up:
            each.wait_for(READY)
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self._pass(self._dice.uniform(0.1, 1.0))
            self._replace_ended()
            names = list(self._faults)
            (name,) = self._dice.choices(names, [weight for weight, _ in self._faults.values()])
            if (victim := self._victim()) is not None:
                self._faults[name][1](victim)
                self.figures.faults[name] += 1
        return self._in_peace()

    def _in_peace(self) -> Figures:
        while self._later:
            self._pass(0.1)
        for typed, _ in self._typed:
            typed.wait(TYPED_S)
        since = datetime.now(UTC)
        self._pass(WRITTEN_S)
        self._replace_ended()  # those that PostgreSQL's last restart met at their start
        while self._later:
            self._pass(0.1)
        until = time.monotonic() + PATIENCE_S
        while (left := self._fleet.rows(LIVE, since)) and time.monotonic() < until:
            self._pass(0.2)
        for each in self._up:
            each.wait_for(READY)  # before that, a signal ends it at once
        stopped_at = datetime.now(UTC)
        codes = [each.stop() for each in self._up]
        books = Books(self._fleet, periods(self._schedules), LIMITS).check(self.figures, stopped_at)
        books.verdicts["every scheduler survives, and stops when it is told to"] = [
            *self._ended_by_themselves(),
            *(f"exit code {code}" for code in codes if code != 0),
        ]
        books.verdicts["what waits is executed once there is peace"] = [str(each) for each in left[:3]]
        books.verdicts["what is paused is not due"] = self._due_while_paused()
        return books

    # ------------------------------------------------------------ time

    def _pass(self, seconds: float) -> None:
        """Let time pass, and do what was put off until now."""
        until = time.monotonic() + seconds
        while (now := time.monotonic()) < until or (self._later and self._later[0][0] <= now):
            if self._later and self._later[0][0] <= now:
                heapq.heappop(self._later)[2]()
            else:
                time.sleep(0.02)

    def _in(self, seconds: float, deed: Callable[[], object]) -> None:
        heapq.heappush(self._later, (time.monotonic() + seconds, next(self._numbers), deed))

    # ------------------------------------------------------------ faults

    def _begin(self, proxy: Proxy | None = None) -> Service:
        """Start a scheduler, or a worker behind a proxy."""
        env = {"SCHEDULER_DRAIN_S": "2", "LOG_LEVEL": "INFO"}
        if proxy is None:
            return self._fleet.begin(str(ROOT / "main_scheduler.py"), **env)
        url = self._server.url.replace(f":{self._server.port}/", f":{proxy.port}/")
        worker = self._fleet.begin("-m", "pipelines", "worker", "--concurrency", "4", **env, SCHEDULER_DB_URL=url)
        self._behind[worker.process.pid] = proxy
        return worker

    def _victim(self) -> Service | None:
        return self._dice.choice(self._up) if self._up else None

    def _replace(self, gone: Service) -> None:
        """Start another one in a while; until then it is no victim."""
        self._up.remove(gone)
        proxy = self._behind.get(gone.process.pid)
        self._in(self._dice.uniform(0.0, 1.5), lambda: self._up.append(self._begin(proxy)))

    def _replace_ended(self) -> None:
        for each in [each for each in self._up if each.process.poll() is not None]:
            self._replace(each)

    def _kill(self, victim: Service) -> None:
        self._replace(victim)
        victim.process.kill()
        victim.process.wait(30)

    def _freeze(self, victim: Service, seconds: float) -> None:
        """Let it stand still, and be no victim meanwhile."""
        self._up.remove(victim)
        send(victim, signal.SIGSTOP)
        self._in(seconds, lambda: self._thaw(victim))

    def _thaw(self, victim: Service) -> None:
        send(victim, signal.SIGCONT)
        self._up.append(victim)

    def _stop(self, victim: Service) -> None:
        self._replace(victim)
        send(victim, signal.SIGTERM)

    def _kill_child(self, victim: Service) -> None:
        if there := children(victim):
            with suppress(psutil.NoSuchProcess):
                self._dice.choice(there).kill()

    def _swallow(self, _: Service) -> None:
        """Have nothing pass between a worker and PostgreSQL for a while."""
        proxy = self._dice.choice(self._proxies)
        proxy.black_hole()
        self._in(self._dice.uniform(0.2, 3) * LEASE_S, proxy.heal)

    def _reset(self, _: Service) -> None:
        self._dice.choice(self._proxies).reset()

    def _cut(self, _: Service) -> None:
        """End some of the sessions, whoever has them."""
        sessions = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
        pids = sorted(pid for (pid,) in self._fleet.rows(sessions))
        for pid in self._dice.sample(pids, min(len(pids), self._dice.randint(1, 6))):
            self._fleet.rows("SELECT pg_terminate_backend(%s)", pid)

    def _restart(self, _: Service) -> None:
        self._server.restart("immediate" if self._dice.random() < 0.5 else "fast")

    def _change(self, _: Service) -> None:
        """Have somebody at a terminal pause a job, or resume it."""
        for typed, _name in self._typed:
            typed.wait(TYPED_S)
        name = self._dice.choice(CHANGED)
        if name in self._paused:
            self._rests.append((name, self._paused.pop(name), datetime.now(UTC)))
            typed = self._type("resume", name)
        else:
            typed = self._type("pause", name)
            typed.wait(TYPED_S)
            self._paused[name] = datetime.now(UTC)
        self._typed.append((typed, name))

    def _type(self, *arguments: str) -> subprocess.Popen[bytes]:
        folder = self._fleet.folder
        words = ["-m", "pipelines", *arguments]
        return forked.start(words, cwd=folder, env=self._fleet.project.environment, output=folder / "typed.log")

    # ------------------------------------------------------------ verdicts

    def _ended_by_themselves(self) -> list[str]:
        return [
            f"pid {each.process.pid} ended with {each.process.returncode}:\n{each.said[-1500:]}"
            for each in self._fleet.members
            if each.process.wait(30) not in (0, -signal.SIGKILL)
            and NOT_STARTED not in each.said
            and (each.process.returncode, each.said) != (-signal.SIGTERM, "")  # told to stop before it listened
        ]

    def _due_while_paused(self) -> list[str]:
        told = [f"a terminal ended with {typed.returncode}" for typed, _ in self._typed if typed.returncode != 0]
        margin = timedelta(seconds=SETTLED_S)
        for name, paused, resumed in self._rests:
            rows = self._fleet.rows(
                "SELECT due_at FROM occurrences WHERE schedule_id = %s AND due_at BETWEEN %s AND %s",
                name,
                paused + margin,
                resumed - margin,
            )
            if rows:
                told.append(f"{name}, paused from {paused} to {resumed}, was due {len(rows)} times, at {rows[0]}")
        return told


def carry_out(folder: Path, *, seconds: float, seed: int, schedulers: int, schedules: int, workers: int = 0) -> Figures:
    """Carry out one plan in an empty folder, on a PostgreSQL of its own; with `workers`, those execute the runs."""
    with ExitStack() as stack:
        server = stack.enter_context(own_postgres(folder, max_connections="200"))
        executor = "procrastinate" if workers else "local"
        made = stack.enter_context(fleet(folder, server.url, yaml(schedules), EXECUTOR=executor))
        proxies = [stack.enter_context(proxied(server.port)) for _ in range(workers)]
        plan = Plan(made, server, seed=seed, schedulers=schedulers, schedules=schedules, proxies=proxies)
        return plan.carry_out(seconds)
