"""Taking data out of HTML by CSS selectors: `HtmlSelect`. Fetching lives in `web`; selectolax reads the HTML."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin

from selectolax.lexbor import LexborHTMLParser, LexborNode, SelectolaxError

from pipelines.errors import PipecallError
from pipelines.transforms.web import MIB, Request, WebStage

SPEC = re.compile(r"(?P<css>.*?)(?:@(?P<attribute>[A-Za-z_:][\w:.-]*))?", re.DOTALL)
BLOCK = re.compile(
    r"</?(?:address|article|aside|blockquote|br|dd|div|dl|dt|fieldset|figcaption|figure|footer|form|h[1-6]|header|hr|li"
    r"|main|nav|ol|option|p|pre|section|table|tbody|td|tfoot|th|thead|tr|ul)\b",
    re.IGNORECASE,
)
HIDDEN = ["script", "style", "template", "noscript", "iframe"]
LINKS = frozenset({"href", "src", "action", "poster"})
"""The attributes that hold a URL, which is made absolute where the page's own is known."""


@dataclass(frozen=True, slots=True)
class Field:
    """Where a field's value is: in the first element that `css` finds (None: the match itself), or its attribute."""

    css: str | None
    attribute: str | None

    def read(self, match: LexborNode, base: str) -> str | None:
        """Return the value, or None when the element or attribute is not there."""
        node = match.css_first(self.css) if self.css else match
        if node is None:
            return None
        if self.attribute is None:
            return text_of(node)
        value = node.attributes.get(self.attribute)
        return absolute_link(base, value) if value and self.attribute in LINKS else value


class HtmlSelect(WebStage):
    """Yields an item for each element that a CSS selector finds.

    ```yaml
    class: pipelines.transforms.HtmlSelect
    kwargs:
      url: https://shop.example.org/offers
      select: article.offer
      fields:
        name: h2
        price: .price
        link: a@href
        id: "@data-id"
    ```

    The HTML comes from `url`, or else from the incoming items: HTML text, or a dict with `text` (as `HttpFetch`
    gives it) and perhaps `url`. A page in which nothing is found gives no items.

    Args:
        select: The CSS selector of the elements.
        fields: For each field of the item a selector inside the element (`h2`: the text of the first found),
            with an attribute (`a@href`), or an attribute of the element itself (`@data-id`). Links become absolute
            where the page's URL is known. What is not there is None. Without fields an item is `{"text", "html"}`.
        url: URL of the page, http or https; fetched once. None takes the incoming items.
        headers: Sent with the request.
        timeout_s: Seconds for the whole fetch; default 30.
        max_bytes: The largest page in bytes; default 10 MiB.
        conditional: Ask with the ETag and Last-Modified of the last successful run; an unchanged page gives no
            items.

    Raises:
        HttpError: as for `HttpFetch`; so are HttpRefused and RetryLater.
        PipecallError: an incoming item that is no HTML text.
        ValueError: a selector that is not CSS; a bad url, header or limit.
    """

    def __init__(
        self,
        select: str,
        *,
        fields: dict[str, str] | None = None,
        url: str | None = None,
        headers: dict[str, str] | None = None,
        timeout_s: float = 30,
        max_bytes: int = 10 * MIB,
        conditional: bool = True,
    ) -> None:
        """See the class."""
        self._select = _checked("select", select)
        self._fields = {name: _field(name, spec) for name, spec in (fields or {}).items()}
        self._request = Request(url, headers=headers or {}, timeout_s=timeout_s, max_bytes=max_bytes) if url else None
        self._conditional = conditional

    async def __call__(self, items: AsyncIterator[Any]) -> AsyncIterator[Any]:
        """Yield what is found on the page, or in each item."""
        async for item in items:
            if self._request is None:
                for found in self._matches(*_html(item)):
                    yield found
                continue
            async with self.unless_unchanged(self._request, self._conditional) as page:
                for found in self._matches(page.text(), page.url) if page else ():
                    yield found
            break

    def _matches(self, html: str, base: str) -> Iterator[dict[str, Any]]:
        for match in LexborHTMLParser(html).css(self._select):
            if self._fields:
                yield {name: field.read(match, base) for name, field in self._fields.items()}
            else:
                yield {"text": text_of(match), "html": match.html}


def text_of(node: LexborNode) -> str:
    """Return an element's text on one line, as `plain_text` does; a script's own text when it is one."""
    if next(node.iter(), None) is None:
        return " ".join(node.text().split())
    return plain_text(node.html or "")


def plain_text(markup: str) -> str:
    """Return the words of an HTML text on one line, without scripts and styles. Blocks and cells end a word."""
    tree = LexborHTMLParser(BLOCK.sub(r" \g<0>", markup))
    tree.strip_tags(HIDDEN)
    return " ".join(tree.text().split())


def _html(item: Any) -> tuple[str, str]:
    text = item.get("text") if isinstance(item, dict) else item
    if not isinstance(text, str):
        found = (
            f"a dict with {', '.join(map(str, item)) or 'nothing'}" if isinstance(item, dict) else type(item).__name__
        )
        raise PipecallError(f"HtmlSelect: found {found[:200]}, expected HTML text or a dict with 'text'; or give a url")
    base = item.get("url") if isinstance(item, dict) else None
    return text, base if isinstance(base, str) else ""


def _field(name: str, spec: str) -> Field:
    match = SPEC.fullmatch(spec)
    css, attribute = (match["css"].strip(), match["attribute"]) if match else (spec, None)
    if not css and attribute is None:
        raise ValueError(
            f"HtmlSelect: field {name!r} is empty; expected a CSS selector, 'css@attribute' or '@attribute'"
        )
    return Field(_checked(f"field {name!r}", css) if css else None, attribute)


def _checked(what: str, css: str) -> str:
    try:
        LexborHTMLParser("").css(css)
    except SelectolaxError:
        raise ValueError(f"HtmlSelect: {what} is {css!r}, which is not a CSS selector") from None
    return css


def absolute_link(base: str, link: str) -> str:
    """Return where `link` leads from the page `base` (empty: not known); what is no URL comes back as it is."""
    try:
        return urljoin(base, link)
    except ValueError:
        return link
