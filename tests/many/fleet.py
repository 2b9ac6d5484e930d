"""Several schedulers and workers, as real processes of one project, on one store in PostgreSQL."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import psycopg

from tests import forked
from tests.many import ledger
from tests.many.ledger import Span
from tests.project import DEADLINE_S, ROOT, Project, Service, until
from tests.servers import libpq

READY = "ready"
LEADS = "this process leads"
LEASE_S = 3.0
"""Leases of a fleet last so long, in seconds: as short as a busy machine does not lose them by itself."""
ELSEWHERE = """
CREATE FUNCTION elsewhere() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN NEW.machine := 'elsewhere:1'; RETURN NEW; END $$;
CREATE TRIGGER elsewhere BEFORE INSERT OR UPDATE ON processes FOR EACH ROW EXECUTE FUNCTION elsewhere();
"""
"""From then on no process believes that another is on the same machine."""


@dataclass
class Fleet:
    """A project whose plugin `mine` writes a ledger, and the processes that were started on it."""

    project: Project
    members: list[Service] = field(default_factory=list)
    _asking: psycopg.Connection[Any] | None = None

    # ------------------------------------------------------------ processes

    def begin(self, *arguments: str, **env: str) -> Service:
        """Start a program with further settings, and do not wait for it."""
        output = self.folder / f"member-{len(self.members)}.log"
        output.touch()
        process = forked.start(arguments, cwd=self.folder, env=self.project.environment | env, output=output)
        self.members.append(service := Service(process, output))
        return service

    def schedulers(self, count: int, program: str = "main_scheduler.py", **env: str) -> list[Service]:
        """Start so many `main_scheduler.py`, together, and return them once all are ready."""
        started = [self.begin(str(ROOT / program), **env) for _ in range(count)]
        for each in started:
            each.wait_for(READY)
        return started

    def workers(self, count: int, *arguments: str, **env: str) -> list[Service]:
        """Start so many `pipecall worker`, together, and return them once all are ready."""
        started = [self.begin("-m", "pipelines", "worker", *arguments, **env) for _ in range(count)]
        for each in started:
            each.wait_for(READY)
        return started

    def end(self) -> None:
        """Kill whatever still runs."""
        if self._asking is not None:
            self._asking.close()
        for each in self.members:
            if each.process.poll() is None:
                each.process.kill()
        for each in self.members:
            each.process.wait(DEADLINE_S)

    # ------------------------------------------------------------ what is to be seen

    @property
    def folder(self) -> Path:
        """Where the project is."""
        return self.project.folder

    @property
    def url(self) -> str:
        """The store, as psycopg reads it."""
        return libpq(self.project.store_url)

    def rows(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """Read from the store, or change it, behind the programs' backs; once more where the server had restarted."""
        try:
            return self._ask(statement, values)
        except psycopg.OperationalError:
            if self._asking is None or not self._asking.broken:
                raise
            self._asking = None
            return self._ask(statement, values)

    def _ask(self, statement: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        if self._asking is None:
            self._asking = psycopg.connect(self.url, autocommit=True, connect_timeout=10)
        cursor = self._asking.execute(statement.encode(), values or None)
        return cursor.fetchall() if cursor.description else []

    def spans(self) -> list[Span]:
        """The attempts of which stages wrote down something."""
        return ledger.spans(self.folder)

    def spans_of(self, run: int) -> list[Span]:
        """The attempts of one run, in the order in which they began."""
        return sorted((span for span in self.spans() if span.run == run), key=lambda span: span.begin)

    def open_gate(self, *, is_open: bool) -> None:
        """Let the stages `gate` and `stuck` end, or have them wait."""
        path = self.folder / "open"
        path.touch() if is_open else path.unlink(missing_ok=True)

    def until_row(self, statement: str, expected: Sequence[Any], *values: Any) -> None:
        """Wait until the first row of a question is as expected."""
        until(
            lambda: self.rows(statement, *values)[:1] == [tuple(expected)],
            f"{statement} with {values} is not {tuple(expected)} but {{}}",
            lambda: f"{self.rows(statement, *values)}\n{self.said}",
        )

    def until_state(self, run: int, *state: Any) -> None:
        """Wait until a run is in a state, and (where given) in an attempt."""
        self.until_row("SELECT state, attempt FROM runs WHERE id = %s", state, run) if len(state) > 1 else (
            self.until_row("SELECT state FROM runs WHERE id = %s", state, run)
        )

    def holder(self, run: int) -> Service:
        """Return the member that executes a run, once one does."""
        until(lambda: self._owner(run) is not None, f"nobody executes run {run}", lambda: self.said)
        return next(each for each in self.members if each.process.pid == self._owner(run))

    def _owner(self, run: int) -> int | None:
        [(owner,)] = self.rows("SELECT owner FROM runs WHERE id = %s", run)
        pid = int(owner.split(":")[1]) if owner else None
        return pid if pid in {each.process.pid for each in self.members} else None

    def leader(self) -> Service:
        """Return the member that leads, once just one says so."""
        until(lambda: self._leading() is not None, "nobody leads", lambda: self.said)
        found = self._leading()
        assert found is not None
        return found

    def _leading(self) -> Service | None:
        """Return who said last that it leads, and has not ended since."""
        rows = self.rows("SELECT pid FROM processes WHERE leads ORDER BY beat_at DESC")
        alive = {each.process.pid: each for each in self.members if each.process.poll() is None}
        leading = [alive[pid] for (pid,) in rows if pid in alive]
        return leading[0] if len(leading) == 1 else None

    @property
    def said(self) -> str:
        """The ends of what all members said."""
        return "\n".join(f"--- {each.process.pid}\n{each.said[-1500:]}" for each in self.members)


def children(service: Service) -> list[psutil.Process]:
    """The processes that execute a member's runs."""
    try:
        return psutil.Process(service.process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def send(service: Service, number: signal.Signals) -> None:
    """Send a member a signal, and its children none."""
    os.kill(service.process.pid, number)


def kill(service: Service) -> None:
    """Kill a member at once, and wait until it is gone."""
    service.process.kill()
    service.process.wait(DEADLINE_S)


@contextmanager
def frozen(*services: Service) -> Iterator[None]:
    """Within the block members stand still, but not their children; afterwards they go on."""
    for each in services:
        send(each, signal.SIGSTOP)
    try:
        yield
    finally:
        for each in services:
            if each.process.poll() is None:
                send(each, signal.SIGCONT)


def seconds_until(condition: Callable[[], bool], complaint: str) -> float:
    """Wait until something is so, and return how long that took, in seconds."""
    since = time.monotonic()
    until(condition, complaint)
    return time.monotonic() - since


@contextmanager
def fleet(folder: Path, url: str, pipelines: str, **env: str) -> Iterator[Fleet]:
    """A project on the empty schema at `url` (SQLAlchemy's), where nothing runs yet; in the end nothing does."""
    project = Project(folder, server=url)
    project.env |= {"RUN_LEASE_SECONDS": f"{LEASE_S:g}", "EXECUTOR": "local", **env}
    project.plugin("mine", ledger.PLUGIN)
    project.write(pipelines)
    made = Fleet(project)
    try:
        yield made
    finally:
        made.end()
