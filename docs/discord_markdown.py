"""The markdown of Discord as HTML, as a reader sees it: mentions by name, `<t:…:R>` as words. Pure."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, tzinfo

TOKEN = re.compile(
    r"\\(?P<escaped>[^A-Za-z0-9\s])"
    r"|`(?P<code>[^`\n]+)`"
    r"|<t:(?P<instant>-?\d+)(?::(?P<style>[tTdDfFR]))?>"
    r"|<(?P<kind>@&|@!?|#)(?P<id>\d+)>"
    r"|</(?P<command>[^:>]+):\d+>"
    r"|\[(?P<label>[^\]\n]+)\]\((?P<link>https?://[^)\s]+)\)"
    r"|\*\*(?P<bold>(?:\\.|[^\\])+?)\*\*"
    r"|__(?P<underlined>(?:\\.|[^\\])+?)__"
    r"|\*(?P<italic>(?:\\.|[^\\*])+?)\*"
    r"|(?P<address>https?://[^\s<>]+)",
    re.DOTALL,
)
FENCE = re.compile(r"```(?:\w*\n)?(.*?)\n?```", re.DOTALL)
LINES = (("### ", "h3"), ("## ", "h2"), ("# ", "h1"), ("-# ", "small"), ("> ", "blockquote"), ("- ", "li"))
"""What a line may begin with, and the element that it then is."""

MARKED = ("bold", "underlined", "italic")
ELEMENTS = {"bold": "b", "underlined": "u", "italic": "i", "escaped": "span", "code": "code", "address": "a"}

TIMES = {"t": "%H:%M", "T": "%H:%M:%S", "d": "%d/%m/%Y", "D": "%-d %B %Y", "f": "%-d %B %Y %H:%M"}
TIMES["F"] = f"%A, {TIMES['f']}"

SPANS = ((60, 1, "second"), (3_600, 60, "minute"), (86_400, 3_600, "hour"), (2_592_000, 86_400, "day"))
"""Below so many seconds, how many make one, and its name."""


@dataclass(frozen=True, slots=True)
class Reader:
    """Who looks, and when: `now` (aware), the `zone` of their clock, and what ids of people and roles are called."""

    now: datetime
    zone: tzinfo
    names: Mapping[int, str] = field(default_factory=dict)

    def html(self, text: str) -> str:
        """Return a text of Discord's markdown as HTML."""
        parts = FENCE.split(text)
        return "".join(self._lines(part) if place % 2 == 0 else _block(part) for place, part in enumerate(parts))

    def _lines(self, text: str) -> str:
        return "".join(self._line(line) for line in text.strip("\n").splitlines()) if text.strip() else ""

    def _line(self, line: str) -> str:
        for start, element in LINES:
            if line.startswith(start):
                return f"<{element}>{self.inline(line.removeprefix(start))}</{element}>"
        return f"<p>{self.inline(line)}</p>"

    def inline(self, text: str) -> str:
        """Return what stands in one line as HTML."""
        out, at = [], 0
        for match in TOKEN.finditer(text):
            out += [html.escape(text[at : match.start()]), self._token(match)]
            at = match.end()
        return "".join([*out, html.escape(text[at:])])

    def _token(self, match: re.Match[str]) -> str:
        what = {name: value for name, value in match.groupdict().items() if value is not None}
        if "instant" in what:
            return f"<time>{self.time(int(what['instant']), what.get('style', 'f'))}</time>"
        if "id" in what:
            return f"<b class=mention>{what['kind'][0]}{html.escape(self.names.get(int(what['id']), 'unknown'))}</b>"
        if "command" in what:
            return f"<b class=mention>/{html.escape(what['command'])}</b>"
        if "label" in what:
            return f"<a>{self.inline(what['label'])}</a>"
        ((name, value),) = what.items()
        element = ELEMENTS[name]
        inner = self.inline(value) if name in MARKED else html.escape(value)
        return f"<{element}>{inner}</{element}>"

    def time(self, instant: int, style: str) -> str:
        """Return an instant, seconds since 1970, in words; style `R` is relative to now."""
        at = datetime.fromtimestamp(instant, self.zone)
        if style != "R":
            return at.strftime(TIMES[style])
        left = (at - self.now).total_seconds()
        size, word = next(((size, word) for below, size, word in SPANS if abs(left) < below), (2_592_000, "month"))
        count = max(1, round(abs(left) / size))
        words = f"{count} {word}{'' if count == 1 else 's'}"
        return f"in {words}" if left > 0 else f"{words} ago"


def _block(text: str) -> str:
    return f"<pre>{html.escape(text)}</pre>"
