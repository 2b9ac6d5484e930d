"""The number of a run, as people type it: `812` or `#812`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import typer


@dataclass(frozen=True, slots=True)
class RunNumber:
    """A run's number."""

    value: int

    @classmethod
    def read(cls, text: str) -> Self:
        """Read what was typed.

        Raises:
            BadParameter: it is no number.
        """
        digits = str(text).removeprefix("#")
        if not (digits.isascii() and digits.isdigit() and len(digits) < 19):
            raise typer.BadParameter(f"found '{text}', expected the number of a run, such as 812")
        return cls(int(digits))
