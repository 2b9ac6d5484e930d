"""A fake Discord on loopback: what a real, unpatched discord.py client talks to in tests.

The front door is here; the parts are one noun per module. `server` starts the whole, `world` and `state` hold guilds,
channels and people, `people` lets them act, `gateway` is the websocket, `rest`, `posts` and `callbacks` the routes,
`messages` and `interactions` what a bot said, `limits`, `command_limits` and `description` what Discord refuses,
`faults` what goes wrong on demand; `client` points discord.py here.
"""

from tests.fake_discord.client import point_at
from tests.fake_discord.clock import Clock
from tests.fake_discord.interactions import Interaction
from tests.fake_discord.messages import Message
from tests.fake_discord.server import FakeDiscord

__all__ = ["Clock", "FakeDiscord", "Interaction", "Message", "point_at"]
