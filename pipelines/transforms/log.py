"""The stage that writes items into the run's log: Log."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from typing import Any, Literal

from pipelines.transform import Transform, current_run
from pipelines.transforms.values import Placeholders, check_count, readable, shortened

LEVELS = ("debug", "info", "warning", "error")

LONGEST = 1000
"""Characters of one line; what is beyond is cut off."""


class Log(Transform):
    """Writes items into the run's log, where the run's page and `logs` show them, and passes them on.

    ```yaml
    class: pipelines.transforms.Log
    kwargs:
      text: "{title}: {price}"
      limit: 20
    ```

    Args:
        level: `debug`, `info`, `warning` or `error`. Default: info.
        text: The line, with placeholders as in Template. Default: the item as JSON. A line is cut off after 1000
            characters, and line breaks become ⏎.
        every: Writes the first item and then each n-th. Default: 1, all of them.
        limit: Lines to write; after that items are only counted, and a last line says how many there were. Default:
            100.

    Raises:
        ValueError: an argument is wrong, or a placeholder does not go with its value.
    """

    def __init__(
        self,
        *,
        level: Literal["debug", "info", "warning", "error"] = "info",
        text: str | None = None,
        every: int = 1,
        limit: int = 100,
    ) -> None:
        """Check the arguments."""
        if level not in LEVELS:
            raise ValueError(f"level: found {level!r}, expected one of {', '.join(LEVELS)}")
        self._level = logging.getLevelNamesMapping()[level.upper()]
        self._write = item_text if text is None else Placeholders(text, argument="text").fill
        self._every = check_count(every, argument="every", at_least=1)
        self._limit = check_count(limit, argument="limit", at_least=0)

    async def __call__(self, items: AsyncIterator[Any]) -> AsyncIterator[Any]:
        """Yield each item once it is written or counted."""
        log = current_run().log
        count = written = 0
        try:
            async for item in items:
                if count % self._every == 0 and written < self._limit:
                    log.log(self._level, "%s", one_line(self._write(item)))
                    written += 1
                count += 1
                yield item
        finally:
            if count > written * self._every:
                log.log(self._level, "%s items in all, %s of them logged", f"{count:,}", f"{written:,}")


def item_text(item: Any) -> str:
    """Return an item as it stands in a log: text as it is, anything else as JSON where it can be."""
    if isinstance(item, str):
        return item
    try:
        return readable(item)
    except ValueError:
        return shortened(item, LONGEST)


def one_line(text: str) -> str:
    """Return `text` on one line of at most `LONGEST` characters, so that an item cannot forge lines of its own."""
    line = " ⏎ ".join(text.splitlines())
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…"
