"""Durable state by page and by key; logs that stay bounded."""

from __future__ import annotations

import logging

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines.model import CollectionChange, LogLine, StateChange
from pipelines.store import columns, logs, runs, state
from tests.store.samples import NOON, after, manual


def put(conn, pipeline, collection, entries, removed=()):
    """Change a collection."""
    changed = CollectionChange(entries, frozenset(removed))
    state.apply(conn, pipeline, StateChange(collections={collection: changed}))


def test_a_collection_is_paged_by_key(conn):
    """Pages follow each other in the order of code points, without gaps or doubles."""
    keys = ["ö", "a", "B", "å", "aa", "\U0001f600", "\uffff", "z"]
    put(conn, "p", "c", dict.fromkeys(keys, 1))
    put(conn, "p", "other", {"x": 1})
    put(conn, "q", "c", {"y": 1})
    found, last = [], ""
    while page := state.scan(conn, "p", "c", last, 3):
        found += [key for key, _ in page]
        last = page[-1][0]
    assert sorted(keys) == found


def test_a_lookup_finds_what_is_there(conn):
    """Unknown keys are left out; other pipelines' and collections' entries are not seen."""
    put(conn, "p", "c", {f"k{n}": n for n in range(25_000)})
    assert {"k7": 7, "k24999": 24_999} == state.lookup(conn, "p", "c", ["k7", "k24999", "nope"])
    assert {} == state.lookup(conn, "p", "d", ["k7"])


def test_many_keys_are_removed(conn):
    """Thousands of keys go in one change."""
    put(conn, "p", "c", {f"k{n}": None for n in range(12_000)})
    put(conn, "p", "c", {"new": 1}, [f"k{n}" for n in range(11_999)])
    assert [("k11999", None), ("new", 1)] == state.scan(conn, "p", "c", "", 10)


def test_values_of_several_pipelines(conn):
    """Pipelines without values are left out."""
    state.apply(conn, "a", StateChange({"x": [1, 2]}))
    state.apply(conn, "b", StateChange({"y": None, "z": 1.5}))
    assert {"a": {"x": [1, 2]}, "b": {"y": None, "z": 1.5}} == state.values_of(conn, {"a", "b", "c"})


def test_no_values_is_a_change_too(conn):
    """An empty mapping forgets all; None changes nothing."""
    state.apply(conn, "a", StateChange({"x": 1}))
    state.apply(conn, "a", StateChange(None))
    assert {"x": 1} == state.values(conn, "a")
    state.apply(conn, "a", StateChange({}))
    assert {} == state.values(conn, "a")


JSONS = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=[])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(entries=st.dictionaries(st.text(st.characters(exclude_categories=[]), min_size=1), JSONS, max_size=5))
def test_any_key_and_any_value_come_back(conn, entries):
    """What a collection is given, it gives back, whatever characters are in it."""
    put(conn, "p", "c", entries)
    assert entries == state.lookup(conn, "p", "c", list(entries))
    put(conn, "p", "c", {}, entries)
    assert [] == state.scan(conn, "p", "c", "", 10)


@given(st.text(st.characters(exclude_categories=[])))
def test_escaping_is_undone(key):
    """Every key survives its escape, and the escape can be stored."""
    stored = columns.escaped(key)
    assert key == columns.unescaped(stored)
    assert "\x00" not in stored.encode().decode()


def line(number: int) -> LogLine:
    return LogLine(after(number), logging.INFO, "stage", f"line {number}")


def texts(conn, run_id, **how):
    return [(seq, each.text) for seq, each in logs.tail(conn, run_id, **how)]


def test_lines_are_numbered_and_followed(conn):
    """Lines come back in their order, the newest ones, or those after a number."""
    one, two = runs.insert_runs(conn, [manual("a"), manual("b")])
    logs.append(conn, [(one.id, [line(1), line(2)]), (two.id, [line(9)]), (one.id, [line(3)])])
    logs.append(conn, [(one.id, [line(4)])])
    assert [(1, "line 1"), (2, "line 2"), (3, "line 3"), (4, "line 4")] == texts(conn, one.id)
    assert [(3, "line 3"), (4, "line 4")] == texts(conn, one.id, limit=2)
    assert [(2, "line 2")] == texts(conn, one.id, after_seq=1, limit=1)
    assert [(1, line(9))] == logs.tail(conn, two.id)


def test_the_oldest_lines_make_room_with_a_note(conn):
    """The newest two thousand stay, and one line says how many went."""
    (run,) = runs.insert_runs(conn, [manual()])
    for start in range(0, 5_000, 500):
        logs.append(conn, [(run.id, [line(n) for n in range(start, start + 500)])])
    found = texts(conn, run.id)
    assert [(0, "3,000 older lines were dropped"), (3001, "line 3000")] == found[:2]
    assert ((5000, "line 4999"), 2_001) == (found[-1], len(found))


def test_a_flood_in_one_go_is_bounded_too(conn):
    """More lines at once than are kept leave the newest."""
    (run,) = runs.insert_runs(conn, [manual()])
    logs.append(conn, [(run.id, [line(n) for n in range(2_001)])])
    found = texts(conn, run.id)
    assert [(0, "1 older line was dropped"), (2, "line 1")] == found[:2]
    logs.append(conn, [(run.id, [])])
    assert found == texts(conn, run.id)


def test_lines_of_an_unknown_run_are_left_out(conn):
    """They disturb nobody else's."""
    (run,) = runs.insert_runs(conn, [manual()])
    logs.append(conn, [(10**9, [line(1)]), (run.id, [line(2)])])
    assert ([], [(1, "line 2")]) == (texts(conn, 10**9), texts(conn, run.id))


def test_a_line_may_hold_anything(conn):
    """Characters that a database refuses are replaced."""
    (run,) = runs.insert_runs(conn, [manual()])
    logs.append(conn, [(run.id, [LogLine(NOON, 30, "s\x00", "a\x00\ud800ö")])])
    assert [(1, LogLine(NOON, 30, "s\ufffd", "a\ufffd\ufffdö"))] == logs.tail(conn, run.id)
