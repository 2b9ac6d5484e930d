"""Pictures of runs as SVG: strips, trends, heat maps, columns, stages. Pure functions of values; colours are the CSS's.

No state is told by its colour alone: each has a shape of its own, and every picture says in words what it shows.
Nothing here trusts a number: what is not finite or below zero counts as nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from math import isfinite, log1p, sqrt
from statistics import median

from markupsafe import Markup

from pipelines import Mark, RunState, StageCount
from web import words

STEP, TALL = 9, 26
"""Width and height of one run in a strip."""
CELL = 14
"""Width and height of one hour in a heat map."""
DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
SHADES = 5
LARGEST = 1e15
"""What is larger counts as this."""
_SHAPES: Mapping[RunState, str] = {
    RunState.SUCCEEDED: "M2 6.5 5 9.5 10 3",
    RunState.FAILED: "M3 3 9 9M9 3 3 9",
    RunState.TIMED_OUT: "M6 1.2A4.8 4.8 0 1 0 6.01 1.2M6 3.6V6.2L7.8 7.4",
    RunState.CRASHED: "M6 2V6.8M6 10H6.01",
    RunState.CANCELLED: "M2.5 9.5 9.5 2.5",
    RunState.SKIPPED: "M3 3 6 6 3 9M6.5 3 9.5 6 6.5 9",
    RunState.MISSED: "M6 3.2A2.8 2.8 0 1 0 6.01 3.2",
    RunState.QUEUED: "M2 6H2.01M6 6H6.01M10 6H10.01",
    RunState.RUNNING: "M4 2.5 9.5 6 4 9.5Z",
    RunState.WAITING_RETRY: "M9.5 6A3.5 3.5 0 1 1 8 3.2M8.2 1V3.5H5.8",
}
"""The sign of each state, drawn into a square of 12."""
BAD = frozenset({RunState.FAILED, RunState.TIMED_OUT, RunState.CRASHED})


@dataclass(frozen=True, slots=True)
class Column:
    """Runs of a stretch of time: how many went well or badly, and its name for people."""

    name: str
    good: int = 0
    bad: int = 0
    other: int = 0


def icon(state: RunState) -> Markup:
    """Return a state's sign, 12 pixels wide; the word has to stand beside it."""
    return _svg(12, 12, _tag("path", d=_SHAPES[state]), css=f"icon {state.value}")


def told(states: Iterable[RunState]) -> str:
    """Return `18 succeeded, 2 failed`; `no runs` for none."""
    counted = Counter(states)
    return ", ".join(f"{counted[each]:,} {words.state(each)}" for each in RunState if counted[each]) or "no runs"


def strip(marks: Sequence[Mark], places: int, *, links: bool = False) -> Markup:
    """Return runs as bars, oldest first, the newest at the right of so many `places`; the taller, the longer it took.

    With `links` each leads to its run, for those with a mouse: a table has to offer the same to all others.
    """
    shown = marks[-places:]
    longest = max((_size(mark.took_s) for mark in shown), default=0.0)
    left = places - len(shown)
    bars = [_tag("line", x1=0, x2=places * STEP, y1=TALL - 0.5, y2=TALL - 0.5, class_="ground")]
    bars += [_bar(mark, (left + place) * STEP, longest, links) for place, mark in enumerate(shown)]
    name = f"Last {words.several(len(shown), 'run')}, newest last: {told(mark.state for mark in shown)}"
    told_name = name if shown else "No runs yet"
    return _svg(places * STEP, TALL, *bars, css="strip", role="group" if links else "img", aria_label=told_name)


def _bar(mark: Mark, x: float, longest: float, links: bool) -> Markup:
    share = sqrt(_size(mark.took_s) / longest) if longest > 0 else 0.0
    tall = TALL - 2 if mark.state in BAD else round(9 + share * (TALL - 11), 1)
    took = f", took {words.duration(mark.took_s)}" if mark.took_s is not None else ""
    title = f"#{mark.id} {words.state(mark.state)}{took}, {mark.at.isoformat(' ', 'minutes')[:16]} UTC"
    y = TALL - 1 - tall
    sign = ""
    if mark.state is not RunState.SUCCEEDED:
        sign = _tag("path", d=_SHAPES[mark.state], transform=f"translate({x + 1.5} {TALL - 8.5}) scale(.5)")
    group = Markup(  # noqa: S704 - numbers and words of ours; a page has a thousand bars, which `_tag` would slow down
        f'<g class="mark {mark.state.value}"><title>{title}</title>'
        f'<rect x="{x + 1}" y="{y}" width="{STEP - 2}" height="{tall}" rx="1.5"></rect>{sign}</g>'
    )
    return _tag("a", group, href=f"/runs/{mark.id}", tabindex=-1) if links else group


def trend(seconds: Sequence[float], wide: int = 560, tall: int = 120) -> Markup:
    """Return how long runs took, oldest first, as a line with its median."""
    sizes = [_size(each) for each in seconds]
    if not sizes:
        return _picture(wide, tall, "No run has succeeded yet", css="trend")
    middle, top = median(sizes), max(*sizes, 1e-3) * 1.1
    high = tall - 18

    def y(value: float) -> float:
        return round(high - value / top * (high - 8) + 4, 1)

    step = (wide - 10) / max(len(sizes) - 1, 1)
    points = [(round(5 + place * step, 1), y(size)) for place, size in enumerate(sizes)]
    line = " ".join(f"{x},{at}" for x, at in points)
    area = f"5,{high + 4} {line} {points[-1][0]},{high + 4}"
    parts = [
        _tag("line", x1=5, x2=wide - 5, y1=high + 4, y2=high + 4, class_="ground"),
        _tag("polygon", points=area, class_="area"),
        _tag("polyline", points=line, class_="line"),
        _tag("line", x1=5, x2=wide - 5, y1=y(middle), y2=y(middle), class_="median"),
        _tag("circle", cx=points[-1][0], cy=points[-1][1], r=3, class_="last"),
        _tag("text", f"median {words.duration(middle)}", x=5, y=tall - 2),
        _tag("text", f"last {words.duration(sizes[-1])}", x=wide - 5, y=tall - 2, text_anchor="end"),
    ]
    name = f"Duration of the last {words.several(len(sizes), 'successful run')}: median {words.duration(middle)}, "
    name += f"longest {words.duration(max(sizes))}, last {words.duration(sizes[-1])}"
    return _picture(wide, tall, name, *parts, css="trend")


def heat(counts: Mapping[tuple[int, int], int], bad: Mapping[tuple[int, int], int]) -> Markup:
    """Return how many runs there were per weekday (0: Monday) and hour; a dot where some of them went wrong."""
    most = max(counts.values(), default=0)
    left, top = 30, 16
    hours = [_tag("text", f"{hour:02d}", x=left + hour * CELL, y=11) for hour in range(0, 24, 3)]
    days = [_tag("text", day, x=0, y=top + place * CELL + 10) for place, day in enumerate(DAYS)]
    cells = [
        _cell(day, hour, counts.get((day, hour), 0), bad.get((day, hour), 0), most, (left, top))
        for day in range(7)
        for hour in range(24)
    ]
    name = f"Runs by weekday and hour: {_busiest(counts)}"
    return _picture(left + 24 * CELL, top + 7 * CELL, name, *hours, *days, *cells, css="heat")


def _cell(day: int, hour: int, count: int, bad: int, most: int, origin: tuple[int, int]) -> Markup:
    shade = 0 if count <= 0 or most <= 0 else min(SHADES, 1 + int(log1p(count) / log1p(most) * (SHADES - 1)))
    x, y = origin[0] + hour * CELL, origin[1] + day * CELL
    wrong = f", {bad:,} went wrong" if bad else ""
    title = _tag("title", f"{DAYS[day]} {hour:02d}:00: {words.several(count, 'run')}{wrong}")
    parts = [title, _tag("rect", x=x + 1, y=y + 1, width=CELL - 2, height=CELL - 2, rx=2, class_=f"shade{shade}")]
    if bad > 0:
        parts.append(_tag("circle", cx=x + CELL / 2, cy=y + CELL / 2, r=2.5, class_="wrong"))
    return _tag("g", *parts)


def _busiest(counts: Mapping[tuple[int, int], int]) -> str:
    if not counts or max(counts.values()) <= 0:
        return "none yet"
    (day, hour), most = max(counts.items(), key=lambda pair: pair[1])
    return f"{sum(counts.values()):,} in all, most on {DAYS[day]} at {hour:02d}:00 ({most:,})"


def columns(given: Sequence[Column], wide: int = 560, tall: int = 84) -> Markup:
    """Return runs per stretch of time as columns, oldest first: what went wrong stands on top, hatched."""
    most = max((each.good + each.bad + each.other for each in given), default=0)
    step, high = wide / max(len(given), 1), tall - 16
    parts = [_tag("line", x1=0, x2=wide, y1=high + 0.5, y2=high + 0.5, class_="ground")]
    for place, each in enumerate(given):
        parts.append(_column(each, place * step, step, high / max(most, 1) * 0.96, high))
        if place % 6 == 0:
            parts.append(_tag("text", each.name, x=round(place * step + 1, 1), y=tall - 3))
    counts = [sum(each.good for each in given), sum(each.bad for each in given), sum(each.other for each in given)]
    name = "Runs by the hour: {:,} succeeded, {:,} went wrong, {:,} others".format(*counts)
    return _picture(wide, tall, name, *parts, css="columns")


def _column(each: Column, x: float, step: float, scale: float, high: float) -> Markup:
    title = f"{each.name}: {each.good:,} succeeded, {each.bad:,} went wrong, {each.other:,} others"
    parts, y = [_tag("title", title)], high
    for count, css in ((each.good, "succeeded"), (each.other, "other"), (each.bad, "failed")):
        if count > 0:
            size = max(count * scale, 1.5)
            y = max(y - size, 0)
            box = {"x": round(x + 1.5, 1), "y": round(y, 1), "width": round(step - 3, 1), "height": round(size, 1)}
            parts.append(_tag("rect", class_=css, rx=1, **box))
    return _tag("g", *parts)


def stage(count: StageCount, busiest_s: float, most: int, wide: int = 240) -> Markup:
    """Return one stage's bars: how long it was busy beside the busiest, how many items came in and went out."""
    busy = _share(count.busy_s, busiest_s)
    rows = [
        (busy, "busy", 0, 8),
        (_share(count.items_in, most), "in", 11, 4),
        (_share(count.items_out, most), "out", 17, 4),
    ]
    parts = [_tag("rect", x=0, y=y, width=wide, height=tall, rx=2, class_="rail") for _, _, y, tall in rows]
    parts += [
        _tag("rect", x=0, y=y, width=round(share * wide, 1), height=tall, rx=2, class_=css)
        for share, css, y, tall in rows
        if share > 0
    ]
    name = f"busy {words.duration(count.busy_s)}, {count.items_in:,} in, {count.items_out:,} out"
    return _svg(wide, 22, *parts, css="stage", role="img", aria_label=name, preserveAspectRatio="none")


def _share(part: float, whole: float) -> float:
    return min(_size(part) / whole, 1.0) if _size(whole) > 0 else 0.0


def _size(value: float | None) -> float:
    return min(float(value), LARGEST) if value is not None and isfinite(value) and value > 0 else 0.0


def _picture(wide: float, tall: float, name: str, *parts: Markup, css: str) -> Markup:
    return _svg(wide, tall, *parts, css=css, role="img", aria_label=name)


def _svg(wide: float, tall: float, *parts: Markup, css: str, **attributes: str) -> Markup:
    more = attributes or {"aria_hidden": "true"}
    box = f"0 0 {wide:g} {tall:g}"
    return _tag("svg", *parts, class_=css, viewBox=box, width=wide, height=tall, focusable="false", **more)


def _tag(name: str, *parts: Markup | str, **attributes: float | str) -> Markup:
    """Return an element; what is no markup yet is escaped, `_` in names of attributes stands for `-`."""
    told = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(words.plain(str(value)))}"' for key, value in attributes.items()
    )
    inner = "".join(part if isinstance(part, Markup) else escape(words.plain(part)) for part in parts)
    return Markup(f"<{name}{told}>{inner}</{name}>")  # noqa: S704 - every value was escaped above
