"""A user's project in a temporary folder: a pipelines file, plugins, and the program started on them."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pipelines.catalog import Catalog
from pipelines.engine import Engine
from pipelines.loading import load_catalog
from pipelines.registry import Registry
from pipelines.settings import Settings
from pipelines.store import database

ROOT = Path(__file__).parent.parent
DEADLINE_S = 30


@dataclass
class Project:
    """`folder` holds `pipelines.yml`, `plugins/`, and the store."""

    folder: Path
    env: dict[str, str] = field(default_factory=dict)

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
        url = f"sqlite:///{self.folder / 'store.db'}"
        config = self.folder / "pipelines.yml"
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
        if not path.exists():
            path.write_bytes(empty_store())

    def registry(self) -> Registry:
        """The registry of this folder's plugins."""
        return Registry(self.folder / "plugins", ("pipelines.transforms",))

    @property
    def environment(self) -> dict[str, str]:
        """What a program started here sees: this folder's settings and nothing of ours from outside."""
        kept = {name: value for name, value in os.environ.items() if name.upper() not in _OURS}
        store = f"sqlite:///{self.folder / 'store.db'}"
        return kept | {"SCHEDULER_DB_URL": store, "WEB": "off", "PYTHONPATH": str(ROOT), **self.env}

    def run(self, script: str, *arguments: str, timeout: float = DEADLINE_S) -> subprocess.CompletedProcess[str]:
        """Run `main.py` or `main_scheduler.py` here to its end."""
        return subprocess.run(
            [sys.executable, str(ROOT / script), *arguments],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    @contextmanager
    def service(self) -> Iterator[Service]:
        """Start `main_scheduler.py` here; it is killed at the end if it still runs."""
        output = self.folder / f"service-{time.monotonic_ns()}.log"
        with output.open("w") as sink:
            process = subprocess.Popen(
                [sys.executable, str(ROOT / "main_scheduler.py")],
                cwd=self.folder,
                env=self.environment,
                stdout=sink,
                stderr=subprocess.STDOUT,
            )
        service = Service(process, output)
        try:
            yield service
        finally:
            if process.poll() is None:
                process.kill()
            process.wait(DEADLINE_S)

    def query(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """Read from the store behind the program's back."""
        connection = sqlite3.connect(f"file:{self.folder / 'store.db'}?mode=ro", uri=True)
        try:
            return connection.execute(statement, values).fetchall()
        finally:
            connection.close()


@dataclass
class Service:
    """A running `main_scheduler.py` and what it said so far."""

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
        return self.process.wait(DEADLINE_S)


def until(condition: Callable[[], bool], complaint: str, detail: Callable[[], str] = lambda: "") -> None:
    """Poll until `condition` holds; fail with `complaint` at the deadline."""
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(complaint.format(detail()))
        time.sleep(0.02)


@cache
def empty_store() -> bytes:
    """The bytes of an SQLite store that has the present schema and no rows."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "store.db"
        engine = database.connect(f"sqlite:///{path}")
        database.migrate(engine)
        engine.dispose()
        return path.read_bytes()


_OURS = {name.upper() for name in Settings.model_fields} | {"PYTHONPATH"}
