"""Messages of a bot, from their real JSON, as a page of HTML in the manner of Discord's dark theme."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any

from docs.discord_markdown import Reader

STYLE = Path(__file__).parent / "discord_page.css"

BUTTONS = {1: "primary", 2: "secondary", 3: "success", 4: "danger", 5: "link"}
EPHEMERAL = 1 << 6


class Kind(IntEnum):
    """Kinds of components, by Discord's numbers."""

    ROW = 1
    BUTTON = 2
    SECTION = 9
    TEXT = 10
    SEPARATOR = 14
    CONTAINER = 17


@dataclass(frozen=True, slots=True)
class Shown:
    """A message, as Discord's JSON, as it stood when the `reader` looked; `asked` is who typed which command for it."""

    message: Mapping[str, Any]
    reader: Reader
    asked: tuple[str, str] | None = None


def page(shown: Sequence[Shown], *, width: int) -> str:
    """Return a page of messages, one below the other, `width` pixels wide."""
    style = STYLE.read_text(encoding="utf-8")
    inner = "".join(_message(each) for each in shown)
    return (
        f"<!doctype html><meta charset=utf-8><style>{style} main {{ width: {width}px }}</style><main>{inner}</main>"
        "<script>document.title = Math.ceil(document.querySelector('main').getBoundingClientRect().height)</script>"
    )


def _message(shown: Shown) -> str:
    message, reader = shown.message, shown.reader
    private = bool(message["flags"] & EPHEMERAL)
    author = html.escape(message["author"]["username"])
    sent = reader.now.astimezone(reader.zone).strftime("%H:%M")
    head = f"<header><b>{author.capitalize()}</b><span class=app>APP</span><time>{sent}</time></header>"
    body = "".join(
        [
            reader.html(message["content"]),
            *(_embed(embed, reader) for embed in message["embeds"]),
            *(_file(file) for file in message["attachments"]),
            *(_component(each, reader) for each in message["components"]),
        ]
    )
    foot = "<footer>👁 Only you can see this · <a>Dismiss message</a></footer>" if private else ""
    kind = " class=private" if private else ""
    return f"<article{kind}>{_asked(shown.asked)}<div class=bot>P</div><section>{head}{body}{foot}</section></article>"


def _asked(asked: tuple[str, str] | None) -> str:
    if asked is None:
        return ""
    who, command = (html.escape(part) for part in asked)
    person = f"<span class=person>{who[0].upper()}</span><b>{who}</b>"
    return f"<div class=asked>{person} used <b class=command>/{command}</b></div>"


def _embed(embed: Mapping[str, Any], reader: Reader) -> str:
    fields = "".join(
        f"<div class={'inline' if each.get('inline') else 'whole'}><h4>{reader.inline(each['name'])}</h4>"
        f"{reader.html(each['value'])}</div>"
        for each in embed.get("fields") or []
    )
    title = f"<h3>{reader.inline(embed['title'])}</h3>" if embed.get("title") else ""
    footer = f"<small>{html.escape(embed['footer']['text'])}</small>" if embed.get("footer") else ""
    inner = f"{title}{reader.html(embed.get('description') or '')}<div class=fields>{fields}</div>{footer}"
    return f"<div class=embed style='border-color: {_colour(embed.get('color'))}'>{inner}</div>"


def _component(part: Mapping[str, Any], reader: Reader) -> str:
    inner = "".join(_component(each, reader) for each in part.get("components") or [])
    match part["type"]:
        case Kind.CONTAINER:
            return f"<div class=container style='border-color: {_colour(part.get('accent_color'))}'>{inner}</div>"
        case Kind.SECTION:
            return f"<div class=section><div>{inner}</div>{_component(part['accessory'], reader)}</div>"
        case Kind.TEXT:
            return reader.html(part["content"])
        case Kind.SEPARATOR:
            return "<hr>"
        case Kind.ROW:
            return f"<div class=row>{inner}</div>"
        case Kind.BUTTON:
            return _button(part)
    raise ValueError(f"there is no picture of the component {part}")


def _button(part: Mapping[str, Any]) -> str:
    label = f"{(part.get('emoji') or {}).get('name') or ''} {part.get('label') or ''}".strip()
    off = " disabled" if part.get("disabled") else ""
    return f"<button class={BUTTONS[part['style']]}{off}>{html.escape(label)}</button>"


def _file(file: Mapping[str, Any]) -> str:
    size = f"{file['size']:,} bytes" if file["size"] < 1024 else f"{file['size'] / 1024:.1f} KB"
    return f"<div class=file>📄 <span><a>{html.escape(file['filename'])}</a><small>{size}</small></span></div>"


def _colour(number: int | None) -> str:
    return "transparent" if number is None else f"#{number:06x}"
