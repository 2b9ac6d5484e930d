"""What every request passes on its way in and every answer on its way out: host, size, time, headers, and faults.

Plain ASGI, so that streams pass through it as they are. Nothing that is asked for can raise beyond it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from web.access import FORM_COOKIE
from web.hosts import Hosts
from web.refusals import Leaving, Misdirected, Refused, TooBig, TooSlow

MAX_BODY = 64 * 1024
"""So many bytes a body may have."""
BODY_S = 10.0
"""So long, in seconds, a body may take to arrive."""
API_CSP = "default-src 'none'; frame-ancestors 'none'"
PAGE_CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
STATIC_CACHE = "public, max-age=3600"
_API = ("/api/", "/metrics")
_DOCS = "/api/docs"


class Guard:
    """The outermost part of the app."""

    def __init__(
        self, app: ASGIApp, *, hosts: Hosts, leaving: Callable[[], bool], tell: Callable[[Request, Exception], Response]
    ) -> None:
        """`leaving` says that no new requests are taken; `tell` makes an answer of an error."""
        self._app, self._hosts, self._leaving, self._tell = app, hosts, leaving, tell

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            return
        request = Request(scope)
        request.state.form_cookie = None
        answer, whole = _Answer(request, send), False
        try:
            self._admit(request)
            body, whole = await _body(request.headers, receive), True
            await self._app(scope, body, answer)
        except Exception as error:
            if answer.begun:
                raise  # half an answer is out; the server cuts the connection
            told = self._tell(request, error)
            if not whole:
                told.headers["Connection"] = "close"  # what is left of the body is no next request, and not waited for
            await told(scope, receive, answer)

    def _admit(self, request: Request) -> None:
        host = request.headers.get("host", "")
        if not self._hosts.knows(host):
            name = host[:200].encode("ascii", "backslashreplace").decode()
            raise Misdirected(f"this service does not go by the name '{name}'; WEB_HOSTS lists further names")
        if "content-length" in request.headers and "transfer-encoding" in request.headers:
            raise Refused("the body has two lengths: send either Content-Length or Transfer-Encoding")
        if self._leaving():
            raise Leaving


class _Answer:
    """An answer on its way out: gets the headers that all have. `begun` says that it cannot be another any more."""

    def __init__(self, request: Request, send: Send) -> None:
        self._request, self._send = request, send
        self.begun = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.begun = True
            self._add(MutableHeaders(scope=message))
        await self._send(message)

    def _add(self, headers: MutableHeaders) -> None:
        path = self._request.url.path
        api = path.startswith(_API) and path != _DOCS
        headers["Content-Security-Policy"] = API_CSP if api else PAGE_CSP
        headers["X-Content-Type-Options"] = "nosniff"
        headers["X-Frame-Options"] = "DENY"
        headers["Referrer-Policy"] = "same-origin"
        headers["Cross-Origin-Opener-Policy"] = "same-origin"
        headers["Cross-Origin-Resource-Policy"] = "same-origin"
        headers["Cache-Control"] = STATIC_CACHE if path.startswith("/static/") else "no-store"
        if cookie := self._request.state.form_cookie:
            secure = "; Secure" if self._request.url.scheme == "https" else ""
            headers.append("Set-Cookie", f"{FORM_COOKIE}={cookie}; Path=/; HttpOnly; SameSite=Strict{secure}")


async def _body(headers: Headers, receive: Receive) -> Receive:
    """Take a body in as a whole and return what hands it on; what comes after it, such as a hang-up, passes through."""
    length = headers.get("content-length")
    if length is None and "transfer-encoding" not in headers:
        return receive
    if length is not None and length.isdecimal() and len(length) < 19 and int(length) > MAX_BODY:
        raise _too_big()
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_S):
            while True:
                message = await receive()
                if message["type"] != "http.request":
                    raise Refused("the connection ended before the body did")
                body += message.get("body", b"")
                if len(body) > MAX_BODY:
                    raise _too_big()
                if not message.get("more_body", False):
                    break
    except TimeoutError:
        raise TooSlow(f"the body did not arrive within {BODY_S:g} s") from None
    return _Whole(bytes(body), receive)


def _too_big() -> TooBig:
    return TooBig(f"the body has more than {MAX_BODY} bytes; send less")


class _Whole:
    """Hands a body on in one piece, then what else comes."""

    def __init__(self, body: bytes, receive: Receive) -> None:
        self._message: Message | None = {"type": "http.request", "body": body, "more_body": False}
        self._receive = receive

    async def __call__(self) -> Message:
        message, self._message = self._message, None
        return message if message is not None else await self._receive()
