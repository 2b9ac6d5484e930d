"""Fixtures that many tests share."""

from __future__ import annotations

import compileall
import os
import signal
import sys
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import hypothesis
import pytest
from xdist.scheduler import LoadScopeScheduling

from tests import servers
from tests.project import ROOT, Project, fresh_store
from tests.servers import started_where_missing

# How long one example takes depends on what else the machine does; a test's own time limit is pytest's.
hypothesis.settings.register_profile("any-machine", deadline=None, max_examples=50)
hypothesis.settings.register_profile("thorough", deadline=None, max_examples=2000)
hypothesis.settings.load_profile("any-machine")


LONG = ("tests/many/", "tests/faults/", "tests/distributed/", "tests/bot/test_whole_", "tests/cli/test_without_service")
TOGETHER = (
    "tests/store/",
    "tests/web/",
    "tests/deploy/",
    "tests/cli/test_beside_service",
    "tests/distributed/test_tickets",
    "tests/many/test_any_door",
    "tests/test_architecture",
    "tests/test_every_door",
    "tests/test_notifications",
    "tests/test_python_door.py",
    "tests/test_servers",
)
KEEP_CLEAN, COLLECTED_THEN = "PYTHONDONTWRITEBYTECODE", "TEST_PYTHONDONTWRITEBYTECODE"

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell has the programs of its background jobs ignore Ctrl-C, and those pass that on to the ones they start.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_configure(config):
    """Prepare what pytest's workers share: compiled modules, and servers where they are missing; those end with pytest.

    The tests start some hundred programs. Each would compile the whole tree where `PYTHONDONTWRITEBYTECODE` keeps the
    first from leaving it compiled, and so would each of pytest's workers with the tests: that holds again afterwards.
    """
    if not hasattr(config, "workerinput"):
        stack = ExitStack()
        config.add_cleanup(stack.close)
        for package in ("pipelines", "bot", "web"):
            compileall.compile_dir(ROOT / package, quiet=2)
        if (kept := os.environ.pop(KEEP_CLEAN, None)) is not None:
            os.environ[COLLECTED_THEN] = kept
            sys.dont_write_bytecode = False
            stack.callback(os.environ.pop, COLLECTED_THEN, None)
        stack.enter_context(started_where_missing(Path(stack.enter_context(TemporaryDirectory(prefix="pipecall-")))))


def pytest_collection_modifyitems(items):
    """Begin with what takes longest, so that no worker is left with it when the others are done."""
    items.sort(key=lambda item: not item.nodeid.startswith(LONG))


class Together(LoadScopeScheduling):
    """Gives one worker what shares a service, a database or parsed files, and each other test to whoever is free."""

    def _split_scope(self, nodeid: str) -> str:
        """Return what is given away as a whole: a module, or the test alone."""
        return nodeid.partition("::")[0] if nodeid.startswith(TOGETHER) else nodeid


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Share tests out by what they share; marks for `--dist loadgroup` are lost between pytest 9 and xdist 3.8."""
    return Together(config, log)


def pytest_collection_finish():
    """Keep the tests' folders free of compiled plugins."""
    if (kept := os.environ.get(COLLECTED_THEN)) is not None:
        os.environ[KEEP_CLEAN] = kept
        sys.dont_write_bytecode = True


@pytest.fixture(scope="session")
def server_store():
    """The URL of a store in PostgreSQL, of this process's own; whoever used it empties it."""
    with fresh_store() as url:
        yield url


@pytest.fixture
def project(request, tmp_path, monkeypatch):
    """An empty project in a folder of its own; what is imported from its plugins is forgotten afterwards.

    Its store is an SQLite file there; with `on_both_stores` it is in PostgreSQL the second time.
    """
    monkeypatch.setattr(sys, "path", list(sys.path))
    # An engine in this process starts a worker process when a run needs one; a started service keeps its warm ones.
    monkeypatch.setattr("pipelines.execution.process.WARM", 0)
    known = set(sys.modules)
    on_server = getattr(request, "param", "sqlite") == "postgresql"
    server = request.getfixturevalue("server_store") if on_server else None
    yield Project(tmp_path, server=server)
    if server is not None:
        servers.empty(server)
    for name in set(sys.modules) - known:
        if str(getattr(sys.modules[name], "__file__", None)).startswith(f"{tmp_path}/"):
            del sys.modules[name]
