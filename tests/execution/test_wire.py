"""Frames and output: what goes in comes out, and what does not fit is refused."""

from __future__ import annotations

import contextlib
import json
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.execution.output import Output
from pipelines.execution.wire import (
    LENGTH,
    MAX_FRAME,
    SLICE,
    BadFrame,
    Gathered,
    decoded,
    encoded,
    job_from_json,
    job_to_json,
    length_of,
    outcome_frames,
)
from pipelines.model import CollectionChange, Message, Outcome, RunError, RunState, StageCount, StateChange
from tests.execution.conftest import job

TEXTS = st.text(max_size=20)
JSONS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)
MAPS = st.dictionaries(TEXTS, JSONS, max_size=4)
CHANGES = st.builds(
    CollectionChange,
    put=st.dictionaries(TEXTS, JSONS, min_size=1, max_size=4),
    removed=st.frozensets(TEXTS, max_size=3),
)
OUTCOMES = st.builds(
    Outcome,
    state=st.sampled_from([RunState.SUCCEEDED, RunState.FAILED, RunState.SKIPPED, RunState.CANCELLED]),
    error=st.none() | st.builds(RunError, TEXTS, TEXTS, st.none() | TEXTS, st.none() | TEXTS, st.just(("Exception",))),
    reason=st.none() | TEXTS,
    stages=st.lists(st.builds(StageCount, *[st.integers(0, 9), TEXTS, st.integers(), st.integers()], st.just(0.5))).map(
        tuple
    ),
    change=st.builds(StateChange, values=st.none() | MAPS, collections=st.dictionaries(TEXTS, CHANGES, max_size=2)),
    messages=st.lists(st.builds(Message, TEXTS, TEXTS, MAPS, TEXTS), max_size=3).map(tuple),
    retryable=st.booleans(),
    retry_after_s=st.none() | st.floats(0, 1e9),
)


def gathered(frames):
    found, outcome = Gathered(), None
    for data in frames:
        outcome = found.take(decoded(data[LENGTH.size :]))
    return outcome


@settings(max_examples=50, deadline=None)
@given(OUTCOMES)
def test_an_outcome_passes_unchanged(outcome):
    """An outcome taken apart into frames and put together is the same."""
    assert outcome == gathered(outcome_frames(outcome))


def test_a_job_passes_unchanged():
    """A job written as JSON and read again is the same."""
    sent = job(("numbers", {"count": 2}), due_at=datetime(2026, 1, 2, 3, 4, tzinfo=UTC), params={"a": [1]})
    assert sent == job_from_json(json.loads(json.dumps(job_to_json(sent))))


def test_large_changes_come_in_slices():
    """A collection of many megabytes is sent in frames of at most a megabyte."""
    change = StateChange(collections={"c": CollectionChange(put={str(n): "x" * 1000 for n in range(5_000)})})
    sizes = [len(data) for data in outcome_frames(Outcome(state=RunState.SUCCEEDED, change=change))]
    assert (True, True) == (len(sizes) > 5, max(sizes) <= SLICE)


def test_an_entry_that_is_not_json_is_named():
    """The error about a value that cannot be sent says in which collection, and at which key, it stands."""
    change = StateChange(collections={"c": CollectionChange(put={"a": 1, "b": object(), "d": 2})})
    with pytest.raises(BadFrame, match=r"collection 'c', entry \"\('b', .*not JSON"):
        list(outcome_frames(Outcome(state=RunState.SUCCEEDED, change=change)))


@settings(max_examples=50, deadline=None)
@given(
    st.binary(max_size=40)
    | st.fixed_dictionaries(
        {"kind": st.sampled_from(["end", "put", "removed", "message", "values", "other"])},
        optional={
            "state": JSONS | st.just("queued"),
            "entries": JSONS,
            "collection": JSONS,
            "values": JSONS,
            "message": JSONS,
        },
    ).map(lambda frame: json.dumps(frame).encode())
)
def test_a_stranger_frame_is_refused_or_ignored(body):
    """Whatever bytes come, the answer is a frame, an outcome, or `BadFrame`."""
    with contextlib.suppress(BadFrame):
        assert Gathered().take(decoded(body)) is None


def test_a_frame_that_is_too_long_is_refused():
    """A frame over the limit is refused before it is read, and before it is sent."""
    with pytest.raises(BadFrame, match="at most"):
        length_of(LENGTH.pack(MAX_FRAME + 1))
    with pytest.raises(BadFrame, match="at most"):
        encoded({"kind": "x", "text": "x" * MAX_FRAME})


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\n\r\0"), max_size=9)),
    st.integers(1, 50),
)
async def test_output_is_split_at_any_place(lines, size):
    """Lines come out whole wherever the chunks of the pipe end, up to the run's end and no further."""
    output, heard = Output(), []
    output.begin("token", heard.extend)
    stream = "".join(f"{line}\n" for line in lines).encode() + b"\0token\nof nobody\n"
    for at in range(0, len(stream), size):
        output.data_received(stream[at : at + size])
    marked = await output.marked(1.0)
    output.end()
    assert (lines, True) == ([line.text for line in heard], marked)
