"""FileSink: what is in the file, and that it is there whole or not at all."""

from __future__ import annotations

import asyncio
import csv
import json
import os
import stat
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.chain import run_chain
from pipelines.model import Job, RunState, StageSpec
from pipelines.testing import MemoryState, run_transform
from pipelines.transform import Fetcher, Transform
from pipelines.transforms.file_sink import FileSink
from pipelines.transforms.spool import Spool
from pipelines.transforms.steps import Filter, Limit, Sort

ROWS = [{"a": 1, "b": "x"}, {"a": 2, "b": "y, z"}]


class Then(Transform):
    """A sink and the stage behind it, run as a chain does."""

    def __init__(self, sink, after):
        self.sink, self.after = sink, after

    async def __aenter__(self):
        await self.sink.__aenter__()
        return self

    async def __aexit__(self, *error):
        await self.sink.__aexit__(*error)

    async def __call__(self, items):
        async for item in self.after(self.sink(items)):
            yield item


class Rows(Fetcher):
    """A source of the rows."""

    async def fetch(self):
        for row in ROWS:
            yield row


class Ready:
    """A registry of stages that are built already."""

    def __init__(self, stages):
        self.stages = stages

    def build(self, spec):
        return self.stages[int(spec.path)]


def failing(items):
    yield from items
    raise OSError("gone")


async def test_csv_has_the_first_items_fields_as_columns(tmp_path):
    """A CSV file starts with the columns; items are passed on; missing fields are empty."""
    path = tmp_path / "new" / "folder" / "out.csv"
    assert [*ROWS, {"b": "q"}] == await run_transform(FileSink(str(path)), [*ROWS, {"b": "q"}])
    assert 'a,b\n1,x\n2,"y, z"\n,q\n' == path.read_text(encoding="utf-8")
    assert [path] == list(path.parent.iterdir())


async def test_json_lines_hold_any_item(tmp_path):
    """Each item is one line of JSON, times and decimals as text."""
    path = tmp_path / "out.jsonl"
    items = [{"å": "ö\n"}, [1, None], "text", {"at": datetime(2026, 1, 2, tzinfo=UTC), "n": Decimal("1.50")}]
    await run_transform(FileSink(str(path)), items)
    lines = path.read_text(encoding="utf-8").splitlines()
    expected = [*items[:3], {"at": "2026-01-02T00:00:00+00:00", "n": "1.50"}]
    assert (expected, True) == ([json.loads(line) for line in lines], "å" in lines[0])


async def test_cells_are_written_for_people(tmp_path):
    """None is empty, truth is lower case, lists and dicts are JSON, times are ISO 8601."""
    path = tmp_path / "out.csv"
    item = {"n": None, "t": True, "l": ["ö"], "d": {"a": 1}, "at": datetime(2026, 1, 2, 3, tzinfo=UTC), "q": 'a"b\nc'}
    await run_transform(FileSink(str(path)), [item])
    with path.open(encoding="utf-8", newline="") as file:
        row = list(csv.reader(file))[1]
    assert ["", "true", '["ö"]', '{"a": 1}', "2026-01-02T03:00:00+00:00", 'a"b\nc'] == row


async def test_a_field_that_is_no_column_is_an_error(tmp_path):
    """A field that first comes up later is named, and nothing is left behind."""
    with pytest.raises(ValueError, match=r"an item has 'c', which is not among the file's columns \(a, b\)"):
        await run_transform(FileSink(str(tmp_path / "out.csv")), [*ROWS, {"a": 1, "c": 2}])
    assert [] == list(tmp_path.iterdir())


async def test_given_columns_choose_and_order(tmp_path):
    """With columns, other fields are left out and the order is as given."""
    path = tmp_path / "out.csv"
    await run_transform(FileSink(str(path), columns=["b", "z"]), [*ROWS, {"c": 2}])
    assert 'b,z\nx,\n"y, z",\n,\n' == path.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "columns", "expected"), [("o.csv", ["a", "b"], "a,b\n"), ("o.csv", None, ""), ("o.jsonl", None, "")]
)
async def test_no_items_make_an_empty_file(tmp_path, name, columns, expected):
    """A run without items replaces the file by one that says so, not by yesterday's."""
    path = tmp_path / name
    path.write_text("old")
    await run_transform(FileSink(str(path), columns=columns), [])
    assert expected == path.read_text()


async def test_a_csv_line_needs_a_dict(tmp_path):
    """An item that is no dict is shown."""
    with pytest.raises(ValueError, match="a CSV line needs a dict, found 5"):
        await run_transform(FileSink(str(tmp_path / "out.csv")), [5])


@pytest.mark.parametrize("mode", ["replace", "append"])
async def test_a_failure_leaves_the_file_as_it_was(tmp_path, mode):
    """When an earlier stage fails, the old content stands and the temporary file is gone."""
    path = tmp_path / "out.jsonl"
    path.write_text("old\n")
    with pytest.raises(OSError, match="gone"):
        await run_transform(FileSink(str(path), mode=mode), failing(ROWS))
    assert (["old\n"], [path]) == ([path.read_text()], list(tmp_path.iterdir()))


@pytest.mark.parametrize("mode", ["replace", "append"])
async def test_a_later_stages_failure_leaves_the_file_as_it_was(tmp_path, mode):
    """When the stage behind fails after the last item came, the old content stands."""

    async def fail_at_end(items):
        async for item in items:
            yield item
        raise OSError("gone")

    path = tmp_path / "out.jsonl"
    path.write_text("old\n")
    with pytest.raises(OSError, match="gone"):
        await run_transform(Then(FileSink(str(path), mode=mode), fail_at_end), ROWS)
    assert (["old\n"], [path]) == ([path.read_text()], list(tmp_path.iterdir()))


async def test_a_cancel_leaves_the_file_as_it_was(tmp_path):
    """A run that is cancelled while it waits for items throws away what it wrote."""
    waiting = asyncio.Event()

    async def block(items):
        async for item in items:
            waiting.set()
            await asyncio.Event().wait()
            yield item

    path = tmp_path / "out.jsonl"
    path.write_text("old\n")
    task = asyncio.create_task(run_transform(Then(FileSink(str(path)), block), ROWS))
    await waiting.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (["old\n"], [path]) == ([path.read_text()], list(tmp_path.iterdir()))


async def test_a_later_stage_that_asks_for_no_more_keeps_what_came(tmp_path):
    """Behind a Limit the file holds the items that were passed on."""
    path = tmp_path / "out.jsonl"
    await run_transform(Then(FileSink(str(path)), Limit(1)), ROWS)
    assert [ROWS[0]] == [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize(
    ("behind", "state", "lines"),
    [
        ([Limit(1)], RunState.SUCCEEDED, 2),
        ([Filter("a > 0"), Sort("b")], RunState.SUCCEEDED, 3),
        ([Sort("b"), Filter("a / 0 > 1")], RunState.FAILED, 0),
    ],
)
async def test_a_real_chain_decides_what_becomes_of_the_file(tmp_path, behind, state, lines):
    """The file is there if the whole chain ended well, whichever way its streams were closed."""
    path = tmp_path / "out.csv"
    stages = dict(enumerate([Rows(), FileSink(str(path)), *behind]))
    job = Job(7, 1, 1, "p", tuple(StageSpec(str(at)) for at in stages), {}, "manual", None, {})
    outcome = await run_chain(job, Ready(stages), MemoryState())
    found = path.read_text().splitlines() if path.exists() else []
    assert (state, lines, [path] if lines else []) == (outcome.state, len(found), list(tmp_path.iterdir()))


async def test_append_adds_to_the_files_own_columns(tmp_path):
    """A second run adds its rows under the first one's header, in its order."""
    path = tmp_path / "out.csv"
    await run_transform(FileSink(str(path), mode="append"), ROWS)
    await run_transform(FileSink(str(path), mode="append"), [{"b": "q", "a": 3}])
    assert 'a,b\n1,x\n2,"y, z"\n3,q\n' == path.read_text(encoding="utf-8")


async def test_append_mends_a_last_line_without_newline(tmp_path):
    """A file that was edited by hand does not get its last line joined to the first new one."""
    path = tmp_path / "out.jsonl"
    path.write_text("1")
    await run_transform(FileSink(str(path), mode="append"), [2])
    assert "1\n2\n" == path.read_text()


async def test_append_refuses_other_columns_than_the_files(tmp_path):
    """Columns that differ from the file's own are told with both."""
    path = tmp_path / "out.csv"
    path.write_text("a,b\n")
    with pytest.raises(ValueError, match="has the columns a, b, but those given are b, a"):
        await run_transform(FileSink(str(path), columns=["b", "a"], mode="append"), ROWS)
    assert ("a,b\n", [path]) == (path.read_text(), list(tmp_path.iterdir()))


async def test_placeholders_in_the_path(tmp_path):
    """The day it was due, the run's number and the pipeline's name; a slash in them makes no folder."""
    due = datetime(2026, 1, 31, 23, tzinfo=UTC)
    await run_transform(FileSink(f"{tmp_path}/{{pipeline}}-{{date}}-{{run_id:03d}}.csv"), ROWS, due_at=due)
    assert ["test-2026-01-31-001.csv"] == [path.name for path in tmp_path.iterdir()]


@pytest.mark.parametrize(
    ("path", "kwargs", "told"),
    [
        ("out.txt", {}, "does not end in .csv, .jsonl, .ndjson"),
        ("{day}.csv", {}, "known are date, pipeline, run_id"),
        ("{.csv", {}, "^path"),
        ("out.csv", {"format": "xml"}, "^format: found 'xml'"),
        ("out.csv", {"mode": "w"}, "^mode: found 'w'"),
        ("out.jsonl", {"columns": ["a"]}, "only a CSV file has columns"),
        ("out.csv", {"columns": []}, "^columns"),
    ],
)
def test_arguments_are_checked(path, kwargs, told):
    """A wrong argument is told when the stage is made."""
    with pytest.raises(ValueError, match=told):
        FileSink(path, **kwargs)


async def test_the_file_can_be_read_by_whom_it_could_before(tmp_path):
    """Replacing keeps an existing file's permissions; a new file gets the usual ones, not a temporary file's."""
    old, new = tmp_path / "old.csv", tmp_path / "new.csv"
    old.write_text("x")
    old.chmod(0o640)
    for path in (old, new):
        await run_transform(FileSink(str(path)), ROWS)
    umask = os.umask(0)
    os.umask(umask)
    assert (0o640, 0o666 & ~umask) == tuple(stat.S_IMODE(path.stat().st_mode) for path in (old, new))


async def test_a_symbolic_link_stays_one(tmp_path):
    """The file behind a link is replaced, not the link."""
    real, link = tmp_path / "real.csv", tmp_path / "link.csv"
    real.write_text("x")
    link.symlink_to(real)
    await run_transform(FileSink(str(link)), ROWS)
    assert (True, True) == (link.is_symlink(), real.read_text().startswith("a,b\n"))


async def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    """A path through a file fails with the system's own words."""
    (tmp_path / "file").write_text("x")
    with pytest.raises(OSError, match="file"):
        await run_transform(FileSink(str(tmp_path / "file" / "out.csv")), ROWS)


def test_a_failed_append_is_cut_back(tmp_path, monkeypatch):
    """When the disk is full halfway, the target is as long as before and the temporary file is gone."""
    target = tmp_path / "out.jsonl"
    target.write_text("1\n")
    spool = Spool(target)
    spool.open()
    spool.write("2\n3\n")

    def full(source, out):
        out.write(source.read(2))
        out.flush()
        raise OSError("disk full")

    monkeypatch.setattr("pipelines.transforms.spool.shutil.copyfileobj", full)
    with pytest.raises(OSError, match="disk full"):
        spool.append()
    assert ("1\n", [target]) == (target.read_text(), list(tmp_path.iterdir()))


def test_an_opening_that_a_cancel_overtook_leaves_nothing(tmp_path):
    """A spool that was discarded before its thread came to open it stays closed."""
    spool = Spool(tmp_path / "out.csv")
    spool.discard()
    spool.open()
    spool.write("x")
    assert [] == list(tmp_path.iterdir())


@settings(max_examples=40, deadline=None)
@given(st.lists(st.dictionaries(st.sampled_from(["a", "b"]), st.text(st.characters(codec="utf-8"))), max_size=5))
async def test_csv_comes_back_as_it_was(tmp_path_factory, items):
    """Whatever the texts hold, a CSV reader gets them back."""
    path = tmp_path_factory.mktemp("csv") / "out.csv"
    await run_transform(FileSink(str(path), columns=["a", "b"]), items)
    with path.open(encoding="utf-8", newline="") as file:
        rows = [dict(row) for row in csv.DictReader(file)]
    assert [{"a": item.get("a", ""), "b": item.get("b", "")} for item in items] == rows


async def test_many_lines_are_written_in_slices(tmp_path):
    """A file of several slices is complete and in order."""
    path = tmp_path / "out.jsonl"
    items = [{"n": number, "text": "x" * 200} for number in range(5000)]
    await run_transform(FileSink(str(path)), items)
    assert items == [json.loads(line) for line in path.read_text().splitlines()]
