"""What a worker process prints, as lines of its run's log: bounded, whatever a stage prints.

Standard output and standard error come through one pipe, read in chunks on the service's loop. The worker marks where a
run's output ends with a token that only the two know.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from time import monotonic

from pipelines.execution.lines import FLUSH_EVERY_S, MAX_LINE, dropped_note, text_line
from pipelines.model import LogLine

SOURCE = "stdout"
LINES_PER_S = 1_000
"""So many lines a second are handed on; of more, the newest."""
TAIL = 20
"""So many last lines are told when the process dies."""


class Output(asyncio.Protocol):
    """The service's end of a worker's output."""

    def __init__(self) -> None:
        """Nobody listens yet."""
        self._loop = asyncio.get_running_loop()
        self.closed: asyncio.Future[None] = self._loop.create_future()
        self._log: Callable[[Sequence[LogLine]], None] | None = None
        self._marker: bytes | None = None
        self._marked = asyncio.Event()
        self._over = False
        self._partial = b""
        self._waiting: deque[bytes] = deque()
        self._dropped = 0
        self._tail: deque[bytes] = deque(maxlen=TAIL)
        self._timer: asyncio.TimerHandle | None = None
        self._second = 0.0
        self._left_this_second = LINES_PER_S

    def begin(self, token: str, log: Callable[[Sequence[LogLine]], None]) -> None:
        """From now on what is printed belongs to a run, until its token comes."""
        self._log, self._marker = log, f"\0{token}\n".encode("ascii")
        self._over = False
        self._marked.clear()
        self._tail.clear()

    async def marked(self, timeout_s: float) -> bool:
        """Wait for the run's token; False if it did not come in time."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._marked.wait()
        except TimeoutError:
            return False
        return True

    def end(self) -> None:
        """Hand on what waits; what comes now belongs to no run."""
        self._take_lines(_lines(self._partial))
        self._partial = b""
        self._left_this_second = LINES_PER_S
        self._flush()
        self._log = self._marker = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def tail(self) -> str:
        """Return the last lines that were printed."""
        lines = [*self._tail, *_lines(self._partial)]
        return "\n".join(_text(line) for line in lines[-TAIL:])

    def data_received(self, data: bytes) -> None:
        """Split a chunk into lines; look for the end of the run in it."""
        data = self._partial + data
        if self._marker is not None and (at := data.find(self._marker)) >= 0:
            before, data = data[:at], data[at + len(self._marker) :]
            self._take_lines(_lines(before))
            self._marker, self._over = None, True
            self._marked.set()
        lines = data.split(b"\n")
        self._partial = lines.pop()
        if len(self._partial) > MAX_LINE:
            # A line without end comes in pieces; what may be the beginning of the marker stays.
            lines.append(self._partial[:-64])
            self._partial = self._partial[-64:]
        self._take_lines(lines)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """Note that all writers are gone."""
        if not self.closed.done():
            self.closed.set_result(None)

    def _take_lines(self, lines: list[bytes]) -> None:
        self._tail.extend(lines[-TAIL:])
        if self._log is None or self._over or not lines:
            return
        self._waiting.extend(lines[-LINES_PER_S:])
        self._dropped += max(0, len(lines) - LINES_PER_S)
        while len(self._waiting) > LINES_PER_S:
            self._waiting.popleft()
            self._dropped += 1
        if self._timer is None:
            self._timer = self._loop.call_later(FLUSH_EVERY_S, self._flush)

    def _flush(self) -> None:
        self._timer = None
        if self._log is None or not self._waiting:
            return
        if monotonic() - self._second >= 1.0:
            self._second, self._left_this_second = monotonic(), LINES_PER_S
        count = min(len(self._waiting), self._left_this_second)
        self._left_this_second -= count
        lines = [text_line(_text(self._waiting.popleft()), SOURCE) for _ in range(count)]
        if lines and self._dropped:
            lines.insert(0, dropped_note(self._dropped, lines[0]))
            self._dropped = 0
        if lines:
            self._log(lines)
        if self._waiting:
            self._timer = self._loop.call_later(FLUSH_EVERY_S, self._flush)


def _lines(data: bytes) -> list[bytes]:
    """Split what need not end with a line's end."""
    lines = data.split(b"\n")
    return lines if lines[-1] else lines[:-1]


def _text(line: bytes) -> str:
    return line[:MAX_LINE].decode("utf-8", "backslashreplace").rstrip("\r")
