"""Bodies as messages that can be delivered: what stands around them, pings, flags, files, and a last look at limits.

What is made here is what a message's row in the store holds: `payload` (Discord's JSON, without a nonce), `files`,
and where it goes if that is more than a channel (`forum`, `thread_id`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bot.files import File
from bot.lengths import cut, units
from bot.limits import SILENT, SUPPRESS_EMBEDS, faults
from bot.packing import Part
from bot.safe_text import plain

ROOM = 1900
"""Characters of a message's content; a little under Discord's own limit."""
NOTE_ROOM = 300
"""Characters kept free in each message for the line that says what is not in it."""

Payload = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Frame:
    """What stands around the bodies: `intro` above the first, `outro` below the last, and how all are posted."""

    intro: str = ""
    outro: str = ""
    roles: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    silent: bool = False
    suppress_embeds: bool = True
    more: Mapping[str, Any] = field(default_factory=dict)
    """Further keys of each payload."""

    @property
    def pings(self) -> str:
        """The mentions that open the first message."""
        return " ".join([*(f"<@&{role}>" for role in self.roles), *(f"<@{user}>" for user in self.users)])

    @property
    def room(self) -> int:
        """How many UTF-16 units of each message are left for its body."""
        return ROOM - NOTE_ROOM - units(self.pings) - units(self.intro) - units(self.outro) - 4


def messages(parts: Sequence[Part], frame: Frame, *, note: str, file: File | None, about: str) -> list[dict[str, Any]]:
    """Return the bodies of the messages to deliver, in their order; there is at least one.

    Args:
        parts: What is shown; may be empty.
        frame: What stands around it.
        note: The line under the last part, in markdown; empty for none.
        file: What goes along with the last message.
        about: What the file is, for those who cannot see it.
    """
    every = list(parts) or [Part()]
    made = []
    for at, part in enumerate(every):
        last = at == len(every) - 1
        opening = [" ".join(filter(None, [frame.pings, frame.intro]))] if at == 0 else []
        closing = [note, frame.outro] if last else []
        content = "\n".join(filter(None, [*opening, part.text, *closing]))
        made.append(_message(_payload(content, part, frame, pings=at == 0), file if last else None, about))
    return made


def fallback(frame: Frame, text: str, file: File | None) -> dict[str, Any]:
    """Return the one plain message that stands for rows whose proper messages Discord would not take."""
    content = cut(plain(text), ROOM)
    return _message(_payload(content, Part(), Frame(silent=frame.silent), pings=False), file, about=content)


def refused(made: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return what Discord would refuse in any of the messages."""
    return [fault for body in made for fault in faults(body["payload"], body["files"])]


def _payload(content: str, part: Part, frame: Frame, *, pings: bool) -> Payload:
    flags = (SILENT if frame.silent else 0) | (SUPPRESS_EMBEDS if frame.suppress_embeds and not part.embeds else 0)
    allowed: dict[str, Any] = {"parse": []}
    if pings and frame.roles:
        allowed["roles"] = list(frame.roles)
    if pings and frame.users:
        allowed["users"] = list(frame.users)
    payload: Payload = {"content": content, "allowed_mentions": allowed, **frame.more}
    if part.embeds:
        payload["embeds"] = [dict(embed) for embed in part.embeds]
    if flags:
        payload["flags"] = flags
    return payload


def _message(payload: Payload, file: File | None, about: str) -> dict[str, Any]:
    if file is None:
        return {"payload": payload, "files": []}
    attachment = {"id": 0, "filename": file.name, "description": cut(plain(about), 1000)}
    return {"payload": {**payload, "attachments": [attachment]}, "files": [file.record()]}
