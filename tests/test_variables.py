"""`${NAME}` in values."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.errors import PipecallError
from pipelines.variables import NO_USES, filled, masked, uses

ENV = {"A": "one", "B_2": "two", "EMPTY": ""}


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("${A}", "one"),
        ("x${A}-${B_2}y", "xone-twoy"),
        ("$${A}", "${A}"),
        ("$$${A}", "$${A}"),
        ("$A {A} $$", "$A {A} $$"),
        ("${EMPTY}", ""),
        (["${A}", {"k": "${A}"}], ["one", {"k": "one"}]),
        ({"${A}": 1}, {"${A}": 1}),
        (3, 3),
    ],
)
def test_filled(written, read):
    """Names in braces are replaced, `$${` is the escape, keys and everything else stay."""
    assert read == filled(written, ENV)


def test_values_are_not_looked_into():
    """What a variable stands for is not read again."""
    assert "${B}" == filled("${A}", {"A": "${B}", "B": "x"})


@pytest.mark.parametrize("written", ["${", "${}", "${1A}", "${A-B}", "${ A }", "${A:-x}"])
def test_bad_uses(written):
    """`${` that no name and brace follow is at fault, and the escape is named."""
    ((path, message),) = uses({"k": [written]}, ENV).faults
    assert (("k", 0), True) == (path, "$${" in message)


def test_unset():
    """Each name that the environment does not have is told with its way."""
    found = uses({"a": "${X}", "b": ["${A}", "${Y}"]}, ENV, ("kwargs",))
    assert [("kwargs", "a"), ("kwargs", "b", 1)] == [path for path, _ in found.faults]
    assert {"X", "Y", "A"} == found.names


def test_escapes_use_nothing():
    """An escaped name is not asked for."""
    assert NO_USES == uses(["$${A}", "plain"], ENV)


def test_filling_an_unset_name():
    """Filling in an unset name is an expected error."""
    with pytest.raises(PipecallError, match="X is not set"):
        filled("${X}", ENV)


def test_masked():
    """A message is shown with names instead of values, the longest value first, and empty ones left alone."""
    env = {"A": "abc", "B": "abcdef", "EMPTY": ""}
    assert "no ${B}, no ${A}" == masked("no abcdef, no abc", env, ["A", "B", "EMPTY"])


@given(st.text(alphabet="${}A1_ ab"))
def test_filling_never_fails_where_nothing_is_at_fault(text):
    """What has no fault can be filled in."""
    if not uses(text, ENV).faults:
        assert isinstance(filled(text, ENV), str)


@given(st.text())
def test_escaping_gives_the_text_back(text):
    """Any text can be written so that it is read as itself."""
    assert text == filled(text.replace("${", "$${"), ENV) or "$${" in text
