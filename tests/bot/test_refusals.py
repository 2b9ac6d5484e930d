"""Each of Discord's ways to say no means one thing for a message, and its text names the next step."""

from __future__ import annotations

import pytest
from discord.gateway import DiscordWebSocket
from discord.http import Route

from bot import addresses
from bot.refusals import Moderated, NoChannel, NoMessage, fault_of
from pipelines import Banned, Forbidden, Gone, Rejected, Slow, TooBig, Unauthorised, Unsure, Wait, read_settings
from tests.fake_discord import point_at

VIA = {"Via": "1.1 google", "Retry-After": "7"}


@pytest.mark.parametrize(
    ("status", "code", "headers", "kind"),
    [
        (429, 0, VIA, Wait),
        (429, 0, {"Retry-After": "7"}, Banned),
        (429, 20028, {}, Slow),
        (429, 20029, VIA, Slow),
        (429, 30046, VIA, Slow),
        (401, 0, {}, Unauthorised),
        (401, 50027, {}, Unauthorised),
        (403, 50001, {}, Forbidden),
        (403, 50013, {}, Forbidden),
        (400, 160005, {}, Forbidden),
        (404, 10003, {}, NoChannel),
        (404, 10008, {}, NoMessage),
        (404, 10015, {}, Gone),
        (400, 40005, {}, TooBig),
        (413, 0, {}, TooBig),
        (400, 50035, {}, Rejected),
        (400, 200000, {}, Moderated),
        (405, 0, {}, Rejected),
        (500, 0, {}, Unsure),
        (503, 0, {}, Unsure),
        (524, 0, {}, Unsure),
    ],
)
def test_what_an_answer_means(status, code, headers, kind):
    """The table of statuses and codes."""
    assert kind is type(fault_of(status, code, "words", headers))


def test_a_page_is_the_gatekeepers():
    """An HTML page with 403 or 429 is Cloudflare's, even where it names `Via`; it is not quoted."""
    for status in (403, 429):
        fault = fault_of(status, 0, " <html>", VIA)
        assert (Banned, 600.0, True, False) == (type(fault), fault.after_s, fault.everywhere, "html" in str(fault))


def test_waits_are_read():
    """Seconds and scope come from the headers; without a number there is a default."""
    found = [fault_of(429, 0, "", VIA | more) for more in ({"X-RateLimit-Scope": "global"}, {"Retry-After": "soon"})]
    assert [(7.0, True), (5.0, False)] == [(fault.after_s, fault.everywhere) for fault in found]


def test_the_text_names_the_next_step():
    """What somebody has to do is in the text of a missing right and of a refused token."""
    texts = [str(fault_of(403, code, "Missing", {})) for code in (50001, 50013)]
    assert ["View Channel" in texts[0], "Send Messages" in texts[1]] == [True, True]
    assert all("python -m bot doctor" in text for text in texts)
    assert "DISCORD_TOKEN" in str(fault_of(401, 0, "", {}))
    assert "another one into the pipelines file" in str(fault_of(404, 10003, "Unknown Channel", {}))
    assert "address into the environment" in str(fault_of(404, 10015, "Unknown Webhook", {}))


def test_long_texts_are_cut():
    """What Discord said is kept to one line of bounded length."""
    said = str(fault_of(400, 50035, "Invalid\nIn embeds: x" * 100, {}))
    assert (True, True, False) == (said.startswith("400/50035 Invalid In embeds"), len(said) < 320, "\n" in said)


def test_addresses_are_used_where_they_are_given():
    """Both addresses can be other ones; without them, discord.py's own stay."""
    with point_at("http://a/api", "ws://a/"):
        addresses.use(read_settings(_env_file=None))
        assert ("http://a/api", "ws://a/") == (Route.BASE, str(DiscordWebSocket.DEFAULT_GATEWAY))
        addresses.use(read_settings(_env_file=None, discord_api_base="http://there", discord_gateway_url="ws://b/"))
        assert ("http://there", "ws://b/") == (Route.BASE, str(DiscordWebSocket.DEFAULT_GATEWAY))
