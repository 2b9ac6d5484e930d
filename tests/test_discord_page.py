"""The pictures' view of Discord's markdown: what a reader of a message sees."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docs.discord_markdown import Reader

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
AT = int(NOW.timestamp())
READER = Reader(NOW, ZoneInfo("Europe/Stockholm"), {1: "olga", 2: "ops"})


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("✅ **a\\_b** · `x<y`", "<p>✅ <b>a<span>_</span>b</b> · <code>x&lt;y</code></p>"),
        (
            "<@1> <@&2> </run:3>",
            "<p>" + " ".join(f"<b class=mention>{it}</b>" for it in ("@olga", "@ops", "/run")) + "</p>",
        ),
        (
            "-# small\n> said\n### Jobs\n- one",
            "<small>small</small><blockquote>said</blockquote><h3>Jobs</h3><li>one</li>",
        ),
        ("a\n```\n1 < 2\n```", "<p>a</p><pre>1 &lt; 2</pre>"),
        (f"<t:{AT - 90}:R>", "<p><time>2 minutes ago</time></p>"),
        (f"<t:{AT + 3600}:R>", "<p><time>in 1 hour</time></p>"),
        (f"<t:{AT}:F>", "<p><time>Saturday, 21 November 2026 13:00</time></p>"),
    ],
)
def test_markdown_is_shown_as_a_reader_sees_it(text, html):
    """Bold, code, mentions, small print, quotes, headings, blocks and times become what they are in Discord."""
    assert html == READER.html(text)


@given(st.text("<>&*_`\\\\ \\n@#:t/ab[]()", max_size=60))
def test_any_text_becomes_html_without_foreign_elements(text):
    """Whatever a text holds, nothing of it becomes an element of the page by itself."""
    assert "<a>" not in READER.html(text)
    assert "<script" not in READER.html(text.replace("t", "<script>"))
