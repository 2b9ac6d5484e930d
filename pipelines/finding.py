"""One thing that a `doctor` looked at: how it is, and what to do where it is not as it should be."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How bad a finding is, by the sign that stands before it."""

    GOOD = "✓"
    DOUBTFUL = "!"
    WRONG = "✗"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that was looked at, with the `remedy` where it is not as it should be."""

    level: Level
    what: str
    remedy: str = ""

    def __str__(self) -> str:
        """The sign and what was found, the remedy on lines of its own."""
        remedy = "".join(f"\n    {line}" for line in self.remedy.splitlines())
        return f"{self.level} {self.what}{remedy}"


def good(what: str) -> Finding:
    """Return a finding that needs nothing."""
    return Finding(Level.GOOD, what)


def wrong(what: str, remedy: str) -> Finding:
    """Return a finding that must be mended."""
    return Finding(Level.WRONG, what, remedy)
