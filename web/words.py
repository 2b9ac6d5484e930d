"""What pages say of numbers, instants and states: short, for people. Pure; what is escaped where is the templates'."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, tzinfo
from math import isfinite
from types import MappingProxyType
from typing import Any

from pipelines import RunState

STATES: Mapping[RunState, str] = MappingProxyType(
    {RunState.WAITING_RETRY: "waits to retry", RunState.TIMED_OUT: "timed out"}
)
"""States whose own name is no good English."""
CUT = 300
LARGEST_S = 1e12
_UNSHOWABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")
_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"))


def state(given: RunState) -> str:
    """Return a state in words."""
    return STATES.get(given, given.value)


def plain(text: str) -> str:
    """Return text without what neither HTML nor UTF-8 can hold, each such character replaced by U+FFFD."""
    return _UNSHOWABLE.sub("\ufffd", text)


def cut(text: str, longest: int = CUT) -> str:
    """Return at most so many characters of a text, `…` at its end where it was cut."""
    return text if len(text) <= longest else text[: longest - 1] + "…"


def first_line(text: str, longest: int = CUT) -> str:
    """Return the first line of a text that is not empty, cut."""
    return cut(next((line.strip() for line in text.splitlines() if line.strip()), ""), longest)


def several(count: int, what: str) -> str:
    """Return `1 run`, `1,204 runs`, `2 matches`."""
    more = "es" if what.endswith(("ch", "s")) else "s"
    return f"{count:,} {what}{'' if count == 1 else more}"


def duration(seconds: float | None) -> str:
    """Return `0.2 s`, `42 s`, `3 min 20 s`, `2 h 5 min`, `3 d 4 h`; `–` where there is none."""
    if seconds is None or not isfinite(seconds):
        return "–"
    size = min(max(seconds, 0.0), LARGEST_S)
    if size < 0.9995:
        return f"{size * 1000:.0f} ms"
    if size < 9.95:
        return f"{size:.1f} s"
    whole = round(size)
    if whole < 60:
        return f"{whole} s"
    for (unit, name), (smaller, small) in zip(_UNITS, (*_UNITS[1:], (1, "s")), strict=True):
        if whole >= unit:
            rest = whole % unit // smaller
            return f"{whole // unit:,} {name}" + (f" {rest} {small}" if rest else "")
    return f"{whole} s"


def ago(at: datetime, now: datetime) -> str:
    """Return `in 5 min`, `3 h ago`, `now`: one unit, as near as people say it."""
    size = (at - now).total_seconds()
    whole = abs(size)
    if whole < 1:
        return "now"
    unit, name = next(((unit, name) for unit, name in _UNITS if whole >= unit), (1, "s"))
    told = f"{int(whole // unit)} {name}"
    return f"in {told}" if size > 0 else f"{told} ago"


def clock(at: datetime, zone: tzinfo, now: datetime) -> str:
    """Return `14:05` today, else `Mon 23 Nov 14:05`, with the year where it is another one; in `zone`."""
    there, today = at.astimezone(zone), now.astimezone(zone)
    if there.date() == today.date():
        return f"{there:%H:%M}"
    year = "" if there.year == today.year else f" {there.year}"
    return f"{there:%a} {there.day} {there:%b}{year} {there:%H:%M}"


def rate(share: float | None) -> str:
    """Return a share as `98 %`; only what is all counts as 100 %."""
    if share is None or not isfinite(share):
        return "–"
    if 0.99 < share < 1:
        return f"{int(share * 1000) / 10:g} %"
    return f"{int(share * 100)} %"


def typed(value: Any) -> str:
    """Return a parameter's value as one types it: `yes` and `no` for flags, nothing for None."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else str(value)
