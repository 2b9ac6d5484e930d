"""What a face is, a way in beside the pipelines file such as a chat or the web, and where those are that ship with it.

The engine knows neither chat nor web. Faces are named here, imported when a service starts, and left out where they are
not installed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pkgutil import resolve_name
from typing import Protocol, TypeAlias

from pipelines.channels import Channel
from pipelines.engine import Engine
from pipelines.leadership import Leadership
from pipelines.settings import Settings

SHIPPED = ("bot.door:discord_face", "web.door:web_face")
"""What makes a face out of settings and environment."""
STANDBY = "standby"
"""The state of a face that is not started because another process leads."""


class Face(Protocol):
    """A way in beside the pipelines file, such as a chat: what it delivers messages through, and its own life."""

    @property
    def name(self) -> str:
        """What people call it."""

    @property
    def alone(self) -> bool:
        """Whether only one of several schedulers may have it started: the one that leads."""

    def channels(self) -> Mapping[str, Channel]:
        """Return the channels it can deliver through, by the first part of their targets."""

    def absent(self) -> Mapping[str, str]:
        """Return the channels it could have, by name, with the reason why there are none."""

    def state(self) -> str:
        """Say in words where it stands; the first is one of off, standby, connecting, ready, waiting, disabled."""

    async def start(self, engine: Engine, /) -> None:
        """Begin to serve people, also again after `stop`. It must neither block nor raise for what is out of reach."""

    async def leave(self) -> None:
        """Take no more requests, and let those under way finish; what still runs may be followed to its end."""

    async def stop(self) -> None:
        """Let go of everything."""


Faces: TypeAlias = Sequence[Callable[[Settings, Mapping[str, str]], Face]]
"""What makes the faces of one service, in the order in which they are started."""


def standing(face: Face, leadership: Leadership) -> Callable[[], str]:
    """Return what says where a face stands, and while it waits for its turn, who leads."""

    def state() -> str:
        said = face.state()
        return f"{said}: {leadership.holder} leads" if said == STANDBY and leadership.holder else said

    return state


async def start_face(face: Face, engine: Engine) -> None:
    """Start a face over a running engine: now, or, where only one may be started, whenever this process leads."""
    engine.vitals.faces[face.name] = standing(face, engine.leading.leadership)
    if getattr(face, "alone", False):  # a face of somebody else may not know of this
        await engine.leading.join(_Turn(face, engine))
    else:
        await face.start(engine)


@dataclass(frozen=True, slots=True)
class _Turn:
    """A face as a part of the lead."""

    face: Face
    engine: Engine

    async def begin(self) -> None:
        """Start it."""
        await self.face.start(self.engine)

    async def end(self) -> None:
        """Stop it; another process starts its own."""
        await self.face.leave()
        await self.face.stop()


def shipped() -> Faces:
    """Return the makers of the faces that are installed."""
    return [resolve_name(name) for name in SHIPPED if find_spec(name.partition(".")[0]) is not None]
