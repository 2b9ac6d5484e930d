"""One service for the tests of a module."""

from __future__ import annotations

import sys

import pytest

from tests.project import Project
from tests.web.pages.site import PIPELINES, PLUGIN, Site


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A service with pipelines of all kinds, and its web."""
    project = Project(tmp_path_factory.mktemp("site"))
    project.write(PIPELINES)
    project.plugin("page_stages", PLUGIN)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", list(sys.path))
        with Site(project).serving() as site:
            yield site
    sys.modules.pop("page_stages", None)
