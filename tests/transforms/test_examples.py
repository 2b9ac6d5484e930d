"""The example in the docstring of every built-in stage, and the list that the stages are found by."""

from __future__ import annotations

import importlib
import inspect
import re
import subprocess
import sys
import textwrap

import pytest
import yaml

from pipelines import transforms
from pipelines.transform import Transform

EXAMPLE = re.compile(r"```yaml\n(.*?)```", re.DOTALL)


def test_every_name_is_in_both_lists_in_order():
    """`NAMES` is sorted and `__all__` says the same."""
    assert list(transforms.NAMES) == sorted(transforms.NAMES) == transforms.__all__[1:]


@pytest.mark.parametrize("name", transforms.NAMES)
def test_the_list_tells_where_a_stage_lives(name):
    """Each name leads to the class of that name, in the module that the list names."""
    stage = getattr(transforms, name)
    assert (name, transforms.NAMES[name], True) == (stage.__name__, stage.__module__, issubclass(stage, Transform))


@pytest.mark.parametrize("module", sorted(set(transforms.NAMES.values())))
def test_no_stage_is_left_out(module):
    """Every public stage class in those modules that can be built is in the list."""
    found = {
        name
        for name, value in vars(importlib.import_module(module)).items()
        if inspect.isclass(value) and issubclass(value, Transform) and value.__module__ == module
        if not inspect.isabstract(value) and not name.startswith("_")
    }
    assert found == {name for name, home in transforms.NAMES.items() if home == module}


@pytest.mark.parametrize("name", transforms.NAMES)
def test_the_example_builds_the_stage(name):
    """The first YAML example in a stage's docstring names the stage, and its arguments build it."""
    found = EXAMPLE.search(inspect.getdoc(getattr(transforms, name)) or "")
    assert found, f"{name} has no ```yaml example in its docstring"
    entry = yaml.safe_load(textwrap.dedent(found[1]))
    entry = entry[0] if isinstance(entry, list) else entry
    assert f"pipelines.transforms.{name}" == entry["class"]
    assert isinstance(getattr(transforms, name)(**entry.get("kwargs") or {}), Transform)


def test_an_unknown_name_is_an_attribute_error():
    """A name that is no stage is refused as by any module."""
    with pytest.raises(AttributeError, match="'Nonsense'"):
        transforms.Nonsense  # noqa: B018 - the look-up is what is tested


def test_the_list_costs_no_library():
    """Looking at the names imports none of the libraries behind the stages."""
    code = (
        "import sys, pipelines.transforms as t; dir(t); "
        "print([m for m in ('aiohttp', 'sqlalchemy', 'feedparser', 'selectolax', 'jmespath') if m in sys.modules])"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert "[]" == answer.stdout.strip()


def test_the_names_are_listed():
    """`dir()` lists the stages before they were imported."""
    assert set(transforms.NAMES) <= set(dir(transforms))
