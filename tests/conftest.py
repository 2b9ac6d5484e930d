"""Fixtures that many tests share."""

from __future__ import annotations

import sys

import pytest

from tests.project import Project


@pytest.fixture
def project(tmp_path, monkeypatch):
    """An empty project in a folder of its own; what is imported from its plugins is forgotten afterwards."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield Project(tmp_path)
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", None)).startswith(f"{tmp_path}/"):
            del sys.modules[name]
