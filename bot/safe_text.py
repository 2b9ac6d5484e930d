"""Text of strangers made harmless: for markdown, for code blocks, as a link's address, as a file name.

What comes out of a record, a log line or an error goes through one of these before it becomes part of a message, so
that only the texts of the configuration can format, link or mention. Pings are refused a second time by each message's
`allowed_mentions`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from urllib.parse import quote

from bot.lengths import cut, units

NOTHING = "∅"
"""What stands for None and for text without anything to see."""

LONGEST_URL = 1000

_GAP = "\u200b"
"""A zero-width space: it takes apart what Discord would recognise, and nobody sees it."""

_BREAKS = frozenset("\n\v\f\x1c\x1d\x1e\x85\u2028\u2029")
_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
"""Characters that count as letters, marks or symbols and yet cannot be seen."""

_ACTIVE = re.compile(r"[\\*_~`|<>\[\]]")
_AT_START = re.compile(r"(?:[-+]|#{1,3}|-#|(\d{1,9})[.)])(?=\s|$)")
_RECOGNISED = re.compile(r"@(?=everyone|here|[!&]?\d)|<(?=[@#:/a-z])|:(?=//)|discord(?:app)?\.(?=\w)", re.IGNORECASE)
_ADDRESS = re.compile(r"https?://[^\s/?#]+\S*", re.IGNORECASE)


def plain(text: str) -> str:
    """Return `text` without control and invisible characters; each line break becomes one newline, a tab a space.

    Marks that turn the direction of writing go as well, and half a surrogate pair becomes U+FFFD.
    """
    if text.isascii():
        return text.replace("\r\n", "\n").translate(_ASCII)
    return "".join(map(_plain_char, text.replace("\r\n", "\n").replace("\r", "\n")))


def _plain_char(char: str) -> str:
    if char in _BREAKS:
        return "\n"
    if char == "\t":
        return " "
    category = unicodedata.category(char)
    if category in ("Cc", "Cf") or char in _BLANK:
        return ""
    return "\ufffd" if category == "Cs" else char


_ASCII: Mapping[int, str] = {code: "\n" if code == 13 else _plain_char(chr(code)) for code in range(128)}


def inline(text: str) -> str:
    """Return `text` on one line, so that markdown shows it as it is: no format, link, mention, time or command in it.

    Text without anything to see becomes `∅`.
    """
    line = " ".join(plain(text).split())
    if not line:
        return NOTHING
    apart = _RECOGNISED.sub(lambda match: match.group() + _GAP, line)
    return _guarded_start(_ACTIVE.sub(r"\\\g<0>", apart))


def _guarded_start(line: str) -> str:
    """Take from the start of a line what would make it a heading, a list, or small print."""
    match = _AT_START.match(line)
    if match is None:
        return line
    digits = match[1] or ""
    return f"{digits}\\{line[len(digits) :]}"


def inline_cut(text: str, limit: int) -> str:
    """Return `inline(text)` in at most `limit` UTF-16 units ; what is too long ends in `…`."""
    line, room = " ".join(plain(text).split()), limit
    while units(safe := inline(cut(line, room))) > limit:
        room = room * 3 // 4
    return safe


def in_code(text: str) -> str:
    """Return `text` as it may stand in a code block, on its own lines; backticks become `ˋ`, so it cannot end it."""
    return plain(text).replace("`", "ˋ")


def filename(text: str) -> str:
    """Return a file name of 1 to 80 letters, digits, `.`, `_` and `-`; the ending stays when the rest is cut."""
    ascii_text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    name = re.sub(r"[^A-Za-z0-9._-]+", "_", ascii_text).lstrip("._-")
    stem, dot, ending = name.rpartition(".")
    if not dot or len(ending) > 10:
        return name[:80] or "file"
    return f"{stem[: 79 - len(ending)].rstrip('.') or 'file'}.{ending}"


def url(text: str) -> str | None:
    """Return a web address as it may stand in the brackets of a link, or None if `text` is none.

    Only http and https are taken; whatever could end the link is percent-encoded.
    """
    if not _ADDRESS.fullmatch(text) or plain(text) != text:
        return None
    safe = quote(text, safe="!#$%&'+,-./:;=?@~_")
    return safe if len(safe) <= LONGEST_URL else None
