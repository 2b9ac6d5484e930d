"""What is asked about missed runs, as Discord shows it: one line, what becomes of it, buttons while nobody decided."""

from __future__ import annotations

from bot.alert_message import Parcel
from bot.alert_parts import LONGEST_NAME, PRIMARY, Facts, Payload, ago, at, button, payload, row, so_many
from bot.safe_text import inline_cut

CHOICES = {"latest": "Run latest", "all": "Run all", "skip": "Skip"}
"""What can be chosen, with the words on its button."""


async def render_question(parcel: Parcel) -> Payload | None:
    """Return the body of the message for a parcel of kind `question`."""
    return question(parcel.body)


def question(facts: Facts) -> Payload:
    """Return the body of the message that asks, or that says what was decided."""
    name, count = inline_cut(facts["schedule"], LONGEST_NAME), facts["count"]
    of = f" ({inline_cut(facts['pipeline'], LONGEST_NAME)})" if facts["pipeline"] != facts["schedule"] else ""
    title = f"🕳️ Missed while down: **{name}**{of} × {count:,}"
    when = f"due {at(facts['first'])}" + (f" to {at(facts['last'])}" if count > 1 else "")
    if facts["choice"] is not None:
        return payload(f"{title} · {when}\n{decided(facts)}", [], [])
    until = f"Nothing of it runs by itself. Skipped {ago(facts['expires'])} if nobody answers."
    chosen = {key: words for key, words in CHOICES.items() if count > 1 or key != "all"}
    buttons = [
        button(
            "Run it" if count == 1 and key == "latest" else words, f"p1:makeup:{key}:{facts['question']}", _style(key)
        )
        for key, words in chosen.items()
    ]
    return payload(f"{title} · {when}\n{until}", [], [row(*buttons)])


def decided(facts: Facts) -> str:
    """Return who decided what, in one line."""
    who = inline_cut(facts["by"], LONGEST_NAME) if facts["by"] else "somebody"
    first, last = facts["first_run"], facts["last_run"]
    runs = f"#{first}" if facts["runs"] == 1 else f"{so_many(facts['runs'], 'run')}, #{first} to #{last}"
    match facts["choice"]:
        case "latest" | "all" if facts["runs"]:
            return f"▶️ {who} had {'the latest' if facts['choice'] == 'latest' else 'all'} run: {runs}."
        case "expired":
            return "⏭️ Skipped: nobody answered within 24 hours."
    return f"⏭️ Skipped by {who}."


def _style(key: str) -> int:
    return PRIMARY if key == "latest" else 2
