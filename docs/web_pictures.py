"""Take the pictures of the dashboard: `python -m docs.web_pictures`.

A real engine runs sample pipelines: a week of them in a hurry, by a clock that is fast, then today's in real time, with
the web before it and a browser before that. Needs Chromium, and pngquant for smaller files; nothing is fetched.
"""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from playwright.async_api import Browser, async_playwright

from pipelines.engine import Engine
from pipelines.model import NewRun, StartedBy
from pipelines.store import runs
from tests.project import Project
from web.face import WebFace

FOLDER = Path(__file__).parent
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"),
    *("--disable-sync", "--no-first-run"),
)
ZONE = "Europe/Stockholm"
DAYS, SPEED = 6, 300.0
"""So many days of history, each second of which stands for five minutes."""
QUALITY = "75-95"
DEADLINE_S = 30.0
AFTER_S = 9.0
"""After so long the run in the pictures has come to a quarter; the web serves at once."""

PIPELINES = """
scheduler: {max_parallel_jobs: 6, timezone: Europe/Stockholm, default_retry: {attempts: 1}}
pipelines:
  shop-prices:
    description: Prices of the web shop, for the comparison page
    schedule: {cron: "30 */4 * * *", params: {region: se}}
    executor: inline
    params:
      region: {type: text, choices: [se, "no", fi], default: se, description: Which shop}
      pages: {type: int, default: 24, min: 1, max: 40, description: How many pages to read}
      dry: {type: flag, default: false}
    max_instances: 3
    chain: [shop.Prices, shop.with_tax, {class: pipelines.transforms.OnlyNew, kwargs: {key: id}}]
  customer-sync:
    description: Customers into the CRM
    schedule: {cron: "0 1 * * *"}
    executor: inline
    chain: [shop.Customers, {class: shop.Crm, kwargs: {url: "https://crm.example/api", token: "${CRM_TOKEN}"}}]
  order-import:
    description: Orders of the last quarter of an hour
    schedule: {interval: {minutes: 15}}
    executor: inline
    chain: [shop.Orders, shop.with_tax]
  fx-rates:
    description: Exchange rates, from the central bank
    schedule: {cron: "5 8-18 * * mon-fri"}
    executor: inline
    chain: [shop.Rates]
  stock-report:
    description: What is running low
    schedule: {cron: "0 8 * * mon-fri"}
    executor: inline
    chain: [shop.Stock]
  newsletter-archive:
    enabled: false
    description: The newsletters of former years
    chain: [shop.Stock]
"""
PLUGIN = """
import asyncio
from pipelines import Fetcher, Sink, current_run

class Prices(Fetcher):
    async def fetch(self):
        run, pages = current_run(), current_run().params["pages"]
        run.log.info("region %s, %d pages", run.params["region"], pages)
        for page in range(pages):
            run.progress(page / pages, f"page {page + 1} of {pages}")
            for item in range(75):
                yield {"id": f"{run.run_id}-{page}-{item}", "price": item * 1.25}
            if page % 4 == 3:
                run.log.info("%d prices so far", (page + 1) * 75)
            await asyncio.sleep(0.004 if pages < 30 else 1.2)
        run.log.warning("3 articles have no price; left out")

def with_tax(item):
    return item | {"price": item.get("price", 1) * 1.25}

class Customers(Fetcher):
    async def fetch(self):
        for number in range(214):
            yield {"id": number}
        await asyncio.sleep(0.05)

class Crm(Sink):
    def __init__(self, url, token):
        self.url = url
    async def handle(self, item):
        if item["id"] == 180 and current_run().run_id % 5 == 0:
            raise ConnectionError("crm.example:443 refused the connection")

class Orders(Fetcher):
    async def fetch(self):
        await asyncio.sleep(0.01 + 0.01 * (current_run().run_id % 7))
        for number in range(12 + current_run().run_id % 9):
            yield {"id": number, "price": 3}

class Rates(Fetcher):
    async def fetch(self):
        await asyncio.sleep(0.02)
        if current_run().run_id % 11 == 0 or current_run().run_id > 300:
            raise TimeoutError("rates.example did not answer within 10 s")
        yield {"SEK": 11.2}

class Stock(Fetcher):
    async def fetch(self):
        await asyncio.sleep(0.03)
        yield {"article": "Earl Grey, 100 g", "left": 4}
"""
HOURS = {
    "order-import": range(24),
    "shop-prices": range(0, 24, 4),
    "customer-sync": (1,),
    "fx-rates": range(8, 18, 2),
    "stock-report": (8,),
}


class Clock:
    """The wall clock's time, or one that runs fast from an instant in the past."""

    def __init__(self) -> None:
        """Begin with the wall clock."""
        self._began: tuple[datetime, float] | None = None

    def __call__(self) -> datetime:
        """Return what time it is, UTC."""
        if self._began is None:
            return datetime.now(UTC)
        at, began = self._began
        return at + timedelta(seconds=(time.monotonic() - began) * SPEED)

    def hurry(self, at: datetime) -> None:
        """Go on from `at`, fast."""
        self._began = (at, time.monotonic())

    def rest(self) -> None:
        """Tell the wall clock's time again."""
        self._began = None


async def history(engine: Engine, clock: Clock) -> None:
    """Run what was due in the last days."""
    hour = datetime.now(UTC).replace(minute=5, second=0, microsecond=0) - timedelta(days=DAYS)
    while hour < datetime.now(UTC) - timedelta(hours=1):
        clock.hurry(hour)
        names = [name for name, hours in HOURS.items() if hour.hour in hours]
        wanted = [
            NewRun(name, StartedBy.SCHEDULE, schedule_id=name, due_at=hour, params=_params(name)) for name in names
        ]
        made = [await engine.writer.call(runs.insert_runs, each) for each in wanted]
        engine.queued(made)
        for run in made:
            await asyncio.wait_for(engine.wait(run.id), DEADLINE_S)
        hour += timedelta(hours=1)
    clock.rest()


def _params(name: str) -> dict[str, Any]:
    return {"region": "se"} if name == "shop-prices" else {}


async def photograph(browser: Browser, address: str, run_id: int, folder: Path) -> None:
    """Take one picture after the other into `folder`."""
    shots: tuple[tuple[str, str, dict[str, Any]], ...] = (
        ("dashboard", "/", {"viewport": {"width": 1100, "height": 900}}),
        ("dashboard-run", f"/runs/{run_id}", {"viewport": {"width": 1100, "height": 820}, "color_scheme": "dark"}),
        ("dashboard-phone", "/pipelines", {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 2}),
    )
    for name, path, how in shots:
        context = await browser.new_context(timezone_id=ZONE, locale="en-GB", **how)
        page = await context.new_page()
        await page.goto(address + path)
        await page.screenshot(path=folder / f"{name}.png")
        await context.close()
        shrink(folder / f"{name}.png")


def shrink(path: Path) -> None:
    """Leave out colours that nobody misses, where pngquant is installed."""
    if (pngquant := shutil.which("pngquant")) is not None:
        subprocess.run(
            [pngquant, "--quality", QUALITY, "--speed", "1", "--force", "--ext", ".png", str(path)], check=True
        )


async def take(folder: Path) -> None:
    """Start it all, take the pictures, end it all."""
    clock = Clock()
    with TemporaryDirectory() as place:
        project = Project(Path(place), env={"CRM_TOKEN": "not-a-real-one"})
        project.write(PIPELINES)
        project.plugin("shop", PLUGIN)
        async with project.scheduler(clock=clock) as engine:
            await engine.start()
            await history(engine, clock)
            await engine.start_timetable()
            face = WebFace(project.settings(web="on", web_port=0))
            await face.start(engine)
            try:
                (run,) = await engine.run_now(["shop-prices"], params={"pages": 36, "region": "no"}, actor="olga")
                await engine.run_now(["order-import"], actor="ann")
                await asyncio.sleep(AFTER_S)
                async with async_playwright() as playwright:
                    browser = await playwright.chromium.launch(executable_path=_browser(), args=FLAGS)
                    await photograph(browser, face.address or "", run.id, folder)
                    await browser.close()
            finally:
                await face.stop()
                await engine.kill()


def _browser() -> str:
    found = next((path for name in BROWSERS if (path := shutil.which(name)) is not None), None)
    return found or sys.exit("no Chromium is installed")


if __name__ == "__main__":
    asyncio.run(take(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER))
