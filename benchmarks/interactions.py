"""How soon an interaction is acknowledged: the real service in a process of its own, the fake Discord in this one.

Measured from the moment in which Discord sends the interaction to the one in which the first answer arrives there. They
come every 50 ms, whatever became of those before, their kinds at random. The service knows 10,000 pipelines. The peer
is a bare discord.py bot whose only command answers at once.
"""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.bare_bot import EVERY_S, JOBS
from benchmarks.measure import Row, ms, percentile, write_project
from pipelines import Post
from pipelines.model import utcnow
from pipelines.store import outbox
from pipelines.store.opening import opened
from tests.fake_discord import FakeDiscord, Interaction, Message
from tests.fake_discord.state import NORMAL
from tests.fake_discord.world import Member
from tests.project import ROOT, Project

COUNT = 10_000
INTERACTIONS = 400
"""So many in each case, of all kinds together."""
EVERY_INTERACTION_S = 0.05
PEOPLE = 60
"""Nobody may use more than ten commands in half a minute."""
CHANNELS, POSTS = 25, 25_000
TYPED = ("", "sales-00", "etl-slaes-0042", "load-weather-1")
READS = ("status", "jobs", "pipelines", "history")
KINDS = ("etl-sales", "etl-weather", "load-sales", "load-weather")
NAMES = [f"{kind}-{number:04}" for number in range(COUNT // len(KINDS)) for kind in KINDS]
CALLBACK = "POST /interactions/{interaction_id}/{interaction_token}/callback"
IDLE, BUSY, POSTING = "idle", f"{JOBS:,} due every {EVERY_S} s and a stage that spins", "the outbox drains"
TARGET = "p99 ≤ 100 ms"


@dataclass
class Scene:
    """The people on the fake, and the buttons that they can press."""

    fake: FakeDiscord
    people: list[Member]
    buttons: list[tuple[Message, str]] = field(default_factory=list)

    def somebody(self, number: int) -> Member:
        """Return one of the people, another one for each number."""
        return self.people[number % len(self.people)]


Act = Callable[[Scene, int], Awaitable[Interaction]]


async def _ping(scene: Scene, number: int) -> Interaction:
    return await scene.fake.command(scene.somebody(number), "ping")


async def _read(scene: Scene, number: int) -> Interaction:
    return await scene.fake.command(scene.somebody(number), READS[number % len(READS)])


async def _run(scene: Scene, number: int) -> Interaction:
    return await scene.fake.command(scene.somebody(number), "run", pipeline=NAMES[-1 - number])


async def _complete(scene: Scene, number: int) -> Interaction:
    return await scene.fake.autocomplete(scene.somebody(number), "run", "pipeline", TYPED[number % len(TYPED)])


async def _press(scene: Scene, number: int) -> Interaction:
    return await scene.fake.press(scene.somebody(number), *scene.buttons[number % len(scene.buttons)])


OURS: Mapping[str, Act] = {
    "commands that read": _read,
    "/run": _run,
    f"choices among {COUNT:,} pipelines": _complete,
    "buttons": _press,
}
PEER: Mapping[str, Act] = {"its command": _ping}


def measure() -> Iterator[Row]:
    """Yield a row for each kind of interaction, idle, under load, and while the outbox drains."""
    idle = asyncio.run(_peer(busy=False))
    busy = asyncio.run(_peer(busy=True))
    for case, peer in ((IDLE, idle), (BUSY, busy), (POSTING, idle)):
        taken, meanwhile = asyncio.run(_ours(case))
        for kind, waits in taken.items():
            ratio = percentile(peer, 0.99) / percentile(waits, 0.99)
            yield Row(f"{kind} acknowledged, {case}: p50 / p99", _told(waits), _told(peer), ratio, TARGET)
        yield Row(f"the slowest of all, {case}", ms(max(max(each) for each in taken.values())), ms(max(peer)))
        if meanwhile:
            yield Row(f"meanwhile, {case}", meanwhile)


def _told(waits: Sequence[float]) -> str:
    return f"{ms(percentile(waits, 0.5))} / {ms(percentile(waits, 0.99))}"


async def _acknowledged(scene: Scene, kinds: Mapping[str, Act]) -> dict[str, list[float]]:
    """Return for each kind how long its interactions waited for their first answer, in seconds."""
    order = [(kind, number) for kind in kinds for number in range(INTERACTIONS // len(kinds))]
    random.Random(7).shuffle(order)
    loop = asyncio.get_running_loop()
    begun: list[tuple[str, Interaction]] = []
    next_at = loop.time()
    for kind, number in order:
        begun.append((kind, await kinds[kind](scene, number)))
        next_at += EVERY_INTERACTION_S
        await asyncio.sleep(next_at - loop.time())
    arrived = await _arrived(scene.fake, {each.id for _, each in begun})
    _check([each for kind, each in begun if kinds[kind] is _run], lambda each: not _original(each).ephemeral)
    _check([each for kind, each in begun if kinds[kind] is _complete], lambda each: bool(each.choices))
    return {kind: [arrived[each.id] - each.at for of, each in begun if of == kind] for kind in kinds}


async def _arrived(fake: FakeDiscord, ids: set[int]) -> dict[int, float]:
    """Return when the first answer to each interaction arrived, in seconds since 1970; too late ones count as well."""
    arrived: dict[int, float] = {}
    async with asyncio.timeout(60):
        while not ids <= arrived.keys():
            await asyncio.sleep(EVERY_INTERACTION_S)
            arrived = {int(request.params["interaction_id"]): request.at for request in reversed(fake.sent(CALLBACK))}
    return arrived


def _original(interaction: Interaction) -> Message:
    assert interaction.original is not None
    return interaction.original


def _check(interactions: Sequence[Interaction], right: Callable[[Interaction], bool]) -> None:
    """Raise where something was answered with a refusal: then the wrong thing was measured."""
    wrong = [each.text or str(each.response) for each in interactions if each.response and not right(each)]
    if wrong:
        raise RuntimeError(f"{len(wrong)} interactions were refused, such as: {wrong[0][:300]}")


@asynccontextmanager
async def _scene() -> AsyncIterator[Scene]:
    """A fake Discord with a guild full of operators. It does not judge what it is sent, which would take time."""
    fake = await FakeDiscord.start()
    fake.description = None
    fake.guild("Shop")
    fake.channel("ops")
    role = fake.role("operators")
    yield Scene(fake, [fake.member(f"olga-{number}", roles=[role], permissions=NORMAL) for number in range(PEOPLE)])
    await fake.stop()


# ---------------------------------------------------------------- the peer


async def _peer(*, busy: bool) -> list[float]:
    async with _scene() as scene:
        fake = scene.fake
        given = [fake.api_base, fake.gateway_url, fake.token, str(fake.guilds[0].id), *(["busy"] if busy else [])]
        with _process("-m", "benchmarks.bare_bot", *given), _process(*(("-c", SPIN) if busy else ("-c", ""))):
            await _settled(scene)
            (taken,) = (await _acknowledged(scene, PEER)).values()
    return taken


SPIN = "import time\nuntil = time.monotonic() + 120\nwhile time.monotonic() < until: pass"


@contextmanager
def _process(*arguments: str) -> Iterator[None]:
    process = subprocess.Popen([sys.executable, *arguments], cwd=ROOT)
    try:
        yield
    finally:
        process.kill()
        process.wait()


async def _settled(scene: Scene) -> None:
    """Wait until the bot is connected and has registered its commands, and a little longer."""
    await scene.fake.until(lambda: scene.fake.gateway.connected, timeout_s=60, what="the bot")
    await asyncio.sleep(3)


# ---------------------------------------------------------------- ours


async def _ours(case: str) -> tuple[dict[str, list[float]], str]:
    """Return the waits by kind, in seconds, and what went on meanwhile."""
    async with _scene() as scene:
        with TemporaryDirectory() as name:
            project = _project(Path(name), scene, case)
            if case == POSTING:
                await _fill_outbox(project, scene)
            with project.service() as service:
                await _settled(scene)
                scene.buttons = await _buttons(scene)
                before = _done(project)
                taken = await _acknowledged(scene, OURS)
                meanwhile = _rate(case, before, _done(project))
                await asyncio.to_thread(service.stop)
    return taken, meanwhile


def _project(folder: Path, scene: Scene, case: str) -> Project:
    guild = scene.fake.guilds[0]
    nothing = {"executor": "inline", "chain": ["benchmarks.stages.nothing"]}
    pipelines: dict[str, Any] = {
        name: nothing | {"schedule": f"{at % 60} {at // 60 % 24} * * *"} for at, name in enumerate(NAMES)
    }
    if case == BUSY:
        for name in NAMES[:JOBS]:
            pipelines[name] = nothing | {"schedule": {"interval": {"seconds": EVERY_S}}}
        pipelines["spin"] = {"chain": ["benchmarks.stages.spin"]}
    content = {
        "policy": {"operator": {"roles": [guild.roles[-1].id]}},
        "discord": {"guilds": [guild.id]},
        "scheduler": {"log_level": "ERROR", "max_parallel_jobs": 100},
        "pipelines": pipelines,
    }
    write_project(folder, content)
    given = {"DISCORD_TOKEN": scene.fake.token, "PLUGINS_ALLOW": "benchmarks.stages", "SCHEDULER_DRAIN_S": "1"}
    return Project(folder, scene.fake.environment | given)


async def _fill_outbox(project: Project, scene: Scene) -> None:
    channels = [scene.fake.channel(f"shop-{number}") for number in range(CHANNELS)]
    async with opened(f"sqlite:///{project.folder / 'store.db'}") as (writer, _):
        posts = [
            Post(
                target=f"discord:{channels[number % CHANNELS].id}",
                kind="message",
                key=f"post-{number}",
                body={"payload": {"content": f"message {number}"}},
                at=utcnow(),
            )
            for number in range(POSTS)
        ]
        await asyncio.gather(*(writer.call(outbox.post, post) for post in posts))


async def _buttons(scene: Scene) -> list[tuple[Message, str]]:
    """Return the buttons that show a page of `/history` and of `/pipelines` anew."""
    found = []
    for number, (command, start) in enumerate((("history", "p1:history:0:"), ("pipelines", "p1:pipelines:0:"))):
        message = await (await scene.fake.command(scene.somebody(number), command)).shown(timeout_s=20)
        found.append((message, next(each for each in message.custom_ids if each.startswith(start))))
    return found


def _done(project: Project) -> tuple[float, int, int]:
    """Return the time, and how many runs have ended and how many messages have been delivered so far."""
    ((runs,),) = project.query("SELECT count(*) FROM runs WHERE ended_at IS NOT NULL")
    ((sent,),) = project.query("SELECT count(*) FROM outbox WHERE kind = 'message' AND state = 'sent'")
    return utcnow().timestamp(), runs, sent


def _rate(case: str, before: tuple[float, int, int], after: tuple[float, int, int]) -> str:
    seconds, runs, sent = (now - then for now, then in zip(after, before, strict=True))
    if after[2] == POSTS:
        raise RuntimeError("the outbox was empty too soon; POSTS must be more")
    return {BUSY: f"{runs / seconds:,.0f} runs/s", POSTING: f"{sent / seconds:,.0f} messages/s"}.get(case, "")
