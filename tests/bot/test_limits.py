"""Discord's limits: what is counted, how texts are cut, and that what is refused there is refused here."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.limits import cut, faults, file_size, units
from tests.fake_discord.limits import check_message
from tests.fake_discord.refusal import Refusal

QUIET = {"allowed_mentions": {"parse": []}}
V2 = 1 << 15


def button(number: int = 0, **more) -> dict:
    return {"type": 2, "style": 1, "label": "Go", "custom_id": f"p1:go:{number}"} | more


def row(*inside: dict) -> dict:
    return {"type": 1, "components": list(inside)}


def select(**more) -> dict:
    return {"type": 3, "custom_id": "s", "options": [{"label": "a", "value": "a"}]} | more


def text(content: str) -> dict:
    return {"type": 10, "content": content}


def embed(**parts) -> dict:
    return {"embeds": [{"title": "t"} | parts]}


REFUSED = {
    "content": {"content": "x" * 2001},
    "empty": {"content": ""},
    "eleven embeds": {"embeds": [{"title": "t"}] * 11},
    "embed title": embed(title="x" * 257),
    "embed description": embed(description="x" * 4097),
    "embed footer": embed(footer={"text": "x" * 2049}),
    "embed author": embed(author={"name": "x" * 257}),
    "26 fields": embed(fields=[{"name": "n", "value": "v"}] * 26),
    "blank field name": embed(fields=[{"name": " ", "value": "v"}]),
    "blank field value": embed(fields=[{"name": "n", "value": ""}]),
    "field name": embed(fields=[{"name": "x" * 257, "value": "v"}]),
    "field value": embed(fields=[{"name": "n", "value": "x" * 1025}]),
    "sum of embeds": {"embeds": [{"description": "x" * 3000}, {"description": "x" * 3001}]},
    "nonce": {"content": "x", "nonce": "x" * 26},
    "101 roles": {"content": "x", "allowed_mentions": {"parse": [], "roles": ["1"] * 101}},
    "roles twice": {"content": "x", "allowed_mentions": {"parse": ["roles"], "roles": ["1"]}},
    "11 attachments": {"content": "x", "attachments": [{"id": at} for at in range(11)]},
    "six rows": {"components": [row(button(at)) for at in range(6)]},
    "six buttons": {"components": [row(*map(button, range(6)))]},
    "empty row": {"components": [row()]},
    "no row": {"content": "x", "components": [button()]},
    "label": {"components": [row(button(label="x" * 81))]},
    "no label": {"components": [row(button(label=None))]},
    "custom id": {"components": [row(button(custom_id="x" * 101))]},
    "no custom id": {"components": [row(button(custom_id=None))]},
    "same custom id": {"components": [row(button(1), button(1))]},
    "url and custom id": {"components": [row(button(style=5, url="https://x.y"))]},
    "url": {"components": [row({"type": 2, "style": 5, "label": "x", "url": "https://x.y/" + "x" * 512})]},
    "select beside a button": {"components": [row(button(), select())]},
    "no options": {"components": [row(select(options=[]))]},
    "26 options": {"components": [row(select(options=[{"label": "a", "value": str(at)} for at in range(26)]))]},
    "same option": {"components": [row(select(options=[{"label": "a", "value": "a"}] * 2))]},
    "option label": {"components": [row(select(options=[{"label": "x" * 101, "value": "a"}]))]},
    "option description": {
        "components": [row(select(options=[{"label": "x", "value": "a", "description": "x" * 101}]))]
    },
    "placeholder": {"components": [row(select(placeholder="x" * 151))]},
    "content beside V2": {"flags": V2, "content": "x", "components": [text("x")]},
    "embeds beside V2": {"flags": V2, "embeds": [{"title": "x"}], "components": [text("x")]},
    "41 components": {"flags": V2, "components": [text("x")] * 41},
    "nested components": {"flags": V2, "components": [{"type": 17, "components": [text("x")] * 40}]},
    "text sum": {"flags": V2, "components": [text("x" * 3999), text("xx")]},
    "empty text": {"flags": V2, "components": [text("")]},
    "four texts in a section": {
        "flags": V2,
        "components": [{"type": 9, "components": [text("x")] * 4, "accessory": button()}],
    },
    "11 pictures": {"flags": V2, "components": [{"type": 12, "items": [{"media": {"url": "https://x.y"}}] * 11}]},
}

TAKEN = {
    "content": {"content": "x" * 2000},
    "embeds": {"embeds": [{"description": "x" * 600}] * 10},
    "fields": embed(fields=[{"name": "n", "value": "v"}] * 25),
    "rows": {"components": [row(*[button(5 * line + at) for at in range(5)]) for line in range(5)]},
    "select": {"components": [row(select(options=[{"label": "a", "value": str(at)} for at in range(25)]))]},
    "V2": {"flags": V2, "components": [{"type": 17, "components": [text("x" * 100)] * 39}]},
    "section": {"flags": V2, "components": [{"type": 9, "components": [text("x")], "accessory": button()}]},
    "pings": {"content": "<@&1>", "allowed_mentions": {"parse": [], "roles": ["1"]}},
}


@pytest.mark.parametrize("payload", REFUSED.values(), ids=REFUSED)
def test_what_discord_refuses_is_a_fault(payload):
    """Each thing that Discord refuses is found before it is sent."""
    with pytest.raises(Refusal):
        check_message(QUIET | payload)
    assert faults(QUIET | payload) != []


@pytest.mark.parametrize("payload", TAKEN.values(), ids=TAKEN)
def test_what_discord_takes_is_no_fault(payload):
    """What fits exactly is not refused."""
    check_message(QUIET | payload)
    assert [] == faults(QUIET | payload)


def test_a_message_says_whom_it_may_ping():
    """A message without allowed_mentions is never sent."""
    assert ["allowed_mentions is missing; without it a text of a stranger can ping everybody"] == faults(
        {"content": "x"}
    )


def test_blanks_are_no_message():
    """A message of nothing but blanks is empty to Discord."""
    assert ["the message is empty"] == faults(QUIET | {"content": " \n"})


def test_half_a_character_is_a_fault():
    """Half a surrogate pair, which cannot be encoded, is found at any depth."""
    assert ["a text holds half a surrogate pair"] == faults(QUIET | {"embeds": [{"title": "\ud83d"}]})


def test_files_are_checked():
    """Files have safe names, are those that the message names, and are not too large."""
    message = QUIET | {"content": "x", "attachments": [{"id": 0, "filename": "a.csv"}]}
    assert [] == faults(message, [{"name": "a.csv", "text": "a"}])
    assert ["attachments and files differ"] == faults(message, [{"name": "b.csv", "text": "a"}])
    assert 2 == len(faults(message, [{"name": "../b.csv", "text": "a"}]))
    assert "the files have 11534336 bytes" in faults(message, [{"name": "a.csv", "text": "x" * 11 * 2**20}])[0]


@pytest.mark.parametrize(("encoded", "size"), [("", 0), ("YQ==", 1), ("YWI=", 2), ("YWJj", 3)])
def test_the_size_of_an_encoded_file_is_known(encoded, size):
    """The size of a file is told from its base64."""
    assert size == file_size({"name": "a.gz", "base64": encoded})


@given(st.text())
def test_units_are_those_of_utf_16(text):
    """The length of a text is the number of its UTF-16 units."""
    assert len(text.encode("utf-16-le", "surrogatepass")) // 2 == units(text)


@given(st.text(alphabet=st.sampled_from("ab \u0301\u200d\U0001f1e9\U0001f1ea\U0001f468\U0001f3fd")), st.integers(0, 20))
def test_a_cut_text_fits(text, limit):
    """A text is cut to its limit, is a beginning of what it was, and is left alone where it fits."""
    short = cut(text, limit)
    assert units(short) <= limit
    assert text.startswith(short.removesuffix("…"))
    assert units(text) > limit or short == text


@pytest.mark.parametrize(
    ("whole", "limit", "expected"),
    [
        ("abcdef", 4, "abc…"),
        ("e\u0301e\u0301e\u0301", 4, "e\u0301…"),
        ("\U0001f1e9\U0001f1ea\U0001f1eb\U0001f1f7", 7, "\U0001f1e9\U0001f1ea…"),
        ("a\U0001f44d\U0001f3fdb", 4, "a…"),
        ("a\U0001f468\u200d\U0001f469b", 5, "a…"),
        ("\U0001f600\U0001f600", 3, "\U0001f600…"),
        ("word word", 6, "word…"),
        ("ab", 1, "…"),
        ("ab", 0, ""),
    ],
)
def test_a_visible_character_is_never_split(whole, limit, expected):
    """Accents, flags, skin tones and joined emoji stay together or go together."""
    assert expected == cut(whole, limit)
