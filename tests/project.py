"""A user's project in a temporary folder: a pipelines file, plugins, and the program started on them."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psycopg
import pytest
from sqlalchemy import event

from pipelines.catalog import Catalog
from pipelines.engine import Engine
from pipelines.loading import load_catalog
from pipelines.registry import Registry
from pipelines.settings import Settings
from pipelines.store import database
from tests import forked
from tests.servers import fresh_schema, libpq

ROOT = Path(__file__).parent.parent
DEADLINE_S = 30

on_both_stores = pytest.mark.parametrize("project", ["sqlite", "postgresql"], indirect=True)
"""Has a test run twice: over SQLite, and over PostgreSQL."""


@dataclass
class Project:
    """`folder` holds `pipelines.yml`, `plugins/`, and the store, unless `server` is the URL of one elsewhere.

    `bare`: a program that is started here imports what it needs and makes its store itself, which takes it a second.
    Else it is forked from one that has imported all of it (see `tests.forked`), and finds an empty store.
    """

    folder: Path
    env: dict[str, str] = field(default_factory=dict)
    server: str | None = None
    bare: bool = False

    @property
    def store_url(self) -> str:
        """The URL of the store."""
        return self.server or f"sqlite:///{self.folder / 'store.db'}"

    def write(self, yaml: str) -> Path:
        """Write the pipelines file."""
        path = self.folder / "pipelines.yml"
        path.write_text(textwrap.dedent(yaml), encoding="utf-8")
        return path

    def plugin(self, name: str, code: str) -> Path:
        """Write `plugins/{name}.py`."""
        folder = self.folder / "plugins"
        folder.mkdir(exist_ok=True)
        path = folder / f"{name}.py"
        path.write_text(textwrap.dedent(code), encoding="utf-8")
        return path

    def settings(self, **given: Any) -> Settings:
        """The settings for this folder."""
        config, url = self.folder / "pipelines.yml", self.store_url
        here: dict[str, Any] = {"_env_file": None, "web": "off", "pipelines_config": config, "scheduler_db_url": url}
        return Settings(**here | given)

    def catalog(self, settings: Settings | None = None) -> Catalog:
        """The catalog of the pipelines file as it stands."""
        return load_catalog(settings or self.settings(), self.env)

    def scheduler(self, *, clock: Callable[[], Any] | None = None, **given: Any) -> Engine:
        """A scheduler in this process; use it as an async context manager."""
        settings = self.settings(**given)
        self.with_store()
        more: dict[str, Any] = {"clock": clock} if clock else {}
        return Engine(settings, self.catalog(settings), env=self.env, **more)

    def with_store(self) -> None:
        """Put an empty store of the present schema here where there is none: a copy is made sooner than its tables."""
        path = self.folder / "store.db"
        if self.server is None and "SCHEDULER_DB_URL" not in self.env and not path.exists():
            path.write_bytes(empty_store())

    def registry(self) -> Registry:
        """The registry of this folder's plugins."""
        return Registry(self.folder / "plugins", ("pipelines.transforms",))

    @property
    def environment(self) -> dict[str, str]:
        """What a program started here sees: this folder's settings and nothing of ours from outside."""
        kept = {name: value for name, value in os.environ.items() if name.upper() not in _OURS}
        return kept | {"SCHEDULER_DB_URL": self.store_url, "WEB": "off", "PYTHONPATH": str(ROOT), **self.env}

    def run(self, script: str, *arguments: str, timeout: float = DEADLINE_S) -> subprocess.CompletedProcess[str]:
        """Run `main.py`, `main_scheduler.py`, or with `-m` a module, here to its end."""
        with TemporaryDirectory() as folder:
            output, errors = Path(folder) / "output", Path(folder) / "errors"
            process = self._start([script, *arguments], output, errors)
            try:
                process.wait(timeout)
            finally:
                process.kill()
                process.wait()
            said = (path.read_text(encoding="utf-8") for path in (output, errors))
            return subprocess.CompletedProcess(process.args, process.returncode, *said)

    def service(self) -> AbstractContextManager[Service]:
        """Start `main_scheduler.py` here; it is killed at the end if it still runs."""
        return self.started("main_scheduler.py")

    @contextmanager
    def started(self, script: str, *arguments: str) -> Iterator[Service]:
        """Start a program here, as `run` does; it is killed at the end if it still runs."""
        output = self.folder / f"service-{time.monotonic_ns()}.log"
        process = self._start([script, *arguments], output, output)
        try:
            yield Service(process, output)
        finally:
            if process.poll() is None:
                process.kill()
            process.wait(DEADLINE_S)

    def _start(self, command: Sequence[str], output: Path, errors: Path) -> subprocess.Popen[bytes]:
        command = command if command[0] == "-m" else [str(ROOT / command[0]), *command[1:]]
        for path in (output, errors):
            path.touch()
        if not self.bare:
            self.with_store()
        if not self.bare and "LD_PRELOAD" not in self.env:
            return forked.start(command, cwd=self.folder, env=self.environment, output=output, errors=errors)
        with output.open("a") as said, errors.open("a") as complained:
            return subprocess.Popen(
                [sys.executable, *command], cwd=self.folder, env=self.environment, stdout=said, stderr=complained
            )

    def query(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """Read from the store behind the program's back; `?` stands for a value."""
        if self.server is not None:
            with psycopg.connect(libpq(self.server), autocommit=True) as conn:
                return conn.execute(statement.replace("?", "%s").encode(), values or None).fetchall()
        connection = sqlite3.connect(f"file:{self.folder / 'store.db'}?mode=ro", uri=True)
        try:
            return connection.execute(statement, values).fetchall()
        finally:
            connection.close()

    def change(self, statements: str) -> None:
        """Change the store on PostgreSQL behind the program's back."""
        assert self.server is not None
        with psycopg.connect(libpq(self.server), autocommit=True) as conn:
            conn.execute(statements.encode())


@dataclass
class Service:
    """A running program, mostly `main_scheduler.py`, and what it said so far."""

    process: subprocess.Popen[bytes]
    output: Path

    @property
    def said(self) -> str:
        """All of its output so far."""
        return self.output.read_text(encoding="utf-8")

    def wait_for(self, text: str, count: int = 1) -> None:
        """Wait until it has said `text` at least `count` times."""
        until(lambda: self.said.count(text) >= count, f"the service never said {text!r}:\n{{}}", lambda: self.said)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and return the exit code."""
        self.process.send_signal(number)
        try:
            return self.process.wait(DEADLINE_S)
        except subprocess.TimeoutExpired as error:
            raise AssertionError(f"it did not stop in time:\n{self.said}") from error


def until(condition: Callable[[], bool], complaint: str, detail: Callable[[], str] = lambda: "") -> None:
    """Poll until `condition` holds; fail with `complaint` at the deadline, `detail` in its `{}` or after it."""
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError((complaint if "{}" in complaint else f"{complaint}\n{{}}").format(detail()))
        time.sleep(0.05)


@cache
def empty_store() -> bytes:
    """The bytes of an SQLite store that has the present schema and no rows."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "store.db"
        engine = database.connect(f"sqlite:///{path}")
        database.migrate(engine)
        engine.dispose()
        return path.read_bytes()


@contextmanager
def fresh_store() -> Iterator[str]:
    """A PostgreSQL schema of its own that has the present tables and no rows; yields the URL that works in it."""
    with fresh_schema() as url:
        with psycopg.connect(libpq(url)) as conn, conn.pipeline():
            conn.execute("SET LOCAL synchronous_commit = off")
            for statement, values in _migrating():
                conn.execute(statement.encode(), values)
        yield url


@cache
def _migrating() -> list[tuple[str, Any]]:
    """What migrating says to PostgreSQL; saying it again in one breath is done sooner than asking step by step."""
    said: list[tuple[str, Any]] = []

    def note(_conn: object, _cursor: object, statement: str, values: object, *_: object) -> None:
        if not statement.startswith("SELECT pg_catalog"):
            said.append((statement, values))

    with fresh_schema() as url:
        engine = database.connect(url)
        event.listen(engine, "before_cursor_execute", note)
        database.migrate(engine)
        engine.dispose()
    return said


_OURS = {name.upper() for name in Settings.model_fields} | {"PYTHONPATH"}
