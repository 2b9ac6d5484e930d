"""What a reload of the pipelines file did, as Discord shows it."""

from __future__ import annotations

from bot.alert_message import Parcel
from bot.alert_parts import Facts, Payload, payload
from bot.safe_text import in_code, inline_cut

LINES, LONGEST = 8, 1_200
"""At most so many lines and characters of what is wrong are shown; the rest is in the log and on the dashboard."""


async def render_reload(parcel: Parcel) -> Payload | None:
    """Return the body of the message for a parcel of kind `reload`."""
    return reload(parcel.body)


def reload(facts: Facts) -> Payload:
    """Return the body of the message: what is in force now, or what is wrong."""
    if facts["good"]:
        return payload(f"🔁 The pipelines file is in force as changed: {inline_cut(facts['text'], LONGEST)}", [], [])
    lines = facts["text"].splitlines()
    more = f"\n… and {len(lines) - LINES} more lines" if len(lines) > LINES else ""
    shown = in_code("\n".join(lines[:LINES])[:LONGEST])
    said = f"```\n{shown}\n```"
    return payload(f"⚠️ The pipelines file was changed and is refused; what was in force goes on.\n{said}{more}", [], [])
