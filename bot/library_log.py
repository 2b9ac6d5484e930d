"""What discord.py may write into the log: nothing of what it sends, no secrets, no tracebacks of lost connections.

At DEBUG it would log message bodies, interaction tokens, and the IDENTIFY with the bot's token. Its warnings about
voice concern nobody here.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

LOGGERS = (
    "discord.app_commands.tree",
    "discord.client",
    "discord.gateway",
    "discord.http",
    "discord.state",
    "discord.ui.modal",
    "discord.ui.view",
    "discord.webhook.async_",
)
"""Filters see the records of their own logger only, so each that logs is named."""


RECONNECT = "Attempting a reconnect"


class Discreet(logging.Filter):
    """Drops warnings about voice, tells lost connections in a line, and hides the secrets, in tracebacks too."""

    def __init__(self, hide: Callable[[str], str]) -> None:
        """`hide` takes the secrets out of a text."""
        super().__init__()
        self._hide = hide

    def filter(self, record: logging.LogRecord) -> bool:
        """Say whether a record is kept."""
        text = record.getMessage()
        if "voice will NOT be supported" in text:
            return False
        if record.exc_info and record.exc_info[0] is not None and text.startswith(RECONNECT):
            record.levelno, record.levelname = logging.WARNING, logging.getLevelName(logging.WARNING)
            text = f"no connection to Discord ({record.exc_info[0].__name__}). {text}"
        elif record.exc_info and record.exc_info[0] is not None:
            text = f"{text}\n{logging.Formatter().formatException(record.exc_info)}"
        record.msg, record.args, record.exc_info, record.exc_text = self._hide(text), (), None, None
        return True


def set_up(hide: Callable[[str], str]) -> None:
    """Make the library discreet; a second call replaces what the first set up."""
    root = logging.getLogger("discord")
    root.setLevel(max(logging.INFO, logging.getLogger().level))
    for name in LOGGERS:
        library = logging.getLogger(name)
        for old in [each for each in library.filters if isinstance(each, Discreet)]:
            library.removeFilter(old)
        library.addFilter(Discreet(hide))
