"""The outgoing heartbeat: when it is sent, what is told when it is not, and that it hinders nothing."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest
from aiohttp import web

from pipelines.health import Health
from pipelines.heartbeat import HeartbeatTask
from tests.loading import temporary_folder

WELL = Health(loop_lag_s=0.0, waiting_writes=0, dropped_lines=0, running=0, queued=0, slots=1)
SECRET = "very-secret"


@dataclass
class Watcher:
    """The service elsewhere: counts calls, answers with `status`, or not at all while `silent`."""

    status: int = 200
    silent: bool = False
    calls: int = 0
    at_once: int = 0
    most_at_once: int = 0
    url: str = ""
    health: Health = field(default=WELL)

    async def answer(self, request: web.Request) -> web.Response:
        self.calls += 1
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            if self.silent:
                await asyncio.sleep(60)
            return web.Response(status=self.status)
        finally:
            self.at_once -= 1

    async def read(self) -> Health:
        return self.health


@pytest.fixture
async def watcher():
    there = Watcher()
    app = web.Application()
    app.router.add_get(f"/{SECRET}", there.answer)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    there.url = f"http://127.0.0.1:{runner.addresses[0][1]}/{SECRET}"
    yield there
    await runner.cleanup()


@asynccontextmanager
async def beating(there: Watcher, *, timeout_s: float = 10.0):
    task = HeartbeatTask(there.url, timedelta(milliseconds=5), there.read, timeout_s=timeout_s)
    going = asyncio.create_task(task.run())
    yield going
    going.cancel()
    await asyncio.gather(going, return_exceptions=True)


async def until(true) -> None:
    async with asyncio.timeout(10):
        while not true():
            await asyncio.sleep(0.001)


def told(caplog) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "pipelines.heartbeat"]


async def test_it_is_sent_again_and_again(watcher, caplog):
    """One call after the other, and not a word in the log."""
    async with beating(watcher):
        await until(lambda: watcher.calls >= 3)
    assert (1, []) == (watcher.most_at_once, told(caplog))


async def test_a_failure_is_told_once_and_so_is_its_end(watcher, caplog):
    """However many calls fail in between."""
    caplog.set_level("INFO")
    watcher.status = 503
    async with beating(watcher):
        await until(lambda: watcher.calls >= 4)
        watcher.status = 200
        await until(lambda: len(told(caplog)) >= 2)
    assert ["the heartbeat is not sent: it was answered with 503", "the heartbeat is sent again"] == told(caplog)


async def test_a_silent_service_is_given_up(watcher, caplog):
    """A call ends in time, and the next follows; they never overlap."""
    watcher.silent = True
    async with beating(watcher, timeout_s=0.05):
        await until(lambda: watcher.calls >= 3)
    assert (1, ["the heartbeat is not sent: TimeoutError"]) == (watcher.most_at_once, told(caplog))


async def test_an_address_where_nobody_is_harms_nothing(caplog):
    """Nor does it show the address, which is a secret."""
    nobody = Watcher(url=f"http://127.0.0.1:9/{SECRET}")
    async with beating(nobody) as going:
        await until(lambda: told(caplog))
        assert not going.done()
    assert SECRET not in caplog.text


async def test_nothing_is_sent_while_the_service_is_down(watcher, caplog):
    """So that the alarm is raised; once the service is of use again it goes out."""
    watcher.health = replace(WELL, refused="disk full")
    async with beating(watcher):
        await until(lambda: told(caplog))
        assert 0 == watcher.calls
        watcher.health = replace(WELL, dead=1)
        await until(lambda: watcher.calls)
    assert ["the heartbeat is not sent: the service is down (the store cannot be used: disk full)"] == told(caplog)[:1]


async def test_a_mistake_in_reading_health_does_not_end_it(watcher, caplog):
    """What watches the service must not be what ends it."""

    async def broken() -> Health:
        raise RuntimeError("a mistake")

    watcher.read = broken
    async with beating(watcher) as going:
        await until(lambda: told(caplog))
        assert not going.done()


async def test_the_scheduler_sends_it(watcher, project):
    """As the file says, with the address from the environment."""
    project.env["HEARTBEAT_URL"] = watcher.url
    project.write(
        """
        scheduler: {heartbeat: {url: "${HEARTBEAT_URL}", every: 10ms}}
        pipelines:
          p: {enabled: false, chain: [pipelines.transforms.Log]}
        """
    )
    async with project.scheduler() as scheduler:
        await scheduler.start()
        scheduler.start_monitoring()
        await until(lambda: watcher.calls >= 2)
        assert "[hidden]" not in watcher.url
        assert SECRET not in scheduler.redactor.text(watcher.url)


@pytest.fixture
def folder():
    with temporary_folder() as folder:
        yield folder


@pytest.mark.parametrize(
    ("text", "path", "words"),
    [
        ('{url: "${NO_SUCH}"}', "scheduler.heartbeat.url", "NO_SUCH is not set"),
        ('{url: "${TOKEN}"}', "scheduler.heartbeat.url", "begins with https://"),
        ("{url: 'https://x.example', every: 0}", "scheduler.heartbeat.every", "expected a duration"),
        ("{every: 1m}", "scheduler.heartbeat", "url"),
    ],
)
def test_mistakes_about_the_heartbeat_are_told_with_their_line(folder, text, path, words):
    """As all of the file's, and without what the environment holds."""
    file = f"scheduler:\n  heartbeat: {text}\npipelines: {{p: {{chain: [pipelines.transforms.Log]}}}}\n"
    ((line, where, message),) = folder.told(file)
    assert (2, True, True, False) == (line, where.startswith(path), words in message, "s3cret" in message)
