"""Registers the slash commands from a terminal, without connecting a bot: `python -m bot sync`."""

from __future__ import annotations

from collections.abc import Mapping

import aiohttp
import discord

from bot.face import DiscordFace, composed
from bot.guilds import served
from pipelines import Catalog, Engine, PipecallError, Settings


async def register(settings: Settings, catalog: Catalog, env: Mapping[str, str], *, force: bool = False) -> str:
    """Register the commands where they changed, or with `force` everywhere; return in words what was done.

    Raises:
        StoreLocked: the service is running; it registers the commands itself when it starts.
        PipecallError: there is no token, Discord refused it, or refused the commands.
    """
    token = settings.bot_token()
    if token is None or not served(settings, catalog):
        raise PipecallError(f"{'no token' if token is None else 'no server'} is set; `python -m bot doctor` says more")
    face = DiscordFace(settings, env)
    async with Engine(settings, catalog, env=env) as scheduler:
        bot = composed(face.parts(scheduler))
        if force:
            bot.registration.forget()
        try:
            await bot.login(token)  # which sets it up, and that registers
        except discord.LoginFailure:
            raise PipecallError("Discord rejects the token; `python -m bot doctor` says more") from None
        except (discord.DiscordException, aiohttp.ClientError, OSError) as error:
            raise PipecallError(f"Discord cannot be asked ({type(error).__name__}); try again later") from None
        finally:
            await bot.close()
    if not bot.registration.done:
        raise PipecallError("Discord did not take the commands; the log says why")
    told = bot.registration.told
    lines = [f"{count} command(s) registered in the server {guild_id}" for guild_id, count in told.items()]
    return "\n".join(lines) or "nothing changed since the commands were registered; `--force` registers them anyway"
