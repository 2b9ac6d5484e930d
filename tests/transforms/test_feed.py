"""Feed, on documents written here and on a large hostile one, over loopback HTTP."""

from __future__ import annotations

import logging
import re

import pytest
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.testing import MemoryState, run_transform
from pipelines.transforms.feed import Feed, FeedError, parsed, text_of
from pipelines.transforms.web import Page
from tests.transforms.loopback import real_file, serving

RSS = """<rss version="2.0"><channel><title>t</title>
<item><title>One &lt;b&gt;b&lt;/b&gt;old</title><link>https://x.example/1</link><guid>g1</guid>
<pubDate>Tue, 03 Jun 2025 09:39:21 +0200</pubDate><category>news</category><author>Åsa</author>
<description>&lt;p&gt;a&lt;/p&gt;
&lt;p&gt;b &amp;amp; c&lt;/p&gt;&lt;script&gt;alert(1)&lt;/script&gt;</description></item>
<item><title>Two</title><link>javascript:alert(1)</link></item>
</channel></rss>"""


async def read(document, **kwargs):
    async with serving({"/feed": {"body": document.encode(), "content_type": "application/rss+xml"}}) as base:
        return await run_transform(Feed(base + "/feed", **kwargs))


async def test_an_entry_becomes_an_item():
    """Each entry gives the same eight fields: times in UTC, text without markup and scripts."""
    expected = {
        "id": "g1",
        "title": "One bold",
        "link": "https://x.example/1",
        "published": "2025-06-03T07:39:21+00:00",
        "updated": None,
        "summary": "a b & c",
        "author": "Åsa",
        "tags": ["news"],
    }
    assert expected == (await read(RSS))[0]


async def test_only_web_links_are_kept():
    """A link that would run a script is dropped, and what has no id goes by its title."""
    entry = (await read(RSS))[1]
    assert (None, "Two") == (entry["link"], entry["id"])


async def test_a_relative_link_leads_on_from_the_feed():
    """A link without a host gets the feed's."""
    async with serving({"/a/feed": {"text": RSS.replace("https://x.example/1", "../one")}}) as base:
        assert f"{base}/one" == (await run_transform(Feed(base + "/a/feed")))[0]["link"]


async def test_limit_takes_the_first():
    """`limit` entries are taken from the top."""
    assert ["g1"] == [entry["id"] for entry in await read(RSS, limit=1)]


async def test_a_broken_feed_gives_what_it_has(caplog):
    """A feed cut off in its middle gives the entries before the cut, and a warning."""
    with caplog.at_level(logging.WARNING):
        entries = await read(RSS[: RSS.index("<title>Two")] + "<titl")
    assert "g1" == entries[0]["id"]
    assert "the feed has mistakes" in caplog.text


@pytest.mark.parametrize("document", ["<html><body>Welcome</body></html>", '{"a": 1}', "", "\x00\x01", "<a><b/></a>"])
async def test_what_is_no_feed_is_an_error(document):
    """A page that is no feed is refused, not taken for an empty feed."""
    with pytest.raises(FeedError, match="not an RSS or Atom feed"):
        await read(document)


async def test_a_feed_broken_before_its_first_entry_is_an_error():
    """A feed cut off in its head is not an empty feed."""
    with pytest.raises(FeedError, match="broken before its first entry"):
        await read("<rss version='2.0'><channel><title>x")


async def test_a_feed_without_entries_is_fine():
    """A whole feed that has nothing to say gives no items."""
    assert [] == await read('<rss version="2.0"><channel><title>x</title></channel></rss>')


async def test_an_unchanged_feed_gives_no_items():
    """A feed that answers 304 the second time gives no items then."""
    state = MemoryState()

    async def handle(request):
        known = request.headers.get("If-Modified-Since")
        stamp = {"Last-Modified": "Sun, 01 Mar 2026 12:00:00 GMT"}
        return web.Response(status=304) if known else web.Response(text=RSS, headers=stamp)

    async with serving({"/feed": handle}) as base:
        counts = [len(await run_transform(Feed(base + "/feed"), state=state)) for _ in range(2)]
    assert [2, 0] == counts


async def test_entities_do_not_reach_files_or_explode(tmp_path):
    """External entities are not read, and nested ones are not expanded."""
    secret = tmp_path / "secret"
    secret.write_text("hush")
    laughs = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
    document = f"""<?xml version="1.0"?><!DOCTYPE rss [<!ENTITY x SYSTEM "{secret.as_uri()}"><!ENTITY l0 "ha">{laughs}]>
    <rss version="2.0"><channel><item><title>&x; &l9; end</title></item></channel></rss>"""
    title = (await read(document))[0]["title"]
    assert "hush" not in title
    assert len(title) < 1000


async def test_a_feed_may_be_a_file(tmp_path):
    """`path` reads a feed from a file."""
    (tmp_path / "feed.xml").write_text(RSS)
    assert 2 == len(await run_transform(Feed(path=str(tmp_path / "feed.xml"))))


async def test_a_file_over_the_limit_is_refused(tmp_path):
    """`max_bytes` holds for files as well."""
    (tmp_path / "feed.xml").write_text(RSS)
    with pytest.raises(FeedError, match="larger than max_bytes"):
        await run_transform(Feed(path=str(tmp_path / "feed.xml"), max_bytes=10))


@pytest.mark.parametrize("given", [{}, {"url": "http://x", "path": "y"}, {"url": "http://x", "limit": 0}])
def test_wrong_arguments_are_refused_when_built(given):
    """A feed has one source, and a limit lets something through."""
    with pytest.raises(ValueError, match="Feed: "):
        Feed(**given)


async def test_the_hostile_feed_is_read_whole():
    """A large real feed with hostile markup gives all its entries, without markup or scripts."""
    body = real_file("atom_feed.xml").read_bytes()
    async with serving({"/feed": {"body": body, "content_type": "application/atom+xml"}}) as base:
        entries = await run_transform(Feed(base + "/feed"))
    first = entries[0]
    assert (15, "tag:touchnokia.ru,2009://1.666", "2009-09-09T14:19:45+00:00", "iPod", "Новости") == (
        len(entries),
        first["id"],
        first["published"],
        first["author"],
        first["tags"][0],
    )
    assert all(entry["summary"] for entry in entries)
    assert not [entry for entry in entries if re.search(r"<\w+[ >]|javascript:|function\s*\(", entry["summary"])]


async def test_depth_costs_no_minutes():
    """A summary of a million nested tags is read in no time, since only its start is."""
    assert "x" == text_of("x" + "<div>" * 1_000_000)


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=80))
def test_text_is_one_clean_line(markup):
    """Whatever the markup, its text has no line breaks and control characters, and does not begin or end blank."""
    text = text_of(markup)
    assert text is None or (text and not re.search(r"[\x00-\x1f\x7f-\x9f]", text) and text == text.strip())


@settings(max_examples=60, deadline=None)
@given(st.one_of(st.binary(max_size=200), st.text("<>/rsitemle&;!?[]CDATAx \"'=", max_size=200).map(str.encode)))
def test_any_bytes_are_a_feed_or_an_error(body):
    """No document ends in anything but items or FeedError."""
    for document in (body, b'<rss version="2.0"><channel><item><title>' + body):
        try:
            entries, _ = parsed(Page("http://x", 200, {}, document))
        except FeedError:
            continue
        assert all(set(entry) >= {"id", "title", "link"} for entry in entries)


async def test_a_feed_under_another_name_is_no_mistake(caplog):
    """A whole feed that the server calls plain text gives its entries without a warning."""
    async with serving({"/feed": {"text": RSS}}) as base:
        assert 2 == len(await run_transform(Feed(base + "/feed")))
    assert "mistakes" not in caplog.text
