"""What can go wrong between a bot and Discord, and the list of what a test ordered to go wrong."""

from __future__ import annotations

import asyncio
import dataclasses
import fnmatch
import json
from collections.abc import Callable, Mapping
from typing import Any, Literal

from tests.fake_discord.recording import Request
from tests.fake_discord.refusal import REASONS


@dataclasses.dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong.

    Attributes:
        kind: Answer with `status` and `body`; close the connection without an answer; or never answer.
        after: True does the request's work first: the message is stored, and the bot does not learn of it.
    """

    kind: Literal["answer", "drop", "hang"]
    after: bool = False
    status: int = 0
    body: str = ""
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)
    content_type: str = "application/json"


def error(code: int, *, status: int | None = None, after: bool = False) -> Fault:
    """A JSON error by Discord's code, such as 50001, 50013, 10003, 10008 or 50035."""
    known, text = REASONS.get(code, (400, "General error"))
    return _json(status or known, {"code": code, "message": text}, after=after)


def status(code: int, *, after: bool = False) -> Fault:
    """A bare HTTP status, such as 500 or 503."""
    return _json(code, {"code": 0, "message": f"{code}: error"}, after=after)


def rate_limited(retry_after: float = 0.01, *, everywhere: bool = False, via: bool = True, code: int = 0) -> Fault:
    """A 429 with seconds to wait; without `Via` discord.py takes it for a ban."""
    body = {"message": "You are being rate limited.", "retry_after": retry_after, "global": everywhere, "code": code}
    scope = "global" if everywhere else "user"
    headers = {"Retry-After": str(retry_after), "X-RateLimit-Scope": scope} | ({"Via": "1.1 google"} if via else {})
    return _json(429, body, headers=headers)


def banned(retry_after: float = 600) -> Fault:
    """Cloudflare's 429 (error 1015): an HTML page without `Via`."""
    page = "<html><title>Access denied | discord.com used Cloudflare</title>error code: 1015</html>"
    headers = {"Retry-After": str(int(retry_after))}
    return Fault("answer", status=429, body=page, headers=headers, content_type="text/html")


def dropped(*, after: bool = False) -> Fault:
    """The connection closes without an answer, before or after the work was done."""
    return Fault("drop", after=after)


def hung(*, after: bool = False) -> Fault:
    """No answer ever comes (until `Faults.release` or the end of the fake), before or after the work was done."""
    return Fault("hang", after=after)


def _json(code: int, body: Any, *, after: bool = False, headers: Mapping[str, str] | None = None) -> Fault:
    return Fault("answer", after=after, status=code, body=json.dumps(body), headers=headers or {})


@dataclasses.dataclass(slots=True)
class _Order:
    fault: Fault
    route: str
    left: int | None
    where: Callable[[Request], bool] | None

    def fits(self, request: Request) -> bool:
        names = (f"{request.method} {request.route}", f"{request.method} {request.path}")
        if self.left == 0 or not any(fnmatch.fnmatchcase(name, self.route) for name in names):
            return False
        return self.where is None or self.where(request)


class Faults:
    """The faults that a test ordered; the first that fits a request is used up by it."""

    def __init__(self) -> None:
        self._orders: list[_Order] = []
        self._released = asyncio.Event()

    def next(
        self,
        fault: Fault,
        *,
        route: str = "*",
        times: int = 1,
        where: Callable[[Request], bool] | None = None,
    ) -> None:
        """Let the next `times` matching requests go wrong.

        Args:
            fault: What happens; see the functions of this module.
            route: `"POST /channels/{channel_id}/messages"`, or a path with `*`: `"* /channels/42/*"`.
            times: How many requests it takes.
            where: A further condition on the request.
        """
        self._orders.append(_Order(fault, route, times, where))

    def every(self, fault: Fault, *, route: str = "*", where: Callable[[Request], bool] | None = None) -> None:
        """Let every matching request go wrong until `clear`."""
        self._orders.append(_Order(fault, route, None, where))

    def clear(self) -> None:
        """Forget what was ordered."""
        self._orders.clear()

    def release(self) -> None:
        """Let the requests that hang now be answered by a closed connection."""
        self._released.set()
        self._released = asyncio.Event()

    async def released(self) -> None:
        """Wait until a test releases what hangs."""
        await self._released.wait()

    def take(self, request: Request) -> Fault | None:
        """The fault for this request, if one was ordered."""
        order = next((order for order in self._orders if order.fits(request)), None)
        if order is None:
            return None
        if order.left is not None:
            order.left -= 1
        return order.fault
