"""A small, real discord.py bot: what the tests of the fake Discord talk through."""

from __future__ import annotations

import asyncio
import io
import re
from collections import Counter
from contextlib import asynccontextmanager

import discord
from discord import app_commands

from tests.fake_discord import FakeDiscord


class Stop(discord.ui.DynamicItem[discord.ui.Button], template=r"p1:stop:(?P<run>\d+)"):
    """A button that survives restarts: its run is in its id."""

    def __init__(self, run: int) -> None:
        super().__init__(discord.ui.Button(label="Stop", custom_id=f"p1:stop:{run}"))
        self.run = run

    @classmethod
    async def from_custom_id(cls, interaction, item, match: re.Match[str]):
        return cls(int(match["run"]))

    async def callback(self, interaction):
        await interaction.response.edit_message(content=f"stopped {self.run}", view=None)


class Later(discord.ui.DynamicItem[discord.ui.Button], template=r"p1:later"):
    """A button that takes its time: it defers, then changes its message, then looks at it."""

    def __init__(self) -> None:
        super().__init__(discord.ui.Button(label="Later", custom_id="p1:later"))

    @classmethod
    async def from_custom_id(cls, interaction, item, match: re.Match[str]):
        return cls()

    async def callback(self, interaction):
        await interaction.response.defer()
        await interaction.edit_original_response(content="later")
        seen = await interaction.original_response()
        await interaction.followup.send(f"it says {seen.content}", ephemeral=True)


class Reason(discord.ui.Modal, title="Why?"):
    """Asks for a reason."""

    reason = discord.ui.Label(text="Reason", component=discord.ui.TextInput(custom_id="reason", max_length=100))

    async def on_submit(self, interaction):
        await interaction.response.send_message(f"because {self.reason.component.value}", ephemeral=True)


class Colours(discord.ui.View):
    """A select."""

    @discord.ui.select(custom_id="colour", options=[discord.SelectOption(label=one) for one in ("red", "green")])
    async def colour(self, interaction, select):
        await interaction.response.send_message(f"chose {select.values[0]}")


class Card(discord.ui.LayoutView):
    """Components V2."""

    card = discord.ui.Container(discord.ui.TextDisplay("**sales** ran"), accent_colour=1)


class SmallBot(discord.Client):
    """Counts its events, and has one command for each thing that a bot does."""

    def __init__(self, guild_id: int | None = None, *, intents: discord.Intents | None = None) -> None:
        super().__init__(
            intents=intents or discord.Intents(guilds=True),
            max_messages=None,
            allowed_mentions=discord.AllowedMentions.none(),
            guild_ready_timeout=0.01,
        )
        self.home = discord.Object(guild_id) if guild_id else None
        self.tree = app_commands.CommandTree(self)
        self.seen: Counter[str] = Counter()
        self.errors: list[Exception] = []
        self.heard: list[str] = []
        self.add_dynamic_items(Stop, Later)
        _add_answers(self)
        _add_parts(self)

    async def setup_hook(self):
        if self.home:
            self.tree.copy_global_to(guild=self.home)
            await self.tree.sync(guild=self.home)

    async def before_identify_hook(self, shard_id, *, initial=False):
        """The library would wait five seconds here."""

    async def on_socket_event_type(self, name):
        self.seen[name] += 1

    async def on_message(self, message):
        self.heard.append(message.content)


def _add_answers(bot: SmallBot) -> None:
    @bot.tree.command(description="Run a pipeline")
    async def run(interaction, pipeline: str, times: app_commands.Range[int, 1, 5] = 1):
        user = interaction.user
        await interaction.response.send_message(f"{user.name} runs {pipeline} x{times}", ephemeral=times > 1)

    @run.autocomplete("pipeline")
    async def pipelines(interaction, current: str):
        names = [name for name in ("sales", "stock", "weather") if name.startswith(current)]
        return [app_commands.Choice(name=name, value=name) for name in names]

    @bot.tree.command(description="Take a while")
    async def slow(interaction):
        await interaction.response.defer(ephemeral=True)
        await interaction.edit_original_response(content="done")

    @bot.tree.command(description="Follow up")
    async def more(interaction):
        await interaction.response.defer()
        await interaction.followup.send("first")
        second = await interaction.followup.send("second", wait=True)
        await second.edit(content="second, edited")
        third = await interaction.followup.send("third", wait=True)
        await third.delete()

    @bot.tree.error
    async def failed(interaction, error):
        bot.errors.append(getattr(error, "original", error))


def _add_parts(bot: SmallBot) -> None:
    @bot.tree.command(description="Ask")
    async def why(interaction):
        await interaction.response.send_modal(Reason())

    @bot.tree.command(description="Choose")
    async def choose(interaction):
        await interaction.response.send_message(view=Colours())

    @bot.tree.command(description="Show a card")
    async def card(interaction):
        answer = await interaction.response.send_message(view=Card())
        assert answer.message_id

    @bot.tree.command(description="Send a file")
    async def export(interaction, who: discord.Member | None = None):
        name = f"{who.name}.csv" if who else "all.csv"
        await interaction.response.send_message("here", file=discord.File(io.BytesIO(b"a,b"), name))
        await interaction.delete_original_response()

    @bot.tree.command(description="Show a button")
    async def button(interaction):
        view = discord.ui.View(timeout=None)
        view.add_item(Stop(7))
        view.add_item(Later())
        await interaction.response.send_message("running", view=view)


@asynccontextmanager
async def online(fake: FakeDiscord, bot: SmallBot | None = None):
    """Within the block the bot is connected and ready."""
    bot = bot or SmallBot(fake.guilds[0].id)
    with fake.used():
        life = asyncio.create_task(bot.start(fake.token))
        try:
            await fake.until(lambda: life.done() or bot.is_ready(), what="the bot")
            if life.done():
                await life
            yield bot
        finally:
            await bot.close()
            await asyncio.gather(life, return_exceptions=True)


@asynccontextmanager
async def logged_in(fake: FakeDiscord):
    """Within the block the bot may make requests; it has no gateway and registers nothing."""
    bot = SmallBot()
    with fake.used():
        try:
            await bot.login(fake.token)
            yield bot
        finally:
            await bot.close()
