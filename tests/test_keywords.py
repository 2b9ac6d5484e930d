"""Keyword arguments held against signatures and annotations."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Optional, Union

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.keywords import fits, keywords_of, words_for


class Prices:
    def __init__(
        self,
        region: Literal["eu", "us"],
        limit: int | None = None,
        *,
        ratio: float = 1,
        deep: bool = False,
        cols: Sequence[str] = (),
        names: dict[str, int] | None = None,
        pair: tuple[int, str] = (1, "a"),
        where: Path = Path(),
        anything: Any = None,
        mode: Annotated[Optional[str], "note"] = None,  # noqa: UP045  # the older spelling is what is tested
    ) -> None: ...


class Open:
    def __init__(self, first: int, **more: Any) -> None: ...


class OddHints:
    def __init__(self, size: NoSuchName = 1, *rest: int) -> None: ...  # noqa: F821  # a name that is nowhere


def tax(item, rate: float = 0.25, *, note: str = ""): ...


def faults(target, kwargs, *, item_first=False):
    return list(keywords_of(target, item_first=item_first).faults(kwargs))


GOOD = [
    {"region": "eu"},
    {"region": "us", "limit": None, "ratio": 2, "deep": True, "cols": ["a"], "names": {"a": 1}, "pair": [1, "b"]},
    {"region": "eu", "where": "somewhere", "anything": [{}], "mode": None},
]
BAD = [
    ({}, "the keyword 'region' is missing; expected 'eu' or 'us'"),
    ({"region": "eu", "limt": 1}, "unknown keyword 'limt'; did you mean 'limit'?"),
    ({"region": "uk"}, "found 'uk' (text); expected 'eu' or 'us'"),
    ({"region": "eus"}, "did you mean 'us'?"),
    ({"region": "eu", "limit": "3"}, "found '3' (text); expected a whole number or nothing"),
    ({"region": "eu", "limit": True}, "found true; expected a whole number or nothing"),
    ({"region": "eu", "ratio": "1"}, "expected a number"),
    ({"region": "eu", "deep": 1}, "expected true or false"),
    ({"region": "eu", "cols": "name"}, "expected a list, each text"),
    ({"region": "eu", "cols": [1]}, "expected a list, each text"),
    ({"region": "eu", "names": []}, "expected a mapping"),
    ({"region": "eu", "names": {"a": "b"}}, "expected a mapping"),
    ({"region": "eu", "pair": [1]}, "expected a list"),
    ({"region": "eu", "mode": 3}, "expected text or nothing"),
]


@pytest.mark.parametrize("kwargs", GOOD)
def test_what_fits(kwargs):
    """Keyword arguments that fit names and annotations are fine; annotations of other kinds are left alone."""
    assert [] == faults(Prices, kwargs)


@pytest.mark.parametrize(("kwargs", "words"), BAD)
def test_what_does_not_fit(kwargs, words):
    """Each keyword that is unknown, missing, or of the wrong type is told with what was expected."""
    ((_, complaint),) = faults(Prices, kwargs)
    assert words in complaint


@pytest.mark.parametrize(
    ("target", "kwargs", "told"),
    [
        (Open, {"first": 1, "other": "x"}, []),
        (Open, {"other": "x"}, [None]),
        (Prices, {"regoin": "eu"}, ["regoin"]),
        (Prices, {"x": "eu"}, ["x", None]),
        (OddHints, {"size": "any"}, []),
        (OddHints, {"rest": 1}, ["rest"]),
        (object, {"x": 1}, ["x"]),
    ],
)
def test_other_signatures(target, kwargs, told):
    """Open-ended signatures take any keyword; annotations that mean nothing are left alone; names still count.

    A misspelt keyword is not missing as well.
    """
    assert told == [name for name, _ in faults(target, kwargs)]


@pytest.mark.parametrize(
    ("kwargs", "told"),
    [({"rate": 1, "note": "x"}, []), ({"item": 1}, ["item"]), ({"rate": "high"}, ["rate"]), ({"rat": 1}, ["rat"])],
)
def test_functions(kwargs, told):
    """A function's first parameter is the item; the others are its keyword arguments."""
    assert told == [name for name, _ in faults(tax, kwargs, item_first=True)]


def test_signatures_that_python_cannot_tell():
    """Where there is no signature to be had, nothing is claimed."""
    assert keywords_of(type, item_first=False) is None


HINTS = st.sampled_from(
    [int, str, float, bool, None, Any, list, dict, list[int], dict[str, str], Literal[1, "a"], Path]
)
VALUES = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.lists(st.integers()))


@given(VALUES, HINTS, HINTS)
def test_unions(value, one, other):
    """A value fits a union exactly when it fits a part of it."""
    assert (fits(value, one) or fits(value, other)) == fits(value, Union[one, other])  # noqa: UP007  # None has no |


@given(VALUES, HINTS)
def test_what_does_not_fit_can_be_said(value, hint):
    """Whenever a value does not fit, there are words for what does."""
    assert fits(value, hint) or words_for(hint)
