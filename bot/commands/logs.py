"""`/logs`, and the button that shows a run's log: its last lines in the message, all that was asked for as a file."""

from __future__ import annotations

import asyncio
import io
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import discord
from discord import app_commands, ui

from bot import resolve
from bot.asking import Answer, check
from bot.errors import UserError
from bot.limits import CONTENT, cut, units
from bot.pressing import Pressable
from bot.safe_text import filename, in_code, inline_cut, plain
from pipelines import LogLine, Redactor, Run, UnknownName, Verb

if TYPE_CHECKING:
    from bot.client import Pipecall

TAIL = 100
"""Lines that are shown when nobody says how many."""
PRESSED_TAIL = 30
"""Lines that the button shows; the card is for a glance."""
FILE_BYTES = 8 * 2**20
"""Of a file that goes along; of a longer one the end is kept."""
LONGEST_LINE = 1_000
LONGEST_GREP = 100
FENCE = "```"


class LogButton(Pressable, template=r"p1:log:(?P<run_id>\d{1,18})"):
    """Shows the last lines of a run's log to whoever presses it."""

    def __init__(self, run_id: int | str) -> None:
        """Make the button of a run."""
        button: ui.Button[Any] = ui.Button(label="📜 Log", custom_id=f"p1:log:{run_id}")
        super().__init__(button)
        self.run_id = int(run_id)

    async def pressed(self, interaction: discord.Interaction[Pipecall]) -> None:
        """Show it."""
        await show(interaction, await known_run(interaction, self.run_id), tail=PRESSED_TAIL)


def add(bot: Pipecall) -> None:
    """Add the command and the button."""

    @bot.tree.command(description="Show the log of a run")
    @app_commands.describe(
        run="Which run; its number, or choose one",
        tail="So many lines at most, the newest (100)",
        grep="Only lines that contain this text, in upper or lower case",
    )
    @app_commands.autocomplete(run=resolve.complete_run)
    async def logs(
        interaction: discord.Interaction[Pipecall],
        run: str,
        tail: app_commands.Range[int, 10, 500] = TAIL,
        grep: app_commands.Range[str, 1, LONGEST_GREP] | None = None,
    ) -> None:
        await show(interaction, await resolve.run(bot, interaction, run), tail=tail, grep=grep)

    bot.add_dynamic_items(LogButton)


async def known_run(interaction: discord.Interaction[Pipecall], run_id: int) -> Run:
    """Return the run that a button is about.

    Raises:
        UserError: it is no longer recorded.
    """
    try:
        return await interaction.client.reads.run(run_id)
    except UnknownName:
        raise UserError(f"Run #{run_id} is no longer recorded.") from None


async def show(interaction: discord.Interaction[Pipecall], run: Run, *, tail: int, grep: str | None = None) -> None:
    """Show the newest `tail` lines of a run's log, or of those that contain `grep`, to the one who asked.

    Raises:
        Denied: they may not see it.
    """
    bot = interaction.client
    await check(interaction, Verb.LOGS, run.pipeline)
    async with Answer(interaction) as answer:
        lines = await bot.reads.log(run.id) if grep else await bot.reads.log(run.id, tail)
        texts = (await asyncio.to_thread(_texts, lines, bot.redactor, grep or ""))[-tail:]
        head = f"📜 **{inline_cut(run.pipeline, 80)}** · run #{run.id} · {run.state.value}"
        if not texts:
            await answer.send(f"{head}\n{_nothing(run, grep)}")
            return
        head += f" · {len(texts):,} line{'s' if len(texts) > 1 else ''}"
        name = filename(f"{run.pipeline}-{run.id}.log")
        await answer.send(block(head, texts), files=[discord.File(io.BytesIO(_file(texts)), name)])


def block(head: str, texts: Sequence[str]) -> str:
    """Return a message's text: `head`, then as many of the last lines as fit into a code block, and how many do not."""
    room = CONTENT - units(head) - 60
    shown: list[str] = []
    for text in reversed(texts):
        line = cut(in_code(text), LONGEST_LINE)
        if (room := room - units(line) - 1) < 0:
            break
        shown.insert(0, line)
    left = len(texts) - len(shown)
    more = f"\n-# {left:,} earlier line{'s are' if left > 1 else ' is'} in the file" if left else ""
    body = "\n".join(shown)
    return f"{head}{more}\n{FENCE}\n{body}\n{FENCE}"


def _texts(lines: Sequence[LogLine], redactor: Redactor, part: str) -> list[str]:
    """Return the lines as shown that contain `part`; for a thread, as there may be many of them, and long ones."""
    texts = (redactor.text(_text(line)) for line in lines)
    return [text for text in texts if part.casefold() in text.casefold()]


def _text(line: LogLine) -> str:
    return plain(f"{line.at:%H:%M:%S} {_level(line.level)}{line.source}: {line.text}")


def _level(level: int) -> str:
    return f"{logging.getLevelName(level)} " if level != logging.INFO else ""


def _nothing(run: Run, grep: str | None) -> str:
    if grep:
        return f"No line contains “{inline_cut(grep, LONGEST_GREP * 2)}”."
    return "It has logged nothing." if run.state.final else "It has logged nothing yet."


def _file(texts: Sequence[str]) -> bytes:
    content = "\n".join(texts).encode("utf-8", "replace")
    return content[-FILE_BYTES:]
