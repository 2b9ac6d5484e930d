"""What is delivered when the run of a card is over: the card's last edit, and a word to whoever asked for the run."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from bot import texts
from bot.card import LONGEST_NAME, error_line
from bot.safe_text import inline_cut
from pipelines import Card, Post, Run, RunState, Wish

LONG = timedelta(minutes=1)
"""Nobody looks at a card for longer than this: who asked for such a run is told of its end."""
WORTH = timedelta(days=1)
"""After so long nobody needs to be told any more."""

_BAD = frozenset({RunState.FAILED, RunState.TIMED_OUT, RunState.CRASHED})


def posts(card: Card, run: Run, wish: Wish | None, at: datetime) -> tuple[Post, ...]:
    """Return the messages at the end of a card; `wish` is who asked for its run in chat, `at` the time now (UTC)."""
    target = f"discord:{card.channel_id}"
    body = {"message_id": str(card.message_id), "run_id": run.id, "channel_id": str(card.channel_id)}
    last = Post(target, "card", f"card:{card.message_id}", body, at, run_id=run.id)
    user = wish.actor_id.removeprefix("discord:") if wish is not None else ""
    if not user.isdigit() or not _worth_a_word(run):
        return (last,)
    word: dict[str, Any] = {"payload": told(run, user, card), "files": []}
    return last, Post(target, "message", f"told:{run.id}", word, at, run_id=run.id, expires_at=at + WORTH)


def told(run: Run, user: str, card: Card) -> dict[str, Any]:
    """Return a short reply to the card, as a message's body; it pings who asked for the run, and nobody else."""
    look = texts.look(run.state)
    took = f" after {texts.seconds(run.duration.total_seconds())}" if run.duration else ""
    why = f"\n> {error_line(run.error)}" if run.error is not None else ""
    name = inline_cut(run.pipeline, LONGEST_NAME)
    return {
        "content": f"<@{user}> {look.emoji} **{name}** · run #{run.id} {look.word}{took}{why}",
        "allowed_mentions": {"parse": [], "users": [user], "replied_user": False},
        "message_reference": {
            "channel_id": str(card.channel_id),
            "message_id": str(card.message_id),
            "fail_if_not_exists": False,
        },
    }


def _worth_a_word(run: Run) -> bool:
    if run.state in _BAD:
        return True
    return run.state.good and run.duration is not None and run.duration > LONG
