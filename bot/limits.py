"""What Discord accepts in a message: lengths, numbers of parts, and what may not go together.

Each message is held against this before it is queued, so that none waits for delivery that would be refused. The
numbers are those of Discord's documentation (Message, Embed Limits, Uploading Files); components are checked in
`component_limits`. Lengths count UTF-16 units, which is never less than what Discord counts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from bot.component_limits import component_faults
from bot.lengths import cut, length_faults, number_faults, units

__all__ = ["cut", "embed_size", "faults", "file_size", "units"]

CONTENT = 2000
EMBEDS = 10
EMBED_TITLE = 256
EMBED_DESCRIPTION = 4096
EMBED_FIELDS = 25
EMBED_FIELD_NAME = 256
EMBED_FIELD_VALUE = 1024
EMBED_FOOTER = 2048
EMBED_AUTHOR = 256
EMBED_SUM = 6000
"""Over all texts of all embeds of one message."""
ATTACHMENTS = 10
ALT_TEXT = 1024
FILE_BYTES = 10 * 2**20
REQUEST_BYTES = 25 * 2**20
MENTIONS = 100
NONCE = 25
THREAD_NAME = 100
TAGS = 5
USERNAME = 80

SUPPRESS_EMBEDS = 1 << 2
SILENT = 1 << 12
V2 = 1 << 15
"""Flags of a message: no previews of links, no notification, and components instead of content."""

_FILE_NAME = re.compile(r"[A-Za-z0-9._-]{1,80}")


def embed_size(embed: Mapping[str, Any]) -> int:
    """Return what an embed adds to the sum over all embeds of a message, in UTF-16 units."""
    texts = [embed.get("title"), embed.get("description")]
    texts += [(embed.get("footer") or {}).get("text"), (embed.get("author") or {}).get("name")]
    for field in embed.get("fields") or ():
        texts += [field.get("name"), field.get("value")]
    return sum(units(text) for text in texts if text)


def faults(payload: Mapping[str, Any], files: Sequence[Mapping[str, str]] = ()) -> list[str]:
    """Return what Discord would refuse in a message, one line each; an empty list means that it can be sent.

    Args:
        payload: The JSON body of a create-message request or of a webhook.
        files: What goes along: `name` and either `text` or `base64` each, in the order of `payload["attachments"]`.
    """
    found = list(length_faults("content", payload.get("content"), CONTENT))
    found += length_faults("nonce", payload.get("nonce"), NONCE)
    found += length_faults("username", payload.get("username"), USERNAME)
    found += _embed_faults(payload.get("embeds") or ())
    found += _mention_faults(payload.get("allowed_mentions"))
    found += _file_faults(payload.get("attachments") or (), files)
    found += component_faults(payload)
    parts = ("embeds", "components", "attachments", "poll", "sticker_ids")
    if not (payload.get("content") or "").strip() and not any(payload.get(part) for part in parts):
        found.append("the message is empty")
    if any("\ud800" <= char <= "\udfff" for text in _texts(payload) for char in text if not text.isascii()):
        found.append("a text holds half a surrogate pair")
    return found


def _embed_faults(embeds: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    yield from number_faults("embeds", embeds, EMBEDS)
    for at, embed in enumerate(embeds):
        name = f"embeds[{at}]"
        yield from length_faults(f"{name}.title", embed.get("title"), EMBED_TITLE)
        yield from length_faults(f"{name}.description", embed.get("description"), EMBED_DESCRIPTION)
        yield from length_faults(f"{name}.footer", (embed.get("footer") or {}).get("text"), EMBED_FOOTER, least=1)
        yield from length_faults(f"{name}.author", (embed.get("author") or {}).get("name"), EMBED_AUTHOR, least=1)
        yield from number_faults(f"{name}.fields", embed.get("fields") or (), EMBED_FIELDS)
        for place, field in enumerate(embed.get("fields") or ()):
            yield from length_faults(
                f"{name}.fields[{place}].name", _stripped(field, "name"), EMBED_FIELD_NAME, least=1
            )
            yield from length_faults(
                f"{name}.fields[{place}].value", _stripped(field, "value"), EMBED_FIELD_VALUE, least=1
            )
        if not any(embed.values()):
            yield f"{name} is empty"
    size = sum(map(embed_size, embeds))
    if size > EMBED_SUM:
        yield f"the embeds have {size} characters; at most {EMBED_SUM} in sum are allowed"


def _stripped(field: Mapping[str, Any], name: str) -> str:
    return str(field.get(name) or "").strip()


def _mention_faults(allowed: Any) -> Iterator[str]:
    if not isinstance(allowed, Mapping):
        yield "allowed_mentions is missing; without it a text of a stranger can ping everybody"
        return
    for kind in ("users", "roles"):
        yield from number_faults(f"allowed_mentions.{kind}", allowed.get(kind) or (), MENTIONS)
        if allowed.get(kind) and kind in (allowed.get("parse") or ()):
            yield f"allowed_mentions: {kind} and parse: [{kind}] exclude each other"


def _file_faults(attachments: Sequence[Mapping[str, Any]], files: Sequence[Mapping[str, str]]) -> Iterator[str]:
    yield from number_faults("attachments", attachments, ATTACHMENTS)
    yield from number_faults("files", files, ATTACHMENTS)
    for attachment in attachments:
        yield from length_faults("the description of a file", attachment.get("description"), ALT_TEXT)
    named = [attachment.get("filename") for attachment in attachments if attachment.get("filename") is not None]
    if files and named != [file["name"] for file in files]:
        yield "attachments and files differ"
    yield from (f"{file['name']!r} is no file name" for file in files if not _FILE_NAME.fullmatch(file["name"]))
    sizes = [file_size(file) for file in files]
    if sum(sizes) > REQUEST_BYTES or any(size > FILE_BYTES for size in sizes):
        yield f"the files have {sum(sizes)} bytes; at most {FILE_BYTES} each and {REQUEST_BYTES} in sum are allowed"


def file_size(file: Mapping[str, str]) -> int:
    """Return how many bytes a file has that is given as `text` or as `base64`."""
    if "text" in file:
        return len(file["text"].encode("utf-8", "replace"))
    return len(file["base64"]) * 3 // 4 - file["base64"][-2:].count("=")


def _texts(value: Any) -> Iterable[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _texts(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _texts(each)
