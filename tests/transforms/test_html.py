"""HtmlSelect, on pages in items and over loopback HTTP."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.errors import PipecallError
from pipelines.testing import run_transform
from pipelines.transforms.html import HtmlSelect, plain_text
from tests.transforms.loopback import serving

PAGE = """<html><body><ul>
<li class=o data-id=7><h2>Åre <b>!</b></h2><a href="/7?a=1">more</a><span class=price>12&nbsp;kr</span></li>
<li class=o><h2>Two</h2></li></ul></body></html>"""
FIELDS = {"name": "h2", "price": ".price", "link": "a@href", "id": "@data-id"}


async def select(item, css="li.o", **kwargs):
    return await run_transform(HtmlSelect(css, **kwargs), [item])


async def test_each_match_becomes_an_item():
    """Each element gives the fields, from text, attributes of elements inside and its own."""
    assert {"name": "Åre !", "price": "12 kr", "link": "/7?a=1", "id": "7"} == (await select(PAGE, fields=FIELDS))[0]


async def test_what_is_missing_is_none():
    """A field whose element or attribute is not there is None."""
    expected = {"name": "Two", "price": None, "link": None, "id": None}
    assert expected == (await select({"text": PAGE}, fields=FIELDS))[1]


async def test_links_become_absolute():
    """Where the page's URL is known, links lead on from there."""
    item = {"url": "https://x.example/list/", "text": PAGE}
    assert "https://x.example/7?a=1" == (await select(item, fields={"link": "a@href"}))[0]["link"]


async def test_without_fields_there_is_text_and_html():
    """Without fields an item is the element's text and HTML."""
    assert [{"text": "a b", "html": "<p>a<br>b</p>"}] == await select("<p>a<br>b</p>", "p")


async def test_the_page_is_fetched_from_a_url():
    """With a url the stage fetches the page itself, once."""
    async with serving({"/p": {"text": PAGE, "content_type": "text/html"}}) as base:
        stage = HtmlSelect("li.o", fields={"link": "a@href"}, url=base + "/p")
        assert [{"link": f"{base}/7?a=1"}, {"link": None}] == await run_transform(stage, [None, None])


async def test_nothing_found_gives_no_items():
    """A page without a match gives no items."""
    assert [] == await select(PAGE, "table")


async def test_a_scripts_own_text_can_be_taken():
    """Data in a script element is text like any other when it is what was asked for."""
    page = '<script type="application/ld+json">{"a": 1}</script>'
    assert '{"a": 1}' == (await select(page, "script"))[0]["text"]


async def test_an_at_sign_in_a_selector_is_no_attribute():
    """An @ inside a selector's quotes belongs to the selector."""
    page = '<div><a href="mailto:x@y">write</a></div>'
    assert [{"m": "write"}] == await select(page, "div", fields={"m": 'a[href="mailto:x@y"]'})


@pytest.mark.parametrize("item", [None, 3, {"url": "https://x"}, {"text": None}])
async def test_an_item_without_html_is_an_error(item):
    """An item that holds no text fails the run and says what was expected."""
    with pytest.raises(PipecallError, match="expected HTML text or a dict with 'text'"):
        await select(item)


@pytest.mark.parametrize(
    "given",
    [{"select": "a["}, {"select": ""}, {"select": "a", "fields": {"x": "b["}}, {"select": "a", "fields": {"x": ""}}],
)
def test_a_wrong_selector_is_refused_when_built(given):
    """A selector that is no CSS is refused at load, named."""
    with pytest.raises(ValueError, match=r"not a CSS selector|is empty"):
        HtmlSelect(**given)


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ("<p>one</p>t<b>w</b>o<br>three", "one two three"),
        ("<table><tr><td>1<td>2</table>", "1 2"),
        ("a<script>x</script><style>y</style>b", "ab"),
        ("1 &lt; 2", "1 < 2"),
        ("", ""),
    ],
)
def test_plain_text_keeps_words_whole(markup, text):
    """Blocks and cells end a word, marks inside a word do not; scripts are left out."""
    assert text == plain_text(markup)


@settings(max_examples=80, deadline=None)
@given(st.text('<>/pdiv ab"=&;!-', max_size=100))
async def test_any_text_is_html(markup):
    """Whatever the text, it gives items or none, never an error."""
    for item in await run_transform(HtmlSelect("p, div", fields={"t": "p", "h": "@a"}), [markup]):
        assert {"t", "h"} == set(item)
