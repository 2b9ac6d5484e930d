"""What people may mean by what they typed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from bot.matching import Interest, by_interest, found, label, matching, meant, near, since, until

NAMES = ["etl-sales", "sales", "salesforce", "monthly-sales-report", "wholesale.prices", "Weather", "a_b"]
NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


def test_nothing_typed_matches_all_in_their_order():
    """An empty text, or one of blanks, matches every name in the order given."""
    assert NAMES == list(matching("", NAMES))
    assert NAMES == list(matching("  ", NAMES))


def test_better_matches_come_first():
    """Exact, then beginning with it, then a word beginning with it, then containing it."""
    expected = ["sales", "salesforce", "etl-sales", "monthly-sales-report"]
    assert expected == list(matching("Sales", NAMES))
    assert ["sales", "salesforce", "etl-sales", "monthly-sales-report", "wholesale.prices"] == list(
        matching("sale", NAMES)
    )


def test_what_parts_words_is_one():
    """Blanks, dashes, dots and underscores are the same."""
    assert ["monthly-sales-report"] == list(matching("sales report", NAMES))
    assert ["wholesale.prices"] == list(matching("sale-prices", NAMES))
    assert ["a_b"] == list(matching("a b", NAMES))


def test_a_misspelling_matches_what_is_near():
    """Where nothing contains what was typed, near names are offered, the nearest first."""
    assert ["etl-sales"] == list(matching("etl-slaes", NAMES))[:1]
    assert [] == list(matching("xyzzy", NAMES))


def test_a_label_is_its_name():
    """Apps that send a choice's label instead of its value are understood."""
    assert "etl-sales" == meant("etl-sales · ✅ 2h ago · next 14:00")
    assert "etl-sales" == found("etl-sales · ✅ 2h ago · next 14:00", NAMES)
    assert "Weather" == found(" `weather` ", NAMES)
    assert None is found("wea", NAMES)


def test_case_decides_only_where_it_must():
    """Two names that differ by case are told apart; one that is neither is refused."""
    assert "A" == found("A", ["a", "A"])
    assert None is found("AB", ["ab", "aB"])


def test_what_fails_comes_first_then_what_one_used_then_what_is_due():
    """Without anything typed, names are in the order of interest."""
    known = [
        Interest("rest-b"),
        Interest("rest-a"),
        Interest("later", due_at=NOON + timedelta(hours=2)),
        Interest("soon", due_at=NOON + timedelta(hours=1)),
        Interest("used-before", recency=1, due_at=NOON),
        Interest("used-last", recency=0),
        Interest("broken", failing=True),
    ]
    assert ["broken", "used-last", "used-before", "soon", "later", "rest-a", "rest-b"] == by_interest(known)


def test_labels_are_short_and_name_comes_first():
    """A label is the name and its details; a long one is cut to 100 characters."""
    assert "etl-sales · ✅ 2h ago · next 14:00" == label("etl-sales", "✅ 2h ago", "", "next 14:00")
    assert 100 == len(label("x" * 200))
    assert "…" == label("")


def test_times_read_shortly():
    """Times in labels are as short as they can be without being ambiguous."""
    assert ["now", "5m ago", "2h ago", "3d ago"] == [since(s) for s in (0, 300, 7_300, 3 * 86_400)]
    later = [timedelta(hours=2), timedelta(days=2), timedelta(days=9), timedelta(days=45)]
    assert ["14:00", "Mon 12:00", "Mon 30 Nov 12:00", "5 Jan 2027 12:00"] == [until(NOON + d, NOON) for d in later]


@given(st.text(), st.lists(st.text(min_size=1, max_size=80), max_size=30))
def test_whatever_is_typed_gives_known_names_once(typed, names):
    """Any text gives names of the list, none more often than it stands there, and never an error."""
    result = list(matching(typed, names))
    assert all(result.count(name) <= names.count(name) for name in result)
    assert found(typed, names) in (None, *names)
    assert set(near(typed, names)) <= set(names)


@settings(max_examples=50)
@given(st.lists(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}", fullmatch=True), min_size=1, unique=True), st.data())
def test_a_name_finds_itself_first(names, data):
    """Whoever types a whole name gets it first, but for others that are the same without case and separators."""
    name = data.draw(st.sampled_from(names))
    assert name == found(name, names)
    assert name in list(matching(name, names))


@given(st.text(max_size=300), st.lists(st.text(max_size=300), max_size=4))
def test_labels_fit_discord(name, details):
    """A label has from 1 to 100 characters, on one line, whatever it is made of."""
    made = label(name, *details)
    assert 1 <= len(made) <= 100
    assert made == " ".join(made.split())
