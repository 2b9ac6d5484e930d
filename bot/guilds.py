"""Which guilds (servers) are served: those that the settings name, else those of the pipelines file; else none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from bot.safe_text import plain

if TYPE_CHECKING:
    from pipelines import Catalog, Settings


def served(settings: Settings, catalog: Catalog) -> frozenset[int]:
    """Return the ids of the guilds that the bot serves; none means that it answers nobody."""
    return frozenset(settings.guild_ids or catalog.loaded.file.discord.guilds)


def yaml_of_guilds(names: Mapping[int, str]) -> str:
    """Say what to write into the pipelines file so that guilds are served; `names` are theirs, by id."""
    if not names:
        return "I am on none; `python -m bot invite` prints the address that adds me to one"
    lines = "\n".join(f"    - {guild_id}  # {' '.join(plain(name).split())}" for guild_id, name in names.items())
    return f"to serve those I am on, write into the pipelines file:\ndiscord:\n  guilds:\n{lines}"
