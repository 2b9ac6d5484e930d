"""Foreign text made harmless, in markdown, in code, as an address, as a file name."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.safe_text import filename, in_code, inline, inline_cut, plain, url
from tests.bot.hostile import TEXTS


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain text", "plain text"),
        ("a\r\nb\rc\u2028d", "a\nb\nc\nd"),
        ("a\r\nb\rc\vd\x1ce\r", "a\nb\nc\nd\ne\n"),
        ("a\tb", "a b"),
        ("a\x00\x1b[31mb\x9f", "a[31mb"),
        ("evil\u202egnp.exe", "evilgnp.exe"),
        ("zero\u200bwidth\ufeff", "zerowidth"),
        ("a\u3164b\u2800", "ab"),
        ("\ud83d", "\ufffd"),
        ("naïve 東京 👍", "naïve 東京 👍"),
    ],
)
def test_plain_text_has_nothing_invisible(text, expected):
    """Control and invisible characters go, line breaks become one newline, all else stays."""
    assert expected == plain(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("*bold* _it_ ~~no~~ ||s|| `c`", r"\*bold\* \_it\_ \~\~no\~\~ \|\|s\|\| \`c\`"),
        ("[free nitro](https://evil.example)", "\\[free nitro\\](https:\u200b//evil.example)"),
        ("@everyone", "@\u200beveryone"),
        ("a@example.org", "a@example.org"),
        ("<@&12>", "\\<\u200b@\u200b&12\\>"),
        ("<t:0:R>", "\\<\u200bt:0:R\\>"),
        ("</run:1>", "\\<\u200b/run:1\\>"),
        ("discord.gg/abc", "discord.\u200bgg/abc"),
        ("# head", r"\# head"),
        ("-# small", r"\-# small"),
        ("- item", r"\- item"),
        ("12. item", r"12\. item"),
        ("-5", "-5"),
        ("1.5", "1.5"),
        ("> quote", r"\> quote"),
        ("a\n\n# b", "a # b"),
        ("\\", "\\\\"),
        (" \u200b\n", "∅"),
    ],
)
def test_inline_text_is_inert(text, expected):
    """Format, links, mentions, times, commands, headings and lists of a stranger are shown, not obeyed."""
    assert expected == inline(text)


@given(TEXTS)
def test_nothing_inline_is_recognised(text):
    """Whatever the text, no mention, time, link or fence is left, and it stays on one line."""
    safe = inline(text)
    assert not re.search(r"@everyone|@here|<[@#:/t]|://|(?<!\\)[*_~`|\[\]<>]", safe.replace("\\\\", ""))
    assert 1 == len(safe.splitlines())


@given(TEXTS, st.integers(4, 60))
def test_inline_text_fits_after_its_escapes(text, limit):
    """Text is cut so that what comes out fits, and never in the middle of an escape."""
    safe = inline_cut(text, limit)
    assert len(safe.encode("utf-16-le")) // 2 <= limit
    assert safe.strip()
    assert (len(safe) - len(safe.rstrip("\\"))) % 2 == 0


@given(TEXTS)
def test_code_cannot_be_left(text):
    """No backtick of a stranger ends a code block, and nothing in it is invisible."""
    safe = in_code(text)
    assert "`" not in safe
    assert {"Cc", "Cf", "Cs"}.isdisjoint(unicodedata.category(char) for char in safe.replace("\n", ""))


@given(TEXTS)
def test_any_text_becomes_a_file_name(text):
    """A file name has 1 to 80 harmless characters, no path in it, and is no hidden file."""
    assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}", filename(text))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sales.csv", "sales.csv"),
        ("../../etc/passwd", "etc_passwd"),
        ("Übersicht März.csv.gz", "Ubersicht_Marz.csv.gz"),
        ("東京", "file"),
        ("x" * 100 + ".csv", "x" * 76 + ".csv"),
    ],
)
def test_file_names_keep_their_ending(text, expected):
    """A file name stays readable and keeps its ending when it is cut."""
    assert expected == filename(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://example.org/a?b=c&d=%20#e", "https://example.org/a?b=c&d=%20#e"),
        ("https://example.org/a_(b)", "https://example.org/a_%28b%29"),
        ("https://example.org/é", "https://example.org/%C3%A9"),
        ("javascript:alert(1)", None),
        ("https://example.org/ evil", None),
        ("https://exa\u202emple.org", None),
        ("//example.org", None),
        ("https://example.org/" + "x" * 1000, None),
    ],
)
def test_only_web_addresses_become_links(text, expected):
    """A link's address is http or https, and nothing in it ends the link."""
    assert expected == url(text)
