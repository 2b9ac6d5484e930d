"""The door that the two mains open to Discord: the bot where there is a token, else webhooks alone, which need none.

discord.py and what is built on it take 0.3 s and 20 MB. Without a token nobody pays for that before a message goes to a
webhook; for this, and only here, imports stand inside functions.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from bot import library_log
from pipelines import Channel, Engine, Parcel, Settings

if TYPE_CHECKING:
    from bot.face import DiscordFace

logger = logging.getLogger(__name__)


def discord_face(settings: Settings, env: Mapping[str, str]) -> DiscordFace | WithoutToken:
    """Return Discord as the service sees it; `env` is where the addresses of webhooks are. Nothing is opened yet.

    Raises:
        ConfigError: the file with the token cannot be read.
    """
    if settings.bot_token() is None:
        return WithoutToken(settings, env)
    from bot.face import DiscordFace  # noqa: PLC0415 - see above

    return DiscordFace(settings, env)


class WithoutToken:
    """No bot: what is for a channel waits for a token, what is for a webhook is sent."""

    name = "Discord"
    alone = True

    def __init__(self, settings: Settings, env: Mapping[str, str]) -> None:
        """`env` is where the addresses of webhooks are."""
        self._webhooks = LateWebhooks(settings, env)

    def channels(self) -> Mapping[str, Channel]:
        """Return how messages leave, by the first part of their target."""
        return {"webhook": self._webhooks}

    def absent(self) -> Mapping[str, str]:
        """Return the channels that are missing, with the reason."""
        return {"discord": "DISCORD_TOKEN is not set; sent once the service runs with one"}

    def state(self) -> str:
        """Say that there is no bot."""
        return "off: no token"

    async def start(self, scheduler: Engine) -> None:
        """Say that there is no bot."""
        library_log.set_up(scheduler.redactor.text)
        logger.info("Discord is off: no token; set DISCORD_TOKEN to use Discord")

    async def leave(self) -> None:
        """Do nothing: nobody asks for anything."""

    async def stop(self) -> None:
        """Do nothing: nothing was started."""


class LateWebhooks:
    """Webhooks whose client is loaded when the first message is for one."""

    def __init__(self, settings: Settings, env: Mapping[str, str]) -> None:
        """See `bot.webhook_channel`."""
        self._settings = settings
        self._env = env
        self._loaded = False

    @cached_property
    def _channel(self) -> Channel:
        from bot.rest import Rest  # noqa: PLC0415 - see above
        from bot.webhook_channel import WebhookChannel  # noqa: PLC0415 - see above

        self._loaded = True
        return WebhookChannel(Rest(self._settings), self._env)

    async def deliver(self, parcel: Parcel) -> str | None:
        """See `pipelines.Channel`."""
        return await self._channel.deliver(parcel)

    async def find(self, parcel: Parcel) -> Sequence[str]:
        """See `pipelines.Channel`."""
        return await self._channel.find(parcel)

    def together(self, parcels: Sequence[Parcel]) -> tuple[Sequence[int], Mapping[str, Any]] | None:
        """See `pipelines.Channel`."""
        return self._channel.together(parcels)

    async def close(self) -> None:
        """Close the connections, where any were opened."""
        if self._loaded:
            await self._channel.close()
