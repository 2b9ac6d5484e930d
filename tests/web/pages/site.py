"""A whole service with its web, in a thread of its own, for tests that ask it as browsers do."""

from __future__ import annotations

import asyncio
import html
import re
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from pipelines.engine import Engine
from tests.project import DEADLINE_S, Project, until
from web.face import WebFace

NASTY = '<script>alert(1)</script> "><img src=x onerror=alert(1)> {{7*7}} \u202etxt \x00 ' + "W" * 10_000
HOSTILE = ("<script>alert", "<img src=x", "49 \u202e", "\x00")
"""What no page may ever hold as it stands."""
LONG = "very-long.name_of-a-pipeline-that-somebody-made-up-in-a-hurry"

PIPELINES = f"""
scheduler: {{default_retry: {{attempts: 1}}, max_parallel_jobs: 4, timezone: UTC}}
pipelines:
  good:
    description: "<script>alert(1)</script> \\"><img src=x onerror=alert(1)> {{{{7*7}}}}"
    executor: inline
    schedule: {{cron: "0 6 * * *"}}
    chain: [page_stages.good, {{class: page_stages.Keep, kwargs: {{password: hunter22, note: "<script>alert(1)"}}}}]
  waits: {{executor: inline, max_instances: 4, schedule: {{cron: "*/5 * * * *"}}, chain: [page_stages.Wait]}}
  {LONG}: {{executor: inline, chain: [page_stages.Bad]}}
  takes:
    schedule: {{cron: "0 5 * * *", params: {{count: 2}}}}
    executor: inline
    params:
      region: {{type: text, choices: [se, fi], default: se}}
      count: {{type: int, min: 1, max: 9, required: true, description: "<script>alert(1)"}}
      plain: usual
      api_token: hunter2233
    chain: [page_stages.good]
"""
PLUGIN = f"""
import asyncio
import html
from pipelines import Fetcher, Sink, current_run

NASTY = {NASTY!r}

def good(item):
    return 1

class Keep(Sink):
    def __init__(self, password, note):
        pass
    async def handle(self, item):
        pass

class Wait(Fetcher):
    async def fetch(self):
        current_run().progress(0.4, "<script>alert(1) 4 of 10")
        current_run().log.info("waiting")
        yield 1
        await asyncio.Event().wait()

class Bad(Fetcher):
    async def fetch(self):
        current_run().log.error(NASTY)
        yield 1
        raise ValueError(NASTY)
"""


class Site:
    """The engine, and the address of its web; `on_loop` runs something where the engine lives."""

    def __init__(self, project: Project, **settings: Any) -> None:
        """Serve `project`, whose plugins are this module's."""
        self.project = project
        self.engine: Engine
        self.address = ""
        self._settings = {"web": "on", "web_port": 0, **settings}
        self._loop = asyncio.new_event_loop()
        self._over = asyncio.Event()

    def on_loop(self, work: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        """Return what `work` comes to in the engine's loop."""
        return asyncio.run_coroutine_threadsafe(work(), self._loop).result(DEADLINE_S)

    def ran(self, name: str, **params: Any) -> int:
        """Run a pipeline to its end; return the run's id."""

        async def work() -> int:
            (run,) = await self.engine.run_now([name], params=params, actor="<b>ann</b>")
            await self.engine.wait(run.id)
            return run.id

        return int(self.on_loop(work))

    def started(self, name: str) -> int:
        """Run a pipeline that waits for ever; return the run's id once it goes on."""

        async def work() -> int:
            (run,) = await self.engine.run_now([name], actor="ann")
            while run.id not in self.engine.live or not self.engine.live[run.id].note:
                await asyncio.sleep(0.01)
            return run.id

        return int(self.on_loop(work))

    def client(self) -> httpx.Client:
        """Return a browser without a screen: it keeps cookies, and follows nothing by itself.

        It needs no certificates here; to read them takes longer than what most tests do.
        """
        return httpx.Client(base_url=self.address, timeout=DEADLINE_S, verify=False)

    async def _live(self, ready: threading.Event) -> None:
        async with self.project.scheduler(**self._settings) as self.engine:
            await self.engine.start()
            await self.engine.start_timetable()
            face = WebFace(self.project.settings(**self._settings))
            await face.start(self.engine)
            while face.address is None:
                await asyncio.sleep(0.01)
            self.address = face.address
            ready.set()
            await self._over.wait()
            await face.stop()
            await self.engine.kill()

    @contextmanager
    def serving(self) -> Iterator[Site]:
        """Start it all, and end it all."""
        ready = threading.Event()

        def work() -> None:
            try:
                self._loop.run_until_complete(self._live(ready))
            finally:
                self._loop.close()

        thread = threading.Thread(target=work, name="site")
        thread.start()
        try:
            until(lambda: ready.is_set() or not thread.is_alive(), "the site never served")
            assert ready.is_set()
            yield self
        finally:
            if thread.is_alive():
                self._loop.call_soon_threadsafe(self._over.set)
            thread.join(DEADLINE_S)


def hidden(text: str, action: str) -> dict[str, str]:
    """Return the hidden fields of the form on a page that goes to `action`."""
    found = re.search(rf'<form method="post" action="{re.escape(action)}".*?</form>', text, re.DOTALL)
    assert found is not None, f"no form goes to {action}"
    fields = re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)"', found[0])
    return {name: html.unescape(value) for name, value in fields}
