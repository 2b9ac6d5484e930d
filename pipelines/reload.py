"""Hot reload: the pipelines file and plugins are watched; a valid change is put in force, a wrong one is told.

What was refused changes nothing: the last good set stays in force, and `problem` says why. Runs that go on end as they
began; their next attempt is by what is in force then.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import Future
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TypeVar

from pipelines import changes, loading, plugin_modules, watching
from pipelines.catalog import Catalog
from pipelines.changes import Change
from pipelines.errors import ConfigError, PipecallError, StoreError
from pipelines.loader import Loaded
from pipelines.settings import Settings
from pipelines.store.signals import Signal

logger = logging.getLogger(__name__)

AGAIN_S = 5.0
"""So soon, in seconds, a change is put in force again that the store refused."""
LONG_S = 30.0
"""After so long, in seconds, it is told that the files are still being read."""

T = TypeVar("T")

Apply = Callable[[Loaded, bool], Awaitable[None]]
"""Puts a set in force, the first argument; the second says whether plugins have changed."""
Told = Callable[[Change | PipecallError], None]


class Reload:
    """Reads the files again. `problem` says why the newest are not in force (None: they are), `last` what changed."""

    def __init__(
        self,
        settings: Settings,
        catalog: Catalog,
        env: Mapping[str, str],
        *,
        apply: Apply,
        clock: Callable[[], datetime],
    ) -> None:
        """`env` fills `${NAME}`; `apply` puts a set in force or raises StoreError, having changed nothing."""
        self.problem: str | None = None
        self.last: Change | None = None
        self._settings, self._catalog, self._env = settings, catalog, env
        self._apply, self._clock = apply, clock
        self._told: list[Told] = []
        self._turn = asyncio.Lock()
        self._seen: Mapping[Path, str] = {}
        self._plugins: Mapping[Path, str] = {}  # as those in force were read

    def watch(self, callback: Told) -> None:
        """Have `callback` called with each change that was put in force, and each that was refused."""
        self._told.append(callback)

    async def now(self) -> Change | None:
        """Read the files if they have changed or were refused, and put them in force; None where all is as it was.

        Raises:
            ConfigError: all that is wrong with them; nothing was changed.
            StoreError: the store refused; nothing was changed.
        """
        async with self._turn:
            seen = await self._fingerprint()
            if seen == self._seen and self.problem is None:
                return None
            try:
                change = await self._read(plugins=_plugins(seen) != self._plugins)
            except StoreError as error:
                self._tell(error)
                raise
            except PipecallError as error:
                self._seen = seen
                self._tell(error)
                raise
            self._seen, self._plugins = seen, _plugins(seen)
            self._tell(change)
            return change

    async def _read(self, *, plugins: bool) -> Change:
        before = self._catalog.loaded
        unloaded = plugin_modules.unload(self._settings.plugins_folder) if plugins else {}
        try:
            known = None if plugins else before
            loaded = await self._patiently(partial(loading.read, self._settings, self._env, known))
            await self._apply(loaded, plugins)
        except PipecallError:
            if plugins:
                plugin_modules.put_back(self._settings.plugins_folder, unloaded)
            raise
        return changes.between(before, loaded, at=self._clock(), plugins=plugins)

    async def _patiently(self, read: Callable[[], Loaded]) -> Loaded:
        """Read the files beside the event loop, however long it takes, and tell when it takes long."""
        reading = asyncio.wrap_future(_apart(read))
        await asyncio.wait((reading,), timeout=LONG_S)
        if not reading.done():
            self._tell(
                PipecallError(
                    f"reading the files goes on for {LONG_S:g} s by now, perhaps because a plugin waits for something "
                    "as it is imported; let it do so in a stage, and restart the service if this does not end: no "
                    "other change is taken up before"
                )
            )
        return await reading

    def _tell(self, what: Change | PipecallError) -> None:
        if isinstance(what, Change):
            well, self.problem = self.problem is None, None
            if well and not what:
                return
            self.last = what
            logger.info("in force now: %s", what)
        elif str(what) == self.problem:
            return
        else:
            self.problem = str(what)
            logger.error("the change is refused, and what was in force stays so:\n%s", what)
        for callback in self._told:
            callback(what)

    async def take_up(self, _: Sequence[Signal]) -> None:
        """Read the files because somebody asked for it; what is wrong is told as ever."""
        await self._try()

    async def run(self, *, watch: bool) -> None:
        """Take the files as they are now for those in force; then `watch` them and read them when they change."""
        loaded, jobs = self._catalog.loaded, self._settings.scheduler_jobs
        self._seen = {**await self._fingerprint(), self._settings.pipelines_config: loaded.digest}
        if jobs is not None and loaded.jobs_digest is not None:
            self._seen = {**self._seen, jobs: loaded.jobs_digest}
        self._plugins = _plugins(self._seen)
        if not watch:
            await asyncio.Event().wait()
        await self._try()  # it may have changed since it was read
        async for _ in watching.changed(self._files, self._settings.plugins_folder):
            while not await self._try():  # noqa: ASYNC110 - the store is what is waited for, and it sends no event
                await asyncio.sleep(AGAIN_S)

    async def _try(self) -> bool:
        try:
            await self.now()
        except ConfigError:
            return True
        except PipecallError:
            return False
        return True

    def _files(self) -> Sequence[Path]:
        jobs = self._settings.scheduler_jobs
        return [self._settings.pipelines_config, *([jobs] if jobs is not None else [])]

    async def _fingerprint(self) -> Mapping[Path, str]:
        return await asyncio.to_thread(watching.fingerprint, self._files(), self._settings.plugins_folder)


def _apart(work: Callable[[], T]) -> Future[T]:
    """Begin work in a thread of its own, which does not keep the process from ending."""
    result: Future[T] = Future()

    def run() -> None:
        try:
            made = work()
        except PipecallError as error:
            result.set_exception(error)
        except BaseException as error:  # noqa: BLE001 - the thread's outermost frame; a plugin may raise anything
            said = f"{type(error).__name__}: {error}".rstrip(": ")
            result.set_exception(PipecallError(f"reading the files, which imports the plugins, ended with {said}"))
        else:
            result.set_result(made)

    threading.Thread(target=run, name="reload", daemon=True).start()
    return result


def _plugins(seen: Mapping[Path, str]) -> Mapping[Path, str]:
    return {path: digest for path, digest in seen.items() if path.suffix == ".py"}
