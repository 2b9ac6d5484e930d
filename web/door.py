"""The door that the service opens to the web: the server where WEB is on, else nothing.

FastAPI and uvicorn take half a second and 30 MB; who turns the web off, or runs pipelines once, does not pay for them.
For this, and only here, imports stand inside functions.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING

from pipelines import Channel, Engine, Settings

if TYPE_CHECKING:
    from web.face import WebFace as Served

logger = logging.getLogger(__name__)


def web_face(settings: Settings, env: Mapping[str, str]) -> WebFace:  # noqa: ARG001 - every face is made so
    """Return the web as the service sees it. Nothing is opened or loaded yet."""
    return WebFace(settings)


class WebFace:
    """The web, loaded once it is started."""

    name = "web"
    alone = False

    def __init__(self, settings: Settings) -> None:
        """See `web.face.WebFace`."""
        self._settings = settings
        self._served: Served | None = None

    def channels(self) -> Mapping[str, Channel]:
        """Return nothing: no messages leave through the web."""
        return {}

    def absent(self) -> Mapping[str, str]:
        """Return nothing: no channel is missing."""
        return {}

    def state(self) -> str:
        """Say where it stands."""
        return self._served.state() if self._served is not None else "off: WEB is off"

    @property
    def address(self) -> str | None:
        """Where it can be reached, such as `http://127.0.0.1:8080`; None while it cannot."""
        return self._served.address if self._served is not None else None

    async def start(self, scheduler: Engine) -> None:
        """Begin to serve, unless WEB is off; it opens its port in its own time."""
        if self._settings.web == "off":
            logger.info("web is off: WEB=off")
            return
        from web.face import WebFace as Served  # noqa: PLC0415 - see above

        self._served = self._served or Served(self._settings)
        await self._served.start(scheduler)

    async def leave(self) -> None:
        """Take no more requests, and let those under way finish."""
        if self._served is not None:
            await self._served.leave()

    async def stop(self) -> None:
        """Let go of everything."""
        if self._served is not None:
            await self._served.stop()
