"""Delivering what waits in the outbox: one message after the other to each target, all targets at the same time.

A target has a task only while it has something that may be tried. Whoever must wait, because a try failed, is noted
here and looked at again in time; the message itself stays `queued` in the store. What to do about a failure is decided
here, what failed by the channel.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from pipelines.channels import Backlog, Channel, DeliveryFault, Unsure
from pipelines.errors import StoreError
from pipelines.gathering import gather
from pipelines.model import utcnow
from pipelines.remedies import FLOOD, Scope, backoff_s, remedy
from pipelines.store import deliveries, outbox
from pipelines.store.deliveries import Bury, Parcel, Retry, Sent, Take
from pipelines.store.writer import Reader, Writer

POLL_S = 5.0
"""How often the store is looked at without being woken."""
MOST_AT_ONCE = 25
"""So many targets are served at the same time, each for at most `TURN` messages before others have theirs."""
TURN = 20
BROKEN_TRIES = 3
"""Tries of a message whose delivery fails by a mistake of this program."""
_EVERYBODY = ""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Rest:
    """Until when a target is left alone, and why."""

    until: datetime
    why: str


class Delivery:
    """Brings the messages of the outbox to people.

    `run` is a task of the service, which may be cancelled and begun again; `wake` is called after each commit that
    stored a message. A program that does not stay calls `flush` and `close` instead.
    """

    def __init__(
        self,
        writer: Writer,
        reader: Reader,
        channels: Mapping[str, Channel],
        clock: Callable[[], datetime] = utcnow,
        *,
        absent: Mapping[str, str] | None = None,
        may: Callable[[], bool] = lambda: True,
    ) -> None:
        """`channels` deliver what their name stands before the colon of; `absent` says why there is no such channel.

        While `may` says no another process delivers: nothing is taken, sent, or noted as failed here.
        """
        self._writer, self._reader = writer, reader
        self._channels = channels
        self._clock = clock
        self._absent, self.may = absent or {}, may
        self._awake = asyncio.Event()
        self._workers: dict[str, asyncio.Task[None]] = {}
        self._waiting: dict[str, int] = {}
        self._rests: dict[str, _Rest] = {}
        self._closed: dict[str, str] = {}
        self._told: dict[str, str] = {}
        self._broken: dict[int, int] = {}
        self._dead: Counter[str] = Counter()
        self._dead_known = False

    async def run(self) -> None:
        """Deliver until cancelled. What is under way then is tried again by the next service, with the same nonce."""
        self.retry_now()  # another process may have delivered meanwhile: begin as a new one would
        try:
            while True:
                self._awake.clear()
                await self._look()
                await self._pause(POLL_S)
        finally:
            await self.close()

    async def close(self) -> None:
        """Stop at once, and close the channels; for who calls `flush` without `run`."""
        for task in (tasks := list(self._workers.values())):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for channel in self._channels.values():
            await channel.close()

    def wake(self) -> None:
        """Say that something was stored: look at once."""
        self._awake.set()

    def retry_now(self, name: str | None = None) -> None:
        """Forget the pauses of a channel, or of all: somebody has mended what was in the way.

        A pause for everybody is kept: it is a ban, which each further try makes longer.
        """
        pauses = {*self._closed, *self._rests} - {_EVERYBODY}
        mended = [each for each in pauses if name is None or _channel(each) == name]
        for each in mended:
            self._closed.pop(each, None)
            self._rests.pop(each, None)
            self._told.pop(each, None)
        self._dead_known = False
        self.wake()

    async def flush(self, timeout_s: float) -> int:
        """Deliver for up to `timeout_s` what can be delivered; return how many messages wait then."""
        loop = asyncio.get_running_loop()
        end = loop.time() + timeout_s
        while (left := end - loop.time()) > 0:
            self._awake.clear()
            await self._look()
            if not self._workers and not self._due_within(left):
                break
            await self._pause(min(left, POLL_S))
        self._waiting = await self._reader.read(outbox.waiting)
        return sum(self._waiting.values())

    def status(self) -> list[Backlog]:
        """Return what waits and what was given up, as last seen, by target."""
        return [
            Backlog(target, self._waiting.get(target, 0), self._state(target), self._dead[target])
            for target in sorted(self._waiting.keys() | self._dead.keys())
        ]

    def _state(self, target: str) -> str:
        name = _channel(target)
        if name not in self._channels:
            return self._absent.get(name, f"nothing here delivers to '{name}'")
        if name in self._closed:
            return self._closed[name]
        if target not in self._waiting:
            return "nothing waits"
        rest = self._rest(target)
        return "on its way" if rest is None else f"again at {rest.until:%Y-%m-%d %H:%M:%S} UTC: {rest.why}"

    def _rest(self, target: str) -> _Rest | None:
        """Return the longest rest that holds for a target: its own, its channel's, or everybody's."""
        now = self._clock()
        rests = [self._rests.get(each) for each in (target, _channel(target), _EVERYBODY)]
        return max((rest for rest in rests if rest and rest.until > now), key=lambda rest: rest.until, default=None)

    async def _pause(self, most_s: float) -> None:
        """Wait until woken, until a rest is over, or for `most_s` seconds.

        Not by `wait_for`, which in Python 3.11 forgets a cancel that comes together with a wake-up.
        """
        now = self._clock()
        ends = [(rest.until - now).total_seconds() for rest in self._rests.values() if rest.until > now]
        with suppress(TimeoutError):
            async with asyncio.timeout(max(min([most_s, *ends]), 0.01)):
                await self._awake.wait()

    def _due_within(self, seconds: float) -> bool:
        """Tell whether a target that waits may be tried before so many seconds are over."""
        rests = [self._rest(target) for target in self._open()]
        return any(rest is None or rest.until < self._in(seconds) for rest in rests)

    def _open(self) -> list[str]:
        """Return the targets with messages whose channel is there and works; none while another process delivers."""
        names = self._channels.keys() - self._closed.keys()
        return [target for target in self._waiting if self.may() and _channel(target) in names]

    async def _look(self) -> None:
        """See what waits, and give each target that may be tried a task, as far as there is room."""
        try:
            self._waiting = await self._reader.read(outbox.waiting)
            if not self._dead_known:
                self._dead, self._dead_known = Counter(await self._reader.read(outbox.dead_by_target)), True
        except StoreError as error:
            _log.warning("the outbox cannot be read: %s", error)
            return
        now = self._clock()
        self._rests = {each: rest for each, rest in self._rests.items() if rest.until > now}
        ready = [target for target in self._open() if target not in self._workers and self._rest(target) is None]
        for target in random.sample(ready, len(ready))[: MOST_AT_ONCE - len(self._workers)]:  # nobody is always last
            task = asyncio.create_task(self._serve(target), name=f"delivery {target}")
            self._workers[target] = task
            task.add_done_callback(lambda _, target=target: self._served(target))  # type: ignore[misc]  # the default binds it

    def _served(self, target: str) -> None:
        del self._workers[target]
        self.wake()

    async def _serve(self, target: str) -> None:
        """Deliver to a target until it has nothing, must wait, or has had its turn."""
        try:
            if self._waiting.get(target, 0) > FLOOD:
                await self._gather(target)
            for _ in range(TURN):
                if not self.may() or self._rest(target) is not None or _channel(target) in self._closed:
                    return
                taken = await self._writer.call(deliveries.claim, Take(target, self._clock()))
                if isinstance(taken, datetime):
                    self._rests[target] = _Rest(taken, "an earlier try failed")
                if not isinstance(taken, Parcel) or not await self._deliver(taken):
                    return
        except StoreError as error:
            self._rests[target] = _Rest(self._in(POLL_S), f"the store refuses: {error}")
        except Exception:  # noqa: BLE001 -- the task's outermost frame: one target must not stop the others
            _log.exception("delivering to %s failed; it is tried again in a minute", target)
            self._rests[target] = _Rest(self._in(60), "an unexpected error, see the log")

    async def _gather(self, target: str) -> None:
        """Make one of many messages that have waited for long."""
        if number := await gather(self._writer, self._reader, self._channels[_channel(target)], target, self._clock()):
            _log.info("%d messages that had waited for %s are told together", number, target)

    async def _deliver(self, parcel: Parcel) -> bool:
        """Try a message once; tell whether its target may go on at once."""
        channel = self._channels[parcel.channel]
        try:
            message_id = await self._adopted(channel, parcel)
            if not self.may():
                return False
            message_id = message_id or await channel.deliver(parcel)
        except DeliveryFault as fault:
            return self.may() and await self._failed(parcel, fault)
        except StoreError:
            raise
        except Exception as error:  # noqa: BLE001 -- one message that breaks the renderer must not stop its target for ever
            return self.may() and await self._broke(parcel, error)
        await self._writer.call(deliveries.sent, Sent(parcel.id, message_id, self._clock()))
        self._broken.pop(parcel.id, None)
        self._told = {where: what for where, what in self._told.items() if where not in (parcel.target, parcel.channel)}
        return True

    async def _adopted(self, channel: Channel, parcel: Parcel) -> str | None:
        """Return the message that an earlier try made, if one can be found that is no other's."""
        if not parcel.unsure or parcel.message_id is not None:
            return None
        ids = await channel.find(parcel)
        others = await self._reader.read(outbox.arrived, ids) if ids else set()
        return next((each for each in ids if each not in others), None)

    async def _failed(self, parcel: Parcel, fault: DeliveryFault) -> bool:
        """Do what a fault asks for."""
        what = remedy(parcel, fault)
        if what.tell:
            self._tell(parcel.channel if what.closes or what.scope is not Scope.TARGET else parcel.target, fault)
        if what.dead:
            return await self._bury(parcel, str(fault))
        if what.closes:
            self._closed[parcel.channel] = str(fault)
        if what.pause_s:
            where = {Scope.TARGET: parcel.target, Scope.CHANNEL: parcel.channel, Scope.ALL: _EVERYBODY}[what.scope]
            self._rests[where] = _Rest(self._in(what.pause_s), str(fault))
        return await self._again(parcel, fault, what.wait_s)

    async def _broke(self, parcel: Parcel, error: Exception) -> bool:
        """Try a message that this program cannot deliver a few times more, then let the others pass."""
        _log.exception("message %d to %s cannot be delivered by a mistake of this program", parcel.id, parcel.target)
        self._broken[parcel.id] = self._broken.get(parcel.id, 0) + 1
        if self._broken[parcel.id] >= BROKEN_TRIES:
            del self._broken[parcel.id]
            return await self._bury(parcel, f"unexpected {type(error).__name__}, see the log")
        return await self._again(parcel, Unsure(f"unexpected {type(error).__name__}, see the log"), backoff_s(parcel))

    async def _again(self, parcel: Parcel, fault: DeliveryFault, after_s: float) -> bool:
        """Put a message back at its place, to be tried after so many seconds."""
        then = self._in(after_s) if after_s else None
        since = parcel.first_tried_at if isinstance(fault, Unsure) or parcel.unsure else None
        if then is not None:
            self._rests[parcel.target] = _Rest(then, str(fault))
        await self._writer.call(deliveries.retry, Retry(parcel.id, str(fault), then, since))
        return False

    async def _bury(self, parcel: Parcel, why: str) -> bool:
        await self._writer.call(deliveries.bury, Bury(parcel.id, why))
        self._dead[parcel.target] += 1
        of = f" of run #{parcel.run_id}" if parcel.run_id else ""
        _log.error("message %d%s to %s is given up: %s", parcel.id, of, parcel.target, why)
        return True

    def _tell(self, where: str, fault: DeliveryFault) -> None:
        """Write to the log, once until it works again."""
        if self._told.get(where) != str(fault):
            self._told[where] = str(fault)
            _log.error("%s: %s", where, fault)

    def _in(self, seconds: float) -> datetime:
        return self._clock() + timedelta(seconds=seconds)


def _channel(target: str) -> str:
    return target.partition(":")[0]
