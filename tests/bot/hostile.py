"""Items as nobody wants them: pings, fences, bidirectional marks, huge texts, nested values, numbers that are none."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

FRAGMENTS = [
    "```", "`", "@everyone", "@here", "<@&1>", "<@123456789012345678>", "<#1>", "<t:0:R>", "</run:1>", "<:a:1>",
    "https://evil.example/x", "discord.gg/evil", "[a](https://evil.example)", "**", "__", "||", "~~", "\\", "# ", "> ",
    "- ", "-# ", "1. ", "\n", "\r\n", "\u2028", "\t", "\x00", "\x1b[31m", "\u202e", "\u200b", "\u200d", "\u3164",
    "\u0301" * 40, "漢字", "한글", "👨‍👩‍👧", "🇩🇪", "👍🏽", "\ud83d", "=1+1", "+cmd", "@SUM(A1)", "-2",
    "a", " ", ",", '"', "{x}", "",
]  # fmt: skip

TEXTS = st.lists(st.sampled_from(FRAGMENTS) | st.text(max_size=5), max_size=12).map("".join)

_SCALARS = st.one_of(
    TEXTS,
    st.sampled_from(["x" * 5000, "漢" * 3000, "*" * 2000, "<@1>" * 500]),
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.just(10**400),
    st.just(Decimal("-1.50")),
    st.just(datetime(2026, 1, 31, 6, 30, tzinfo=UTC)),
    st.just(datetime(2026, 1, 31)),  # noqa: DTZ001  # a time without its zone is what is meant here
    st.just(b"bytes"),
)

VALUES = st.recursive(
    _SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3), max_leaves=4
)


def _numbered(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"id": None} | item | {"id": f"R{at}Z"} for at, item in enumerate(items)]


ITEMS = st.one_of(
    st.lists(st.dictionaries(TEXTS, VALUES, max_size=4), max_size=8),
    st.integers(0, 60).flatmap(lambda count: st.dictionaries(TEXTS, VALUES, max_size=3).map(lambda one: [one] * count)),
    st.dictionaries(st.integers(0, 10**6).map(str), VALUES, min_size=20, max_size=40).map(lambda one: [one]),
).map(_numbered)
"""Lists of dicts; the field `id` of each is a text that stands nowhere else."""
