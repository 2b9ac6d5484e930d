"""Fixtures that many tests share."""

from __future__ import annotations

import signal
import sys

import hypothesis
import pytest

from tests.project import Project

# How long one example takes depends on what else the machine does; a test's own time limit is pytest's.
hypothesis.settings.register_profile("any-machine", deadline=None)
hypothesis.settings.load_profile("any-machine")


if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell has the programs of its background jobs ignore Ctrl-C, and those pass that on to the ones they start.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def project(tmp_path, monkeypatch):
    """An empty project in a folder of its own; what is imported from its plugins is forgotten afterwards."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    # An engine in this process starts a worker process when a run needs one; a started service keeps its warm ones.
    monkeypatch.setattr("pipelines.execution.process.WARM", 0)
    yield Project(tmp_path)
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", None)).startswith(f"{tmp_path}/"):
            del sys.modules[name]
