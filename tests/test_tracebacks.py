"""Tracebacks start at the user's own line, in the stage that failed, and stay short."""

from __future__ import annotations

import json
import sys

import pytest

from pipelines.chain import Chain, run
from pipelines.model import Job, StageSpec
from pipelines.testing import MemoryState
from pipelines.tracebacks import Origin, origin_of, users_line
from pipelines.transforms import http

USERS = """
import functools
import json

def numbers(_):
    yield 1

def parse(item):
    return json.loads('{"a": }')

def deep(item):
    return functools.reduce(lambda a, b: a / b, [1, 0])

class Downstream:
    async def __call__(self, items):
        async for item in items:
            yield item

class Upstream:
    async def __call__(self, items):
        async for item in items:
            yield self.price(item)

    def price(self, item):
        return {}["price"]
"""


@pytest.fixture
def traceback_of(project):
    """Runs the user's stages and returns the lines of the traceback that people are shown."""
    project.plugin("mine", USERS)

    async def run(*names):
        job = Job(
            run_id=1,
            attempt=1,
            max_attempts=1,
            pipeline="p",
            stages=tuple(StageSpec(f"mine.{name}") for name in names),
            params={},
            started_by="manual",
            due_at=None,
            values={},
        )
        outcome = await Chain(job, project.registry(), MemoryState()).run()
        return outcome.error.stage, outcome.error.traceback.splitlines()

    return run


def files_of(lines):
    return [line.split('"')[1].rsplit("/")[-1] for line in lines if line.lstrip("> ").startswith("File ")]


async def test_it_starts_in_the_stage_that_failed(traceback_of):
    """Stages further down, through which the error passed on its way out, are not in it."""
    stage, lines = await traceback_of("numbers", "Upstream", "Downstream")
    assert ("Upstream", ["mine.py", "mine.py"]) == (stage, files_of(lines))
    assert (False, "KeyError: 'price'") == (any("Downstream" in line for line in lines), lines[-1])


async def test_the_users_last_line_is_marked(traceback_of):
    """What to look at first stands out: the last line of the user's own."""
    _, lines = await traceback_of("numbers", "Upstream")
    marked = [line for line in lines if line.startswith("> ")]
    assert (1, True) == (len(marked), marked[0].endswith("in price"))


async def test_library_frames_after_the_users_line_stay(traceback_of):
    """What the user called is shown as far as it helps, after the marked line."""
    _, lines = await traceback_of("numbers", "parse")
    files = files_of(lines)
    assert ("mine.py", True) == (files[0], {"__init__.py", "decoder.py"} <= set(files))
    assert lines[0].startswith("> File ")


async def test_many_library_frames_are_folded(traceback_of, monkeypatch):
    """Beyond a few, the frames of libraries in a row are folded into one line."""

    def many(text):
        return nested(6)

    source = "def nested(depth):\n    return nested(depth - 1) if depth else {}['gone']\n"
    space: dict[str, object] = {}
    exec(compile(source, f"{sys.prefix}/lib/site-packages/somewhere.py", "exec"), space)
    nested = space["nested"]
    monkeypatch.setattr(json, "loads", many)
    _, lines = await traceback_of("numbers", "parse")
    assert any("frames of libraries left out" in line for line in lines)
    assert "KeyError: 'gone'" == lines[-1]


def test_whose_a_file_is():
    """The engine's own files, a library's, and the user's are told apart; a stage that ships counts as a library's."""
    assert [Origin.MACHINERY, Origin.LIBRARY, Origin.LIBRARY, Origin.LIBRARY, Origin.USER] == [
        origin_of(run.__file__),
        origin_of(http.__file__),
        origin_of(json.__file__),
        origin_of("<string>"),
        origin_of("/somewhere/plugins/shop.py"),
    ]


def test_the_users_line_of_an_error_is_found(project):
    """The last own line is found, through causes as well; an error without any has none."""
    path = project.plugin("cause", "def fail():\n    raise KeyError('x')\n")
    space: dict[str, object] = {}
    exec(compile(path.read_text(), str(path), "exec"), space)
    with pytest.raises(KeyError) as raised:
        space["fail"]()
    wrapped = ValueError("wrapped")
    wrapped.__cause__ = raised.value
    assert (str(path), 2) == users_line(wrapped)
    assert users_line(ValueError("never raised")) is None
