"""What `new-stage` writes: a module for each kind of stage, its test, and the lines for the pipelines file."""

from __future__ import annotations

from enum import StrEnum
from string import Template


class StageKind(StrEnum):
    """What a stage does; see `pipelines.transform`."""

    FETCHER = "fetcher"
    TRANSFORM = "transform"
    SINK = "sink"
    FUNCTION = "function"


STAGES = {
    StageKind.FETCHER: Template('''"""Brings items in: the stage `$name.$cls`."""

from collections.abc import AsyncIterator
from typing import Any

from pipelines import Fetcher, current_run


class $cls(Fetcher):
    """Yields numbered items; write down here what yours are."""

    def __init__(self, *, count: int = 3) -> None:
        """Take what `kwargs:` in the pipelines file gives: `count` is how many items there will be."""
        self.count = count

    async def fetch(self) -> AsyncIterator[dict[str, Any]]:
        """Yield the items; one after the other, so that memory stays small however many there are."""
        for number in range(1, self.count + 1):
            yield {"number": number}
        current_run().log.info("%d items", self.count)
'''),
    StageKind.TRANSFORM: Template('''"""Items in, items out: the stage `$name.$cls`."""

from collections.abc import AsyncIterator
from typing import Any

from pipelines import Transform


class $cls(Transform):
    """Passes on the items that have a field; write down here what yours does."""

    def __init__(self, *, field: str = "number") -> None:
        """Take what `kwargs:` in the pipelines file gives: `field` is the one that items must have."""
        self.field = field

    async def __call__(self, items: AsyncIterator[dict[str, Any]]) -> AsyncIterator[dict[str, Any]]:
        """Yield what becomes of the items; yield none to drop one, several to make more of it."""
        async for item in items:
            if item.get(self.field) is not None:
                yield item
'''),
    StageKind.SINK: Template('''"""Takes items out to somewhere: the stage `$name.$cls`."""

from typing import Any

from pipelines import Sink, current_run


class $cls(Sink):
    """Writes each item into the run's log; write down here where yours go."""

    def __init__(self, *, label: str = "got") -> None:
        """Take what `kwargs:` in the pipelines file gives: `label` stands before each item."""
        self.label = label

    async def handle(self, item: dict[str, Any]) -> None:
        """Do what is to be done with one item; it goes on unchanged. A dry run leaves this out."""
        current_run().log.info("%s %s", self.label, item)
'''),
    StageKind.FUNCTION: Template('''"""One item in, one item out: the stage `$name.$name`."""

from typing import Any


def $name(item: dict[str, Any], *, factor: float = 2) -> dict[str, Any] | None:
    """Return what becomes of an item, or None to drop it; `factor` comes from `kwargs:` in the pipelines file."""
    if "number" not in item:
        return None
    return item | {"number": item["number"] * factor}
'''),
}

_HEAD = '''"""Tests of `$name`; run them with `pytest plugins`."""

import asyncio

from $name import $target

from pipelines.testing import run_transform

'''
_HEAD_WITH_PYTEST = _HEAD.replace("import asyncio\n\n", "import asyncio\n\nimport pytest\n")

TESTS = {
    StageKind.FETCHER: Template(
        _HEAD
        + '''
def test_it_fetches_as_many_as_it_is_told() -> None:
    """The stage yields `count` items."""
    assert asyncio.run(run_transform($target(count=2))) == [{"number": 1}, {"number": 2}]
'''
    ),
    StageKind.TRANSFORM: Template(
        _HEAD
        + '''
def test_items_without_the_field_are_left_out() -> None:
    """Only items that have the field pass."""
    items = [{"number": 1}, {"other": 2}]
    assert asyncio.run(run_transform($target(field="number"), items)) == [{"number": 1}]
'''
    ),
    StageKind.SINK: Template(
        _HEAD_WITH_PYTEST
        + '''
def test_items_are_logged_and_go_on(caplog: pytest.LogCaptureFixture) -> None:
    """Each item is told in the log, and passed on."""
    caplog.set_level("INFO")
    assert asyncio.run(run_transform($target(label="saved"), [{"number": 1}])) == [{"number": 1}]
    assert "saved {'number': 1}" in caplog.text
'''
    ),
    StageKind.FUNCTION: Template(
        '''"""Tests of `$name`; run them with `pytest plugins`."""

from $name import $target


def test_the_number_is_multiplied() -> None:
    """The number becomes `factor` times as much, and the rest stays."""
    assert $target({"number": 2, "of": "tea"}, factor=3) == {"number": 6, "of": "tea"}


def test_an_item_without_a_number_is_dropped() -> None:
    """None drops the item."""
    assert $target({"of": "tea"}) is None
'''
    ),
}

KWARGS = {
    StageKind.FETCHER: "count: 3",
    StageKind.TRANSFORM: "field: number",
    StageKind.SINK: "label: got",
    StageKind.FUNCTION: "factor: 2",
}
"""What stands under `kwargs` in the lines to paste."""

CONFTEST = '''"""Lets the tests import the stages as the pipelines file names them: `from my_stage import MyStage`."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent.parent))
'''


def class_name(module: str) -> str:
    """Return the class that a module is written with: `tea_prices` has `TeaPrices`."""
    return "".join(part[:1].upper() + part[1:] for part in module.split("_")) or module


def target_of(module: str, kind: StageKind) -> str:
    """Return what the module has as its stage."""
    return module if kind is StageKind.FUNCTION else class_name(module)


def written(template: Template, module: str, kind: StageKind) -> str:
    """Return a file's text."""
    return template.substitute(name=module, cls=class_name(module), target=target_of(module, kind))


def yaml_lines(module: str, kind: StageKind) -> str:
    """Return the lines for a chain in the pipelines file."""
    return f"      - class: {module}.{target_of(module, kind)}\n        kwargs: {{{KWARGS[kind]}}}"
