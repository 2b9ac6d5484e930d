"""The buttons of an alert: run it again, mute it for a while, say that one looks after it. The log's is in `logs`."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import discord
from discord import ui

from bot import texts
from bot.alert_message import MUTES
from bot.asking import Answer, actor_of, asked, check
from bot.commands.logs import known_run
from bot.errors import UserError
from bot.pressing import Pressable
from bot.safe_text import inline_cut
from bot.starting import begin
from pipelines import Incident, UnknownName, Verb

if TYPE_CHECKING:
    from bot.client import Pipecall

LONGEST_NAME = 80
SPANS = {"1h": timedelta(hours=1), "8h": timedelta(hours=8), "success": None}
"""How long each button mutes; None: until the next success."""


class RetryButton(Pressable, template=r"p1:retry:(?P<run_id>\d{1,18})"):
    """Runs the pipeline of a bad run again, with that run's parameters."""

    def __init__(self, run_id: int | str) -> None:
        """Make the button of a run."""
        button: ui.Button[Any] = ui.Button(
            label="Retry", style=discord.ButtonStyle.primary, custom_id=f"p1:retry:{run_id}"
        )
        super().__init__(button)
        self.run_id = int(run_id)

    async def pressed(self, interaction: discord.Interaction[Pipecall]) -> None:
        """Start it as the one who pressed, unless it goes on already."""
        run = await known_run(interaction, self.run_id)
        await check(interaction, Verb.RUN, run.pipeline)
        view = interaction.client.overview.pipeline(run.pipeline)
        if view is not None and view.running:
            raise UserError(f"{_bold(run.pipeline)} is running already: #{view.running[0]}.", "Wait for its end.")
        await begin(interaction, run.pipeline, run.params)


class MuteButton(Pressable, template=r"p1:mute:(?P<incident_id>\d{1,18}):(?P<span>1h|8h|success)"):
    """Holds back the alerts of a pipeline for a while."""

    def __init__(self, incident_id: int | str, span: str) -> None:
        """Make the button of an incident; `span` is one of `SPANS`."""
        button: ui.Button[Any] = ui.Button(label=dict(MUTES)[span], custom_id=f"p1:mute:{incident_id}:{span}")
        super().__init__(button)
        self.incident_id, self.span = int(incident_id), span

    async def pressed(self, interaction: discord.Interaction[Pipecall]) -> None:
        """Mute it, and tell everybody."""
        bot = interaction.client
        pipeline = (await _incident(interaction, self.incident_id)).pipeline
        span = SPANS[self.span]
        until = bot.scheduler.clock() + span if span is not None else None
        async with Answer(interaction, ephemeral=False) as answer:
            await bot.verbs.mute(asked(interaction), pipeline, until)
            how_long = f"until {texts.at(until)}" if until is not None else "until its next success"
            held = "What is held back is counted and told then."
            text = f"🔇 {_bold(pipeline)} is muted {how_long} by {_who(interaction)}. {held}"
            view: ui.View = ui.View(timeout=None)
            view.add_item(UnmuteButton(self.incident_id))
            await answer.send(text, view=view)


class UnmuteButton(Pressable, template=r"p1:unmute:(?P<incident_id>\d{1,18})"):
    """Lets the alerts of a pipeline through again."""

    def __init__(self, incident_id: int | str) -> None:
        """Make the button of an incident."""
        super().__init__(ui.Button(label="Unmute", custom_id=f"p1:unmute:{incident_id}"))
        self.incident_id = int(incident_id)

    async def pressed(self, interaction: discord.Interaction[Pipecall]) -> None:
        """Unmute it, and tell everybody."""
        pipeline = (await _incident(interaction, self.incident_id)).pipeline
        async with Answer(interaction, ephemeral=False) as answer:
            await interaction.client.verbs.unmute(asked(interaction), pipeline)
            await answer.send(f"🔔 {_bold(pipeline)} is no longer muted, says {_who(interaction)}.")


class AckButton(Pressable, template=r"p1:ack:(?P<incident_id>\d{1,18})"):
    """Says that somebody looks after it: no reminders then."""

    def __init__(self, incident_id: int | str) -> None:
        """Make the button of an incident."""
        super().__init__(ui.Button(label="I'm on it", custom_id=f"p1:ack:{incident_id}"))
        self.incident_id = int(incident_id)

    async def pressed(self, interaction: discord.Interaction[Pipecall]) -> None:
        """Note who it is, and tell everybody."""
        incident = await _incident(interaction, self.incident_id)
        if not incident.open:
            raise UserError(f"{_bold(incident.pipeline)} is well again; there is nothing to look after.")
        if incident.acknowledged_by == actor_of(interaction).name:
            raise UserError(f"You look after {_bold(incident.pipeline)} already.")
        async with Answer(interaction, ephemeral=False) as answer:
            await interaction.client.verbs.acknowledge(asked(interaction), incident.id)
            await answer.send(f"👀 {_who(interaction)} looks after {_bold(incident.pipeline)}.")


def add(bot: Pipecall) -> None:
    """Add the buttons."""
    bot.add_dynamic_items(RetryButton, MuteButton, UnmuteButton, AckButton)


async def _incident(interaction: discord.Interaction[Pipecall], incident_id: int) -> Incident:
    """Return the incident of a button, for those who may mute its pipeline.

    Raises:
        Denied: they may not.
        UserError: it is no longer recorded.
    """
    try:
        incident = await interaction.client.reads.incident(incident_id)
    except UnknownName:
        raise UserError("This incident is no longer recorded.") from None
    await check(interaction, Verb.MUTE, incident.pipeline)
    return incident


def _bold(pipeline: str) -> str:
    return f"**{inline_cut(pipeline, LONGEST_NAME)}**"


def _who(interaction: discord.Interaction[Pipecall]) -> str:
    return inline_cut(actor_of(interaction).name, LONGEST_NAME)
