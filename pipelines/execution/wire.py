"""What goes over the socket between the service and a worker process: length-prefixed JSON frames, and values as JSON.

A frame is four bytes of length, then a JSON object whose `kind` says what it is. What a worker sends is data of a
stranger: sizes are bounded, and whatever does not fit raises `BadFrame`.
"""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from pipelines.model import (
    JSON,
    CollectionChange,
    Job,
    LogLine,
    Message,
    Outcome,
    RunError,
    RunState,
    StageCount,
    StageSpec,
    StateChange,
)

MAX_FRAME = 16 * 2**20
"""Longer frames are refused, in bytes."""
SLICE = 2**20
"""Much data is sent in frames of about this size, in bytes, so that none keeps the service's loop long."""
BATCH = 5_000
"""So many entries of a collection are encoded at once."""
LENGTH = struct.Struct("!I")
ENDS = frozenset({RunState.SUCCEEDED, RunState.FAILED, RunState.SKIPPED, RunState.CANCELLED})
"""How a chain can end in its process; that it timed out or crashed is for the service to say."""

Frame = dict[str, Any]


class BadFrame(Exception):
    """The other side sent what cannot be understood, or there is too much to send; the text says what."""


def encoded(frame: Mapping[str, Any]) -> bytes:
    """Return a frame's bytes.

    Raises:
        BadFrame: it holds something that is not JSON, or is too long.
    """
    try:
        body = json.dumps(frame, separators=(",", ":"), default=_plain).encode("ascii")
    except (TypeError, ValueError, RecursionError) as error:
        raise BadFrame(f"not JSON: {error}") from error
    if len(body) > MAX_FRAME:
        raise BadFrame(f"{len(body):,} bytes in one piece; at most {MAX_FRAME:,} can be handed over")
    return LENGTH.pack(len(body)) + body


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"a value of type {type(value).__name__}")


def decoded(body: bytes) -> Frame:
    """Return the frame in these bytes.

    Raises:
        BadFrame: it is not a JSON object.
    """
    try:
        frame = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadFrame(f"a frame that is not JSON: {error}") from error
    if not isinstance(frame, dict):
        raise BadFrame(f"a frame that is a {type(frame).__name__}; expected an object")
    return frame


def length_of(prefix: bytes) -> int:
    """Return how many bytes follow.

    Raises:
        BadFrame: too many.
    """
    length: int = LENGTH.unpack(prefix)[0]
    if length > MAX_FRAME:
        raise BadFrame(f"a frame of {length:,} bytes; at most {MAX_FRAME:,} are taken")
    return length


async def read_frame(reader: asyncio.StreamReader) -> Frame | None:
    """Return the next frame; None when the other side is gone.

    Raises:
        BadFrame: what came is no frame.
    """
    try:
        length = length_of(await reader.readexactly(LENGTH.size))
        return decoded(await reader.readexactly(length))
    except (asyncio.IncompleteReadError, ConnectionError):
        return None


def job_to_json(job: Job) -> Frame:
    """Return a job as JSON."""
    fields = {name: getattr(job, name) for name in Job.__dataclass_fields__}
    stages = [{"path": stage.path, "kwargs": stage.kwargs} for stage in job.stages]
    fields["secrets"] = list(job.secrets)
    return {**fields, "stages": stages, "due_at": job.due_at.isoformat() if job.due_at else None}


def job_from_json(data: Frame) -> Job:
    """Return the job that `job_to_json` wrote."""
    stages = tuple(StageSpec(stage["path"], stage["kwargs"]) for stage in data["stages"])
    due_at = datetime.fromisoformat(data["due_at"]) if data["due_at"] else None
    return Job(**{**data, "stages": stages, "due_at": due_at, "secrets": tuple(data["secrets"])})


def counts_to_json(counts: Iterable[StageCount]) -> list[list[JSON]]:
    """Return counts as JSON."""
    return [[count.position, count.name, count.items_in, count.items_out, count.busy_s] for count in counts]


def counts_from_json(data: Any) -> tuple[StageCount, ...]:
    """Return the counts that `counts_to_json` wrote; raises ValueError or TypeError for anything else."""
    return tuple(
        StageCount(int(position), str(name), int(items_in), int(items_out), float(busy_s))
        for position, name, items_in, items_out, busy_s in data
    )


def lines_to_json(lines: Iterable[LogLine]) -> list[list[JSON]]:
    """Return log lines as JSON."""
    return [[line.at.timestamp(), line.level, line.source, line.text] for line in lines]


def lines_from_json(data: Any) -> list[LogLine]:
    """Return the lines that `lines_to_json` wrote; raises ValueError or TypeError for anything else."""
    return [
        LogLine(datetime.fromtimestamp(float(at), UTC), int(level), str(source), str(text))
        for at, level, source, text in data
    ]


def message_to_json(message: Message) -> dict[str, Any]:
    """Return a message as JSON; `Message(**…)` reads it back."""
    return {"target": message.target, "kind": message.kind, "body": message.body, "key": message.key}


def outcome_frames(outcome: Outcome) -> Iterator[bytes]:
    """Yield the frames that carry an outcome: messages and changed state in slices, then the end itself.

    Raises:
        BadFrame: a value in it is not JSON, or too long; it says which.
    """
    for message in outcome.messages:
        yield _named(f"the message {message.key!r}", {"kind": "message", "message": message_to_json(message)})
    for name, change in outcome.change.collections.items():
        put = iter(change.put.items())
        while entries := list(islice(put, BATCH)):
            yield from _sliced({"kind": "put", "collection": name}, entries)
        removed = iter(change.removed)
        while keys := list(islice(removed, BATCH)):
            yield from _sliced({"kind": "removed", "collection": name}, keys)
    if outcome.change.values is not None:
        yield _named("the pipeline's state", {"kind": "values", "values": dict(outcome.change.values)})
    yield encoded(
        {
            "kind": "end",
            "state": outcome.state,
            "error": asdict(outcome.error) if outcome.error else None,
            "reason": outcome.reason,
            "stages": counts_to_json(outcome.stages),
            "retryable": outcome.retryable,
            "retry_after_s": outcome.retry_after_s,
        }
    )


def _named(what: str, frame: Frame) -> bytes:
    try:
        return encoded(frame)
    except BadFrame as error:
        raise BadFrame(f"{what} holds {error}") from error


def _sliced(head: Frame, entries: Sequence[Any]) -> Iterator[bytes]:
    """Encode entries in one frame, or in halves of it when they are too much for one or one of them is at fault."""
    try:
        frame = encoded({**head, "entries": entries})
    except BadFrame as error:
        if len(entries) == 1:
            raise BadFrame(
                f"collection {head['collection']!r}, entry {str(entries[0])[:80]!r}, holds {error}"
            ) from error
        frame = b""
    if frame and (len(frame) <= SLICE or len(entries) == 1):
        yield frame
        return
    middle = len(entries) // 2
    yield from _sliced(head, entries[:middle])
    yield from _sliced(head, entries[middle:])


@dataclass(slots=True)
class Gathered:
    """An outcome as it comes in, piece by piece; `take` raises BadFrame for a piece that does not fit."""

    messages: list[Message] = field(default_factory=list)
    values: Mapping[str, JSON] | None = None
    put: dict[str, dict[str, JSON]] = field(default_factory=dict)
    removed: dict[str, set[str]] = field(default_factory=dict)

    def take(self, frame: Frame) -> Outcome | None:
        """Take one frame; return the outcome when it was the last."""
        try:
            return self._take(frame)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise BadFrame(f"a '{frame.get('kind')}' frame that does not fit: {error!r}") from error

    def _take(self, frame: Frame) -> Outcome | None:
        match frame["kind"]:
            case "message":
                self.messages.append(Message(**frame["message"]))
            case "put":
                self.put.setdefault(str(frame["collection"]), {}).update(frame["entries"])
            case "removed":
                self.removed.setdefault(str(frame["collection"]), set()).update(frame["entries"])
            case "values":
                self.values = dict(frame["values"])
            case "reset":
                self.messages, self.values, self.put, self.removed = [], None, {}, {}
            case "end":
                return self._outcome(frame)
        return None

    def _outcome(self, frame: Frame) -> Outcome:
        state, error = RunState(frame["state"]), frame["error"]
        if state not in ENDS:
            raise ValueError(f"an attempt does not end as {state}")
        names = self.put.keys() | self.removed.keys()
        collections = {
            name: CollectionChange(put=self.put.get(name, {}), removed=frozenset(self.removed.get(name, ())))
            for name in names
        }
        return Outcome(
            state=state,
            error=RunError(**{**error, "bases": tuple(error["bases"])}) if error is not None else None,
            reason=frame["reason"],
            stages=counts_from_json(frame["stages"]),
            change=StateChange(values=self.values, collections=collections),
            messages=tuple(self.messages),
            retryable=bool(frame["retryable"]),
            retry_after_s=frame["retry_after_s"],
        )
