"""Events over a stream: what is told to whom, when a stream ends, and that nobody who does not read harms others."""

from __future__ import annotations

import asyncio
import functools
import json
import socket
import threading
from contextlib import suppress

import pytest

from pipelines import Role, Tokens
from tests.project import until
from web import events as module
from web.events import RETRY, WAITING, Event, Events

ADMIN = {"Authorization": "Bearer a-token-of-the-tests"}


@pytest.fixture(scope="module")
def site(rest):
    """A service with a token, whose streams are looked after ten times a second."""
    made = []

    def events() -> Events:
        made.append(Events(keep_alive_s=0.1, check_s=0.1))
        return made[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("web.face.Events", events)
        patch.setattr("web.server.SLOW_S", 0.3)
        with rest(web_token="a-token-of-the-tests") as site:
            (site.events,) = made
            yield site


class Listening:
    """Somebody who listens, in a thread of their own: what they were told, and whether their stream has ended."""

    def __init__(self, site, headers):
        self.told: list[tuple[str, dict]] = []
        self.status = 0
        self.comments = 0
        self._site, self._headers = site, headers
        self.thread = threading.Thread(target=self._listen, daemon=True)
        before = site.events.listening
        self.thread.start()
        until(lambda: site.events.listening > before or self.status >= 400, "nobody listens")

    def _listen(self):
        kind = ""
        with self._site.client() as client, client.stream("GET", "/api/events", headers=self._headers) as answer:
            self.status = answer.status_code
            for line in answer.iter_lines():
                kind = line.removeprefix("event: ") if line.startswith("event: ") else kind
                self.comments += line.startswith(":")
                if line.startswith("data: "):
                    self.told.append((kind, json.loads(line.removeprefix("data: "))))

    @property
    def over(self) -> bool:
        """Whether the stream has ended."""
        return not self.thread.is_alive()


def token(site, name: str, level: Role = Role.VIEWER) -> dict[str, str]:
    """A new token, as a header."""
    tokens = Tokens(site.engine.writer, site.engine.reader)
    made = site.on_loop(functools.partial(tokens.make, name, level, by="test"))
    return {"Authorization": f"Bearer {made}"}


def test_runs_jobs_and_reloads_are_told(site):
    """Who listens hears of a run until it is over, of a job that changes and goes, and of files that are taken up."""
    listening = Listening(site, token(site, "all"))
    run = site.ran("prices")
    with site.client() as client:
        wish = {"pipeline": "prices", "when": "daily at 10:00", "name": "ten"}
        client.post("/api/schedules", json=wish, headers=ADMIN)
        client.post("/api/schedules/ten/disable", headers=ADMIN)
        client.delete("/api/schedules/ten", headers=ADMIN)
        path = site.project.folder / "pipelines.yml"
        path.write_text("pipelines: {")
        assert 422 == client.post("/api/scheduler/reload", headers=ADMIN).status_code
    until(lambda: "reload" in dict(listening.told), f"no reload was told of: {listening.told}")
    runs = [data["state"] for kind, data in listening.told if kind == "run" and data["id"] == run]
    jobs = [(data["id"], data["state"], data["gone"]) for kind, data in listening.told if kind == "job"]
    assert "succeeded" == runs[-1]
    assert [("ten", "active", False), ("ten", "paused", False), ("ten", "paused", True)] == jobs
    assert not dict(listening.told)["reload"]["ok"]


def test_a_quiet_stream_is_kept_alive(site):
    """Where nothing happens, comments keep the connection."""
    listening = Listening(site, ADMIN)
    until(lambda: listening.comments > 2, "no comments came")
    assert not listening.over


def test_a_stream_ends_when_its_token_is_revoked(site):
    """Who may ask no more is told nothing more, though the connection was open."""
    mine, other = Listening(site, token(site, "gone")), Listening(site, ADMIN)
    tokens = Tokens(site.engine.writer, site.engine.reader)
    site.on_loop(functools.partial(tokens.revoke, "gone"))
    until(lambda: mine.over, "the stream went on")
    assert not other.over


def test_without_a_token_nobody_listens(site):
    """A stream needs a token as everything does."""
    assert 401 == Listening(site, {}).status


def test_who_does_not_read_is_cut_off_and_harms_nobody(site):
    """The connection of a listener that takes nothing for too long is closed; others are told everything."""
    host, port = site.address.removeprefix("http://").split(":")
    head = f"GET /api/events HTTP/1.1\r\nHost: {host}\r\nAuthorization: {ADMIN['Authorization']}\r\n\r\n"
    before = site.events.listening
    with socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.settimeout(20)
        slow.connect((host, int(port)))
        slow.sendall(head.encode())
        until(lambda: site.events.listening > before, "nobody listens")
        fast = Listening(site, ADMIN)

        async def flood() -> int:
            told = 0
            async with asyncio.timeout(20):
                while site.events.listening > before + 1:
                    site.events.tell(Event("flood", {"text": "x" * 20_000}))
                    told += 1
                    await asyncio.sleep(0.001)
            return told

        told = site.on_loop(flood)
        until(lambda: len(fast.told) == told, "others were not told everything")
        with suppress(ConnectionResetError):
            while slow.recv(1 << 20):
                pass
    assert not fast.over


async def test_so_much_waits_for_a_listener_and_no_more():
    """One that is behind by more than its queue holds is dropped, and its stream ends; others are told on."""
    events, others = Events(), 0

    async def allowed() -> bool:
        return True

    behind, present = (events.listen(lambda _: True, allowed) for _ in range(2))
    assert [RETRY, RETRY] == [await anext(behind), await anext(present)]
    for number in range(WAITING + 1):
        events.tell(Event("run", {"id": number}))
        others += b"data" in await anext(present)
    assert (WAITING + 1, 1) == (others, events.listening)
    assert WAITING >= len([each async for each in behind])
    await present.aclose()


async def test_all_streams_end_when_the_service_leaves():
    """Closed, each stream ends after what it was told; nobody new is let in."""
    events = Events()

    async def allowed() -> bool:
        return True

    stream = events.listen(lambda _: True, allowed)
    assert RETRY == await anext(stream)
    events.tell(Event("run", {"id": 1}))
    events.close()
    assert ([b'event: run\ndata: {"id": 1}\n\n'], True) == ([each async for each in stream], events.full)
    assert 0 == events.listening


def test_no_more_listen_than_there_is_room_for(site, monkeypatch):
    """One too many is refused for now, and told when to come back."""
    monkeypatch.setattr(module, "LISTENERS", 0)
    with site.client() as client:
        refused = client.get("/api/events", headers=ADMIN)
    assert (503, "5") == (refused.status_code, refused.headers["retry-after"])
