"""What people do with a bot, and what the bot answered: the side of an interaction that a test looks at."""

from __future__ import annotations

import dataclasses
from typing import Any

from tests.fake_discord.messages import Message
from tests.fake_discord.waiting import Changes
from tests.fake_discord.world import Channel, Member

COMMAND, COMPONENT, AUTOCOMPLETE, SUBMIT = 2, 3, 4, 5
"""Kinds of interactions."""

SEND, DEFER, DEFER_UPDATE, UPDATE, CHOICES, MODAL = 4, 5, 6, 7, 8, 9
"""Kinds of answers."""

FIRST_ANSWER_S = 3.0
TOKEN_S = 900.0


@dataclasses.dataclass(eq=False, slots=True)
class Interaction:
    """One thing that a person did.

    Attributes:
        kind: `COMMAND`, `COMPONENT`, `AUTOCOMPLETE` or `SUBMIT`.
        source: The message whose button was pressed, or None.
        response: The first answer as JSON (`type`, `data`), or None as long as there is none.
        original: The message that the answer made or changed, or None.
        followups: The messages after it, oldest first.
    """

    id: int
    token: str
    kind: int
    member: Member
    channel: Channel
    data: dict[str, Any]
    at: float
    changes: Changes
    source: Message | None = None
    response: dict[str, Any] | None = None
    original: Message | None = None
    followups: list[Message] = dataclasses.field(default_factory=list)

    @property
    def response_type(self) -> int | None:
        """The kind of the first answer: `SEND` to `MODAL`, or None."""
        return None if self.response is None else self.response["type"]

    @property
    def choices(self) -> list[dict[str, Any]]:
        """The choices of an answered autocomplete."""
        return self._data().get("choices") or []

    @property
    def modal(self) -> dict[str, Any] | None:
        """The modal that opened, as JSON, or None."""
        return self._data() if self.response_type == MODAL else None

    @property
    def text(self) -> str:
        """What the person reads: the answer and the follow-ups, a line each."""
        told = [self.original, *self.followups] if self.original else self.followups
        return "\n".join(message.text for message in told if not message.deleted)

    async def answered(self, *, timeout_s: float = 5.0) -> dict[str, Any]:
        """Wait for the first answer, a deferral too. Raises: TimeoutError: the bot gave none."""
        what = f"an answer to {self.data}"
        return await self.changes.until(lambda: self.response, timeout_s=timeout_s, what=what) or {}

    async def shown(self, *, timeout_s: float = 5.0) -> Message:
        """Wait until the person sees more than "thinking". Raises: TimeoutError."""
        await self.changes.until(self._shows, timeout_s=timeout_s, what=f"a message for {self.data}")
        assert self.original is not None
        return self.original

    def _shows(self) -> bool:
        return self.original is not None and not self.original.loading

    def _data(self) -> dict[str, Any]:
        return (self.response or {}).get("data") or {}
