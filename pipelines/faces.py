"""What a face is, a way in beside the pipelines file such as a chat or the web, and where those are that ship with it.

The engine knows neither chat nor web. Faces are named here, imported when a service starts, and left out where they are
not installed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pkgutil import resolve_name
from typing import Protocol, TypeAlias

from pipelines.channels import Channel
from pipelines.engine import Engine
from pipelines.settings import Settings

SHIPPED = ("bot.door:discord_face", "web.door:web_face")
"""What makes a face out of settings and environment."""


class Face(Protocol):
    """A way in beside the pipelines file, such as a chat: what it delivers messages through, and its own life."""

    @property
    def name(self) -> str:
        """What people call it."""

    def channels(self) -> Mapping[str, Channel]:
        """Return the channels it can deliver through, by the first part of their targets."""

    def absent(self) -> Mapping[str, str]:
        """Return the channels it could have, by name, with the reason why there are none."""

    def state(self) -> str:
        """Say in words where it stands; the first is one of off, connecting, ready, waiting, disabled."""

    async def start(self, engine: Engine, /) -> None:
        """Begin to serve people. It must neither block nor raise for what is out of reach."""

    async def leave(self) -> None:
        """Take no more requests, and let those under way finish; what still runs may be followed to its end."""

    async def stop(self) -> None:
        """Let go of everything."""


Faces: TypeAlias = Sequence[Callable[[Settings, Mapping[str, str]], Face]]
"""What makes the faces of one service, in the order in which they are started."""


def shipped() -> Faces:
    """Return the makers of the faces that are installed."""
    return [resolve_name(name) for name in SHIPPED if find_spec(name.partition(".")[0]) is not None]
