"""The stage that posts: what it emits, what it refuses, and a run of it through the real engine."""

from __future__ import annotations

import inspect
import json
import re
import subprocess
import sys
from typing import Any

import pytest
import yaml

from bot.sink import DiscordSink
from pipelines.testing import MemoryState, run_transform
from tests.project import ROOT, Project

ITEMS = [{"name": "tea", "price": 4.5}, {"name": "@everyone", "price": None}]
QUIET = {"parse": []}
PAGE = (ROOT / "docs" / "discord-sink.md").read_text(encoding="utf-8")
EXAMPLES = [
    yaml.safe_load(block)["kwargs"]
    for block in re.findall(r"^```yaml\n(class: .*?)^```", PAGE, re.DOTALL | re.MULTILINE)
]


async def posted(items: list[Any], *, state: MemoryState | None = None, **kwargs: Any) -> list[dict[str, Any]]:
    """The bodies that a sink with these keywords emits; in channel 1234 unless another place is named."""
    state = state or MemoryState()
    place = {} if "webhook" in kwargs else {"channel_id": 1234}
    await run_transform(DiscordSink(**place | kwargs), items, state=state)
    return [dict(message.body) for message in state.messages]


def emitted(project: Project) -> list[tuple[str, str, str, dict[str, Any]]]:
    """Target, kind, key and body of what waits for delivery."""
    rows = project.query("SELECT target, kind, dedupe_key, body FROM outbox ORDER BY id")
    return [(target, kind, key, json.loads(body)) for target, kind, key, body in rows]


# --------------------------------------------------------------- messages


async def test_items_go_on_and_are_posted():
    """Items pass on as they are, and one message with them is emitted for the channel."""
    state = MemoryState()
    assert ITEMS == await run_transform(DiscordSink(channel_id="1234", format="table"), ITEMS, state=state)
    (message,) = state.messages
    table = "```\nname       price\n─────────  ─────\ntea          4.5\n@everyone      ∅\n```"
    assert ("discord:1234", "message", "discord:1234:1") == (message.target, message.kind, message.key)
    assert {"payload": {"content": table, "allowed_mentions": QUIET, "flags": 4}, "files": []} == message.body


async def test_what_a_later_stage_changes_is_not_posted():
    """Items are posted as they came, whatever a later stage does with them."""

    class Spoiled(DiscordSink):
        async def __call__(self, items):
            async for item in super().__call__(items):
                item["name"] = "spoiled"
                yield item

    state = MemoryState()
    await run_transform(Spoiled(channel_id=1, format="list"), [{"name": "tea"}], state=state)
    assert "**tea**" == state.messages[0].body["payload"]["content"]


async def test_embeds_say_where_they_come_from():
    """Above embeds stands the pipeline's name, which a notification shows."""
    (body,) = await posted(ITEMS[:1])
    assert "**test**" == body["payload"]["content"]
    assert [{"title": "tea", "fields": [{"name": "price", "value": "4.5", "inline": True}]}] == body["payload"][
        "embeds"
    ]
    assert "flags" not in body["payload"]


async def test_texts_stand_around_the_rows():
    """The title stands above, the footer below, both filled in for the run."""
    (body,) = await posted(ITEMS, format="list", title="{pipeline}: {rows}", footer="run {run_id}")
    assert "**test: 2**\n**tea** · 4.5\n**@\u200beveryone** · ∅\nrun 1" == body["payload"]["content"]


@pytest.mark.parametrize(("on_empty", "expected"), [("skip", []), ("say", ["**test**\nNo rows this time."])])
async def test_no_items(on_empty, expected):
    """Without items nothing is posted, unless the configuration wants it said; nobody is pinged for it."""
    bodies = await posted([], on_empty=on_empty, title="{pipeline}", mention={"roles": [5]})
    assert expected == [body["payload"]["content"] for body in bodies]


async def test_many_rows_are_a_preview_and_a_file():
    """Of many rows ten are shown and all are in the file, which is described for those who cannot see it."""
    (body,) = await posted([{"a": at} for at in range(1234)], filename="numbers {rows}")
    assert "-# 10 of 1,234 rows · all in `numbers_1234.csv`" == body["payload"]["content"].splitlines()[-1]
    about = "1,234 rows with the columns a"
    assert [{"id": 0, "filename": "numbers_1234.csv", "description": about}] == body["payload"]["attachments"]
    assert "\ufeffa\r\n" + "".join(f"{at}\r\n" for at in range(1234)) == body["files"][0]["text"]


async def test_only_a_file():
    """With format csv there is a file and a line that says how many rows are in it."""
    (body,) = await posted(ITEMS, format="csv", filename="tea.csv")
    assert ("-# 2 rows · all in `tea.csv`", "tea.csv") == (body["payload"]["content"], body["files"][0]["name"])


@pytest.mark.parametrize(
    ("keywords", "files", "last"),
    [
        ({"attach": "always"}, 1, "```"),
        ({"attach": "never", "max_rows": 1}, 0, "-# 1 of 2 rows"),
        ({"max_rows": 1}, 1, "-# 1 of 2 rows · all in `x.csv`"),
        (
            {"max_rows": 1, "max_bytes": 10},
            0,
            "-# 1 of 2 rows · a file of all would be too large to attach; a FileSink in the chain keeps them",
        ),
    ],
    ids=str,
)
async def test_a_file_goes_along_as_wished(keywords, files, last):
    """A file goes along when something is missing, always, or never; one that is too large is told about."""
    (body,) = await posted(ITEMS, format="table", filename="x", **keywords)
    assert (files, last) == (len(body["files"]), body["payload"]["content"].splitlines()[-1])


async def test_pings_come_from_the_configuration_only():
    """Those named in the configuration are pinged by the first message, and nobody by the others."""
    many = [{"a": "x" * 50}] * 60
    first, second, *_ = await posted(many, format="table", mention={"roles": [5], "users": ["6"]}, silent=True)
    assert first["payload"]["content"].startswith("<@&5> <@6>\n```")
    assert {"parse": [], "roles": ["5"], "users": ["6"]} == first["payload"]["allowed_mentions"]
    assert (QUIET, 4 | 4096) == (second["payload"]["allowed_mentions"], second["payload"]["flags"])


async def test_links_may_show_their_previews():
    """Previews of links are shown where the configuration wants them."""
    (body,) = await posted([{"u": "https://x.y"}], template="<{u}>", suppress_embeds=False)
    assert {"content": "<https://x.y>", "allowed_mentions": QUIET} == body["payload"]


async def test_a_webhook_is_named_by_its_variable():
    """A webhook's message carries the name of its variable, and the name and picture to post under."""
    state = MemoryState()
    names = {"username": "Tea", "avatar_url": "https://x.y/z.png"}
    (body,) = await posted(ITEMS[:1], state=state, webhook="NEWS_WEBHOOK", thread_id=7, **names)
    assert ("webhook:NEWS_WEBHOOK", "7") == (state.messages[0].target, body["thread_id"])
    assert names.items() <= body["payload"].items()


async def test_a_thread_is_a_channel():
    """A thread is addressed as a channel is."""
    state = MemoryState()
    await posted(ITEMS, state=state, thread_id="99")
    assert ["discord:99"] == [message.target for message in state.messages]


@pytest.mark.parametrize(
    ("reuse", "key"), [({}, "run:1:{rows} offers"), ({"reuse": "pipeline"}, "pipeline:test:{rows} offers")]
)
async def test_a_forum_gets_a_post(reuse, key):
    """For a forum each message tells the post's name and tags, and which messages share it."""
    (body,) = await posted(ITEMS, forum={"name": "{rows} offers", "tags": ["new"], **reuse})
    assert {"name": "2 offers", "tags": ["new"], "reuse": key} == body["forum"]


async def test_several_sinks_do_not_collide():
    """Two sinks of one run that post to the same channel have messages of their own."""
    state = MemoryState()

    class Both(DiscordSink):
        def __call__(self, items):
            return DiscordSink(channel_id=1, title="second")(super().__call__(items))

    await run_transform(Both(channel_id=1, title="first"), ITEMS, state=state)
    assert ["discord:1:1", "discord:1:2"] == [message.key for message in state.messages]
    assert ["**first**", "**second**"] == [message.body["payload"]["content"] for message in state.messages]


async def test_what_discord_would_refuse_is_replaced(monkeypatch):
    """A message that is against Discord's limits is never emitted: a plain one with the file takes its place."""
    monkeypatch.setattr("bot.rendering.EMBED_TITLE", 5000)
    (body,) = await posted([{"name": "x" * 900, "n": 1}])
    assert {"content", "allowed_mentions", "attachments", "flags"} == body["payload"].keys()
    assert ("test: 1 row with the columns name, n", 1) == (body["payload"]["content"], len(body["files"]))


# --------------------------------------------------------------- keywords


@pytest.mark.parametrize(
    ("keywords", "words"),
    [
        ({}, "channel_id: give either channel_id or webhook"),
        ({"channel_id": 1, "webhook": "X"}, "channel_id: give either"),
        ({"channel_id": "general"}, "channel_id: found 'general', expected an id such as"),
        ({"channel_id": True}, "channel_id: found 'True'"),
        ({"webhook": "https://discord.com/api/webhooks/1/x"}, "webhook: expected the name of an environment variable"),
        ({"channel_id": 1, "username": "x"}, "username: only a webhook has one"),
        ({"webhook": "X", "username": "Discord"}, "username: found 'Discord'"),
        ({"webhook": "X", "avatar_url": "x.png"}, "avatar_url: found 'x.png'"),
        ({"channel_id": 1, "thread_id": "x"}, "thread_id: found 'x'"),
        ({"channel_id": 1, "format": "pdf"}, "format: found 'pdf', expected one of auto, embed"),
        ({"channel_id": 1, "format": "template"}, "format: template needs the keyword template"),
        ({"channel_id": 1, "format": "csv", "template": "{a}"}, "template: it does not go with format: csv"),
        ({"channel_id": 1, "template": "{a"}, "template: '{a'"),
        ({"channel_id": 1, "title": "{price}"}, "title: {price} is not known; known are date, pipeline, rows, run_id"),
        ({"channel_id": 1, "columns": []}, "columns: found nothing"),
        ({"channel_id": 1, "columns": ["a["]}, "columns: 'a['"),
        ({"channel_id": 1, "on_empty": "cry"}, "on_empty: found 'cry'"),
        ({"channel_id": 1, "attach": "no"}, "attach: found 'no'"),
        ({"channel_id": 1, "max_messages": 0}, "max_messages: found 0, expected a whole number from 1 to 20"),
        ({"channel_id": 1, "max_rows": 1001}, "max_rows: found 1001"),
        ({"channel_id": 1, "max_bytes": 11 * 2**20}, "max_bytes: found"),
        ({"channel_id": 1, "mention": {"everyone": [1]}}, "mention: unknown key 'everyone'"),
        ({"channel_id": 1, "mention": {"roles": 1}}, "mention: found 1, expected a list of ids"),
        ({"channel_id": 1, "mention": {"roles": list(range(1, 22))}}, "mention: found 21 roles and users"),
        ({"channel_id": 1, "forum": {"tag": "x"}}, "forum: unknown key 'tag'"),
        ({"channel_id": 1, "forum": {"name": ""}}, "forum: found the name ''"),
        ({"channel_id": 1, "forum": {"tags": ["a"] * 6}}, "forum: found the tags"),
        ({"channel_id": 1, "forum": {"reuse": "ever"}}, "forum: found reuse: 'ever'"),
        ({"webhook": "X", "forum": {"tags": ["a"]}}, "forum: a webhook knows no tags by their names"),
        ({"channel_id": 1, "forum": {}, "thread_id": 2}, "forum: a post of a forum is a thread of its own"),
    ],
    ids=str,
)
def test_wrong_keywords_are_told(keywords, words):
    """A wrong value is refused with its keyword, what was found, and what is expected; a secret is never repeated."""
    with pytest.raises(ValueError, match=r"^[a-z_]+: ") as refused:
        DiscordSink(**keywords)
    assert words in str(refused.value)
    assert "/webhooks/" not in str(refused.value)


@pytest.mark.parametrize("keywords", EXAMPLES, ids=str)
def test_the_pages_examples_are_right(keywords):
    """Each example of the page on the sink is a stage that can be built."""
    DiscordSink(**keywords)


def test_the_page_names_every_keyword():
    """The page on the sink has a row for each keyword, and no other."""
    section = PAGE.partition("## Keywords")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)
    assert sorted(inspect.signature(DiscordSink).parameters) == sorted(rows)


# ----------------------------------------------------------- whole program

PLUGIN = """
def offers(_):
    yield {"name": "tea", "price": 4.5}
    yield {"name": "@everyone", "price": None}
"""


async def test_a_run_leaves_its_messages_in_the_store(project: Project):
    """A run in a worker process ends with its messages stored, one for each sink, in the order of the chain."""
    project.plugin("shop", PLUGIN)
    project.write(
        """
        pipelines:
          offers:
            chain:
              - shop.offers
              - {class: bot.sink.DiscordSink, kwargs: {channel_id: 1139985544332211000, format: list}}
              - {class: bot.sink.DiscordSink, kwargs: {webhook: NEWS, format: csv, filename: x}}
        """
    )
    done = project.run("main.py")
    assert 0 == done.returncode, done.stderr
    (to_channel, _, first_key, first), (to_webhook, kind, _, second) = emitted(project)
    assert ("discord:1139985544332211000", "webhook:NEWS", "message") == (to_channel, to_webhook, kind)
    assert first_key.endswith(":discord:1139985544332211000:1")
    assert "**tea** · 4.5\n**@\u200beveryone** · ∅" == first["payload"]["content"]
    assert [{"name": "x.csv", "text": "\ufeffname,price\r\ntea,4.5\r\n'@everyone,\r\n"}] == second["files"]


@pytest.mark.parametrize("executor", ["process", "thread", "inline"])
def test_no_secret_leaves_with_the_items(project: Project, executor):
    """A value from the environment that an item echoes is hidden in text and files, wherever the chain runs."""
    project.env["SHOP_KEY"] = "k-93847-secret"
    project.plugin(
        "shop",
        """
        def echo(item, *, key):
            return {"name": "tea", "url": f"https://shop.example/?key={key}", "password": "swordfish"}
        """,
    )
    project.write(
        f"""
        pipelines:
          offers:
            executor: {executor}
            chain:
              - {{class: shop.echo, kwargs: {{key: "${{SHOP_KEY}}"}}}}
              - {{class: bot.sink.DiscordSink, kwargs: {{channel_id: 7, format: list}}}}
              - {{class: bot.sink.DiscordSink, kwargs: {{channel_id: 8, format: csv}}}}
        """
    )
    assert 0 == project.run("main.py").returncode
    told = json.dumps([body for *_, body in emitted(project)], ensure_ascii=False)
    assert (2, False, False) == (len(emitted(project)), "k-93847-secret" in told, "swordfish" in told)
    assert told.count("tea") == 2


async def test_an_early_end_is_an_end(project: Project):
    """What came before a later stage had enough is posted."""
    project.plugin("shop", PLUGIN)
    project.write(
        """
        pipelines:
          offers:
            executor: inline
            chain:
              - shop.offers
              - {class: bot.sink.DiscordSink, kwargs: {channel_id: 7, format: list}}
              - {class: pipelines.transforms.Limit, kwargs: {count: 1}}
        """
    )
    done = project.run("main.py")
    assert 0 == done.returncode, done.stderr
    assert ["**tea** · 4.5"] == [body["payload"]["content"] for *_, body in emitted(project)]


def test_a_wrong_keyword_is_told_with_its_line(project: Project):
    """A keyword that the sink does not have is told with file, line, and the one that was meant."""
    project.write(
        """
        pipelines:
          offers:
            chain:
              - class: bot.sink.DiscordSink
                kwargs:
                  chanel_id: 7
        """
    )
    done = project.run("main.py")
    assert 0 != done.returncode
    assert "pipelines.yml:7: pipelines.offers.chain[0].kwargs.chanel_id" in done.stderr
    assert "did you mean 'channel_id'?" in done.stderr


def test_a_worker_does_not_pay_for_the_bot():
    """Importing the sink imports neither Discord's library nor a web client, nor the database."""
    script = "import sys, bot.sink; print({'discord', 'aiohttp', 'sqlalchemy'} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    assert "set()" == done.stdout.strip()
