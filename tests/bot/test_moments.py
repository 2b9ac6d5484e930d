"""How typed times are offered; pure."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.matching import label
from bot.moments import MOMENTS, POPULAR, until_offers, when_offers, zone_offers
from pipelines import examples, understand, zone_names

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
ZONE = "Europe/Stockholm"
TYPED = st.text(max_size=150) | st.lists(
    st.sampled_from(
        ["every", "day", "at", "09:00", "monday", "in", "20", "minutes", "*", "0", "tomorrow", "evry", "  "]
    )
).map(" ".join)


@settings(max_examples=50)
@given(TYPED)
def test_whatever_is_typed_can_be_offered(typed):
    """For any text there are choices that Discord takes, and the values of all but the first are understood."""
    for offers in (when_offers, until_offers):
        shown = list(offers(typed, zone=ZONE, now=NOW))
        assert shown
        assert all(1 <= len(label(name)) <= 100 and 1 <= len(value) <= 100 for name, value in shown)
        for _, value in shown[1:]:
            understand(value, zone=ZONE, now=NOW)


@settings(max_examples=50)
@given(TYPED)
def test_whatever_is_typed_offers_zones_that_exist(typed):
    """For any text the zones offered are zones, at most 25."""
    shown = list(zone_offers(typed, first=ZONE, now=NOW))
    assert len(shown) <= 25
    assert all(value in zone_names() for _, value in shown)


@pytest.mark.parametrize("text", [*examples(), *MOMENTS])
def test_every_example_is_understood(text):
    """Each text that is offered as an example is understood."""
    understand(text, zone=ZONE, now=NOW)


def test_popular_zones_exist():
    """There are 25 popular zones, each once, and all exist."""
    assert 25 == len(set(POPULAR))
    assert all(ZoneInfo(name) for name in POPULAR)


def test_times_read_as_people_write_them():
    """The choice says the words, the zone, and the first time, with the year where it is another one."""
    (shown,) = when_offers("every weekday at 09:00", zone=ZONE, now=NOW)
    assert ("Monday to Friday at 09:00 Europe/Stockholm → Mon 23 Nov 09:00", "every weekday at 09:00") == shown
    (shown,) = when_offers("2027-01-05 08:00", zone=ZONE, now=NOW)
    assert shown[0].endswith("→ Tue 5 Jan 2027 08:00")
    first = next(iter(until_offers("in 2 hours", zone=ZONE, now=NOW)))
    assert ("until Sat 21 Nov 15:00 Europe/Stockholm", "in 2 hours") == first
    assert ("Europe/Stockholm · now 13:00", ZONE) == next(iter(zone_offers("", first=ZONE, now=NOW)))


def test_what_is_not_understood_comes_with_what_is():
    """The first choice says that it cannot be read and what can; the others are such texts."""
    first, *others = when_offers("evry day", zone=ZONE, now=NOW)
    assert "✗ cannot read 'evry day' – try: every weekday at 09:00" == first[0]
    assert others
