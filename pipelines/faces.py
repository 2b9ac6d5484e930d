"""The ways in that ship beside the engine, by name: a service imports them when it starts, and nothing else does.

The engine knows neither chat nor web; here stands only where to find them. One that is not installed is left out.
"""

from __future__ import annotations

from importlib.util import find_spec
from pkgutil import resolve_name
from typing import Any

SHIPPED = ("bot.door:discord_face", "web.door:web_face")
"""What makes a face out of settings and environment; see `service.Face`."""


def shipped() -> list[Any]:
    """Return the makers of the faces that are installed, in the order in which they are started."""
    return [resolve_name(name) for name in SHIPPED if find_spec(name.partition(".")[0]) is not None]
