"""How the terminal speaks: plain lines to a program, JSON with plain values, nothing that steers a terminal."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone

from rich.text import Text

from pipelines.cli import printing, words
from pipelines.model import RunState


def test_a_row_is_one_line_whatever_is_in_it(capsys):
    """Piped, cells stand between tabs; line breaks, tabs and control characters inside them cannot break that."""
    printing.table(("a", "b"), [("x\ny\tz", Text("\x1b[31mred")), (None, "long " * 100)], empty="none")
    first, second = capsys.readouterr().out.splitlines()
    assert ("x y z\t�[31mred", "\t" + ("long " * 100).strip()) == (first, second)


def test_an_empty_table_is_no_line(capsys):
    """Piped, nothing is nothing; the words for it are for people."""
    printing.table(("a",), [], empty="nothing there")
    assert "" == capsys.readouterr().out


def test_json_has_plain_values(capsys):
    """Instants become ISO 8601 in UTC, durations seconds, names of states texts, sets and tuples lists."""
    at = datetime(2026, 6, 20, 15, 30, tzinfo=timezone(timedelta(hours=2)))
    printing.json_line(
        {"at": at, "took_s": timedelta(minutes=1.5), "state": RunState.FAILED, "ids": (1, 2), "no": None}
    )
    found = json.loads(capsys.readouterr().out)
    assert {"at": "2026-06-20T13:30:00Z", "took_s": 90.0, "state": "failed", "ids": [1, 2], "no": None} == found


def test_instants_show_their_offset():
    """On either side of a change of clocks the same wall time has another offset."""
    shown = [words.day(datetime(2026, month, 5, 8, tzinfo=UTC), "Europe/Stockholm") for month in (1, 7)]
    assert ["Mon 2026-01-05 09:00:00 +01:00", "Sun 2026-07-05 10:00:00 +02:00"] == shown


def test_how_far_off_an_instant_is():
    """The past is ago, the future is in."""
    now = datetime(2026, 1, 1, tzinfo=UTC)
    hours = timedelta(hours=2, minutes=5)
    assert ("in 2 h 5 min", "2 h 5 min ago") == (words.off(now + hours, now), words.off(now - hours, now))
