"""Tokens for the web: what the store keeps of one, and when one holds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from pipelines.errors import InvalidTransition, UnknownName
from pipelines.model import Role
from pipelines.store.opening import opened
from pipelines.tokens import Tokens

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.fixture
async def tokens(project):
    """The tokens of a new store, and the folder in which it lies; it is noon."""
    project.with_store()
    async with opened(project.settings().scheduler_db_url) as (writer, reader):
        yield Tokens(writer, reader, clock=lambda: NOON), project.folder


async def test_the_store_keeps_only_the_digest(tokens):
    """The digest of a token is in the files of the store, the token itself in none of them."""
    held, folder = tokens
    token = await held.make("ann", Role.OPERATOR, by="test")
    bytes_of_all = b"".join(path.read_bytes() for path in folder.glob("store.db*"))
    assert (True, False) == (Tokens.digest(token).encode() in bytes_of_all, token.encode() in bytes_of_all)


async def test_tokens_are_long_and_differ(tokens):
    """A token begins with its mark, has 256 bits of chance, and is never made twice."""
    held, _ = tokens
    made = {await held.make(name, Role.VIEWER, by="test") for name in ("a", "b", "c")}
    assert (3, {"pc_"}, {46}) == (len(made), {each[:3] for each in made}, {len(each) for each in made})


async def test_a_token_that_is_over_is_told_from_one_that_holds(tokens):
    """One that expires is over at that very moment, one without an end never is, and a revoked one is not found."""
    held, _ = tokens
    hour = await held.make("hour", Role.VIEWER, by="test", expires=timedelta(hours=1))
    ever = await held.make("ever", Role.ADMIN, by="test")
    found = [(await held.look(Tokens.digest(each))).token for each in (hour, ever)]
    assert [False, False] == [each.expired(NOON + timedelta(minutes=59)) for each in found]
    assert [True, False] == [each.expired(NOON + timedelta(hours=1)) for each in found]
    await held.revoke("ever")
    assert None is (await held.look(Tokens.digest(ever))).token


async def test_names_are_taken_once(tokens):
    """A name that is taken, or cannot be one, is refused; one that is not there is told with the nearest."""
    held, _ = tokens
    await held.make("prometheus", Role.VIEWER, by="test")
    for name, said in (("prometheus", "already"), ("Ann Smith", "expected a lower-case letter")):
        with pytest.raises(InvalidTransition, match=said):
            await held.make(name, Role.VIEWER, by="test")
    with pytest.raises(UnknownName, match="did you mean 'prometheus'"):
        await held.revoke("promtheus")
