"""Numbers and instants in words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from web import words

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (None, "–"), (float("nan"), "–"), (-1, "0 ms"), (0.03, "30 ms"), (1.24, "1.2 s"), (9.96, "10 s"),
        (59.4, "59 s"), (59.6, "1 min"), (200, "3 min 20 s"), (3_600, "1 h"), (7_500, "2 h 5 min"), (90_000, "1 d 1 h"),
    ],
)  # fmt: skip
def test_durations(seconds, said):
    """A duration is told in at most two units."""
    assert said == words.duration(seconds)


@given(st.floats(allow_nan=True, allow_infinity=True))
def test_any_number_is_a_duration(seconds):
    """Whatever number there is, it can be told."""
    assert words.duration(seconds)


def test_instants():
    """An instant is told from now, or by the clock of a zone, with the day and the year where they are others."""
    zone = ZoneInfo("Europe/Stockholm")
    assert ("in 5 min", "3 h ago", "now") == tuple(
        words.ago(NOON + timedelta(seconds=each), NOON) for each in (300, -3 * 3_600, 0.5)
    )
    assert ("13:00", "Sun 22 Nov 00:30", "Fri 1 Jan 2027 13:00") == tuple(
        words.clock(at, zone, NOON)
        for at in (NOON, datetime(2026, 11, 21, 23, 30, tzinfo=UTC), datetime(2027, 1, 1, 12, tzinfo=UTC))
    )


def test_a_rate_is_whole_only_when_all_is_well():
    """999 of 1,000 are not 100 %."""
    assert ("100 %", "99.9 %", "66 %", "–") == tuple(words.rate(each) for each in (1.0, 0.999, 2 / 3, None))
