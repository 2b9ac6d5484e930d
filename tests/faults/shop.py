"""The pipelines that run while things go wrong. What each leaves behind tells what really happened."""

from __future__ import annotations

import re

from tests.bot.whole import Whole
from tests.fake_discord.world import Channel

CHANNELS, PARTS = 3, 2
PERIODS_S = {"tick": 1, "once": 2, "long": 4, **{f"post-{number}": 4 for number in range(CHANNELS)}}
"""The period of each schedule, in seconds since 1970."""
PART = re.compile(r"run (\d+) part (\d+)\.")
PLUGIN = f"""
import asyncio
from pathlib import Path

from pipelines import Fetcher, current_run

def one(_):
    yield {{"n": 1}}

def count(_):
    run = current_run()
    run.state["count"] = run.state.get("count", 0) + 1
    run.collection("seen").put(str(run.run_id))
    if (run.run_id * 7 + run.attempt) % 3 == 0:
        raise OSError("busy")
    return {{"n": 1}}

def effect(item):
    run = current_run()
    with Path("effects.txt").open("a") as file:
        file.write(f"{{run.run_id}}\\n")
    return item

async def work(item):
    await asyncio.sleep(0.7)
    return item

class Parts(Fetcher):
    async def fetch(self):
        for part in range({PARTS}):
            yield {{"text": f"run {{current_run().run_id}} part {{part}}. " + "x" * 900}}
"""
_PIPELINES = """
  hello: {executor: inline, chain: [mine.one]}
  tick: {schedule: {interval: {seconds: 1}}, retry: {attempts: 9, delay: 0}, chain: [mine.count]}
  once: {schedule: {interval: {seconds: 2}}, on_crash: fail, retry: {attempts: 1}, chain: [mine.one, mine.effect]}
  long: {schedule: {interval: {seconds: 4}}, retry: {attempts: 9, delay: 1}, chain: [mine.one, mine.work]}
"""
_POST = """
  post-{number}:
    executor: inline
    schedule: {{interval: {{seconds: 4}}}}
    retry: {{attempts: 9, delay: 0}}
    chain:
      - mine.Parts
      - {{class: bot.sink.DiscordSink, kwargs: {{channel_id: {channel}, format: template, template: "{{text}}"}}}}
"""


def furnish(whole: Whole) -> list[Channel]:
    """Write the pipelines; return the channels that they post to, in the order of their pipelines' numbers."""
    channels = [whole.fake.channel(f"target-{number}") for number in range(CHANNELS)]
    whole.project.plugin("mine", PLUGIN)
    posts = "".join(_POST.format(number=number, channel=channel.id) for number, channel in enumerate(channels))
    whole.write(_PIPELINES + posts, more=f"alerts: {{channel_id: {whole.alerts.id}}}")
    return channels
