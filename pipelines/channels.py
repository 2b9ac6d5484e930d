"""What a way to reach people must be able to do, and what may come in its way. Each fault says what to do about it.

DeliveryFault                  root of what comes in the way of a message
├── Wait                       not now: again after so many seconds; nothing arrived
│   ├── Slow                   this place is written to too often
│   └── Banned                 the other side refuses this machine: nobody may try for so long
├── Unsure                     no answer, or a broken one: it may have arrived
├── Unauthorised               the channel's own credentials are refused; it is closed until they are changed
├── Forbidden                  the place does not let us; somebody has to give a right there
├── Gone                       the place is not there (any more)
├── TooBig                     more than the place takes
└── Rejected                   the message itself was refused, and will be next time
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from pipelines.errors import PipecallError
from pipelines.store.deliveries import Parcel


class DeliveryFault(PipecallError):
    """A try that failed. The text is for people and holds no secret."""


class Wait(DeliveryFault):
    """Not now: again after `after_s` seconds; `everywhere` tells that it holds for the whole channel."""

    def __init__(self, text: str, after_s: float, *, everywhere: bool = False) -> None:
        """Nothing arrived."""
        super().__init__(text)
        self.after_s = after_s
        self.everywhere = everywhere


class Slow(Wait):
    """This place is written to too often."""


class Banned(Wait):
    """The other side refuses this machine, whoever asks; each further try makes it worse."""


class Unsure(DeliveryFault):
    """The try may have arrived, or may not."""


class Unauthorised(DeliveryFault):
    """The channel's credentials are refused. The text says how to put new ones in."""


class Forbidden(DeliveryFault):
    """The place does not let us. The text names what is missing and how to mend it."""


class Gone(DeliveryFault):
    """The place is not there."""


class TooBig(DeliveryFault):
    """More than the place takes, however it was packed."""


class Rejected(DeliveryFault):
    """The message was refused for what it is."""


@dataclass(frozen=True, slots=True)
class Backlog:
    """How many messages wait for a target, and why; `dead` counts those that were given up."""

    target: str
    waiting: int
    state: str
    dead: int = 0


class Channel(Protocol):
    """A way to reach people. Several messages may be under way at once, never two of the same target."""

    async def deliver(self, parcel: Parcel) -> str | None:
        """Bring a message there; return the id under which it can be changed, None where there is none.

        A second try with the same nonce must not make a second message where the channel can help it.

        Raises:
            DeliveryFault: it did not, or perhaps not, arrive.
        """

    async def find(self, parcel: Parcel) -> Sequence[str]:
        """Return the ids of messages that an earlier try of this one may have made, oldest first.

        It is asked before each new try of a message of which an earlier try may have arrived. Nothing is returned where
        trying again is harmless, or where one cannot know.

        Raises:
            DeliveryFault: it cannot be said now.
        """

    def together(self, parcels: Sequence[Parcel]) -> tuple[Sequence[int], Mapping[str, Any]] | None:
        """Return which of many messages of one target could be told by one, as ids, and the body of that one.

        The ids are in the order of the parcels. None where nothing can be told together.
        """

    async def close(self) -> None:
        """Let go of what is open; nothing is delivered after this."""
