"""The servers and the breakable network that other tests stand on do what those tests believe."""

from __future__ import annotations

import os
import socket
import threading
import time
from contextlib import contextmanager

import psycopg
import pytest

from tests import servers
from tests.proxy import proxied

SHORT_S = 0.2


@pytest.fixture(scope="module")
def postgres(tmp_path_factory):
    """A PostgreSQL of this module's own."""
    with servers.own_postgres(tmp_path_factory.mktemp("postgres"), work_mem="5MB") as server:
        yield server


@contextmanager
def echo():
    """A server that sends back what it gets; yields its port and the connections it has had."""
    listener = socket.create_server((servers.LOOPBACK, 0))
    ended: list[type[BaseException] | None] = []

    def serve(connection: socket.socket) -> None:
        with connection:
            try:
                while data := connection.recv(1024):
                    connection.sendall(data)
                ended.append(None)
            except OSError as error:
                ended.append(type(error))

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(connection,), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1], ended
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


@contextmanager
def echoed():
    """A proxy before an echo, and a client connected through it."""
    with (
        echo() as (port, ended),
        proxied(port) as proxy,
        socket.create_connection((servers.LOOPBACK, proxy.port), timeout=10) as client,
    ):
        assert b"hello" == said(client, b"hello")
        yield proxy, client, ended


def said(client: socket.socket, data: bytes) -> bytes:
    """Send something and return the answer."""
    client.sendall(data)
    return client.recv(1024)


@pytest.mark.parametrize("end", ["fast", "immediate", "kill"])
def test_an_own_postgresql_outlives_its_ends(postgres, end):
    """What was committed is there after each way to end the server, on the same port."""
    postgres.execute("CREATE TABLE IF NOT EXISTS kept (name text)")
    postgres.execute(f"INSERT INTO kept VALUES ('{end}')")
    if end == "kill":
        postgres.kill()
        with pytest.raises(psycopg.OperationalError):
            postgres.execute("SELECT 1")
        postgres.start()
    else:
        postgres.restart(end)
    assert [(1,)] == postgres.execute(f"SELECT count(*) FROM kept WHERE name = '{end}'")


def test_an_own_postgresql_takes_settings(postgres):
    """What a test sets is in force."""
    assert [("5MB",)] == postgres.execute("SHOW work_mem")


def test_a_frozen_postgresql_says_nothing(postgres):
    """A frozen server takes connections and does not answer; thawed, it goes on."""
    postgres.freeze()
    try:
        with socket.create_connection((servers.LOOPBACK, postgres.port), timeout=SHORT_S) as client:
            client.sendall(b"\x00\x00\x00\x08\x04\xd2\x16\x2f")  # "do you speak TLS?"
            with pytest.raises(TimeoutError):
                client.recv(1)
    finally:
        postgres.thaw()
    assert [(1,)] == postgres.execute("SELECT 1")


def test_an_own_redis_keeps_its_data(tmp_path):
    """It answers, and knows after a restart and after a kill what it was told."""
    with servers.own_redis(tmp_path) as server:
        with socket.create_connection((servers.LOOPBACK, server.port), timeout=10) as client:
            assert b"+OK\r\n" == said(client, b"SET a 1\r\n")
        for again in (server.restart, lambda: (server.kill(), server.start())):
            again()
            with socket.create_connection((servers.LOOPBACK, server.port), timeout=10) as client:
                assert b"$1\r\n1\r\n" == said(client, b"GET a\r\n")
        server.stop()
        assert server.refuses()


def test_missing_servers_are_started(tmp_path, monkeypatch):
    """Where neither a variable nor loopback has a server, the variables name own ones until the end."""
    nobody = servers.free_port()
    for name in (servers.POSTGRES_VARIABLE, servers.REDIS_VARIABLE):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(servers, "_POSTGRES_HERE", f"postgresql+psycopg://root@{servers.LOOPBACK}:{nobody}/test")
    monkeypatch.setattr(servers, "_REDIS_HERE", f"redis://{servers.LOOPBACK}:{nobody}/0")
    with servers.started_where_missing(tmp_path):
        found = [servers.postgres_url(), servers.redis_url()]
        assert [os.environ[servers.POSTGRES_VARIABLE], os.environ[servers.REDIS_VARIABLE]] == found
    assert servers.POSTGRES_VARIABLE not in os.environ


@pytest.mark.parametrize(("ci", "outcome"), [("", pytest.skip.Exception), ("true", pytest.fail.Exception)])
def test_a_missing_server_skips_and_fails_in_ci(monkeypatch, ci, outcome):
    """A test without its server is skipped with the reason; in CI it fails."""
    monkeypatch.setenv("CI", ci)
    monkeypatch.setenv(servers.REDIS_VARIABLE, f"redis://{servers.LOOPBACK}:{servers.free_port()}/0")
    with pytest.raises(outcome, match=r"does not answer .*refused"):
        servers.redis_url()


def test_a_black_hole_swallows_and_heals():
    """Nothing passes and nothing is closed; what was sent meanwhile arrives once it is healed."""
    with echoed() as (proxy, client, ended):
        proxy.black_hole()
        client.sendall(b"later")
        client.settimeout(SHORT_S)
        with pytest.raises(TimeoutError):
            client.recv(1024)
        with socket.create_connection((servers.LOOPBACK, proxy.port), timeout=SHORT_S) as other:
            other.sendall(b"x")
            with pytest.raises(TimeoutError):
                other.recv(1024)
        proxy.heal()
        client.settimeout(10)
        assert b"later" == client.recv(1024)
        assert ConnectionResetError not in ended


def test_a_reset_reaches_both_ends():
    """Client and server get a reset, and the next connection is fine."""
    with echoed() as (proxy, client, ended):
        proxy.reset()
        with pytest.raises(ConnectionResetError):
            client.recv(1024)
        with socket.create_connection((servers.LOOPBACK, proxy.port), timeout=10) as other:
            assert b"again" == said(other, b"again")
        deadline = time.monotonic() + 10
        while not ended and time.monotonic() < deadline:
            time.sleep(0.01)
        assert [ConnectionResetError] == ended[:1]


@pytest.mark.parametrize("deliver", [True, False])
def test_a_reset_comes_when_something_is_sent(deliver):
    """The reset waits for its word, once; the server got that word or did not."""
    with echoed() as (proxy, client, _):
        asked: list[bool] = []
        proxy.when_sent(b"COMMIT", lambda: asked.append(True), deliver=deliver)
        assert b"BEGIN" == said(client, b"BEGIN")
        with pytest.raises(ConnectionResetError):
            said(client, b"COMMIT")
        with socket.create_connection((servers.LOOPBACK, proxy.port), timeout=10) as other:
            assert b"COMMIT" == said(other, b"COMMIT")
        assert [True] == asked


def test_a_slow_network_is_slow():
    """Each piece takes its time each way."""
    with echoed() as (proxy, client, _):
        proxy.delay(SHORT_S / 2)
        begun = time.monotonic()
        assert b"slow" == said(client, b"slow")
        assert time.monotonic() - begun >= SHORT_S
