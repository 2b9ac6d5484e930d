"""Parts of which alerts and summaries are put together: the message itself, buttons, names, counts and times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from bot import texts
from bot.limits import SILENT
from bot.safe_text import inline_cut

Facts = Mapping[str, Any]
Payload = dict[str, Any]

LONGEST_NAME = 80
MOST_ROLES = 20
ROW, BUTTON, PRIMARY, SECONDARY = 1, 2, 1, 2
BARS = "▁▂▃▄▅▆▇█"


def payload(
    content: str,
    embeds: Sequence[dict[str, Any]],
    rows: Sequence[dict[str, Any]],
    *,
    mention: Sequence[str] = (),
    silent: bool = False,
    edit: bool = False,
) -> Payload:
    """Put a message together; `edit` is for a message that is there already, which can neither ping nor be silenced."""
    roles = [] if edit else list(mention)[:MOST_ROLES]
    message: Payload = {
        "content": " · ".join([content, *(f"<@&{role}>" for role in roles)]),
        "embeds": list(embeds),
        "components": list(rows),
        "allowed_mentions": {"parse": [], "roles": roles},
    }
    return message | ({"flags": SILENT} if silent and not edit else {})


def row(*buttons: dict[str, Any]) -> dict[str, Any]:
    """Return buttons side by side."""
    return {"type": ROW, "components": list(buttons)}


def button(label: str, custom_id: str, style: int = SECONDARY) -> dict[str, Any]:
    """Return a button."""
    return {"type": BUTTON, "style": style, "label": label, "custom_id": custom_id}


def called(of: Facts) -> str:
    """Return a pipeline's name, in bold and inert."""
    return f"**{inline_cut(of['pipeline'], LONGEST_NAME)}**"


def so_many(number: int, noun: str) -> str:
    """Return `1 run`, `2 runs`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def ordinal(number: int) -> str:
    """Return `1st`, `2nd`, `3rd`, `4th`, … `11th`, … `21st`."""
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number:,}{ending}"


def ago(iso: str) -> str:
    """Return an ISO instant relative to now."""
    return texts.ago(datetime.fromisoformat(iso))


def at(iso: str) -> str:
    """Return an ISO instant as date and time."""
    return texts.at(datetime.fromisoformat(iso))


def sparkline(values: Sequence[float | None]) -> str:
    """Draw shares of 1 as bars, oldest first; None, for which there is none, as a dot."""
    return "".join("·" if value is None else BARS[round(value * (len(BARS) - 1))] for value in values)
