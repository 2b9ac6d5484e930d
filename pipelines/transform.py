"""What a stage is, and what it may ask of the run it is part of.

A stage is a `Transform` (async iterator in, async iterator out), a `Fetcher` (`fetch()` yields items), a `Sink`
(`handle(item)`), or a plain function per item. How stages are folded into one stream lives in `chain`; where that
stream runs, in `execution`.
"""

from __future__ import annotations

import hashlib
import json
import logging
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextvars import ContextVar
from datetime import datetime
from typing import Any, ClassVar, Protocol

from pipelines.errors import PipecallError
from pipelines.model import JSON, CollectionChange, Job, Message, StateChange
from pipelines.redaction import Redactor

PAGE = 500
"""How many entries of a collection are asked for at once."""
KEY_DIGITS = 16
"""Hex digits that stand for an item in its key."""


class Transform(ABC):
    """A stage: takes an async iterator of items, gives one. Write `__call__` as an async generator.

    A stage with `__aenter__`/`__aexit__` is entered before the first item and closed after the last, also on failure
    and cancel.
    """

    outward: ClassVar[bool] = False
    """Whether it takes items out to somewhere; a dry run passes them by such a stage."""

    @abstractmethod
    def __call__(self, items: AsyncIterator[Any]) -> AsyncIterator[Any]:
        """Yield what becomes of `items`. A chain's first stage is given a single None."""


class Fetcher(Transform):
    """A stage that brings items in from outside. Write `fetch` as an async generator."""

    @abstractmethod
    def fetch(self) -> AsyncIterator[Any]:
        """Yield the items."""

    async def __call__(self, items: AsyncIterator[Any]) -> AsyncIterator[Any]:
        """Fetch once, on the first item that comes in; that item and any later one are ignored."""
        async for _ in items:
            async for item in self.fetch():
                yield item
            break


class Sink(Transform):
    """A stage that takes items out to somewhere; each goes on unchanged, so that another stage may follow."""

    outward = True

    @abstractmethod
    async def handle(self, item: Any) -> None:
        """Do what is to be done with one item."""

    async def __call__(self, items: AsyncIterator[Any]) -> AsyncIterator[Any]:
        """Handle each item, then pass it on."""
        async for item in items:
            await self.handle(item)
            yield item


class RunPort(Protocol):
    """What a running chain can ask of the service around it, wherever it runs."""

    async def lookup(self, collection: str, keys: Sequence[str]) -> Mapping[str, JSON]:
        """Return those of `keys` that the pipeline's collection holds, with their values."""

    async def scan(self, collection: str, after: str, limit: int) -> Sequence[tuple[str, JSON]]:
        """Return up to `limit` entries whose key is greater than `after`, in the order of their keys."""

    def emit(self, message: Message) -> None:
        """Hand on a message, to be stored with the run's end."""

    def progress(self, done: float | None, note: str) -> None:
        """Tell how far the run is: `done` is 0–1 or None when that is not known."""


class Collection:
    """A pipeline's durable mapping of keys to JSON values, made for millions of keys: nothing is loaded as a whole.

    Changes are seen at once by the run that makes them, and by later runs only if this one succeeds.
    """

    def __init__(self, name: str, port: RunPort) -> None:
        """Open the collection `name` of the running pipeline; stages get one from `RunContext.collection`."""
        self.name = name
        self._port = port
        self._put: dict[str, JSON] = {}
        self._removed: set[str] = set()

    async def known(self, keys: Iterable[str]) -> dict[str, JSON]:
        """Return those of `keys` that are in the collection, with their values."""
        asked = list(dict.fromkeys(keys))
        found = {key: self._put[key] for key in asked if key in self._put}
        rest = [key for key in asked if key not in found and key not in self._removed]
        for start in range(0, len(rest), PAGE):
            found.update(await self._port.lookup(self.name, rest[start : start + PAGE]))
        return found

    async def stored(self) -> AsyncIterator[tuple[str, JSON]]:
        """Yield the entries that earlier runs committed, by key; this run's changes are not among them."""
        after = ""
        while page := await self._port.scan(self.name, after, PAGE):
            for entry in page:
                yield entry
            after = page[-1][0]

    def put(self, key: str, value: JSON = None) -> None:
        """Add or replace an entry. Keys are non-empty text."""
        if not key:
            raise ValueError("a collection's key must not be empty")
        self._removed.discard(key)
        self._put[key] = value

    def remove(self, key: str) -> None:
        """Take an entry out; one that is not there is fine."""
        self._put.pop(key, None)
        self._removed.add(key)

    def change(self) -> CollectionChange:
        """Return what this run changed so far."""
        return CollectionChange(put=dict(self._put), removed=frozenset(self._removed))


class RunContext:
    """The run that a stage is part of: its parameters, logger, durable state, messages and progress.

    `params` are the run's parameters, `due_at` the scheduled instant (UTC; None for a manual run), `started_by` one of
    `schedule`, `startup`, `manual`, `log` a logger whose lines are kept with the run, `state` a dict of small JSON
    values of the pipeline, committed when the run succeeds.
    """

    def __init__(self, job: Job, port: RunPort, stage: Callable[[], str]) -> None:
        """Bind a job to the port of the place it runs in; `stage` returns the name of the stage whose code calls."""
        self.run_id: int = job.run_id
        self.pipeline: str = job.pipeline
        self.attempt: int = job.attempt
        self.max_attempts: int = job.max_attempts
        self.params: Mapping[str, Any] = job.params
        self.started_by: str = job.started_by
        self.due_at: datetime | None = job.due_at
        self.state: dict[str, JSON] = dict(job.values)
        self.log: logging.Logger = logging.getLogger(f"run.{job.pipeline}")
        self._values_before: dict[str, JSON] = dict(job.values)
        self._port = port
        self._stage = stage
        self._collections: dict[str, Collection] = {}
        self._emitted = 0
        self._secrets = job.secrets
        self._redactor: Redactor | None = None

    def hide(self, value: Any) -> Any:
        """Return a value with the secrets hidden in its text, and in that of mappings and lists within it."""
        if self._redactor is None:
            self._redactor = Redactor(self._secrets)
        return self._redactor.value(value)

    def collection(self, name: str) -> Collection:
        """Return the pipeline's durable collection of this name; the same object for the same name."""
        if name not in self._collections:
            self._collections[name] = Collection(name, self._port)
        return self._collections[name]

    def emit(self, target: str, body: Mapping[str, Any], *, kind: str = "text", key: str | None = None) -> None:
        """Have a message delivered once this run has ended.

        `target` is a channel and an address (`discord:1234`), `body` is JSON. Messages with the same `key` in one run
        are one; None numbers them in the order they come, which is right for stages that emit the same on every
        attempt. Secrets in the body are hidden.
        """
        self._emitted += 1
        self._port.emit(Message(target=target, kind=kind, body=self.hide(body), key=key or f"{target}:{self._emitted}"))

    def progress(self, done: float | None = None, note: str = "") -> None:
        """Tell how far the run is: `done` from 0 to 1 (None: not known), `note` for people."""
        self._port.progress(done, note)

    @property
    def idempotency_key(self) -> str:
        """The key of what the asking stage does outside in this run, for services that refuse doubles.

        It is the same in every attempt, wherever that runs, and another for each stage: `run:stage`, such as
        `17:Charge`. The stage goes by the name in its class path; a second one of that name in the chain is `Charge#2`.
        For one of several requests of a stage, see `item_key`.

        Raises:
            PipecallError: a task or thread that the stage began asks, and it cannot be told whose it is.
        """
        return f"{self.run_id}:{self._stage()}"

    def item_key(self, value: Any) -> str:
        """Return a key as `idempotency_key` for what the stage does with one item, in whichever order items come.

        `value` is what tells the item from others in every attempt: its own id, or the item as a whole. Equal values
        have the same key. It is JSON, or has a text that stays the same.

        Raises:
            PipecallError: as `idempotency_key`.
        """
        text = json.dumps(value, sort_keys=True, default=str)
        return f"{self.idempotency_key}:{hashlib.sha256(text.encode()).hexdigest()[:KEY_DIGITS]}"

    def change(self) -> StateChange:
        """Return what the run changed in the pipeline's durable state so far."""
        changed = {name: collection.change() for name, collection in self._collections.items()}
        return StateChange(
            values=dict(self.state) if self.state != self._values_before else None,
            collections={name: change for name, change in changed.items() if change.put or change.removed},
        )


CURRENT_RUN: ContextVar[RunContext] = ContextVar("current_run")


def current_run() -> RunContext:
    """Return the run that the calling stage is part of.

    Raises:
        PipecallError: there is none, as when a stage is called outside a chain.
    """
    try:
        return CURRENT_RUN.get()
    except LookupError:
        raise PipecallError(
            "no run is going on here; inside a test use pipelines.testing.run_transform, which provides one"
        ) from None
