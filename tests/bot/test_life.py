"""The bot from start to stop: what it says of itself, whom it serves, and what it does about strangers."""

from __future__ import annotations

import asyncio
import logging

import discord
import pytest

from bot import library_log
from bot.door import discord_face
from bot.face import DiscordFace
from bot.guilds import yaml_of_guilds
from bot.library_log import Discreet
from pipelines import Engine, Post
from pipelines.model import utcnow
from pipelines.store import outbox
from tests.bot import chat_plugin
from tests.bot.conftest import place, running, settled


@pytest.fixture(autouse=True)
def written(project):
    """A project with a plugin of commands."""
    chat_plugin.write(project)
    return project


async def test_the_bot_connects_and_registers(project, fake):
    """A service with a token connects, and registers its commands in the guild that it serves."""
    async with running(project, fake) as here:
        assert "ready" == here.face.state()
        assert len(here.bot.tree.get_commands()) == len(fake.commands(here.guild))


async def test_without_a_token_the_service_runs_without_a_bot(project, caplog):
    """Nothing connects, the log says what to set, and the channel that is missing has its reason."""
    caplog.set_level("INFO")
    settings = project.settings()
    face = discord_face(settings, {})
    assert ["webhook"] == list(face.channels())
    assert "DISCORD_TOKEN" in face.absent()["discord"]
    async with Engine(settings, project.catalog(settings), channels=face.channels()) as scheduler:
        await scheduler.start()
        await face.start(scheduler)
        assert "Discord is off: no token; set DISCORD_TOKEN" in caplog.text
        await face.leave()
        await face.stop()


def test_without_a_token_discord_py_is_not_loaded(project):
    """Who does not use Discord neither waits for it nor gives it memory: the service's own modules do without."""
    project.write("pipelines: {}")
    script = project.folder / "look.py"
    script.write_text(
        "import sys\n"
        "from bot.door import discord_face\n"
        "from pipelines.service import read_settings, serve\n"
        "discord_face(read_settings(), {}).channels()\n"
        "assert 'discord' not in sys.modules, sorted(sys.modules)\n"
    )
    project.bare = True
    done = project.run(str(script))
    assert 0 == done.returncode, done.stderr


async def test_without_a_token_messages_leave_through_webhooks(project, fake):
    """The first one loads what it needs."""
    place(fake)
    hook = fake.webhook(fake.channel("hooked"))
    settings = project.settings(discord_api_base=fake.api_base)
    face = discord_face(settings, {"SHOP_HOOK": hook.url})
    post = Post("webhook:SHOP_HOOK", "message", "once", {"payload": {"content": "hello"}}, utcnow())
    async with Engine(settings, project.catalog(settings), channels=face.channels()) as scheduler:
        await scheduler.start()
        await scheduler.writer.call(outbox.post, post)
        assert not await scheduler.flush(5)
    assert ["hello"] == [message.content for message in fake.messages(hook.channel)]


async def test_a_rejected_token_leaves_the_pipelines_alone(project, fake):
    """The bot is disabled, and a run goes through."""
    place(fake)
    settings = project.settings(discord_token="wrong.token.here", discord_api_base=fake.api_base)
    face = DiscordFace(settings, {})
    async with Engine(settings, project.catalog(settings), channels=face.channels()) as scheduler:
        await scheduler.start()
        await face.start(scheduler)
        await fake.until(lambda: face.state().startswith("disabled"), what="the end of the bot")
        (run,) = await scheduler.run_now(["prices"])
        assert (await scheduler.wait(run.id)).state.good
        await face.stop()
        await scheduler.drain(5)


async def test_a_new_token_delivers_what_waits(project, fake, tmp_path, monkeypatch):
    """Messages that Discord refused with the old token leave with the one that its file holds by then."""
    monkeypatch.setattr("bot.supervisor.NEW_TOKEN_S", 0.01)
    file, new = tmp_path / "token", "MQ.another.token"
    file.write_text(fake.token)
    async with running(project, fake, discord_token=None, discord_token_file=file) as here:
        fake.token = new
        post = Post(f"discord:{here.channel.id}", "message", "k", {"payload": {"content": "hello"}}, utcnow())
        await here.scheduler.writer.call(outbox.post, post)
        here.scheduler.delivery.wake()
        refused = "Discord refuses the bot's token"
        await fake.until(lambda: [s for s in here.scheduler.delivery.status() if refused in s.state], what="refusal")
        fake.gateway.close(4004)
        await fake.until(lambda: here.face.state().startswith("disabled"), what="the end of the bot")
        file.write_text(new)
        await fake.until(lambda: fake.messages(here.channel), what="the message")
        await fake.until(lambda: here.face.state() == "ready", what="the bot")


async def test_without_a_served_server_it_says_what_to_write(project, fake, caplog):
    """It connects, serves nobody, and logs the YAML with the ids and names of the servers it is on."""
    async with running(project, fake, discord_guilds="") as here:
        await fake.until(lambda: here.bot.guilds, what="the guild")
        shown = [record.getMessage() for record in caplog.records if "no server is served" in record.getMessage()]
        assert [] == fake.commands(here.guild)
    assert 1 == len(shown)
    assert f"discord:\n  guilds:\n    - {here.guild.id}  # Shop" in shown[0]


def test_a_servers_name_cannot_break_the_yaml():
    """A name with line breaks stays a comment on one line."""
    (line,) = [each for each in yaml_of_guilds({7: "Shop\n  - 666\r\x00"}).splitlines() if "7" in each]
    assert "    - 7  # Shop - 666" == line
    assert "invite" in yaml_of_guilds({})


async def test_being_added_to_a_server_is_told(project, fake, caplog):
    """Whoever adds the bot somewhere is seen in the log, with whether it serves there."""
    async with running(project, fake) as here:
        elsewhere = fake.guild("Elsewhere")
        await fake.until(lambda: any("I was added" in one.getMessage() for one in caplog.records), what="the line")
        assert here.bot.get_guild(elsewhere.id)
    assert any("NOT served" in record.getMessage() for record in caplog.records)


async def test_its_status_counts_jobs_and_failures(project, fake):
    """One text, set when the bot connects; unchanged it is not sent again."""
    project.write("""
        pipelines:
          prices:
            schedule: {daily: "06:30"}
            chain: [chat.One]
          broken:
            retry: {attempts: 1}
            chain: [chat.Nothing]
    """)
    project.plugin(
        "chat",
        chat_plugin.CODE
        + """

    class Nothing(Fetcher):
        async def fetch(self):
            raise ValueError("no")
            yield
    """,
    )
    async with running(project, fake) as here:
        await fake.until(lambda: fake.gateway.presences, what="the status")
        await here.bot.show_presence()
        (run,) = await here.scheduler.run_now(["broken"])
        await here.scheduler.wait(run.id)
        await here.bot.show_presence()
        await fake.until(lambda: len(fake.gateway.presences) == 2, what="the new status")
    texts = [presence["activities"][0]["state"] for presence in fake.gateway.presences]
    assert ["1 job", "1 job · 1 failing"] == texts


async def test_a_button_of_another_version_explains_itself(project, fake):
    """An id of our kind that nothing knows is answered at once."""
    async with running(project, fake) as here:
        shown = await (await fake.command(here.vic, "buttons")).shown()
        shown.body["components"][0]["components"][0]["custom_id"] = "p0:boom"
        told = await (await fake.press(here.vic, shown, "p0:boom")).shown()
    assert "nothing was changed" in told.content
    assert told.ephemeral


async def test_a_question_from_before_a_restart_explains_itself(project, fake):
    """A flow does not outlive the service; its buttons say so instead of failing."""
    async with running(project, fake) as here:
        shown = await (await fake.command(here.vic, "question")).shown()
    async with running(project, fake) as here:
        told = await (await fake.press(here.vic, shown, "yes")).shown()
    assert "from before I was restarted" in told.content


async def test_a_button_works_after_a_restart(project, fake):
    """A lasting button is known to the next service as well."""
    async with running(project, fake) as here:
        shown = await (await fake.command(here.vic, "buttons")).shown()
    async with running(project, fake) as here:
        assert "fine" == (await (await fake.press(here.vic, shown, "p1:worse:7")).shown()).content


async def test_housekeeping_brings_buttons_back(project, fake):
    """A class that discord.py forgot is known again after the next round."""
    async with running(project, fake) as here:
        shown = await (await fake.command(here.vic, "buttons")).shown()
        here.bot._connection._view_store._dynamic_items.clear()
        await here.bot.keep_house()
        assert "fine" == (await (await fake.press(here.vic, shown, "p1:worse:7")).shown()).content


async def test_a_lost_connection_shows_in_the_state(project, fake):
    """While the library reconnects, the state is not `ready`; afterwards it is."""
    async with running(project, fake) as here:
        fake.gateway.drop()
        await fake.until(lambda: here.face.state() != "ready", what="the loss")
        await fake.until(lambda: here.face.state() == "ready", what="the connection", timeout_s=8)
    assert fake.gateway.resumes


async def test_stopping_lets_an_interaction_finish(project, fake):
    """What was begun before the stop is answered; what comes after it is refused."""
    async with running(project, fake) as here:
        held = await fake.command(here.vic, "hold")
        await settled()
        await fake.until(
            lambda: any("Invoker" in task.get_name() or "invoker" in task.get_name() for task in asyncio.all_tasks())
        )
        stopping = asyncio.create_task(here.face.stop())
        await settled()
        refused = await fake.command(here.vic, "mend")
        assert "I am being stopped" in (await refused.shown()).content
        here.bot.go.set()
        await stopping
    assert "done at last" == held.text


async def test_each_identify_is_counted(project, fake):
    """The count is kept in the store, over restarts."""
    for _ in range(2):
        async with running(project, fake):
            pass
    async with running(project, fake) as here:
        hours = await here.bot.parts.notes.get("discord identifies")
    assert 3 == sum(hours.values())


async def test_too_many_identifies_keep_the_bot_away(project, fake, monkeypatch):
    """Before Discord would reset the token the bot stays away, and says until when."""
    monkeypatch.setattr("bot.identifies.AT_MOST", 1)
    async with running(project, fake):
        pass
    place(fake)
    settings = project.settings(
        discord_token=fake.token, discord_api_base=fake.api_base, discord_gateway_url=fake.gateway_url
    )
    face = DiscordFace(settings, {})
    async with Engine(settings, project.catalog(settings)) as scheduler:
        await face.start(scheduler)
        await fake.until(lambda: face.state().startswith("waiting until"), what="the pause")
        await face.stop()
    assert (1, 1) == (len(fake.gateway.identifies), fake.gateway.handshakes)


@pytest.fixture
def library():
    """The library's loggers as they were before the test."""
    loggers = [logging.getLogger(name) for name in ("discord", *library_log.LOGGERS)]
    before = [(each, each.level, list(each.filters)) for each in loggers]
    yield
    for each, level, filters in before:
        each.setLevel(level)
        each.filters[:] = filters


@pytest.mark.parametrize("level", ["DEBUG", "INFO", "WARNING"])
def test_the_library_never_logs_at_debug(library, monkeypatch, level):
    """At DEBUG it would log bodies and tokens, so it logs at INFO at the least."""
    monkeypatch.setattr(logging.getLogger(), "level", getattr(logging, level))
    library_log.set_up(str)
    wanted = max(logging.INFO, getattr(logging, level))
    assert [wanted] * len(library_log.LOGGERS) == [
        logging.getLogger(name).getEffectiveLevel() for name in library_log.LOGGERS
    ]


def test_voice_is_nobodys_concern():
    """The library's warnings about voice are dropped; other lines stay."""
    lines = ["PyNaCl is not installed, voice will NOT be supported", "logging in"]
    kept = [Discreet(str).filter(logging.LogRecord("discord.client", 30, "", 0, line, (), None)) for line in lines]
    assert [False, True] == kept


def test_a_lost_connection_is_a_line():
    """That the library tries again to connect is a warning that names the error, without a traceback."""
    try:
        raise ConnectionResetError("by peer")
    except ConnectionResetError as error:
        exc_info = (type(error), error, error.__traceback__)
    record = logging.LogRecord("discord.client", 40, "", 0, "Attempting a reconnect in %.2fs", (1.5,), exc_info)
    Discreet(str).filter(record)
    line = "no connection to Discord (ConnectionResetError). Attempting a reconnect in 1.50s"
    assert ("WARNING", line) == (record.levelname, logging.Formatter().format(record))


def test_the_librarys_tracebacks_hide_secrets():
    """What it logs of an exception goes through the redactor as well."""
    try:
        raise discord.ClientException("hunter2")
    except discord.ClientException as error:
        exc_info = (type(error), error, error.__traceback__)
    record = logging.LogRecord("discord.client", 40, "", 0, "failed %s", ("hunter2",), exc_info)
    Discreet(lambda text: text.replace("hunter2", "•••")).filter(record)
    assert "hunter2" not in logging.Formatter().format(record)
    assert "ClientException: •••" in record.getMessage()
