"""A pooler that gives sessions of PostgreSQL to several clients in turns is refused before anything is done there."""

from __future__ import annotations

import psycopg
import pytest
from sqlalchemy import make_url

from pipelines.errors import StoreError
from pipelines.store import database, holding
from tests.pooler import pooled
from tests.proxy import proxied
from tests.servers import libpq, postgres_url


def through(port: int) -> str:
    """The URL of the server that all tests share, behind a port of loopback."""
    return make_url(postgres_url()).set(host="127.0.0.1", port=port).render_as_string(hide_password=False)


@pytest.fixture
def port() -> int:
    """Where that server is."""
    return make_url(postgres_url()).port or 5432


@pytest.mark.parametrize(("size", "in_turns"), [(1, False), (2, False), (2, True), (3, True)])
def test_it_is_refused(port, size, in_turns):
    """Few sessions or more, the last one first or all in turns: the error says where, what is expected, what to do."""
    with pooled(port, size=size, in_turns=in_turns) as at, pytest.raises(StoreError) as told:
        database.connect(through(at))
    assert f"127.0.0.1:{at}/" in str(told.value)
    assert "gives each session of PostgreSQL to several clients in turns; expected one for each" in str(told.value)
    assert "set pool_mode = session in pgbouncer" in str(told.value)


def test_nothing_is_left_behind(port):
    """Whoever else uses that pooler finds its sessions as they were: no limits are set, no lock is held."""
    with pooled(port) as at:
        with pytest.raises(StoreError, match=f":{at}/.*: a pooler in between"), holding.hold(through(at)):
            pass
        with psycopg.connect(libpq(through(at)), autocommit=True) as other:
            assert ("0",) == other.execute("SHOW statement_timeout").fetchone()
            asked = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()"
            assert (0,) == other.execute(asked).fetchone()


def test_who_only_passes_on_is_no_pooler(port):
    """A session for each client will do, whatever is in between."""
    with proxied(port) as proxy:
        engine = database.connect(through(proxy.port))
        with engine.connect() as one, engine.connect() as other:
            pids = [each.exec_driver_sql("SELECT pg_backend_pid()").scalar_one() for each in (one, other)]
        engine.dispose()
    assert 2 == len(set(pids))
