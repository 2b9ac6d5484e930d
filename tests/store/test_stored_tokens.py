"""Tokens as rows: made, refused where the name is taken, removed."""

from __future__ import annotations

from pipelines.model import Role
from pipelines.store import tokens
from pipelines.store.tokens import NewToken
from tests.store.samples import NOON


def test_a_name_is_taken_once_and_free_again_once_removed(conn):
    """Either database says whether a token was stored, and what is said is so."""
    new = [NewToken("ann", Role.VIEWER, digest, NOON, "root") for digest in ("a", "b")]
    assert [True, False] == tokens.add(conn, new)
    assert ["ann"] == [each.name for each in tokens.every(conn)]
    assert [True, False] == tokens.remove(conn, ["ann", "ann"])
    assert [True] == tokens.add(conn, new[1:])
