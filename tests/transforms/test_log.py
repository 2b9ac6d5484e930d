"""Log: which items become lines of the run's log, and how."""

from __future__ import annotations

import logging

import pytest

from pipelines.testing import run_transform
from pipelines.transforms.log import Log


@pytest.fixture(autouse=True)
def everything(caplog):
    """All levels are kept."""
    caplog.set_level(logging.DEBUG)


async def test_items_are_logged_as_json_and_passed_on(caplog):
    """Dicts become JSON, texts stay as they are, and all items go on."""
    items = [{"å": [1, None]}, "text", None]
    assert items == await run_transform(Log(), items)
    assert ['{"å": [1, null]}', "text", "null"] == caplog.messages
    assert {("run.test", logging.INFO)} == {(record.name, record.levelno) for record in caplog.records}


async def test_text_and_level(caplog):
    """A template makes the line, the level is the one asked for."""
    await run_transform(Log(level="warning", text="{title}: {price:.2f}"), [{"title": "Lamp", "price": 3}])
    assert [("run.test", logging.WARNING, "Lamp: 3.00")] == caplog.record_tuples


async def test_after_the_limit_items_are_only_counted(caplog):
    """The last line says how many there were."""
    assert 1234 == len(await run_transform(Log(limit=2), range(1234)))
    assert ["0", "1", "1,234 items in all, 2 of them logged"] == caplog.messages


async def test_every_nth(caplog):
    """The first item and then each n-th; none was left out against the asking, so there is no last line."""
    await run_transform(Log(every=3), range(8))
    assert ["0", "3", "6"] == caplog.messages


async def test_the_count_is_told_of_a_run_that_fails(caplog):
    """How far it came stands in the log also when a stage fails."""

    def failing():
        yield from range(5)
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        await run_transform(Log(limit=1), failing())
    assert ["0", "5 items in all, 1 of them logged"] == caplog.messages


async def test_an_item_cannot_forge_lines(caplog):
    """Line breaks are made visible and long lines cut off."""
    await run_transform(Log(), ["a\nERROR b", "x" * 5000])
    assert ("a ⏎ ERROR b", 1000, "…") == (caplog.messages[0], len(caplog.messages[1]), caplog.messages[1][-1])


async def test_what_has_no_json_form_is_logged_as_python_shows_it(caplog):
    """Logging never ends a run."""
    await run_transform(Log(), [{1, 2}, b"x", {"a": b"y"}])
    assert ["[1, 2]", "b'x'", "{'a': b'y'}"] == caplog.messages


@pytest.mark.parametrize(
    ("kwargs", "told"),
    [
        ({"level": "loud"}, "^level: found 'loud', expected one of debug"),
        ({"every": 0}, "^every"),
        ({"limit": -1}, "^limit"),
        ({"text": "{"}, "^text"),
    ],
)
def test_arguments_are_checked(kwargs, told):
    """A wrong argument is told when the stage is made."""
    with pytest.raises(ValueError, match=told):
        Log(**kwargs)
