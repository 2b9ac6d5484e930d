"""Who asks, and whether they may: a bearer token, a browser that signed in with one, or anybody on this machine.

Without any token in the store or the settings, and on loopback only, people of this machine may do everything: it has
no other name, and no proxy passes requests on. As soon as there is one token, everybody needs one. What somebody may do
to a pipeline is the policy's to say (`Verbs.may`).
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from starlette.requests import Request
from starlette.responses import Response

from pipelines import Actor, Asked, ConfigError, Engine, Problem, Role, Settings, Tokens
from web.attempts import Attempts
from web.hosts import Hosts, host_of, household, is_forwarded, is_loopback, plain_address
from web.refusals import NotFromHere, Refused, SignInNeeded, TooOften
from web.sessions import Sessions

logger = logging.getLogger(__name__)

SESSION_COOKIE, FORM_COOKIE = "pipecall_session", "pipecall_form"
CSRF_FIELD = "csrf"
"""The name of the field that each form carries."""
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
SHORTEST = 16
"""Characters that a token of the settings has at least: who can reach the service can guess at it."""
HOW = "send a token as 'Authorization: Bearer TOKEN'; 'pipecall token create NAME --level viewer' makes one"


class Kind(StrEnum):
    """How somebody said who they are."""

    TOKEN = "token"  # noqa: S105 - a kind, no secret
    SESSION = "session"
    LOCAL = "local"


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody who asks. `client` is the address they come from."""

    actor: Actor
    kind: Kind
    client: str

    def asked(self, door: str, *, key: str | None = None) -> Asked:
        """Return this request for `Verbs`; `key` makes it take effect once, however often this caller sends it."""
        request_id = f"{door}:{self.actor.id}:{key}" if key is not None else None
        return Asked(actor=self.actor, door=door, request_id=request_id, place={"client": self.client})


LOCAL = Actor(id="web:local", name="local", level=Role.ADMIN)
SETTING = Actor(id="token:WEB_TOKEN", name="WEB_TOKEN", level=Role.ADMIN)


class Access:
    """The rules of one service. All that look into the store raise StoreError where it refuses."""

    def __init__(self, engine: Engine, settings: Settings, *, attempts: Attempts | None = None) -> None:
        """Read tokens through `engine`.

        Raises:
            ConfigError: the file with the token cannot be read, or the token is too short.
        """
        self._tokens = Tokens(engine.writer, engine.reader, clock=engine.clock)
        self._clock = engine.clock
        self._admin = _admin(settings)
        self._for_here = Hosts(settings.web_hosts, settings.web_host).of_this_machine
        self._attempts = attempts or Attempts()
        self._sessions = Sessions()
        self._key = secrets.token_bytes(32)

    async def guarded(self) -> bool:
        """Say whether there is any token at all."""
        return self._admin is not None or (await self._tokens.look(None)).any

    async def caller(self, request: Request) -> Caller:
        """Return who asks.

        Raises:
            SignInNeeded: they did not say, or with a token that is wrong, expired or revoked.
            TooOften: too many wrong tokens came from there.
            NotFromHere: a page of another site wants something changed in the name of a browser.
        """
        client = client_of(request)
        token = bearer(request.headers.get("authorization"))
        if token is not None:
            return Caller(await self._by_token(token, client), Kind.TOKEN, client)
        self._check_origin(request)
        session_id = request.cookies.get(SESSION_COOKIE)
        if session_id is not None and (actor := await self._by_session(session_id)) is not None:
            return Caller(actor, Kind.SESSION, client)
        if await self._open(request, client):
            return Caller(LOCAL, Kind.LOCAL, client)
        raise SignInNeeded(HOW)

    async def holds(self, request: Request) -> bool:
        """Say whether who asked may still go on: their token is not revoked since, their session not over.

        Raises:
            StoreError: the store refused.
        """
        try:
            await self.caller(request)
        except Refused:
            return False
        return True

    async def sign_in(self, request: Request, response: Response, token: str) -> Actor:
        """Begin a session for the browser that sent `token`: sets its cookie on `response`.

        Raises:
            SignInNeeded: the token is wrong, expired or revoked.
            TooOften: too many wrong tokens came from there.
            NotFromHere: a page of another site asks.
        """
        self._check_origin(request)
        actor = await self._by_token(token.strip(), client_of(request))
        self.sign_out(request, response)
        session_id = self._sessions.begin(Tokens.digest(token.strip()))
        self._set(request, response, SESSION_COOKIE, session_id)
        return actor

    def sign_out(self, request: Request, response: Response) -> None:
        """End the browser's session, if it has one, and take its cookie away."""
        self._sessions.end(request.cookies.get(SESSION_COOKIE, ""))
        response.delete_cookie(SESSION_COOKIE, path="/", httponly=True, samesite="strict")

    def csrf(self, request: Request) -> str:
        """Return what each form of this page must carry in its field `csrf`."""
        session = self._sessions.get(request.cookies.get(SESSION_COOKIE, ""))
        if session is not None:
            return session.csrf
        cookie = request.cookies.get(FORM_COOKIE) or getattr(request.state, "form_cookie", None)
        if cookie is None:
            cookie = request.state.form_cookie = secrets.token_urlsafe(32)  # the guard sets it on the answer
        return self._of_cookie(cookie)

    async def check_form(self, request: Request, form: Mapping[str, str]) -> None:
        """Let a form pass that one of our own pages sent.

        Raises:
            NotFromHere: another site's page sent it, or the page is older than the session.
        """
        self._check_origin(request)
        session = self._sessions.get(request.cookies.get(SESSION_COOKIE, ""))
        cookie = request.cookies.get(FORM_COOKIE)
        wanted = session.csrf if session is not None else self._of_cookie(cookie) if cookie else None
        if wanted is None or not hmac.compare_digest(wanted.encode(), form.get(CSRF_FIELD, "").encode()):
            raise NotFromHere("this page is out of date; load it again, then send the form once more")

    # ------------------------------------------------------------ how

    def _of_cookie(self, cookie: str) -> str:
        return hmac.new(self._key, cookie.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()

    async def _by_token(self, token: str, client: str) -> Actor:
        found, where = Tokens.digest(token), household(client)
        self._listen(where, found)
        actor = await self._actor(found)
        self._listen(where, found)  # those who guess at many at one time learn no more than one after the other
        if actor is None:
            self._attempts.failed(where)
            logger.warning("a wrong, expired or revoked token came from %s", client)
            raise SignInNeeded(f"this token is wrong, has expired or was revoked; {HOW}")
        self._attempts.succeeded(where, found)
        return actor

    def _listen(self, where: str, found: str) -> None:
        if (wait_s := self._attempts.wait_s(where, found)) > 0:
            raise TooOften(wait_s)

    async def _by_session(self, session_id: str) -> Actor | None:
        session = self._sessions.get(session_id)
        if session is None:
            return None
        actor = await self._actor(session.digest)
        if actor is None:
            self._sessions.end(session_id)
        return actor

    async def _actor(self, found: str) -> Actor | None:
        if self._admin is not None and hmac.compare_digest(self._admin, found):
            return SETTING
        token = (await self._tokens.look(found)).token
        if token is None or token.expired(self._clock()):
            return None
        self._tokens.used(token)
        return Actor(id=f"token:{token.name}", name=token.name, level=token.level)

    async def _open(self, request: Request, client: str) -> bool:
        """Say whether no token is needed: nobody made one, and the request is of this machine all the way."""
        asked_as = host_of(request.headers.get("host", ""))
        here = self._for_here and is_loopback(client) and is_loopback(asked_as)
        return here and not is_forwarded(request.headers) and not await self.guarded()

    def _check_origin(self, request: Request) -> None:
        if request.method in SAFE:
            return
        site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
        if site not in (None, "same-origin", "none"):
            raise NotFromHere("changes are taken from this service's own pages only")
        if origin is not None and origin.lower() != f"{request.url.scheme}://{request.headers.get('host', '')}".lower():
            raise NotFromHere(f"changes are taken from this service's own pages only, not from {origin[:200]!r}")

    def _set(self, request: Request, response: Response, name: str, value: str) -> None:
        secure = request.url.scheme == "https"
        response.set_cookie(name, value, path="/", httponly=True, samesite="strict", secure=secure)


def _admin(settings: Settings) -> str | None:
    """Return the digest of the settings' token; None where they have none."""
    token = settings.admin_token()
    if token is not None and len(token) < SHORTEST:
        what = f"has {len(token)} characters; expected {SHORTEST} or more, such as those of 'openssl rand -hex 32'"
        raise ConfigError([Problem(what, path="WEB_TOKEN", file="environment or .env")])
    return Tokens.digest(token) if token else None


def bearer(header: str | None) -> str | None:
    """Return the token of an `Authorization` header; None where there is none of the kind `Bearer`."""
    kind, _, token = (header or "").strip().partition(" ")
    return token.strip() if kind.lower() == "bearer" and token.strip() else None


def client_of(request: Request) -> str:
    """Return the address that a request comes from; behind a proxy on this machine, the one that it names."""
    return plain_address(request.client.host if request.client is not None else "")


def access_of(request: Request) -> Access:
    """Return the rules of the service that a request is for."""
    access: Access = request.app.state.access
    return access


async def caller(request: Request) -> Caller:
    """Return who asks: a dependency of each route that is not for everybody; see `Access.caller`."""
    found: Caller = await access_of(request).caller(request)
    return found
