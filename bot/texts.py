"""How states, times and durations look to people: one language of emoji, word and colour for every message."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from pipelines import RunState

GREY, BLURPLE, GREEN, RED, YELLOW = 0x99AAB5, 0x5865F2, 0x57F287, 0xED4245, 0xFEE75C


@dataclass(frozen=True, slots=True)
class Look:
    """An emoji, the word that always stands beside it, and the colour of what holds both."""

    emoji: str
    word: str
    colour: int

    def __str__(self) -> str:
        """`✅ succeeded`."""
        return f"{self.emoji} {self.word}"


LOOKS: Mapping[RunState, Look] = {
    RunState.QUEUED: Look("🕓", "queued", GREY),
    RunState.RUNNING: Look("⏳", "running", BLURPLE),
    RunState.WAITING_RETRY: Look("🔁", "waits for another try", YELLOW),
    RunState.SUCCEEDED: Look("✅", "succeeded", GREEN),
    RunState.FAILED: Look("❌", "failed", RED),
    RunState.TIMED_OUT: Look("⏰", "timed out", RED),
    RunState.CANCELLED: Look("🛑", "cancelled", GREY),
    RunState.CRASHED: Look("💥", "crashed", RED),
    RunState.SKIPPED: Look("⏭️", "skipped", YELLOW),
    RunState.MISSED: Look("⚠️", "missed", YELLOW),
}


def look(state: RunState) -> Look:
    """Return how a state of a run looks."""
    return LOOKS[state]


def ago(at: datetime) -> str:
    """Return an instant as Discord shows it relative to now: "3 minutes ago", "in 2 hours"; it keeps itself true."""
    return f"<t:{int(at.timestamp())}:R>"


def at(instant: datetime) -> str:
    """Return an instant as Discord shows it in each reader's own time zone: date and time."""
    return f"<t:{int(instant.timestamp())}:f>"


def seconds(duration_s: float) -> str:
    """Return a duration for people: `0.3 s`, `41.8 s`, `2 min 5 s`, `3 h 20 min`, `2 d 4 h`."""
    if 0 < duration_s < 0.05:
        return "under 0.1 s"
    if duration_s < 59.95:
        return f"{max(duration_s, 0):.1f} s"
    left = round(duration_s)
    parts: list[str] = []
    for size, word in ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")):
        count, left = divmod(left, size)
        if parts or count:
            parts.append(f"{count} {word}" if count else "")
        if len(parts) == 2:
            break
    return " ".join(filter(None, parts))
