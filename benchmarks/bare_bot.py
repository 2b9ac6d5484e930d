"""The peer of `benchmarks.interactions`: a bare discord.py bot with one trivial command, in a process of its own.

`python -m benchmarks.bare_bot API_BASE GATEWAY_URL TOKEN GUILD_ID [busy]`; busy, 1,000 APScheduler jobs that do nothing
and are recorded nowhere come due every two seconds in its event loop.
"""

from __future__ import annotations

import sys
from typing import Any

import discord
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from discord import app_commands

from tests.fake_discord.client import point_at

JOBS, EVERY_S = 1_000, 2


async def job() -> None:
    """Do nothing."""


class BareBot(discord.Client):
    """Answers `/ping`."""

    def __init__(self, guild_id: int, *, busy: bool) -> None:
        """Serve one guild."""
        super().__init__(intents=discord.Intents(guilds=True), guild_ready_timeout=0.01)
        self.home = discord.Object(guild_id)
        self.busy = busy
        self.tree = app_commands.CommandTree(self)

        @self.tree.command(description="Answer", guild=self.home)
        async def ping(interaction: discord.Interaction[Any]) -> None:
            await interaction.response.send_message("pong", ephemeral=True)

    async def setup_hook(self) -> None:
        """Register the command, and start the jobs."""
        await self.tree.sync(guild=self.home)
        if self.busy:
            scheduler = AsyncIOScheduler()
            for _ in range(JOBS):
                scheduler.add_job(job, "cron", second=f"*/{EVERY_S}", misfire_grace_time=None)
            scheduler.start()


def main(api_base: str, gateway_url: str, token: str, guild_id: str, *more: str) -> None:
    """Be the bot until killed."""
    with point_at(api_base, gateway_url):
        BareBot(int(guild_id), busy="busy" in more).run(token, log_handler=None)


if __name__ == "__main__":
    main(*sys.argv[1:])
