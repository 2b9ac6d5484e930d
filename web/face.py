"""The web as the service sees it: an HTTP server that is started and stopped, and never harms pipelines.

Whatever goes wrong here is logged and told in `state`; the service goes on.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Mapping

from fastapi import FastAPI

from pipelines import Channel, ConfigError, Engine, Settings, StoreError, Verbs
from web.access import Access
from web.app import make_app
from web.changes import Changes
from web.events import Events
from web.hosts import is_loopback
from web.server import Server, address_of, listening, make_server

logger = logging.getLogger(__name__)

AGAIN_S = 5.0
"""So soon, in seconds, it is tried again where the port is in use or the store refuses."""
STOP_S = 7.0
"""So long, in seconds, requests and streams under way may hold up the stop of the service."""


class WebFace:
    """The web of one service."""

    name = "web"
    alone = False

    def __init__(self, settings: Settings, *, again_s: float = AGAIN_S) -> None:
        """Nothing is opened yet; `again_s` is how soon what failed is tried again."""
        self._settings, self._again_s = settings, again_s
        self._state = "connecting"
        self._server: Server | None = None
        self._life: asyncio.Task[None] | None = None
        self._leaving = False
        self._events = Events()
        self._address: str | None = None
        self._engine: Engine | None = None
        self._app: FastAPI | None = None

    def channels(self) -> Mapping[str, Channel]:
        """Return nothing: no messages leave through the web."""
        return {}

    def absent(self) -> Mapping[str, str]:
        """Return nothing: no channel is missing."""
        return {}

    def state(self) -> str:
        """Say where it stands: `ready`, `waiting: 127.0.0.1:8080 …`, `disabled: …`."""
        return self._state

    @property
    def address(self) -> str | None:
        """Where it can be reached, such as `http://127.0.0.1:8080`; None while it cannot."""
        return self._address

    async def start(self, scheduler: Engine) -> None:
        """Begin to serve over a running engine, the same each time; the port is opened in the web's own time."""
        self._engine, self._leaving, self._state = scheduler, False, "connecting"
        self._events.open()
        self._life = asyncio.create_task(self._live(scheduler), name="web")

    async def leave(self) -> None:
        """Take no more requests, let those under way finish for 5 s, and end the streams."""
        self._leaving = True
        self._events.close()
        if self._server is not None:
            self._server.should_exit = True
        if self._life is not None:
            await asyncio.wait({self._life}, timeout=STOP_S)

    async def stop(self) -> None:
        """Leave, then let go of everything."""
        await self.leave()
        if self._life is not None:
            self._life.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._life

    # ------------------------------------------------------------ its life

    async def _live(self, engine: Engine) -> None:
        try:
            access = Access(engine, self._settings)
            if not await self._allowed(access):
                return
            app = self._app = self._app or self._made(engine, access)
            while not self._leaving:
                await self._serve(make_server(app))
        except ConfigError as error:
            self._disable(str(error))
        except Exception:
            logger.exception("the web has stopped; pipelines go on")
            self._state = "disabled: an unexpected error; the log tells more"
        finally:
            self._at(None)

    def _made(self, engine: Engine, access: Access) -> FastAPI:
        """Return the application, which follows the engine from now on."""
        Changes(engine, self._events).watch()
        return make_app(
            engine, Verbs(engine), access, self._settings, events=self._events, leaving=lambda: self._leaving
        )

    async def _allowed(self, access: Access) -> bool:
        """Say whether it may listen at all: beyond this machine only where a token is needed."""
        while not self._leaving and not is_loopback(self._settings.web_host):
            try:
                guarded = await access.guarded()
            except StoreError as error:
                await self._wait(str(error))
                continue
            if guarded:
                return True
            self._disable(
                f"WEB_HOST is {self._settings.web_host}, which others can reach, and there is no token; make one with "
                "'pipecall token create NAME --level admin' or set WEB_TOKEN, then start the service again"
            )
            return False
        return not self._leaving

    async def _serve(self, server: Server) -> None:
        try:
            opened = await listening(self._settings.web_host, self._settings.web_port)
        except OSError as error:
            where = f"{self._settings.web_host}:{self._settings.web_port}"
            await self._wait(f"{where} cannot be opened: {error.strerror or error}; set WEB_PORT to another port")
            return
        with opened:
            await self._run(server, opened)

    async def _run(self, server: Server, opened: socket.socket) -> None:
        if self._leaving:
            return
        self._server, self._state = server, "ready"
        self._at(address_of(opened))
        logger.info("web: %s", self._address)
        await server.serve(sockets=[opened])
        self._at(None)
        self._state = "off: stopped" if self._leaving else "waiting: the server ended"

    def _at(self, address: str | None) -> None:
        self._address = address
        if self._engine is not None:
            self._engine.web_address = address

    async def _wait(self, why: str) -> None:
        told = f"waiting: {why}"
        if told != self._state:
            logger.error("web: %s; tried again every %g s", why, self._again_s)
        self._state = told
        await asyncio.sleep(self._again_s)

    def _disable(self, why: str) -> None:
        self._state = f"disabled: {why}"
        logger.error("web is off: %s; pipelines go on", why)
