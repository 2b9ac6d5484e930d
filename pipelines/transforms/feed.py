"""Reading RSS and Atom feeds: `Feed`. Fetching lives in `web`; feedparser knows the formats."""

from __future__ import annotations

import asyncio
import io
import unicodedata
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from time import struct_time
from typing import Any
from xml.sax import SAXException

import feedparser

from pipelines.errors import PipecallError
from pipelines.transform import Fetcher, current_run
from pipelines.transforms.html import absolute_link, plain_text
from pipelines.transforms.web import MIB, Page, Request, WebStage

MAX_MARKUP = 20_000
"""Characters of one text's markup that are read; time to parse grows with the square of the depth of nested tags."""


HARMLESS = (feedparser.NonXMLContentType, feedparser.CharacterEncodingOverride)
"""Complaints about the server's headers, not about the feed."""


class FeedError(PipecallError):
    """A document that is no feed, or so broken that no entry can be found in it."""


class Feed(WebStage, Fetcher):
    """Yields the entries of an RSS or Atom feed, in the feed's order.

    ```yaml
    class: pipelines.transforms.Feed
    kwargs:
      url: https://example.org/news.atom
      limit: 20
    ```

    Each item is `{"id", "title", "link", "published", "updated", "summary", "author", "tags"}`. `published` and
    `updated` are ISO 8601 in UTC or None. `title`, `summary` and `author` are text on one line, without markup,
    scripts and control characters (None where the feed has none); only `link`s to http and https are kept. `id` is
    the entry's own, else its link, else its title. `tags` is a list of words. A feed with mistakes gives what can be
    read of it and a warning in the run's log.

    Args:
        url: URL of the feed, http or https.
        path: Path of a feed in a file instead, relative to the working directory; exactly one of the two.
        limit: The largest number of entries; None (default) is all.
        headers: Sent with the request.
        timeout_s: Seconds for the whole fetch; default 30.
        max_bytes: The largest document in bytes; default 10 MiB.
        conditional: Ask with the ETag and Last-Modified of the last successful run; an unchanged feed gives no
            items.

    Raises:
        FeedError: the document is no feed, or broken before its first entry.
        HttpError: as for `HttpFetch`; so are HttpRefused and RetryLater.
        OSError: the file cannot be read.
        ValueError: both or none of url and path; a limit below 1; a bad url or header.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        path: str | None = None,
        limit: int | None = None,
        headers: dict[str, str] | None = None,
        timeout_s: float = 30,
        max_bytes: int = 10 * MIB,
        conditional: bool = True,
    ) -> None:
        """See the class."""
        if (url is None) == (path is None):
            raise ValueError("Feed: found both or none of 'url' and 'path', expected exactly one of them")
        if limit is not None and limit < 1:
            raise ValueError(f"Feed: limit is {limit}, expected at least 1 (leave it out for all entries)")
        self._source = url or path or ""
        self._request = Request(url, headers=headers or {}, timeout_s=timeout_s, max_bytes=max_bytes) if url else None
        self._max_bytes = max_bytes
        self._limit = limit
        self._conditional = conditional

    async def fetch(self) -> AsyncIterator[Any]:
        """Yield the entries."""
        async with self._document() as page:
            if page is None:
                return
            entries, warning = await asyncio.to_thread(parsed, page)
            if warning:
                current_run().log.warning("%s: the feed has mistakes: %s", page.url, warning)
            for entry in entries[: self._limit]:
                yield entry

    @asynccontextmanager
    async def _document(self) -> AsyncIterator[Page | None]:
        if self._request is None:
            yield await asyncio.to_thread(self._file)
            return
        async with self.unless_unchanged(self._request, self._conditional) as page:
            yield page

    def _file(self) -> Page:
        with Path(self._source).open("rb") as file:
            body = file.read(self._max_bytes + 1)
        if len(body) > self._max_bytes:
            raise FeedError(f"{self._source}: larger than max_bytes ({self._max_bytes}); raise it if that is fine")
        return Page(self._source, 200, {}, body)


def parsed(page: Page) -> tuple[list[dict[str, Any]], str | None]:
    """Return a document's entries as items, and what is wrong with it (None: nothing).

    Raises:
        FeedError: it is no feed, or broken before its first entry.
    """
    known = {name: page.headers[name] for name in ("Content-Type", "Content-Language") if name in page.headers}
    # Not told the page's URL, because feedparser would resolve ids against it, and they would change with it.
    headers = {name.lower(): value for name, value in known.items()}
    # A file object, because feedparser takes a bare string for a path or a URL and would open it.
    document = feedparser.parse(io.BytesIO(page.body), response_headers=headers)
    error = document.get("bozo_exception")
    if not document.get("version") and not document.entries:
        start = page.body[:60].decode("utf-8", "replace")
        raise FeedError(
            f"{page.url}: not an RSS or Atom feed; it starts with {start!r}. Is it the page about the feed?"
        )
    if isinstance(error, SAXException) and not document.entries:
        raise FeedError(f"{page.url}: the feed is broken before its first entry: {_one_line(error)}")
    return [item(entry, page.url) for entry in document.entries], _one_line(error) if error and not isinstance(
        error, HARMLESS
    ) else None


def item(entry: feedparser.FeedParserDict, base: str) -> dict[str, Any]:
    """Return what is kept of an entry; `base` is the URL from which a relative link leads on."""
    # dict.get for `updated_parsed`: feedparser's own get would give `published_parsed`, with a warning.
    link = _web_link(base, entry.get("link"))
    title = text_of(entry.get("title"))
    return {
        "id": text_of(entry.get("id")) or link or title,
        "title": title,
        "link": link,
        "published": _utc(entry.get("published_parsed")),
        "updated": _utc(dict.get(entry, "updated_parsed")),
        "summary": text_of(entry.get("summary")) or text_of(next(_contents(entry), None)),
        "author": text_of(entry.get("author")),
        "tags": [word for tag in entry.get("tags", []) if (word := text_of(tag.get("label") or tag.get("term")))],
    }


def text_of(markup: str | None) -> str | None:
    """Return the words of an HTML text on one line, without scripts, styles and control characters; None for none."""
    words = plain_text(markup[:MAX_MARKUP]) if markup else ""
    clean = "".join(sign for sign in words if unicodedata.category(sign) not in ("Cc", "Cs"))
    return " ".join(clean.split()) or None


def _contents(entry: feedparser.FeedParserDict) -> Iterator[str]:
    return (content["value"] for content in entry.get("content", []) if content.get("value"))


def _web_link(base: str, link: str | None) -> str | None:
    absolute = absolute_link(base, link.strip()) if link else ""
    return absolute if absolute.lower().startswith(("http://", "https://")) else None


def _utc(parts: struct_time | None) -> str | None:
    try:
        return datetime(*parts[:6], tzinfo=UTC).isoformat() if parts else None
    except (ValueError, OverflowError):
        return None


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
