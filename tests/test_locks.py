"""Locks among processes: one has it at a time, whatever dies, is frozen, is emptied or cannot be reached."""

from __future__ import annotations

import asyncio
import math
import signal
import time
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
import redis.asyncio
from sqlalchemy import make_url

from pipelines.errors import ConfigError, StoreError
from pipelines.locks import make_lock
from pipelines.locks.file_lock import FileLock
from pipelines.locks.postgres_lock import PostgresLock
from pipelines.locks.redis_lock import RedisLock
from pipelines.settings import Settings
from tests.lock_candidate import candidate
from tests.project import fresh_store
from tests.proxy import proxied
from tests.servers import libpq, own_postgres, postgres_url, redis_url

KINDS = {"file": "file_lock:FileLock", "postgres": "postgres_lock:PostgresLock", "redis": "redis_lock:RedisLock"}
LIFE_S = 1.2


class Place:
    """Where processes compete: `lock` makes one for this process, `elsewhere` says how another one makes its own."""

    def __init__(self, kind: str, where: list[str], more: dict[str, float]) -> None:
        self.kind, self._where, self._more = kind, where, more

    def lock(self, process: str = "here:1:a"):
        made = {"file": FileLock, "postgres": PostgresLock, "redis": RedisLock}[self.kind]
        return made(*self._where, process, **self._more)

    def elsewhere(self, folder: Path):
        return candidate(folder, KINDS[self.kind], *self._where, "there:2:b", **self._more)


@pytest.fixture
def place(request, tmp_path):
    """A file, a schema of PostgreSQL, or a name in Redis, whose locks live for `LIFE_S` seconds."""
    if request.param == "file":
        yield Place("file", [str(tmp_path / "data" / "x.lock")], {})
    elif request.param == "postgres":
        with fresh_store() as url:
            yield Place("postgres", [url], {"life_s": LIFE_S})
    else:
        name = f"test:{uuid4().hex}"
        yield Place("redis", [redis_url(), name], {"life_s": LIFE_S})
        with redis.Redis.from_url(redis_url()) as client:
            client.delete(name)


every_kind = pytest.mark.parametrize("place", KINDS, indirect=True)
with_life = pytest.mark.parametrize("place", ["postgres", "redis"], indirect=True)
on_postgres = pytest.mark.parametrize("place", ["postgres"], indirect=True)
on_redis = pytest.mark.parametrize("place", ["redis"], indirect=True)


async def within(seconds, awaitable):
    """Wait no longer than that."""
    async with asyncio.timeout(seconds):
        return await awaitable


def settings(**given):
    return Settings(_env_file=None, **given)


@every_kind
async def test_one_has_it_until_it_gives_it_up(place):
    """Who comes second waits, sees who has it, and gets it soon after it is released; it can change hands for ever."""
    first, second = place.lock("first:1:a"), place.lock("second:2:b")
    for _ in range(2):
        await within(5, first.acquire())
        assert first.sure_until > 0
        waiting = asyncio.create_task(second.acquire())
        await asyncio.wait({waiting}, timeout=0.3)
        assert (False, -math.inf) == (waiting.done(), second.sure_until)
        assert "first:1:a" == await second.holder()
        await first.release()
        assert -math.inf == first.sure_until
        await within(5, waiting)
        await second.release()
        await second.release()


@every_kind
async def test_who_gives_up_waiting_leaves_nothing(place):
    """One that stops waiting does not keep others out later."""
    first, second = place.lock("first:1:a"), place.lock("second:2:b")
    await within(5, first.acquire())
    waiting = asyncio.create_task(second.acquire())
    await asyncio.wait({waiting}, timeout=0.1)
    waiting.cancel()
    await asyncio.wait({waiting})
    await second.release()
    await first.release()
    await within(5, first.acquire())
    await first.release()


@every_kind
async def test_it_goes_over_when_its_process_is_killed(place, tmp_path):
    """After kill -9 the next one has it: at once on a file and PostgreSQL, when its time is over in Redis."""
    lock = place.lock()
    with place.elsewhere(tmp_path) as other:
        await asyncio.to_thread(other.wait_for, "works", 2)
        waiting = asyncio.create_task(lock.acquire())
        await asyncio.wait({waiting}, timeout=0.3)
        assert not waiting.done()
        other.signal(signal.SIGKILL)
        began = time.monotonic()
        await within(10, waiting)
        took = time.monotonic() - began
    await lock.release()
    assert took < (LIFE_S + 1 if place.kind == "redis" else 1)


@with_life
async def test_who_is_frozen_does_nothing_more_when_it_wakes(place, tmp_path):
    """Another gets the lock of a stopped process; that one, let go on, does nothing and says that it has lost it."""
    lock = place.lock()
    with place.elsewhere(tmp_path) as other:
        await asyncio.to_thread(other.wait_for, "works", 2)
        other.signal(signal.SIGSTOP)
        await within(10, lock.acquire())
        taken_at = time.time()
        other.signal(signal.SIGCONT)
        await asyncio.to_thread(other.wait_for, "lost")
        assert [] == [at for at in other.said("works") if at > taken_at]
        await lock.release()
        await asyncio.to_thread(other.wait_for, "leads", 2)


async def test_a_frozen_process_keeps_its_file(tmp_path):
    """Nobody takes a file from a process that only stands still, and there it goes on to lead."""
    place = Place("file", [str(tmp_path / "x.lock")], {})
    lock = place.lock()
    with place.elsewhere(tmp_path) as other:
        await asyncio.to_thread(other.wait_for, "works", 2)
        other.signal(signal.SIGSTOP)
        waiting = asyncio.create_task(lock.acquire())
        await asyncio.wait({waiting}, timeout=0.5)
        assert (False, "there:2:b") == (waiting.done(), await lock.holder())
        before = len(other.said("works"))
        other.signal(signal.SIGCONT)
        await asyncio.to_thread(other.wait_for, "works", before + 2)
        waiting.cancel()
    await asyncio.wait({waiting})
    await lock.release()


# ---------------------------------------------------------------- the server ends it, or is away


@on_postgres
async def test_a_session_that_the_server_ends_is_noticed_at_once(place):
    """An administrator ends the session: the holder learns of it without waiting for its next question."""
    lock = place.lock("terminated:1:a")
    await within(5, lock.acquire())
    holding = asyncio.create_task(lock.hold())
    await asyncio.wait({holding}, timeout=0.1)
    began = time.monotonic()
    with psycopg.connect(libpq(postgres_url()), autocommit=True) as admin:
        ended = admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s",
            ["pipecall lock terminated:1:a"],
        ).fetchall()
    assert [(True,)] == ended
    assert "the session with the PostgreSQL server ended" in await within(5, holding)
    assert time.monotonic() - began < 0.8
    assert -math.inf == lock.sure_until
    await within(5, lock.acquire())
    await lock.release()


@on_postgres
async def test_the_server_frees_the_lock_of_who_says_nothing(place):
    """A holder that asks nothing loses its session after the lock's life; until then it was not sure for as long."""
    lock, next_ = place.lock("silent:1:a"), place.lock("next:2:b")
    began = time.monotonic()
    await within(5, lock.acquire())
    await within(10, next_.acquire())
    assert LIFE_S <= time.monotonic() - began < LIFE_S + 1.5
    await next_.release()
    await lock.release()


@on_postgres
async def test_who_waits_frees_it_where_the_server_does_not(place, monkeypatch):
    """PostgreSQL 13 bears with silent sessions: there the next one ends the holder's, and not before its time."""
    monkeypatch.setattr("pipelines.locks.postgres_lock._IDLE_TIMEOUT_SINCE", 10_000_000)
    lock, next_ = place.lock("silent:1:a"), place.lock("next:2:b")
    began = time.monotonic()
    await within(5, lock.acquire())
    await within(10, next_.acquire())
    assert LIFE_S <= time.monotonic() - began
    await next_.release()
    await lock.release()


async def test_a_black_hole_ends_it_and_a_server_that_is_back_is_found():
    """Without any answer the holder is sure for less than the lock's life; once the way is free it gets it anew."""
    server = make_url(postgres_url())
    with fresh_store() as url, proxied(server.port or 5432, server.host or "127.0.0.1") as proxy:
        way = make_url(url).set(host="127.0.0.1", port=proxy.port).render_as_string(hide_password=False)
        lock = PostgresLock(way, "far:1:a", life_s=LIFE_S)
        await within(5, lock.acquire())
        proxy.black_hole()
        began = time.monotonic()
        assert "ended: no answer within" in await within(5, lock.hold())
        assert time.monotonic() - began < LIFE_S
        near = PostgresLock(url, "near:2:b", life_s=LIFE_S)
        await within(5, near.acquire())
        await near.release()
        await lock.release()
        again = asyncio.create_task(lock.acquire())
        proxy.heal()
        proxy.reset()
        await within(10, again)
        await lock.release()


async def test_a_server_that_restarts_is_waited_for(tmp_path):
    """The lock survives a restart of PostgreSQL: lost when it stops, acquired when it is back."""
    with own_postgres(tmp_path) as server:
        lock = PostgresLock(server.url, "here:1:a")
        await within(5, lock.acquire())
        holding = asyncio.create_task(lock.hold())
        await asyncio.wait({holding}, timeout=0.1)
        await asyncio.to_thread(server.stop)
        assert "ended" in await within(5, holding)
        await lock.release()
        again = asyncio.create_task(lock.acquire())
        await asyncio.to_thread(server.start)
        await within(10, again)
        await lock.release()


@on_redis
async def test_an_emptied_redis_is_noticed(place):
    """When Redis has forgotten the lock, its holder has lost it, even while nobody else has it."""
    lock = place.lock()
    await within(5, lock.acquire())
    holding = asyncio.create_task(lock.hold())
    await asyncio.wait({holding}, timeout=0.1)
    with redis.Redis.from_url(redis_url()) as client:
        assert 1 == client.delete(place._where[1])
    assert "Redis does not know of it any more" in await within(3, holding)
    await lock.release()


@on_redis
async def test_a_lock_that_another_took_is_left_to_it(place):
    """Who has lost its key neither extends nor removes the one of the next holder."""
    first, second = place.lock("first:1:a"), place.lock("second:2:b")
    await within(5, first.acquire())
    with redis.Redis.from_url(redis_url()) as client:
        client.delete(place._where[1])
    await within(5, second.acquire())
    assert "somebody else has it" in await within(3, first.hold())
    await first.release()
    assert "second:2:b" == await second.holder()
    await second.release()


async def broken_off(*_arguments, **_more):
    """Stands for a client that is cancelled in the moment in which its connection breaks."""
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        raise redis.ConnectionError("closed while it was cleaned up") from None


@on_redis
@pytest.mark.parametrize("asks", ["acquire", "extend", "get"])
async def test_who_stops_as_redis_goes_stops(place, monkeypatch, asks):
    """Told to stop just as its connection breaks, it stops, and does not compete on."""
    first, second = place.lock("first:1:a"), place.lock("second:2:b")
    await within(5, first.acquire())
    where = redis.asyncio.Redis if asks == "get" else redis.asyncio.lock.Lock
    monkeypatch.setattr(where, asks, broken_off)
    waits = asyncio.create_task({"acquire": second.acquire, "extend": first.hold, "get": second.holder}[asks]())
    await asyncio.wait({waits}, timeout=LIFE_S / 2)
    waits.cancel()
    await asyncio.wait({waits}, timeout=5)
    stopped = waits.cancelled()
    monkeypatch.undo()
    waits.cancel()
    assert stopped
    await first.release()
    await second.release()


async def test_a_removed_file_is_noticed(tmp_path, monkeypatch):
    """Who removes the lock's file takes the lock: the next one locks a new file."""
    monkeypatch.setattr("pipelines.locks.file_lock.LOOK_S", 0.01)
    path = tmp_path / "x.lock"
    lock = FileLock(path, "here:1:a")
    await lock.acquire()
    path.unlink()
    assert f"{path} was removed or replaced" == await within(5, lock.hold())
    await lock.release()


async def test_a_file_that_cannot_be_is_an_error(tmp_path):
    """A place where no file can be made is told, with the setting to change."""
    (tmp_path / "x").write_text("")
    with pytest.raises(StoreError, match=r"x/y: cannot be locked: .*SCHEDULER_LOCK_URL"):
        await FileLock(tmp_path / "x" / "y", "here:1:a").acquire()


# ---------------------------------------------------------------- which one


POSTGRES = "postgresql://me:hush-hush@db:5432/shop?options=-csearch_path%3Dtwo"
DEFAULTS = {
    ("sqlite:///data/x.db", None): None,
    ("sqlite:///data/x.db", "none"): None,
    ("sqlite:///data/x.db", "file"): None,
    ("sqlite:///data/x.db", "redis"): "redis",
    (POSTGRES, None): "postgres",
    (POSTGRES, "none"): "postgres",
    (POSTGRES, "postgres"): "postgres",
    (POSTGRES, "file"): "file",
    (POSTGRES, "redis"): "redis",
}


@pytest.mark.parametrize(("url", "lock"), DEFAULTS)
def test_settings_choose_the_lock(url, lock):
    """SQLite's own file is enough on one machine; on PostgreSQL it is a session of it, or what was asked for."""
    made = make_lock(settings(scheduler_db_url=url, scheduler_lock=lock), "here:1:a")
    assert DEFAULTS[url, lock] == (made.kind if made is not None else None)


WRONG = {
    "postgres on SQLite": ({"scheduler_db_url": "sqlite:///x.db", "scheduler_lock": "postgres"}, "SCHEDULER_LOCK: "),
    "a path for Redis": ({"scheduler_lock": "redis", "scheduler_lock_url": "data/x.lock"}, "SCHEDULER_LOCK_URL: "),
    "a port that is none": (
        {"scheduler_lock": "redis", "scheduler_lock_url": "redis://:hush-hush@x:port/0"},
        "SCHEDULER_LOCK_URL: ",
    ),
    "Redis for a file": (
        {"scheduler_db_url": POSTGRES, "scheduler_lock": "file", "scheduler_lock_url": "redis://:hush-hush@x/0"},
        "SCHEDULER_LOCK_URL: ",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_settings_that_do_not_go_together_are_told(name):
    """The error names the setting and what was expected, and quotes no password."""
    given, told = WRONG[name]
    with pytest.raises(ConfigError, match=told) as caught:
        make_lock(settings(**given), "here:1:a")
    assert "expected" in str(caught.value)
    assert "hush-hush" not in str(caught.value)


@pytest.mark.parametrize(("package", "lock"), [("redis", "redis"), ("psycopg", "postgres")])
def test_a_missing_package_is_told(monkeypatch, package, lock):
    """Without its package a lock says what to install."""
    monkeypatch.setattr("pipelines.locks.find_spec", lambda name: None if name == package else object())
    with pytest.raises(ConfigError, match=rf"needs the package {package}.*pip install pipecall\[{lock}\]"):
        make_lock(settings(scheduler_db_url=POSTGRES, scheduler_lock=lock), "here:1:a")


async def test_schemas_and_stores_do_not_meet():
    """Stores in two schemas of one database have a lock each."""
    with fresh_store() as one, fresh_store() as other:
        locks = [PostgresLock(url, "here:1:a") for url in (one, other)]
        for lock in locks:
            await within(5, lock.acquire())
        for lock in locks:
            await lock.release()
