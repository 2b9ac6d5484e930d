"""What the tests of the web share: a service in a thread of its own, and its project."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from itertools import count

import pytest

from tests.project import Project
from tests.web.pages.site import Site

YAML = """
scheduler: {default_retry: {attempts: 1}, max_parallel_jobs: 4, timezone: UTC}
pipelines:
  prices: {executor: inline, params: {days: {type: int, default: 1}}, chain: [rest_stages.good],
           schedule: {daily: "09:30", id: prices-daily}}
  wrong: {executor: inline, chain: [rest_stages.bad]}
  waits: {executor: inline, chain: [rest_stages.Wait]}
"""
PLUGIN = """
import asyncio
from pipelines import Fetcher, current_run

def good(item):
    return 1

def bad(item):
    raise ValueError("no prices today")

class Wait(Fetcher):
    async def fetch(self):
        current_run().progress(0.4, "at the gate")
        current_run().log.info("at the gate")
        yield 1
        await asyncio.Event().wait()
"""


@pytest.fixture(scope="session")
def rest(tmp_path_factory) -> Callable[..., AbstractContextManager[Site]]:
    """Returns what serves the project of these tests, with the settings that it is given; several may at one time."""
    numbers = count()

    @contextmanager
    def serving(**settings) -> Iterator[Site]:
        project = Project(tmp_path_factory.mktemp("rest"))
        stages = f"rest_stages_{next(numbers)}"
        project.write(YAML.replace("rest_stages", stages))
        project.plugin(stages, PLUGIN)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "path", list(sys.path))
            with Site(project, **settings).serving() as site:
                site.stages = stages
                yield site
        sys.modules.pop(stages, None)

    return serving
