"""How a job is named inside the id of a button, which has at most 100 characters."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

import discord

from bot.errors import UserError
from bot.safe_text import in_code
from pipelines import JobView

if TYPE_CHECKING:
    from bot.client import Pipecall

KEY = r"(?P<key>[A-Za-z0-9._~-]{1,85})"
"""A job's key within the template of a button."""

_PLAIN = re.compile(r"[A-Za-z0-9._-]{1,85}")


def key_of(job_id: str) -> str:
    """Return the job's id, or a digest of one that is too long or too strange for a button."""
    if _PLAIN.fullmatch(job_id):
        return job_id
    return f"~{hashlib.blake2b(job_id.encode(), digest_size=16).hexdigest()}"


def job_of(interaction: discord.Interaction[Pipecall], key: str) -> JobView:
    """Return the job that a key names.

    Raises:
        UserError: it is not there any more.
    """
    bot = interaction.client
    known = bot.scheduler.jobs.rows
    job_id = next((each for each in known if key_of(each) == key), None) if key.startswith("~") else key
    view = bot.overview.job(job_id) if job_id is not None else None
    if view is None:
        name = f"`{in_code(key)}`" if not key.startswith("~") else "that was meant"
        hint = f"{bot.mention('jobs', interaction.guild_id)} lists those that are."
        raise UserError(f"The job {name} is not there any more.", hint)
    return view
