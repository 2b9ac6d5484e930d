"""Csv and JsonLines, on files, on fetched text, and on a real table over loopback HTTP."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.testing import run_transform
from pipelines.transforms.files import SLICE, Csv, FileError, JsonLines
from pipelines.transforms.http import HttpFetch
from tests.transforms.loopback import real_file, serving


@pytest.fixture
def table(tmp_path, monkeypatch):
    """Write `t.csv` into the working directory; the result is a function that takes its text or bytes."""
    monkeypatch.chdir(tmp_path)

    def write(content):
        (tmp_path / "t.csv").write_bytes(content if isinstance(content, bytes) else content.encode())

    return write


async def read(text, **kwargs):
    return await run_transform(Csv(**kwargs), [text])


async def test_rows_become_dicts(table):
    """Each row is a dict by the names in the first row; empty lines and the byte order mark are passed over."""
    table(b'\xef\xbb\xbfname,city\r\nAnna,"Lund, S"\r\n\r\nBo,\r\n')
    assert [{"name": "Anna", "city": "Lund, S"}, {"name": "Bo", "city": ""}] == await run_transform(Csv("t.csv"))


async def test_types_are_read():
    """Typed columns give values of JSON, and None where the cell is empty."""
    text = "i,f,b,d,t,s\n-3,1.5e3,Yes,2026-01-31,2026-01-31T09:00+01:00,007\n,,,,,\n"
    types = {"i": "int", "f": "float", "b": "bool", "d": "date", "t": "datetime"}
    first = {"i": -3, "f": 1500.0, "b": True, "d": "2026-01-31", "t": "2026-01-31T08:00:00+00:00", "s": "007"}
    assert [first, {"i": None, "f": None, "b": None, "d": None, "t": None, "s": ""}] == await read(text, types=types)


@pytest.mark.parametrize(
    ("kind", "cell"),
    [
        ("int", "1_000"), ("int", "1.0"), ("float", "nan"), ("float", "inf"), ("float", "1e999"), ("float", "1,5"),
        ("bool", "maybe"), ("date", "31/1/2026"), ("datetime", "noon"), ("int", "9" * 5000),
    ],
)  # fmt: skip
async def test_a_cell_of_another_type_is_named(kind, cell):
    """A cell that is not of its type names file, line, column and what was found."""
    with pytest.raises(FileError, match=rf"item 1:3: column 'a' is '{cell[:5]}"):
        await read(f'a\n\n"{cell}"\n', types={"a": kind})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n1,2,3\n", r"item 1:3: found 3 cells, expected 2: a, b"),
        ("a,b\n1\n", r"item 1:2: found 1 cells, expected 2"),
        ("a,a\n", r"more than one column is called 'a'"),
        ('a,b\n1,"2\n3', r"item 1:3: not CSV: .*quote"),
        ("a\n" + '"' + "x" * 200_000 + '"\n', r"not CSV: field larger than"),
    ],
)
async def test_a_table_that_is_none_is_named(text, message):
    """Rows of another length, columns of one name and open quotes are errors that name the line."""
    with pytest.raises(FileError, match=message):
        await read(text)


async def test_rows_before_an_error_are_given():
    """An error further down does not take away the rows above it."""
    seen = []

    async def text():
        yield "a\n1\n2\n3,4\n"

    async def read_all():
        async for row in Csv()(text()):
            seen.append(row["a"])  # noqa: PERF401 - what was seen before the error is the point

    with pytest.raises(FileError):
        await read_all()
    assert ["1", "2"] == seen


async def test_a_type_for_a_column_that_is_not_there_is_an_error():
    """A mistyped column name does not pass silently."""
    with pytest.raises(FileError, match="no column 'prise' to type; found name, price"):
        await read("name,price\n", types={"prise": "float"})


async def test_columns_can_be_named():
    """A file without a header row is read by the names given."""
    assert [{"x": "1", "y": "2"}] == await read("1;2\n", columns=["x", "y"], delimiter=";")


async def test_a_column_without_a_name_goes_by_its_place():
    """An unnamed first column, as data frames write it, is called column1."""
    assert [{"column1": "0", "a": "x"}] == await read(",a\n0,x\n")


async def test_a_wrong_encoding_is_an_error(table):
    """Text that is not of the encoding names file and line, and another encoding reads it."""
    table("a\nå\n".encode("latin-1"))
    with pytest.raises(FileError, match=r"t\.csv:1: on or after this line the text is not utf-8-sig"):
        await run_transform(Csv("t.csv"))
    assert [{"a": "å"}] == await run_transform(Csv("t.csv", encoding="latin-1"))


@pytest.mark.parametrize(("path", "message"), [("no.csv", "does not exist"), (".", "is not a file")])
async def test_a_missing_file_is_named(path, message):
    """A path that leads to no file says which, and from where it was looked for."""
    with pytest.raises(FileError, match=rf"{message}; a path is relative to"):
        await run_transform(Csv(path))


@pytest.mark.parametrize("text", ["", "\n\n", "a,b\n"])
async def test_an_empty_table_gives_no_rows(text):
    """No rows are no items, with or without a header."""
    assert [] == await read(text)


@pytest.mark.parametrize(
    "given",
    [{"delimiter": ""}, {"delimiter": ";;"}, {"quote": ","}, {"encoding": "utf-99"}, {"types": {"a": "number"}}],
)
def test_wrong_arguments_are_refused_when_built(given):
    """A stage that cannot work is refused at load."""
    with pytest.raises(ValueError, match="Csv: "):
        Csv("t.csv", **given)


async def test_an_item_without_text_is_an_error():
    """Without a path, an item that holds no text says what could be done."""
    with pytest.raises(FileError, match="item 1 is NoneType without text; give a path"):
        await run_transform(Csv())


async def test_a_large_file_is_never_held_whole(table):
    """Reading 6 MB takes a small part of that in memory."""
    table("a,b\n" + f"{'x' * 100},{'y' * 100}\n" * 30_000)
    tracemalloc.start()
    try:
        count = 0
        async for _ in Csv("t.csv")(_once()):
            count += 1
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (30_000, True) == (count, peak < 2_000_000)


async def test_a_cancel_leaves_the_file_whole_and_closed(table):
    """A cancel while a slice is read waits for it and then closes the file without complaint."""
    table("a\n" + "x\n" * 50 * SLICE)
    started = asyncio.Event()

    async def consume():
        async for _ in Csv("t.csv")(_once()):
            started.set()

    task = asyncio.create_task(consume())
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def _once():
    yield None


async def test_json_lines_give_a_value_each(table):
    """Each line is a value; empty ones are passed over."""
    table('{"a": 1}\n\n[2]\r\n"å"')
    assert [{"a": 1}, [2], "å"] == await run_transform(JsonLines("t.csv"))


@pytest.mark.parametrize("line", ["{", "NaN", "[" * 100_000, "{'a': 1}"])
async def test_a_line_that_is_not_json_is_named(line):
    """A broken, endlessly nested or non-standard line names file and line."""
    with pytest.raises(FileError, match=r"https://x:2: not JSON: "):
        await run_transform(JsonLines(), [{"url": "https://x", "text": f"1\n{line}\n"}])


async def test_the_companies_are_read():
    """A real table of 503 companies comes through HTTP and Csv whole, with its types."""
    body = real_file("sp500.csv").read_bytes()
    async with serving({"/c": {"body": body, "content_type": "text/csv"}}) as base:
        pages = await run_transform(HttpFetch(base + "/c"))
        rows = await run_transform(Csv(types={"CIK": "int", "Date added": "date"}), pages)
    assert (503, "MMM", "Saint Paul, Minnesota", "1957-03-04", 66740) == (
        len(rows),
        *(rows[0][name] for name in ("Symbol", "Headquarters Location", "Date added", "CIK")),
    )


CELLS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(CELLS, CELLS).filter(any), max_size=6))
async def test_what_csv_writes_comes_back(rows):
    """Whatever the cells hold, line ends and quotes included, they come back as they were written."""
    out = io.StringIO(newline="")
    csv.writer(out).writerows([("a", "b"), *rows])
    assert [{"a": a, "b": b} for a, b in rows] == await read(out.getvalue())


@settings(max_examples=60, deadline=None)
@given(st.lists(st.recursive(st.none() | st.integers() | st.text(), st.lists, max_leaves=5), max_size=6))
async def test_what_json_writes_comes_back(values):
    """Whatever the values, they come back as they were written."""
    text = "\n".join(json.dumps(value) for value in values)
    assert values == await run_transform(JsonLines(), [text])
