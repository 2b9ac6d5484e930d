"""Fixtures that many tests share."""

from __future__ import annotations

import pytest

from tests.project import Project


@pytest.fixture
def project(tmp_path):
    """An empty project in a folder of its own."""
    return Project(tmp_path)
