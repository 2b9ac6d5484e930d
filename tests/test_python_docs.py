"""The page about Python is true: each example runs and prints what its remarks say, and nothing is left out."""

from __future__ import annotations

import re

import pytest

import pipelines
from pipelines import PipelineScheduler
from pipelines.pipeline import OPTIONS
from pipelines.wishes import JOB_OPTIONS, SCHEDULE_OPTIONS
from tests.project import ROOT

PAGE = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


def promised(code: str) -> list[str]:
    """What the remarks behind and below `print` say that it prints."""
    found = re.findall(r"print\(.*\)(?:  # (.+)|\n\s*# (.+))$", code, re.MULTILINE)
    return [behind or below for behind, below in found]


@pytest.mark.parametrize("code", EXAMPLES, ids=range(len(EXAMPLES)))
def test_each_example_runs(project, monkeypatch, capsys, code):
    """An example runs in an empty folder and prints what it says."""
    monkeypatch.chdir(project.folder)
    monkeypatch.setenv("SCHEDULER_DB_URL", "sqlite:///store.db")
    monkeypatch.setenv("WEB", "off")
    if "pipelines.yml" in code:
        project.write("pipelines: {hello: {enabled: false, executor: inline, chain: [pipelines.transforms.Log]}}")
    exec(compile(code, "python.md", "exec"), {"__name__": "__main__"})
    printed = iter(capsys.readouterr().out.splitlines())
    assert [] == [said for said in promised(code) if said not in printed]


def test_the_examples_promise_something():
    """The remarks of the examples are found."""
    assert 11 == sum(len(promised(code)) for code in EXAMPLES)


def test_the_page_names_everything():
    """Every public method and every option stands on the page."""
    public = {name for name in dir(PipelineScheduler) if not name.startswith("_")}
    options = {*OPTIONS, *JOB_OPTIONS, *SCHEDULE_OPTIONS}
    assert set() == {name for name in public | options if not re.search(rf"`{name}\b|\.{name}\(|, `{name}", PAGE)}


@pytest.mark.parametrize("name", pipelines.__all__)
def test_public_names_are_explained(name):
    """Each name of the front door has a docstring."""
    assert (getattr(pipelines, name).__doc__ or "").strip()


@pytest.mark.parametrize("name", sorted(name for name in dir(PipelineScheduler) if not name.startswith("_")))
def test_public_methods_are_explained(name):
    """Each method of the scheduler has a docstring of its own."""
    assert (getattr(PipelineScheduler, name).__doc__ or "").strip()
