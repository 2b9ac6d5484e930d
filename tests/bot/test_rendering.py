"""Rows as messages: what shape suits them, how tables are laid out, and that nothing hostile gets through or lost."""

from __future__ import annotations

import base64
import gzip
import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.files import rows_file
from bot.gathered import Gathered
from bot.limits import faults
from bot.packing import packed_embeds, packed_lines
from bot.rendering import Look, body_of, shape_of
from bot.rows import Columns, Row, code_text, markdown_text, row_of, scalar
from bot.sink import DiscordSink
from bot.tables import fitted, table, width
from bot.templates import MarkdownTemplate
from pipelines.testing import MemoryState, run_transform
from tests.bot.hostile import ITEMS
from tests.fake_discord.limits import check_message

AT = datetime(2026, 1, 31, 6, 30, tzinfo=UTC)
ACTIVE = re.compile(r"@everyone|@here|<@|<#|</|<:|https?://|discord\.gg")


def rows(*records: dict[str, Any]) -> list[Row]:
    return [row_of(record) for record in records]


async def posted(items: list[Any], **kwargs: Any) -> list[dict[str, Any]]:
    """The bodies that a sink with these keywords emits for `items`."""
    state = MemoryState()
    await run_transform(DiscordSink(channel_id=1234, **kwargs), items, state=state)
    return [dict(message.body) for message in state.messages]


def file_text(body: dict[str, Any]) -> str:
    """The text of the files that go along with a message."""
    found = ""
    for file in body["files"]:
        content = base64.b64decode(file["base64"]) if "base64" in file else file["text"].encode()
        found += (gzip.decompress(content) if file["name"].endswith(".gz") else content).decode()
    return found


def shown(payload: dict[str, Any]) -> list[str]:
    """The texts of a message that Discord reads as markdown, without what is in code."""
    texts = [re.sub(r"```\n[^`]*\n```|`[^`]*`", "", payload["content"])]
    for embed in payload.get("embeds", []):
        texts += [embed.get("title", ""), embed.get("description", "")]
        texts += [part for field in embed.get("fields", []) for part in (field["name"], field["value"])]
    return texts


# ------------------------------------------------------- hostile items


SHAPES: list[dict[str, Any]] = [
    {},
    {"mobile": True, "silent": True},
    {"format": "embed"},
    {"format": "table"},
    {"format": "list", "max_messages": 1},
    {"format": "template", "template": "- **{id}** [{name}]({link})"},
    {"format": "csv"},
    {"format": "jsonl"},
    {"attach": "always", "max_bytes": 2000, "columns": ["id"]},
]


@given(items=ITEMS)
@settings(max_examples=25)
async def test_hostile_items_become_good_messages(items):
    """Whatever the items: Discord takes each message, nobody is pinged, nothing is a link, and every row is there."""
    for keywords in SHAPES:  # to make up items takes longer than to render them
        check_posted(keywords, items, await posted(items, **keywords))


def check_posted(keywords: dict[str, Any], items: list[Any], bodies: list[dict[str, Any]]) -> None:
    """Hold the messages of a sink with these keywords against the items of which they tell."""
    for body in bodies:
        check_message(body["payload"])
        assert [] == faults(body["payload"], body["files"])
        assert {"parse": []} == body["payload"]["allowed_mentions"]
        assert [] == [text for text in shown(body["payload"]) if ACTIVE.search(text)]
        assert body["payload"]["content"].count("```") in (0, 2)
    told = [part for body in bodies for part in (body["payload"]["content"], *shown(body["payload"]), file_text(body))]
    everything = "\n".join(told)
    assert [] == [item["id"] for item in items if not re.search(rf"\b{item['id']}\b", everything)]


# ---------------------------------------------------------------- shapes


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        ([{"a": 1}] * 3, "embed"),
        ([{"a": 1}] * 4, "table"),
        ([{"a": 1}] * 25, "table"),
        ([{"a": 1}] * 26, "preview"),
        ([{str(at): 1 for at in range(13)}], "preview"),
        ([{"a": "x" * 56}] * 4, "table"),
        ([{"a": "x" * 57}] * 4, "preview"),
    ],
)
def test_the_shape_suits_the_rows(records, expected):
    """A few rows are embeds, a small table is a table, anything else is a preview with a file."""
    assert expected == shape_of(rows(*records), len(records), Look())


def test_a_telephone_is_narrower():
    """For mobile, a table of more than 40 cells is no table any more."""
    assert "preview" == shape_of(rows(*[{"a": "x" * 41}] * 4), 4, Look(mobile=True))


@pytest.mark.parametrize("asked", ["embed", "table", "list", "template"])
def test_what_was_asked_for_is_done(asked):
    """A format that is named is used, whatever the number of rows."""
    assert asked == shape_of(rows(*[{"a": "x" * 99}] * 99), 99, Look(format=asked))


def test_a_preview_is_one_message_of_ten_rows():
    """A preview shows the first ten rows, and knows that they are not all."""
    body = body_of(rows(*[{"a": at} for at in range(30)]), [], 30, look=Look(), room=1500)
    assert (1, 10, False) == (len(body.parts), body.shown, body.whole)


def test_no_more_messages_than_allowed():
    """Rows beyond the last allowed message are left to the file."""
    many = rows(*[{"a": "x" * 50} for _ in range(200)])
    body = body_of(many, [], 200, look=Look(format="table", max_messages=2), room=1500)
    assert (2, False) == (len(body.parts), body.whole)
    assert body.shown < 200


def test_a_column_that_is_left_out_is_noticed():
    """A table or list shows six columns when none are named, and then is not all there is."""
    seven = rows(*[{str(at): at for at in range(7)}] * 5)
    assert not body_of(seven, [], 5, look=Look(format="list"), room=1500).whole
    assert body_of(seven, [], 5, look=Look(format="list", named=True), room=1500).whole


# ----------------------------------------------------------------- tables


def test_a_table_is_aligned():
    """Numbers stand at the right, texts at the left, wide characters count two, None is ∅."""
    made = table(
        rows({"name": "tea", "price": 4.5}, {"name": "東京", "price": 12}, {"name": None, "price": None}),
        ["name", "price"],
        limit=56,
    )
    assert ("name  price", "────  ─────") == made.head
    assert ("tea     4.5", "東京     12", "∅         ∅") == made.lines


def test_wide_columns_give_way():
    """Columns that are too wide for the line are cut, the widest first, and the cells show it."""
    made = table(rows({"id": 1, "text": "x" * 100}), ["id", "text"], limit=20)
    assert ((" 1  " + "x" * 15 + "…",), False) == (made.lines, made.whole)


def test_too_many_columns_are_left_out():
    """A table has no more columns than its line has room for."""
    names = [str(at) for at in range(40)]
    made = table(rows(dict.fromkeys(names, "abc")), names, limit=56)
    assert width(made.head[0]) <= 56
    assert not made.whole


@given(st.lists(st.integers(0, 99), min_size=1, max_size=11), st.integers(30, 60))
def test_widths_fit(natural, limit):
    """Widths are at least one, at most what was wanted, and fit into the line."""
    made = fitted(natural, limit)
    assert sum(made) <= max(limit, len(natural))
    assert all(1 <= got <= max(1, wanted) for got, wanted in zip(made, natural, strict=True))


def test_each_part_repeats_the_head():
    """A table over several messages has its head and its fence in each of them."""
    parts = packed_lines([f"row {at}" for at in range(100)], head=["head", "────"], room=200, fenced=True)
    assert all(part.text.startswith("```\nhead\n────\n") and part.text.endswith("\n```") for part in parts)
    assert all(len(part.text) <= 200 for part in parts)
    assert 100 == sum(part.rows for part in parts)


def test_embeds_are_packed():
    """A message has at most ten embeds and 5900 characters of them."""
    assert [10, 2] == [part.rows for part in packed_embeds([{"title": "x"}] * 12)]
    assert [1, 1] == [part.rows for part in packed_embeds([{"description": "x" * 3000}] * 2)]


# ----------------------------------------------------------------- values


@pytest.mark.parametrize(
    ("value", "code", "markdown"),
    [
        (None, "∅", "∅"),
        (True, "true", "true"),
        (-5, "-5", "-5"),
        (Decimal("1.50"), "1.50", "1.50"),
        (float("nan"), "nan", "nan"),
        (AT, "2026-01-31T06:30:00+00:00", "<t:1769841000:f>"),
        (AT.replace(tzinfo=None), "2026-01-31T06:30:00", "2026-01-31T06:30:00"),
        (AT.date(), "2026-01-31", "2026-01-31"),
        (["a", {"b": None}], '["a", {"b": null}]', r'\["a", {"b": null}\]'),
        ("`x`\ny", "ˋxˋ ⏎ y", r"\`x\` y"),
        ("", "", "∅"),
    ],
)
def test_values_stand_as_their_place_needs(value, code, markdown):
    """A value in code is as plain as can be; in markdown a time is the reader's own and text is inert."""
    assert (code, markdown) == (code_text(scalar(value)), markdown_text(scalar(value), 100))


def test_numbers_without_end_have_a_text():
    """A number too long to be written in decimals is written all the same."""
    assert scalar(10**5000).startswith("0x")


def test_a_row_is_bounded():
    """Of a huge item only what can be shown is kept, and that something is missing is known."""
    row = row_of({str(at): "x" * 10**5 for at in range(100)})
    assert (26, 1024, False) == (len(row.cells), len(row.cells["0"]), row.whole)


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        (None, {"a": {"b": 1}, "c": 2}),
        (["c", "a.b"], {"c": 2, "a.b": 1}),
        ({"B": "a.b", "missing": "z"}, {"B": 1, "missing": None}),
    ],
)
def test_columns_read_values(columns, expected):
    """Columns are names, expressions, or expressions under other names."""
    assert expected == Columns(columns).record({"a": {"b": 1}, "c": 2})


# -------------------------------------------------------------- templates


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("**{title}** costs {price:.2f}", r"**\*tea\*** costs 4.50"),
        ("[{title}]({link})", r"[\*tea\*](https://example.org/a_%28b%29)"),
        ("<{link}>", "<https://example.org/a_%28b%29>"),
        ("{link}", "https:\u200b//example.org/a\\_(b)"),
        ("[x]({title})", "[x]()"),
        ("<https://example.org/{title}?q={price}>", "<https://example.org/%2Atea%2A?q=4.5>"),
        ("5 <{price}", "5 <4.5"),
        ("{at}", "<t:1769841000:f>"),
        ("{at:%d %b}", "31 Jan"),
        ("{missing}{{}}", "{}"),
    ],
)
def test_templates_fill_in_inert_values(template, expected):
    """A template's own markdown works; values neither format nor link, except as the address of the template's link."""
    item = {"title": "*tea*", "price": 4.5, "link": "https://example.org/a_(b)", "at": AT}
    assert expected == MarkdownTemplate(template, argument="template").fill(item)


# ------------------------------------------------------------------ files


def gathered(*items: Any) -> Gathered:
    made = Gathered(Columns(None), None, text_units=0, hide=lambda value: value)
    for item in items:
        made.add(item)
    return made


def test_a_csv_has_every_field_of_every_item():
    """The file has the columns of all items, cells as spreadsheets take them, and the mark of UTF-8."""
    with gathered({"a": 1, "b": None}, {"a": True, "c": ["é"]}, "text") as made:
        file = rows_file(made, kind="csv", name="x", max_bytes=1000)
    assert ("x.csv", 'a,b,c,item\r\n1,,,\r\ntrue,,"[""é""]",\r\n,,,text\r\n') == (
        file.name,
        file.content.decode("utf-8-sig"),
    )
    assert file.content.startswith(b"\xef\xbb\xbf")


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("+1 555 01", "'+1 555 01"),
        ("-cmd", "'-cmd"),
        ("\tx", "'\tx"),
        ("-1.5", "-1.5"),
        (-5, "-5"),
        ("a=1", "a=1"),
    ],
)
def test_no_cell_is_a_formula(value, cell):
    """A text that a spreadsheet would run has an apostrophe before it; numbers have none."""
    with gathered({"a": value}) as made:
        assert f"a\r\n{cell}\r\n" == rows_file(made, kind="csv", name="x", max_bytes=1000).content.decode("utf-8-sig")


def test_json_lines_keep_nested_values():
    """A file of JSON Lines has the items as they are, times as text."""
    with gathered({"a": [1, {"b": None}], "at": AT}, {"a": float("nan")}) as made:
        content = rows_file(made, kind="jsonl", name="x", max_bytes=1000).content.decode()
    assert '{"a": [1, {"b": null}], "at": "2026-01-31T06:30:00+00:00"}\n{"a": "nan"}\n' == content


@pytest.mark.parametrize("count", [100, 30_000])
def test_a_large_file_is_compressed(count):
    """A file over the limit is compressed, and left out if that is not enough; on disk or in memory."""
    with gathered(*[{"a": "x" * 100}] * count) as made:
        file = rows_file(made, kind="csv", name="x", max_bytes=count * 10)
        assert ("x.csv.gz", count) == (file.name, gzip.decompress(file.content).count(b"x" * 100))
        assert rows_file(made, kind="csv", name="x", max_bytes=50) is None
        assert file == rows_file(made, kind="csv", name="x", max_bytes=count * 10)


def test_very_many_fields_are_no_spreadsheet():
    """Items whose fields are all different become JSON Lines, so that the file does not grow with their square."""
    with gathered(*[{str(at): at} for at in range(600)]) as made:
        assert "x.jsonl" == rows_file(made, kind="csv", name="x", max_bytes=10**6).name


def test_what_does_not_fit_on_disk_is_counted(monkeypatch):
    """Beyond its limit on disk nothing more is written, all is counted, and there is no file."""
    monkeypatch.setattr("bot.gathered.ON_DISK", 1000)
    with gathered(*[{"a": "x" * 100}] * 100) as made:
        assert (100, False, None) == (
            made.total,
            made.complete,
            rows_file(made, kind="csv", name="x", max_bytes=10**6),
        )
