"""A message on its way to Discord: what its stored body says, simpler forms of it, and whether another one is the same.

Pure. What is sent, and when a simpler form is tried, is decided in `discord_channel` and `webhook_channel`.
"""

from __future__ import annotations

import gzip
from base64 import b64decode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bot.lengths import cut
from bot.refusals import Moderated
from bot.rest import Upload
from pipelines import DeliveryFault, Parcel, TooBig

V2 = 1 << 15
SILENT = 1 << 12
ROOM = 1900
"""Characters of text in a message that was simplified; the whole text goes along as a file."""
MOST_FILES = 10
NOBODY: dict[str, list[str]] = {"parse": []}


@dataclass(frozen=True, slots=True)
class Draft:
    """A message as it would be sent. `packed` and `plain` say how it was simplified already."""

    payload: dict[str, Any]
    files: tuple[Upload, ...] = ()
    packed: bool = False
    plain: bool = False

    @property
    def is_v2(self) -> bool:
        """Whether it is made of components alone; such a message has no content, and never will."""
        return bool((self.payload.get("flags") or 0) & V2)


def draft(payload: Mapping[str, Any], files: Sequence[Mapping[str, str]] = ()) -> Draft:
    """Return a message that pings only whom its payload allows: nobody, if it says nothing.

    A file is a mapping of `name` and either `text` or `base64`.
    """
    uploads = tuple(Upload(file["name"], _content(file)) for file in files)
    return Draft({**payload, "allowed_mentions": payload.get("allowed_mentions") or NOBODY}, uploads)


def _content(file: Mapping[str, str]) -> bytes:
    return b64decode(file["base64"]) if "base64" in file else file["text"].encode("utf-8", "replace")


def simpler(refused: Draft, fault: DeliveryFault, *, edit: bool = False) -> Draft | None:
    """Return the next simpler form of a message that was refused; None if there is none.

    Too big: its files compressed, then left out. Refused otherwise: its text alone, with the whole of it as a file.
    What AutoMod refused is not said in other words, and a change (`edit`) cannot turn components into text.
    """
    if isinstance(fault, TooBig) and refused.files:
        return _without_files(refused) if refused.packed else _packed(refused)
    if isinstance(fault, Moderated) or refused.plain or (edit and refused.is_v2):
        return None
    return _plain(refused, edit=edit)


def _packed(full: Draft) -> Draft:
    files = tuple(each if each.name.endswith(".gz") else _zipped(each) for each in full.files)
    return replace(full, payload=_without(full.payload, "attachments"), files=files, packed=True)


def _zipped(file: Upload) -> Upload:
    return Upload(f"{file.name}.gz", gzip.compress(file.content, mtime=0))


def _without_files(full: Draft) -> Draft:
    names = ", ".join(f"{each.name} ({len(each.content) / 2**20:.1f} MiB)" for each in full.files)
    note = f"-# Too large for Discord, left out: {names}"
    payload = _without(full.payload, "attachments")
    if not full.is_v2:
        payload["content"] = "\n".join(
            part for part in (cut(payload.get("content") or "", ROOM - 300), cut(note, 300)) if part
        )
    return replace(full, payload=payload, files=())


def _plain(full: Draft, *, edit: bool) -> Draft:
    text = text_of(full.payload) or "(this message has no text)"
    payload: dict[str, Any] = {"content": cut(text, ROOM), "allowed_mentions": NOBODY}
    if edit:
        return Draft({**payload, "embeds": [], "components": []}, packed=True, plain=True)
    if flags := (full.payload.get("flags") or 0) & SILENT:
        payload["flags"] = flags
    whole = Upload("message.txt", text.encode("utf-8", "replace"))
    return Draft(payload, (*full.files[: MOST_FILES - 1], whole), full.packed, plain=True)


def text_of(payload: Mapping[str, Any]) -> str:
    """Return all that one would read in a message: content, embeds and components, a line each."""
    lines = [payload.get("content") or ""]
    for embed in payload.get("embeds") or ():
        lines += [embed.get("title") or "", embed.get("description") or ""]
        lines += [f"{field['name']}: {field['value']}" for field in embed.get("fields") or ()]
        lines.append((embed.get("footer") or {}).get("text") or "")
    lines += _texts(payload.get("components") or ())
    return "\n".join(line for line in lines if line)


def _texts(components: Sequence[Mapping[str, Any]]) -> list[str]:
    found: list[str] = []
    for each in components:
        found += [str(each["content"])] if "content" in each else []
        found += _texts(each.get("components") or ())
    return found


def is_same(message: Mapping[str, Any], wanted: Draft) -> bool:
    """Tell whether a message that Discord shows is what would be sent. One of components alone cannot be told."""
    if wanted.is_v2:
        return False
    names = sorted(each.name for each in wanted.files)
    return (
        _words(message.get("content")) == _words(wanted.payload.get("content"))
        and _embeds(message) == _embeds(wanted.payload)
        and sorted(each["filename"] for each in message.get("attachments") or ()) == names
    )


def _words(text: Any) -> str:
    """Discord takes white space off the ends of what it stores."""
    return str(text or "").strip()


def _embeds(message: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    return [
        (
            _words(embed.get("title")),
            _words(embed.get("description")),
            [(_words(field.get("name")), _words(field.get("value"))) for field in embed.get("fields") or ()],
            _words((embed.get("footer") or {}).get("text")),
        )
        for embed in message.get("embeds") or ()
    ]


def _without(payload: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in payload.items() if key != name}


def together(parcels: Sequence[Parcel]) -> tuple[list[int], dict[str, Any]] | None:
    """Return which messages can be told by one, and its body: how many there were, and a file with all their texts.

    Those with files, in posts of a forum, or that change another stay as they are.
    """
    simple = [parcel for parcel in parcels if parcel.message_id is None and _is_simple(parcel.body)]
    if not simple:
        return None
    first, last = simple[0].created_at, simple[-1].created_at
    texts = [f"--- {each.created_at:%Y-%m-%d %H:%M:%S} UTC\n{text_of(each.body['payload'])}\n" for each in simple]
    content = (
        f"{len(simple)} messages from <t:{int(first.timestamp())}:f> to <t:{int(last.timestamp())}:f> waited here, as "
        "they could not be delivered. All of them are in the file."
    )
    payload = {"content": content, "allowed_mentions": NOBODY, "flags": SILENT}
    return [each.id for each in simple], {
        "payload": payload,
        "files": [{"name": "messages.txt", "text": "\n".join(texts)}],
    }


def _is_simple(body: Mapping[str, Any]) -> bool:
    return "payload" in body and not any(
        body.get(key) for key in ("files", "forum", "thread_id", "edits", "message_id")
    )
