"""Take the pictures of the bot at work: `python -m docs.discord_pictures`.

The program runs against the tests' fake Discord, people press and type, and what the bot really said becomes a page and
then a PNG. That last step needs Chromium and pngquant; nothing is fetched from anywhere.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from zoneinfo import ZoneInfo

from docs.discord_markdown import Reader
from docs.discord_page import Shown, page
from tests.fake_discord import FakeDiscord, Message
from tests.fake_discord.state import NORMAL
from tests.fake_discord.world import Channel, Member, Role
from tests.project import Project

FOLDER = Path(__file__).parent
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
ZONE = ZoneInfo("Europe/Stockholm")
MANAGES = NORMAL | 1 << 5
WIDTH = 620
PATIENCE_S = 70.0
"""Some jobs of the pictures are due every minute."""
QUALITY = "80-98"
"""The least and the most of an image's quality that fewer colours may leave, for `pngquant`."""

PIPELINES = """
scheduler: {{max_parallel_jobs: 8}}
discord: {{guilds: [{guild}]}}
policy: {{operator: {{roles: [{operators}]}}}}
alerts: {{channel_id: {alerts}, mention: [{operators}]}}
pipelines:
  shop-prices:
    description: Prices of the web shop
    schedule: {{cron: "30 6 * * *", params: {{region: se}}}}
    params:
      region: {{type: text, choices: [se, "no", fi]}}
      pages: {{type: int, default: 24, min: 1, max: 40}}
    max_instances: 3
    chain: [shop.Prices, shop.with_tax, {{class: pipelines.transforms.OnlyNew, kwargs: {{key: id}}}}]
  customer-sync:
    description: Customers into the CRM
    schedule: {{cron: "0 1 * * *"}}
    retry: {{attempts: 1}}
    chain: [shop.Customers, shop.Crm]
  order-import:
    schedule: {{cron: "* * * * *"}}
    chain: [shop.Prices]
    params: {{pages: 1}}
  fx-rates:
    schedule: {{cron: "* * * * *"}}
    retry: {{attempts: 1}}
    chain: [shop.rates]
  stock-report:
    description: What is running low
    schedule: {{cron: "0 8 * * mon-fri"}}
    chain:
      - shop.low_stock
      - class: bot.sink.DiscordSink
        kwargs: {{channel_id: {reports}, format: table, title: "Running low: {{rows}} articles", mobile: true}}
"""
PLUGIN = """
import asyncio
from pathlib import Path
from pipelines import Fetcher, Sink, current_run

class Prices(Fetcher):
    async def fetch(self):
        run, pages = current_run(), current_run().params["pages"]
        for page in range(pages):
            run.progress(page / pages, f"page {page + 1} of {pages}")
            for item in range(75):
                yield {"id": f"{run.run_id}-{page}-{item}", "price": item * 1.25}
            await asyncio.sleep(0.4)

def with_tax(item):
    return item | {"price": item["price"] * 1.25}

class Customers(Fetcher):
    async def fetch(self):
        for number in range(214):
            if number % 40 == 0:
                await asyncio.sleep(0.2)
            yield {"id": number}

class Crm(Sink):
    async def handle(self, item):
        if item["id"] == 180 and Path("crm-is-down").exists():
            raise ConnectionError("crm.example:443 refused the connection")

def rates(_):
    raise TimeoutError("rates.example did not answer within 10 s")

def low_stock(_):
    yield {"article": "Earl Grey, 100 g", "left": 4, "sold": 31, "lasts": "1 day"}
    yield {"article": "Sencha, 250 g", "left": 11, "sold": 27, "lasts": "3 days"}
    yield {"article": "Teapot, blue", "left": 2, "sold": 3, "lasts": "5 days"}
    yield {"article": "Rooibos, 100 g", "left": 19, "sold": 24, "lasts": "6 days"}
"""


@dataclass
class Shop:
    """A server with three channels and three people: `ann` manages it, `olga` is an operator, `vic` looks."""

    fake: FakeDiscord
    pictures: dict[str, list[Shown]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Furnish it."""
        self.guild = self.fake.guild("Tea shop")
        self.ops, self.alerts, self.reports = (self.fake.channel(name) for name in ("ops", "alerts", "reports"))
        self.operators: Role = self.fake.role("ops")
        self.ann: Member = self.fake.member("ann", permissions=MANAGES)
        self.olga: Member = self.fake.member("olga", roles=[self.operators])
        self.vic: Member = self.fake.member("vic")

    @property
    def ids(self) -> Mapping[str, int]:
        """The ids that the pipelines file names."""
        there = {"guild": self.guild, "operators": self.operators, "alerts": self.alerts, "reports": self.reports}
        return {name: thing.id for name, thing in there.items()}

    async def typed(self, who: Member, command: str, **options: Any) -> Message:
        """Type a command, and return the answer once it is there."""
        interaction = await self.fake.command(who, command, **options)
        return await interaction.shown(timeout_s=PATIENCE_S)

    async def pressed(self, who: Member, message: Message, place: int) -> None:
        """Press the button of a message at a place, and wait for the answer."""
        interaction = await self.fake.press(who, message, message.custom_ids[place])
        await interaction.answered(timeout_s=PATIENCE_S)

    async def until(self, message: Message, word: str) -> Message:
        """Wait until a message says a word."""
        return await self.soon(lambda: message if word in message.text else None)

    async def said(self, where: Channel, word: str, *, but: Message | None = None) -> Message:
        """Wait until a message in a channel, another one than `but`, says a word."""
        return await self.soon(
            lambda: next((each for each in self.fake.messages(where) if each is not but and word in each.text), None)
        )

    async def soon(self, look: Callable[[], Message | None]) -> Message:
        """Wait for a message, and return it."""
        every = "\n".join(message.text for message in self.fake.store.every())
        found = await self.fake.until(look, timeout_s=PATIENCE_S, what=f"a message after these:\n{every}")
        assert found is not None
        return found

    def take(self, picture: str, message: Message, asked: tuple[Member, str] | None = None) -> None:
        """Add a message to a picture, as it stands now."""
        names = {user.id: user.name for user in self.fake.users.values()} | {self.operators.id: self.operators.name}
        reader = Reader(datetime.now(UTC), ZONE, names)
        by = (asked[0].user.name, asked[1]) if asked else None
        self.pictures.setdefault(picture, []).append(Shown(message.payload(), reader, by))


async def at_work() -> Mapping[str, Sequence[Shown]]:
    """Run the program, let people use it, and return what they saw, by picture."""
    with TemporaryDirectory() as name:
        project = Project(Path(name))
        shop = Shop(await FakeDiscord.start())
        project.env |= shop.fake.environment | {"DISCORD_TOKEN": shop.fake.token}
        project.plugin("shop", PLUGIN)
        project.write(PIPELINES.format(**shop.ids))
        with project.service() as service:
            await _used(shop, project.folder)
            await asyncio.to_thread(service.stop)
        await shop.fake.stop()
        return shop.pictures


async def _used(shop: Shop, folder: Path) -> None:
    await shop.fake.until(lambda: shop.fake.commands(shop.guild), timeout_s=PATIENCE_S, what="the bot")
    await _cards(shop, folder)
    await _alert(shop, folder)
    await _report(shop)
    await _jobs(shop)


async def _cards(shop: Shop, folder: Path) -> None:
    given = ((shop.ann, "region=fi"), (shop.ann, "region=no"), (shop.olga, "region=se"))
    cards = [await shop.typed(who, "run", pipeline="shop-prices", params=params) for who, params in given]
    await shop.until(await shop.typed(shop.olga, "run", pipeline="customer-sync"), "succeeded")
    for card in cards:
        await shop.until(card, "succeeded")
    shop.take("card", cards[-1], (shop.olga, "run"))
    (folder / "crm-is-down").touch()
    failed = await shop.until(await shop.typed(shop.ann, "run", pipeline="customer-sync"), "failed")
    shop.take("card", failed, (shop.ann, "run"))
    live = await shop.typed(shop.olga, "run", pipeline="shop-prices", params="region=fi")
    shop.take("card", await shop.until(live, "▓▓▓▓▓"), (shop.olga, "run"))


async def _alert(shop: Shop, folder: Path) -> None:
    alert = await shop.said(shop.alerts, "customer-sync")
    shop.take("alert", alert)
    (folder / "crm-is-down").unlink()
    await shop.pressed(shop.olga, alert, 0)
    shop.take("alert", await shop.said(shop.alerts, "recovered after", but=alert))


async def _report(shop: Shop) -> None:
    await shop.typed(shop.ann, "run", pipeline="stock-report")
    shop.take("sink", await shop.said(shop.reports, "Running low"))


async def _jobs(shop: Shop) -> None:
    asked = {"pipeline": "shop-prices", "when": "every weekday at 09:00", "params": "region=no"}
    preview = await shop.typed(shop.olga, "schedule", **asked)
    shop.take("preview", preview, (shop.olga, "schedule"))
    await shop.pressed(shop.olga, preview, 0)
    shop.take("preview", await shop.said(shop.ops, "scheduled"))
    await shop.typed(shop.ann, "pause", job="stock-report", until="in 2 hours", reason="stocktaking")
    await shop.said(shop.alerts, "fx-rates")
    shop.take("jobs", await shop.typed(shop.vic, "jobs"), (shop.vic, "jobs"))


# ---------------------------------------------------------------- pictures


def take(html: str, picture: Path, *, browser: str, smaller: str) -> None:
    """Save a page as a PNG, exactly as large as what is on it, two pixels to each of its own, in few colours."""
    with TemporaryDirectory() as name:
        source = Path(name) / "page.html"
        source.write_text(html, encoding="utf-8")
        common = [browser, "--headless", "--disable-gpu", "--hide-scrollbars", f"--user-data-dir={name}/profile"]
        common += ["--no-sandbox"] if os.geteuid() == 0 else []
        seen = _run([*common, f"--window-size={WIDTH},800", "--dump-dom", source.as_uri()])
        (height,) = re.findall(r"<title>(\d+)</title>", seen)
        size = f"--window-size={WIDTH},{height}"
        raw = f"{name}/picture.png"
        _run([*common, size, "--force-device-scale-factor=2", f"--screenshot={raw}", source.as_uri()])
        _run([smaller, "--force", "--strip", "--speed=1", f"--quality={QUALITY}", f"--output={picture}", raw])


def _run(command: Sequence[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout


def main() -> None:
    """Take all pictures."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    smaller = shutil.which("pngquant")
    if browser is None:
        sys.exit(f"there is no browser to take pictures with; install one of {', '.join(BROWSERS)}")
    if smaller is None:
        sys.exit("there is no pngquant to make the pictures small; install it")
    for name, shown in asyncio.run(at_work()).items():
        picture = FOLDER / f"discord-{name}.png"
        take(page(shown, width=WIDTH), picture, browser=browser, smaller=smaller)


if __name__ == "__main__":
    main()
