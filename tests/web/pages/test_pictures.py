"""Pictures: whatever they are given, they are well-formed, name no number that is none, and escape all text."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from xml.etree import ElementTree as ET

from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines import Mark, RunState, StageCount
from web import pictures

floats = st.floats(allow_nan=True, allow_infinity=True)
marks = st.builds(
    Mark,
    id=st.integers(),
    pipeline=st.text(),
    state=st.sampled_from(RunState),
    at=st.datetimes(timezones=st.just(UTC)),
    took_s=st.none() | floats,
)
counts = st.builds(
    StageCount, position=st.integers(), name=st.text(), items_in=st.integers(), items_out=st.integers(), busy_s=floats
)
hours = st.dictionaries(st.tuples(st.integers(0, 6), st.integers(0, 23)), st.integers(-5, 10**12))
columns = st.builds(
    pictures.Column, name=st.text(), good=st.integers(0, 10**12), bad=st.integers(0, 10**12), other=st.integers(0, 9)
)


def sound(picture: str) -> ET.Element:
    """Return a picture's root; it has no NaN, no infinity, no size below zero, and says what it shows."""
    root = ET.fromstring(picture)
    assert not re.search(r'="[^"]*\b(nan|inf)\b', picture.replace("aria-label", ""))
    for element in root.iter():
        assert all(float(element.get(name, "0")) >= 0 for name in ("width", "height", "r"))
    assert root.get("aria-label") or root.get("aria-hidden")
    return root


@given(st.lists(marks, max_size=70), st.integers(1, 60), st.booleans())
def test_strips_take_any_runs(runs, places, links):
    """A strip of any runs is sound and has a bar for each of the newest."""
    root = sound(pictures.strip(runs, places, links=links))
    assert min(len(runs), places) == len(list(root.iter("rect")))


@given(st.lists(floats, max_size=80))
def test_trends_take_any_durations(seconds):
    """A trend of any numbers is sound."""
    sound(pictures.trend(seconds))


@settings(max_examples=30)
@given(hours, hours)
def test_heat_maps_take_any_counts(some, bad):
    """A heat map of any counts is sound and has a cell for each hour of the week."""
    assert 7 * 24 == len(list(sound(pictures.heat(some, bad)).iter("rect")))


@given(st.lists(columns, max_size=30))
def test_columns_take_any_names(given_columns):
    """Columns with any names and counts are sound."""
    sound(pictures.columns(given_columns))


@given(counts, floats, st.integers(-3, 10**12))
def test_stages_take_any_counts(count, busiest, most):
    """A stage's bars are sound, whatever was counted."""
    sound(pictures.stage(count, busiest, most))


def test_text_in_pictures_is_escaped():
    """A name that looks like markup stays text."""
    nasty = '"><script>alert(1)</script>\x00'
    root = sound(pictures.columns([pictures.Column(nasty, 1)]))
    assert [] == list(root.iter("script"))
    assert '"><script>alert(1)</script>\ufffd' in "".join(root.itertext())


def test_each_state_has_a_sign_of_its_own():
    """No two states share a sign, so that colours are not needed to tell them apart."""
    assert len(RunState) == len({re.sub('class="[^"]*"', "", pictures.icon(state)) for state in RunState})


def test_a_strip_says_what_it_shows():
    """The text of a strip counts the states in it."""
    at = datetime(2026, 1, 1, tzinfo=UTC)
    shown = pictures.strip([Mark(1, "p", RunState.SUCCEEDED, at, 1.0), Mark(2, "p", RunState.FAILED, at, 2.0)], 20)
    assert "Last 2 runs, newest last: 1 succeeded, 1 failed" == ET.fromstring(shown).get("aria-label")
