"""Notes: what a face remembers over a restart."""

from __future__ import annotations

import pytest

from pipelines.store import notes
from pipelines.store.notes import Note, Notes
from pipelines.store.writer import Reader, Writer


@pytest.mark.parametrize("value", [None, True, 1.5, "text ✅ \x00", ["a", 1], {"1": {"hash": "x", "ids": {"run": 7}}}])
def test_a_note_comes_back_as_it_was(engine, value):
    """Any JSON value is returned as it was put."""
    with engine.begin() as conn:
        notes.put(conn, [Note("discord commands", value)])
    with engine.connect() as conn:
        assert value == notes.get(conn, "discord commands")


def test_the_last_note_of_a_name_stays(engine):
    """A later value replaces an earlier one, in the same batch too; other names are left alone."""
    with engine.begin() as conn:
        assert [None] * 4 == notes.put(conn, [Note("a", 1), Note("b", 2), Note("a", 3), Note("b ", 4)])
    with engine.connect() as conn:
        assert [3, 2, 4, None] == [notes.get(conn, name) for name in ("a", "b", "b ", "c")]


async def test_notes_go_through_writer_and_reader(engine):
    """The front door of the notes: put, then get."""
    writer, reader = Writer(engine), Reader(engine)
    await writer.start()
    kept = Notes(writer, reader)
    assert await kept.get("x") is None
    await kept.put("x", {"n": 1})
    assert {"n": 1} == await kept.get("x")
    await writer.close()
    await reader.close()
