"""The HTTP client that all web stages share: requests, their limits, their errors, and conditional requests.

What a fetched document means is said by the stages, in `http`, `feed` and `html`. The errors made here:

    PipecallError
    ├── HttpError          the server or the way to it failed; another attempt may succeed
    │   └── HttpRefused    asking again would end the same (`retryable` is False)
    └── RetryLater         429 or 503 with Retry-After
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Self

import aiohttp

from pipelines.errors import PipecallError, RetryLater
from pipelines.model import utcnow
from pipelines.transform import Transform, current_run
from pipelines.transforms.values import plain

MIB = 1024 * 1024
MAX_REDIRECTS = 10
MAX_WAIT_S = 86_400.0
"""The longest Retry-After that is believed: a day."""
SHOWN_BODY = 300
TRANSIENT = frozenset({408, 425, 429})
"""The 4xx after which the same request may succeed: RFC 9110 §15.5.9, RFC 8470 §5.2, RFC 6585 §4."""
CREDENTIALS = re.compile(r"(?<=//)[^/?#]*@")
SECRET_QUERY = re.compile(r"([?&][^=&#]*(?:key|token|secret|passw|sig|auth)[^=&#]*=)[^&#]+", re.IGNORECASE)
CHARSET = re.compile(r"charset=[\"']?([\w-]+)", re.IGNORECASE)


class HttpError(PipecallError):
    """A request that did not end well; the text names method, URL (without credentials) and what came back."""

    retryable = True


class HttpRefused(HttpError):
    """A request that would end the same however often it is sent."""

    retryable = False


@dataclass(frozen=True, slots=True)
class Request:
    """What is sent, and the limits of the answer. `timeout_s` (seconds) covers all of it, redirects included.

    Raises:
        ValueError: a limit is not positive, or a header holds a line break.
    """

    url: str
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    timeout_s: float = 30
    max_bytes: int = 10 * MIB
    redirects: bool = True

    def __post_init__(self) -> None:
        """Check the values."""
        if not (self.timeout_s > 0 and self.max_bytes > 0):
            raise ValueError(f"timeout_s and max_bytes must be above 0, not {self.timeout_s} and {self.max_bytes}")
        for name, value in self.headers.items():
            if re.search(r"[\r\n\0]", name + value):
                raise ValueError(f"header {name!r} holds a line break; a header is one line")
        if not re.match(r"https?://|\{\w+\}$", self.url, re.IGNORECASE):
            raise ValueError(f"url must start with http:// or https://, not {shown(self.url)!r}")

    def __str__(self) -> str:
        """`GET https://host/path`, as errors name it."""
        return f"{self.method} {shown(self.url)}"


@dataclass(frozen=True, slots=True)
class Page:
    """What a server sent: `url` after redirects, without credentials; `body` decompressed."""

    url: str
    status: int
    headers: Mapping[str, str]
    body: bytes

    def text(self) -> str:
        """Return the body as text, by the header's charset or that in HTML's head, else UTF-8; never fails."""
        named = CHARSET.search(self.headers.get("Content-Type", "")) or CHARSET.search(
            self.body[:1024].decode("latin1")
        )
        try:
            return self.body.decode(named.group(1) if named else "utf-8", "replace").removeprefix("\ufeff")
        except (LookupError, UnicodeError):
            return self.body.decode("utf-8", "replace")


class WebStage(Transform):
    """A stage that talks HTTP; its one client session is open while the stage is entered."""

    _session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        """Open the session."""
        self._session = aiohttp.ClientSession(headers={"User-Agent": "Pipecall"})
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the session and its connections."""
        if self._session is not None:
            await self._session.close()

    async def send(self, request: Request) -> Page | None:
        """Send one request and return the whole answer; None when it is 304, not modified.

        Raises:
            RetryLater: the server said when to come back.
            HttpRefused: asking again is of no use.
            HttpError: no answer, a broken one, or a status that is no success.
        """
        if self._session is None:
            raise PipecallError(f"{type(self).__name__} is used in a chain or in `async with`; it was not entered")
        try:
            return await _exchange(self._session, request)
        except TimeoutError:
            raise HttpError(f"{request}: no complete answer within {request.timeout_s:g} s") from None
        except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError):
            raise HttpRefused(f"{request}: led to something that is no http or https URL") from None
        except aiohttp.TooManyRedirects:
            raise HttpRefused(f"{request}: redirected more than {MAX_REDIRECTS} times") from None
        except aiohttp.ClientConnectionError as error:
            raise HttpError(f"{request}: no connection: {error or type(error).__name__}") from error
        except aiohttp.ClientError as error:
            raise HttpError(f"{request}: broken answer ({type(error).__name__})") from None

    @asynccontextmanager
    async def unless_unchanged(self, request: Request, conditional: bool = True) -> AsyncIterator[Page | None]:
        """Give the page, or None when it has not changed since the last run that used all of it.

        ETag and Last-Modified are put into the pipeline's state when the block ends well, so a page whose items were
        not all taken is fetched again.
        """
        state = current_run().state
        key = f"http:{shown(request.url)}#{digest(request.url, request.headers, request.params)}"
        known = state.get(key)
        asked = {name: str(tag) for name, tag in known.items()} if conditional and isinstance(known, dict) else {}
        page = await self.send(replace(request, headers={**asked, **request.headers}))
        if page is None:
            current_run().log.info("%s: not changed since the last run", request)
        yield page
        if page is not None and conditional:
            tags = {"If-None-Match": page.headers.get("ETag"), "If-Modified-Since": page.headers.get("Last-Modified")}
            state[key] = {name: value for name, value in tags.items() if value}


def shown(url: str) -> str:
    """Return the URL without what may be secret in it: user and password, and query values with a telling name."""
    return SECRET_QUERY.sub(r"\1…", CREDENTIALS.sub("", url))


def digest(*parts: Any) -> str:
    """Return ten hexadecimal digits that stand for `parts`, which must be JSON."""
    return hashlib.sha256(encoded(parts)).hexdigest()[:10]


def encoded(value: Any) -> bytes:
    """Return `value` as JSON in UTF-8; dates become ISO text, decimals text. NaN and foreign types raise ValueError."""
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, default=plain).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"cannot be sent as JSON: {error}") from None


def retry_after_s(value: str | None, now: datetime) -> float | None:
    """Read a Retry-After header (RFC 9110 §10.2.3): seconds or an HTTP date, 0 to a day; None when it is neither."""
    text = (value or "").strip()
    if re.fullmatch(r"[0-9]{1,12}", text):
        return min(float(text), MAX_WAIT_S)
    try:
        when = parsedate_to_datetime(text)
        wait = (when if when.tzinfo else when.replace(tzinfo=UTC)) - now
    except (ValueError, OverflowError):
        return None
    return min(max(wait.total_seconds(), 0.0), MAX_WAIT_S)


async def _exchange(session: aiohttp.ClientSession, request: Request) -> Page | None:
    async with session.request(
        request.method,
        request.url,
        headers=request.headers,
        params=request.params or None,
        data=request.body,
        timeout=aiohttp.ClientTimeout(total=request.timeout_s),
        allow_redirects=request.redirects,
        max_redirects=MAX_REDIRECTS + 1,
    ) as response:
        if response.status == 304 and request.headers.keys() & {"If-None-Match", "If-Modified-Since"}:
            return None
        if not 200 <= response.status < 300:
            raise await _failure(request, response)
        body = await _body(request, response)
        return Page(shown(str(response.url)), response.status, response.headers.copy(), body)


async def _body(request: Request, response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    announced = response.content_length or 0
    while announced <= request.max_bytes and (chunk := await response.content.readany()):
        body += chunk
        announced = max(announced, len(body))
    if announced > request.max_bytes:
        response.close()
        raise HttpRefused(
            f"{request}: the body is larger than max_bytes ({request.max_bytes}); raise it if that is fine"
        )
    return bytes(body)


async def _failure(request: Request, response: aiohttp.ClientResponse) -> PipecallError:
    start = (await response.content.read(4 * SHOWN_BODY)).decode("utf-8", "replace")
    text = f"{request}: {response.status} {response.reason or ''}: {' '.join(start.split())[:SHOWN_BODY]}".rstrip(": ")
    wait = retry_after_s(response.headers.get("Retry-After"), utcnow()) if response.status in (429, 503) else None
    if wait is not None:
        return RetryLater(text, wait)
    refused = 300 <= response.status < 500 and response.status not in TRANSIENT
    return HttpRefused(text) if refused else HttpError(text)
