"""Tokens for the web: made, listed, revoked, and recognised by their digest. The token itself is told once, then gone.

Who may make one is whoever can write the store: the terminal. What a token may do is its level.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Callable
from datetime import datetime, timedelta

from pipelines.errors import InvalidTransition, UnknownName
from pipelines.model import Role, utcnow
from pipelines.store import tokens
from pipelines.store.tokens import Looked, NewToken, Token
from pipelines.store.writer import Reader, Writer

PREFIX = "pc_"
"""What each token begins with, so that people and scanners of secrets recognise one."""
BYTES = 32
"""So many random bytes are in a token."""
EVERY = timedelta(minutes=1)
"""So often at most it is written down that a token was used."""
NAMES = re.compile(r"[a-z][a-z0-9._-]{0,63}")
"""What a token may be called; it cannot be taken for an id of another door."""


class Tokens:
    """The tokens of one store. All methods raise StoreError where the database refuses."""

    def __init__(self, writer: Writer, reader: Reader, *, clock: Callable[[], datetime] = utcnow) -> None:
        """Write and read through these; `clock` tells the time, UTC."""
        self._writer, self._reader, self._clock = writer, reader, clock

    @staticmethod
    def digest(token: str) -> str:
        """Return what is stored of a token: its SHA-256 in hex."""
        return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()

    async def make(self, name: str, level: Role, *, by: str, expires: timedelta | None = None) -> str:
        """Make a token that may do what `level` says, for as long as `expires` says (None: until it is revoked).

        `by` names who made it, for people. The token is returned and nowhere kept.

        Raises:
            InvalidTransition: the name is taken or cannot be one.
        """
        if not NAMES.fullmatch(name):
            raise InvalidTransition(
                f"a token cannot be called '{name}': expected a lower-case letter, then up to 63 of a-z 0-9 . _ -"
            )
        token, now = PREFIX + secrets.token_urlsafe(BYTES), self._clock()
        ends = now + expires if expires is not None else None
        if not await self._writer.call(tokens.add, NewToken(name, level, self.digest(token), now, by, ends)):
            raise InvalidTransition(f"a token is called '{name}' already; revoke it first, or take another name")
        return token

    async def revoke(self, name: str) -> None:
        """Let a token do nothing more, from the next request on.

        Raises:
            UnknownName: no token has that name.
        """
        if not await self._writer.call(tokens.remove, name):
            raise UnknownName("token", name, [each.name for each in await self.every()])

    async def every(self) -> list[Token]:
        """Return all tokens, by name, those that expired as well."""
        return await self._reader.read(tokens.every)

    async def look(self, found: str | None) -> Looked:
        """Look for the token whose digest is `found` (None: for none), and for whether there are any at all."""
        return await self._reader.read(tokens.look, found)

    def used(self, token: Token) -> None:
        """Note that a token was used just now; at most once a minute it is written down, and nobody waits for it."""
        now = self._clock()
        if token.used_at is None or now - token.used_at >= EVERY:
            self._writer.post(tokens.used, (token.id, now))
