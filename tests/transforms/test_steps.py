"""Select, Filter, Template, Limit, Sort and Batch, and the values and expressions they are made of."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.testing import run_transform
from pipelines.transforms.expressions import Expression
from pipelines.transforms.steps import Batch, Filter, Limit, Select, Sort, Template, sort_key

LAMP = {
    "title": "Desk LAMP",
    "price": 12.5,
    "seller": {"name": "Ada"},
    "tags": ["a", "b"],
    "GICS Sector": "Industrials",
}

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.dates()
    | st.datetimes()
    | st.decimals(allow_nan=True)
)


async def test_select_keeps_the_fields_of_a_list():
    """A list keeps these fields, in its own order, and a field with a space in its name is one."""
    kept = await run_transform(Select(["GICS Sector", "title"]), [LAMP])
    assert [("GICS Sector", "Industrials"), ("title", "Desk LAMP")] == list(kept[0].items())


async def test_select_renames_and_brings_up_nested_values():
    """A mapping gives each new field the value of an expression."""
    stage = Select({"name": "title", "seller": "seller.name", "tag": "tags[1]", "sector": '"GICS Sector"'})
    assert [{"name": "Desk LAMP", "seller": "Ada", "tag": "b", "sector": "Industrials"}] == await run_transform(
        stage, [LAMP]
    )


async def test_select_gives_none_for_what_is_missing():
    """All items come out with the same keys, whatever they had."""
    items = [{}, None, "text", {"a": {"b": 1}}]
    expected = [{"a": None, "b": None}] * 3 + [{"a": {"b": 1}, "b": 1}]
    assert expected == await run_transform(Select({"a": "a", "b": "a.b"}), items)


@pytest.mark.parametrize("fields", [{}, [], "title", {"a": ""}, {"a": "tags[["}, {"a": 5}, [5]])
def test_select_refuses_wrong_fields(fields):
    """What is no expression is told when the stage is made, with the argument's name."""
    with pytest.raises(ValueError, match=r"^fields"):
        Select(fields)


async def test_an_expression_that_fails_names_itself_and_the_item():
    """A JMESPath function on the wrong type says which expression and which item."""
    with pytest.raises(ValueError, match=r"fields\.n: 'length\(price\)' failed.*Desk LAMP"):
        await run_transform(Select({"n": "length(price)"}), [LAMP])


@pytest.mark.parametrize(
    "where",
    [
        "price < 20",
        "10 < price <= 12.5",
        "contains(lower(title), 'lamp') and not startswith(title, 'x')",
        "seller.name == 'Ada'",
        'item["GICS Sector"] in ["Industrials", "Energy"]',
        "tags[-1] == 'b' and tags[1:] == ['b']",
        "len(tags) * 2 + 1 == 5",
        "price > params.least",
        "round(price / 3, 1) == 4.2",
        "max(price, 3) == 12.5 and float('1.5') == 1.5",
        "(1 if price else 0) == 1",
        "missing is None and missing == None",
        "not missing",
    ],
)
async def test_filter_lets_through(where):
    """The item fits each of these expressions."""
    assert [LAMP] == await run_transform(Filter(where), [LAMP], params={"least": 10})


@pytest.mark.parametrize(
    "where",
    [
        "missing < 20",
        "missing >= 0",
        "20 > missing",
        "missing + 1 > 0",
        "float(missing) * 2 > 0",
        "len(missing) == 0",
        "missing.deeper.still == 1",
        "missing[0] == 1",
        "tags[7] == 1",
        "'a' in missing",
        "'a' not in missing",
        "contains(missing, 'a')",
        "max(price, missing) > 0",
        "-missing < 0",
        "seller.keys",
    ],
)
async def test_filter_takes_what_is_missing_for_unknown(where):
    """Nothing that is computed from a missing field is true, and none of it is an error."""
    assert [] == await run_transform(Filter(where), [LAMP])


async def test_filter_sees_items_that_are_no_dicts():
    """`item` is the item, whatever it is."""
    assert [4, 5] == await run_transform(Filter("item > 3"), [1, 4, None, 5])


@pytest.mark.parametrize(
    ("where", "told"),
    [
        ("price <", "not an expression"),
        ("", "not an expression"),
        ("a = 1", "not an expression"),
        ("price < 1; b", "not an expression"),
        ("__import__('os')", "functions are abs, contains"),
        ("lowr(title)", "did you mean lower"),
        ("title.lower()", r"write lower\(…\)"),
        ("title.format(1)", "which is not allowed"),
        ("item.__class__", "__class__"),
        ("(lambda: 1)()", "not allowed"),
        ("[x for x in tags]", "ListComp"),
        ("f'{title}'", "JoinedStr"),
        ("2 ** 9999999", "Pow"),
        ("1 << 9999999", "LShift"),
        ("(a := 1)", "NamedExpr"),
        ("max(*tags)", "Starred"),
        ("round(price, ndigits=1)", "name\\(value"),
        ("{'a': 1}", "Dict"),
    ],
)
def test_filter_refuses_what_is_not_a_plain_expression(where, told):
    """Everything but the small language is refused when the stage is made, in words."""
    with pytest.raises(ValueError, match=told):
        Filter(where)


@pytest.mark.parametrize(
    "where", ["title < 3", "price / 0 > 1", "lower(price)", "int(title)", "title % 3", "title * 999999"]
)
async def test_filter_names_expression_and_item_when_it_fails(where):
    """An expression that cannot be evaluated stops the run and says on which item."""
    with pytest.raises(ValueError, match=r"^where: .* failed with \w+: .*Desk LAMP"):
        await run_transform(Filter(where), [LAMP])


@settings(max_examples=60, deadline=None)
@given(st.text(alphabet="abitemlen_.()[]'<>=+-*/% 019,:{}&|~^@\n\\", max_size=25))
def test_an_expression_is_read_and_evaluated_or_refused_in_words(text):
    """Whatever the text: a ValueError, or an expression that gives a value or a ValueError."""
    try:
        Expression(text, argument="where")({"a": 1, "b": "x"})
    except ValueError as error:
        told = str(error)
    else:
        told = "where: a value"
    assert told.startswith("where: ")


async def test_template_makes_a_text():
    """Placeholders take fields, expressions and format specifications; missing values are empty, lists are JSON."""
    stage = Template("{title:>10} {price:.2f} {seller.name} {tags[0]} {tags} {nothing:.2f} {{x}} {GICS Sector}")
    assert [' Desk LAMP 12.50 Ada a ["a", "b"]  {x} Industrials'] == await run_transform(stage, [LAMP])


async def test_template_adds_a_field_to_a_copy():
    """With `field` the item stays as it was, and its copy has the text."""
    item = {"a": 1}
    assert [{"a": 1, "b": "<1>"}] == await run_transform(Template("<{a}>", field="b"), [item])
    assert {"a": 1} == item


async def test_template_takes_items_that_are_no_dicts():
    """`{item}` is the item itself."""
    assert ["<5>", "<x>"] == await run_transform(Template("<{item}>"), [5, "x"])


async def test_template_reaches_no_attributes():
    """A dot reads a dict's key, so nothing of Python's objects comes out."""
    assert ["<><>"] == await run_transform(Template("<{item.__class__}><{title.upper}>"), [LAMP])


@pytest.mark.parametrize("text", ["{", "}", "{}", "{0[}", "{a!r}", "{a:{b}}", "{tags[[}", 5])
def test_template_refuses_a_wrong_text(text):
    """Braces that do not match, empty and nested placeholders are told when the stage is made."""
    with pytest.raises(ValueError, match=r"^text"):
        Template(text)


@pytest.mark.parametrize("stage", [Template("{title:.2f}"), Template("{item}", field="x")])
async def test_template_names_the_item_it_cannot_write(stage):
    """A format that does not go with its value, and a field for what is no dict, show the item."""
    with pytest.raises(ValueError, match=r"(text|field): .*Desk"):
        await run_transform(stage, [LAMP if stage._field is None else "Desk"])


async def test_limit_asks_for_no_more_than_it_lets_through():
    """Limit(2) never asks for the third item."""
    asked = []
    items = (asked.append(number) or number for number in range(10))
    assert ([0, 1], [0, 1]) == (await run_transform(Limit(2), items), asked)


@pytest.mark.parametrize(("count", "expected"), [(0, []), (3, [1, 2, 3]), (9, [1, 2, 3])])
async def test_limit_of_less_and_of_more_than_there_is(count, expected):
    """None, all, and all when there are fewer."""
    assert expected == await run_transform(Limit(count), [1, 2, 3])


@pytest.mark.parametrize("make", [lambda: Limit(-1), lambda: Limit(True), lambda: Batch(0), lambda: Batch("5")])
def test_counts_are_checked(make):
    """A count that is no whole number in range says what was found and expected."""
    with pytest.raises(ValueError, match=r"(count|size): found .*, expected a whole number of at least"):
        make()


async def test_sort_by_several_fields_is_stable():
    """The first field decides, then the second; equals keep their order."""
    items = [
        {"a": 2, "b": "x", "n": 1},
        {"a": 1, "b": "y", "n": 2},
        {"a": 1, "b": "x", "n": 3},
        {"a": 1, "b": "x", "n": 4},
    ]
    assert [3, 4, 2, 1] == [item["n"] for item in await run_transform(Sort(["a", "b"]), items)]


@pytest.mark.parametrize(("reverse", "expected"), [(False, [1, 2, "10", "9"]), (True, ["9", "10", 2, 1])])
async def test_sort_puts_what_has_no_value_last(reverse, expected):
    """None, NaN and missing fields come last in both directions, and keep their order."""
    items = [{"v": None}, {"v": 2}, {"v": math.nan}, {"v": "9"}, {"w": 0}, {"v": 1}, {"v": "10"}]
    result = await run_transform(Sort("v", reverse=reverse), items)
    assert expected == [item["v"] for item in result[:4]]
    assert [items[0], items[2], items[4]] == result[4:]


@settings(max_examples=50, deadline=None)
@given(st.lists(SCALARS | st.lists(st.integers()) | st.dictionaries(st.text(), st.integers())))
def test_any_values_can_be_sorted_together(values):
    """No mixture of kinds raises, and the order does not depend on the order they came in."""
    keys = [sort_key(value) for value in values]
    backwards = keys[::-1]
    assert sorted(keys) == sorted(backwards)


def test_times_with_and_without_zone_sort_together():
    """A day and a time without a zone count as UTC."""
    times = [datetime(2026, 1, 2, tzinfo=UTC), datetime(2026, 1, 1, 5), date(2026, 1, 1)]  # noqa: DTZ001  # on purpose
    assert [times[2], times[1], times[0]] == sorted(times, key=sort_key)


async def test_sort_refuses_more_than_it_may_hold():
    """One item above `max_items` ends the run and says what to do."""
    with pytest.raises(ValueError, match="max_items: more than 2 items came"):
        await run_transform(Sort("a", max_items=2), [{}, {}, {}])
    assert [{}, {}] == await run_transform(Sort("a", max_items=2), [{}, {}])


@pytest.mark.parametrize("by", ["", [], [""], "a[", 5])
def test_sort_refuses_wrong_fields(by):
    """What is no field and no expression is told when the stage is made."""
    with pytest.raises(ValueError, match=r"^by"):
        Sort(by)


@given(st.lists(st.integers(), max_size=30), st.integers(min_value=1, max_value=7))
@settings(max_examples=50, deadline=None)
async def test_batch_loses_nothing(items, size):
    """All lists but the last are full, and together they are what came in."""
    batches = await run_transform(Batch(size), items)
    assert items == [item for batch in batches for item in batch]
    assert all(len(batch) == size for batch in batches[:-1])
    assert all(batches)
