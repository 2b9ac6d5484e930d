"""The outbox of the whole program under the worst: kill -9 again and again while Discord fails a third of the calls."""

from __future__ import annotations

import json
import random
import re
from collections import Counter

import pytest

from tests.bot.whole import CREATE, whole_of
from tests.fake_discord import faults

TARGETS, PARTS, KILLS = 24, 3, 2
FAULTY, MOST = 0.4, 2
"""The chance that a call goes wrong, and how often that happens to one message at most: about a third of all calls."""
KINDS = (
    faults.rate_limited(0.05),
    faults.status(500),
    faults.status(503),
    faults.status(503, after=True),
    faults.dropped(),
    faults.dropped(after=True),
    faults.hung(),
    faults.hung(after=True),
)
PART = re.compile(r"run (\d+) part (\d+)")
PLUGIN = f"""
from pipelines import Fetcher, current_run

class Parts(Fetcher):
    async def fetch(self):
        for part in range({PARTS}):
            yield {{"text": f"run {{current_run().run_id}} part {{part}} " + "x" * 900}}
"""
PIPELINE = """
  p{number}:
    executor: inline
    retry: {{attempts: 9, delay: 0}}
    chain:
      - mine.Parts
      - {{class: bot.sink.DiscordSink, kwargs: {{channel_id: {channel}, format: template, template: "{{text}}"}}}}
"""


class Dice:
    """Decides by chance, the same each time, what happens to a call that makes a message."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.calls = 0
        self.struck = Counter()
        self._last = self._fate = None

    def order(self, fake):
        """Let the fake throw them."""
        for place, kind in enumerate(KINDS):
            fake.faults.every(kind, route=CREATE, where=lambda call, place=place: self._of(call) == place)

    def _of(self, call):
        if call is not self._last:
            self._last = call
            self.calls += 1
            goes_wrong = self.random.random() < FAULTY and self.struck[call.body["nonce"]] < MOST
            self._fate = self.random.randrange(len(KINDS)) if goes_wrong else None
            self.struck[call.body["nonce"]] += goes_wrong
        return self._fate


@pytest.mark.parametrize("seed", [7])
async def test_nothing_is_lost_or_doubled(project, fake, seed):
    """Killed three times as 288 messages drain to 24 channels over all kinds of faults: each comes once, in order."""
    whole, dice = whole_of(project, fake), Dice(seed)
    channels = [fake.channel(f"target-{number}") for number in range(TARGETS)]
    project.plugin("mine", PLUGIN)
    whole.write("".join(PIPELINE.format(number=n, channel=each.id) for n, each in enumerate(channels)))
    dice.order(fake)
    for _ in range(KILLS):
        with whole.service():
            enough = dice.calls + dice.random.randint(20, 60)
            await whole.until(lambda enough=enough: dice.calls >= enough, f"{enough} calls")
            await whole.kill()
    with whole.service():
        await whole.said("ready; Ctrl-C stops")

        def drained():
            fake.faults.release()  # what hangs would take 20 s each
            ended = whole.rows("SELECT count(*) FROM runs WHERE state = 'succeeded'") == [(TARGETS * (KILLS + 1),)]
            return ended and not whole.waiting()

        await whole.until(drained, "an empty outbox")
        assert 0 == await whole.stop()

    stored = whole.rows("SELECT target, body, message_id, state FROM outbox ORDER BY id")
    arrived = {each.id: [part_of(message.content) for message in fake.messages(each)] for each in channels}
    wanted = {
        each.id: [
            part_of(json.loads(body)["payload"]["content"]) for to, body, *_ in stored if to == f"discord:{each.id}"
        ]
        for each in channels
    }
    every = Counter(part for parts in arrived.values() for part in parts)
    due = {(run, part) for (run,) in whole.rows("SELECT id FROM runs") for part in range(PARTS)}
    lost, doubled = due - set(every), [part for part, times in every.items() if times > 1]
    ids = [int(message_id) for *_, message_id, _ in stored]
    told = (
        f"{len(due)} messages to {TARGETS} channels, {dice.calls} calls, {dice.struck.total()} of them faulted, "
        f"{KILLS} kills: {len(lost)} lost {sorted(lost)}, {len(doubled)} doubled {sorted(doubled)}"
    )
    assert len(due) >= 200, told
    assert dice.struck.total() >= dice.calls * 0.3, told
    assert ([], []) == (sorted(lost), doubled), told
    assert wanted == arrived, f"{told}; out of order"
    assert {"sent"} == {state for *_, state in stored}, told
    assert sorted(ids) == sorted(message.id for each in channels for message in fake.messages(each)), told


def part_of(content):
    """Which run's which part a message is."""
    run, part = map(int, PART.search(content).groups())
    return run, part
