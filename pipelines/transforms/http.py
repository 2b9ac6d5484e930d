"""Talking to HTTP servers: `HttpFetch` brings documents in, `Webhook` sends items out.

The client itself lives in `web`; feeds and HTML pages have stages of their own in `feed` and `html`.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any, Literal
from urllib.parse import quote

import jmespath
from jmespath.exceptions import JMESPathError

from pipelines.transform import Sink, current_run
from pipelines.transforms.web import MIB, HttpError, HttpRefused, Page, Request, WebStage, encoded

PLACEHOLDER = re.compile(r"\{(\w+)\}")
SHOWN_TEXT = 200


class HttpFetch(WebStage):
    """Fetches a URL and yields what is in it.

    ```yaml
    class: pipelines.transforms.HttpFetch
    kwargs:
      url: https://api.example.org/v1/prices
      params: {currency: SEK}
      path: data.prices[]
      timeout_s: 20
    ```

    JSON lists give their elements; any other JSON value is one item; text is one item `{"url", "status", "text"}`.
    The body is read whole before the first item goes on: a slow stage behind cannot run into the timeout.

    Args:
        url: An http or https address. `{name}` is filled, percent-encoded, from the incoming item or else the run's
            parameters; a url that is nothing but `{name}` is taken from there as it stands (the items then decide which
            servers get your headers). It is fetched once, or with `{name}` once for each incoming item.
        format: `json`, `jsonl` (a JSON value on each line) or `text`; `auto` goes by the Content-Type.
        path: JMESPath to the list inside a JSON document; None takes the whole.
        method: Method of the request.
        headers: Sent with the request.
        params: Added to the URL's query.
        body: What to send: text as it is (UTF-8), a mapping or list as JSON.
        timeout_s: Seconds for the whole exchange with its redirects (at most 10); default 30.
        max_bytes: The largest body that is read, in bytes after decompression; default 10 MiB.
        conditional: Ask with the ETag and Last-Modified of the last successful run; an unchanged document gives no
            items. For GET with a fixed url.

    Raises:
        RetryLater: 429 or 503 with Retry-After.
        HttpRefused: a 4xx but 408, 425 and 429; a body over `max_bytes`; not an http(s) URL; endless redirects.
        HttpError: no connection, the timeout, any other status, a body that is not what `format` says.
        ValueError: a bad path, url, limit or header.
    """

    def __init__(
        self,
        url: str,
        *,
        format: Literal["auto", "json", "jsonl", "text"] = "auto",  # noqa: A002 - the word users write in YAML
        path: str | None = None,
        method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = "GET",
        headers: dict[str, str] | None = None,
        params: dict[str, str | int | float | bool] | None = None,
        body: str | dict[str, Any] | list[Any] | None = None,
        timeout_s: float = 30,
        max_bytes: int = 10 * MIB,
        conditional: bool = True,
    ) -> None:
        """See the class."""
        try:
            self._path = jmespath.compile(path) if path is not None else None
        except JMESPathError as error:
            raise ValueError(f"HttpFetch: path {path!r} is no JMESPath: {error}") from None
        sent = body.encode() if isinstance(body, str) else encoded(body) if body is not None else None
        kind = {} if body is None or isinstance(body, str) else {"Content-Type": "application/json"}
        query = {
            key: str(value).lower() if isinstance(value, bool) else str(value) for key, value in (params or {}).items()
        }
        self._request = Request(url, method, kind | (headers or {}), query, sent, timeout_s, max_bytes)
        self._format = format
        self._names = PLACEHOLDER.findall(url)
        self._conditional = conditional and method == "GET" and not self._names

    async def __call__(self, items: AsyncIterator[Any]) -> AsyncIterator[Any]:
        """Yield what the document holds, or with `{name}` in the url, what the document of each item holds."""
        async for item in items:
            request = replace(self._request, url=self._filled(item))
            async with self.unless_unchanged(request, self._conditional) as page:
                for found in self._read(page) if page else ():
                    yield found
            if not self._names:
                break

    def _filled(self, item: Any) -> str:
        values = {**current_run().params, **(item if isinstance(item, dict) else {})} if self._names else {}
        missing = [name for name in self._names if values.get(name) is None]
        if missing:
            raise HttpRefused(f"{self._request}: neither the item nor the run's parameters have {', '.join(missing)}")
        template = self._request.url
        if template == f"{{{self._names[0] if self._names else ''}}}":
            return str(values[self._names[0]])
        return PLACEHOLDER.sub(lambda match: quote(str(values[match[1]]), safe=""), template)

    def _read(self, page: Page) -> Iterator[Any]:
        kind = self._format if self._format != "auto" else _kind(page)
        if kind == "text":
            yield {"url": page.url, "status": page.status, "text": page.text()}
        elif kind == "jsonl":
            for number, line in enumerate(page.text().split("\n"), 1):
                if line.strip():
                    yield _parsed(line, f"{self._request}: line {number}")
        else:
            yield from self._found(_parsed(page.text(), str(self._request)))

    def _found(self, document: Any) -> list[Any]:
        try:
            found = self._path.search(document) if self._path else document
        except JMESPathError as error:
            raise HttpError(f"{self._request}: path failed on what came: {error}") from None
        if found is None:
            top = f"an object with {', '.join(document)}" if isinstance(document, dict) else type(document).__name__
            raise HttpError(f"{self._request}: nothing at the path; the document is {top[:SHOWN_TEXT]}")
        return found if isinstance(found, list) else [found]


class Webhook(WebStage, Sink):
    """Sends items to a URL as JSON, then passes them on.

    ```yaml
    class: pipelines.transforms.Webhook
    kwargs:
      url: https://hooks.example.org/prices
      batch: 50
    ```

    Every request carries an `Idempotency-Key` that is the same in each attempt of a run, made of the run, the stage and
    what is sent, so that a receiver that knows the header takes each request once, in whichever order items come in the
    next attempt. Two equal items of one run have two keys. An item that differs between attempts, by a time of its
    making for example, is another request: it may be taken twice, and none is ever taken for another. In batches this
    holds for the batch as a whole. A header of that name in `headers` goes before it.

    Args:
        url: An http or https address, fixed. A redirect is an error: it would lose the body.
        method: Method of the request.
        headers: Sent with the request.
        batch: Items in one request; 1 (default) sends the item itself, more send a list of up to so many.
        timeout_s: Seconds for one request; default 30.

    Raises:
        HttpError: for every status but 2xx, as `HttpFetch` does; so are HttpRefused and RetryLater.
        ValueError: a bad url, header, batch or timeout; an item that is not JSON.
    """

    def __init__(
        self,
        url: str,
        *,
        method: Literal["POST", "PUT", "PATCH"] = "POST",
        headers: dict[str, str] | None = None,
        batch: int = 1,
        timeout_s: float = 30,
    ) -> None:
        """See the class."""
        if batch < 1:
            raise ValueError(f"Webhook: batch must be at least 1, not {batch}")
        kind = {"Content-Type": "application/json", **(headers or {})}
        self._request = Request(url, method, kind, timeout_s=timeout_s, redirects=False)
        self._batch = batch
        self._sent: Counter[str] = Counter()

    async def handle(self, item: Any) -> None:
        """Send one item."""
        await self._post([item])

    async def __call__(self, items: AsyncIterator[Any]) -> AsyncIterator[Any]:
        """Send the items batch by batch; each goes on once its batch was taken."""
        batch: list[Any] = []
        async for item in items:
            batch.append(item)
            if len(batch) == self._batch:
                await self._post(batch)
                for sent in batch:
                    yield sent
                batch = []
        if batch:
            await self._post(batch)
        for sent in batch:
            yield sent

    async def _post(self, batch: list[Any]) -> None:
        body = encoded(batch if self._batch > 1 else batch[0])
        headers = {"Idempotency-Key": self._key(body), **self._request.headers}
        await self.send(replace(self._request, body=body, headers=headers))

    def _key(self, body: bytes) -> str:
        """Return the key of a request; the second of the same body in a run is not the first sent again."""
        key = current_run().item_key(body.decode())
        self._sent[key] += 1
        return key if self._sent[key] == 1 else f"{key}-{self._sent[key]}"


def _kind(page: Page) -> str:
    media = page.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if media.endswith(("/x-ndjson", "/jsonl", "/x-jsonlines", "/json-lines")):
        return "jsonl"
    return "json" if media.endswith(("/json", "+json")) else "text"


def _parsed(text: str, where: str) -> Any:
    try:
        return json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise HttpError(f"{where}: not JSON ({error}); it starts with {text[:80]!r}") from None


def _no_constant(word: str) -> Any:
    raise ValueError(f"{word} is not JSON")
