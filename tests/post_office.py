"""A store with a delivery over it, in a time that the test moves: for tests of what becomes of messages."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

from pipelines.channels import DeliveryFault
from pipelines.delivery import Delivery
from pipelines.store import database, deliveries, outbox
from pipelines.store.deliveries import Parcel, Take
from pipelines.store.outbox import Letter, Post
from pipelines.store.writer import Reader, Writer
from tests.project import empty_store


class Office:
    """The outbox of a database file and its delivery. `now` is the time, which stands still until `later`."""

    def __init__(self, engine, channels, *, now: datetime | None = None) -> None:
        self.writer, self.reader = Writer(engine), Reader(engine)
        self.channels = channels
        self.now = now or datetime(2026, 3, 1, 12, tzinfo=UTC)
        self.delivery = self.reopened()

    def reopened(self, **more) -> Delivery:
        """A delivery that knows nothing but the store: what a new process would have."""
        self.delivery = Delivery(self.writer, self.reader, self.channels, lambda: self.now, **more)
        return self.delivery

    async def post(self, key="k", target="box:1", *, wake=True, **more) -> None:
        """Store a message."""
        given = {"kind": "message", "body": {"payload": {"content": key}}, "at": self.now} | more
        await self.writer.call(outbox.post, Post(target=target, key=key, **given))
        if wake:
            self.delivery.wake()

    async def take(self, target="box:1") -> Parcel | datetime | None:
        """Take the next message of a target away, as a process does that dies before it is delivered."""
        return await self.writer.call(deliveries.claim, Take(target, self.now))

    async def settle(self) -> None:
        """Deliver until nothing can be done without time passing."""
        while True:
            await self.delivery._look()
            if not (tasks := list(self.delivery._workers.values())):
                return
            await asyncio.wait(tasks)
            await asyncio.sleep(0)

    async def later(self, **passed: float) -> None:
        """Let time pass, then settle."""
        self.now += timedelta(**passed)
        await self.settle()

    async def until_done(self, *, hours: float = 24) -> None:
        """Let as much time pass as it takes until nothing waits."""
        end = self.now + timedelta(hours=hours)
        await self.settle()
        while await self.reader.read(outbox.waiting):
            rests = [rest.until for rest in self.delivery._rests.values() if rest.until > self.now]
            assert rests, "something waits for nothing"
            assert self.now < end, self.delivery.status()
            self.now = min(rests)
            await self.settle()

    async def letter(self, key="k") -> Letter:
        """What is known of a message."""
        found = await self.reader.read(outbox.find, key)
        assert found is not None
        return found

    async def ids(self, *keys: str) -> list[str | None]:
        """Under which ids messages arrived."""
        return [(await self.letter(key)).message_id for key in keys]


@asynccontextmanager
async def office(tmp_path, channels, kind=Office, **more):
    """An office that is open within the block."""
    path = tmp_path / "outbox.db"
    if not path.exists():
        path.write_bytes(empty_store())
    engine = database.connect(f"sqlite:///{path}")
    opened = kind(engine, channels, **more)
    await opened.writer.start()
    try:
        yield opened
    finally:
        await opened.delivery.close()
        await opened.writer.close()
        await opened.reader.close()
        engine.dispose()


class Box:
    """A channel in memory: `messages` are the keys that arrived, in order; `faults` what happens next."""

    def __init__(self) -> None:
        self.messages: list[str] = []
        self.changes: list[tuple[str, str]] = []
        self.nonces: dict[str, str] = {}
        self.tries: list[tuple[str, datetime]] = []
        self.asked: list[str] = []
        self.lost: dict[str, list[str]] = {}
        self.faults: list[Exception | None] = []
        self.busy = 0
        self.busiest = 0
        self.gate: asyncio.Event | None = None
        self.closed = False

    async def deliver(self, parcel: Parcel) -> str | None:
        self.tries.append((parcel.key, parcel.at))
        self.busy += 1
        self.busiest = max(self.busy, self.busiest)
        try:
            if self.gate is not None:
                await self.gate.wait()
            fault = self.faults.pop(0) if self.faults else None
            if fault is not None and not getattr(fault, "landed", False):
                raise fault
            said = self._land(parcel)
            if fault is not None:
                raise fault
            return said
        finally:
            self.busy -= 1

    def _land(self, parcel: Parcel) -> str:
        if parcel.message_id is not None:
            self.changes.append((parcel.message_id, parcel.key))
            return parcel.message_id
        if parcel.nonce not in self.nonces:
            self.messages.append(parcel.key)
            self.nonces[parcel.nonce] = f"m{len(self.messages)}"
        return self.nonces[parcel.nonce]

    async def find(self, parcel: Parcel):
        self.asked.append(parcel.key)
        return self.lost.get(parcel.key, [])

    def together(self, parcels):
        chosen = [parcel for parcel in parcels if "alone" not in parcel.key]
        return [one.id for one in chosen], {"payload": {"content": f"{len(chosen)} at once"}}

    async def close(self) -> None:
        self.closed = True


def landed(fault: DeliveryFault) -> DeliveryFault:
    """The same fault, of a message that arrived all the same."""
    fault.landed = True
    return fault
