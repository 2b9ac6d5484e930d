"""What Discord refuses in messages: sizes, emptiness, and parts that exclude one another.

The numbers are those of Discord's documentation ("Message", "Components Reference"). Its OpenAPI description knows some
of them; all are here, so that a bot is held to them where the description is absent.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.fake_discord import components as parts
from tests.fake_discord.recording import File
from tests.fake_discord.refusal import Mistakes, Refusal

V2 = 1 << 15
EPHEMERAL = 1 << 6
LOADING = 1 << 7

FILE_BYTES = 10 * 1024 * 1024
REQUEST_BYTES = 25 * 1024 * 1024


def check_files(files: Mapping[str, File]) -> None:
    """Raises: Refusal: 40005 where the files are too big, 50035 where there are more than ten."""
    sizes = [len(file.content) for file in files.values()]
    if sum(sizes) > REQUEST_BYTES or any(size > FILE_BYTES for size in sizes):
        raise Refusal(40005)
    mistakes = Mistakes()
    mistakes.length(("attachments",), sizes, 0, 10)
    mistakes.refuse()


def check_message(body: Mapping[str, Any]) -> None:
    """Check a message as it would stand: one just sent, or one with an edit merged into it.

    Raises:
        Refusal: 50006 where it is empty, 50035 where a part is too long, misplaced or missing.
    """
    mistakes = Mistakes()
    mistakes.length(("content",), body.get("content"), 0, 2000)
    mistakes.length(("attachments",), body.get("attachments"), 0, 10)
    _nonce(body.get("nonce"), mistakes)
    _embeds(body.get("embeds") or [], mistakes)
    _mentions(body.get("allowed_mentions") or {}, mistakes)
    new = bool((body.get("flags") or 0) & V2)
    (_new_components if new else _old_components)(body, mistakes)
    check_components(body.get("components"), mistakes)
    mistakes.refuse()
    if not any(body.get(part) for part in ("content", "embeds", "components", "attachments", "poll", "sticker_ids")):
        raise Refusal(50006)


def _nonce(nonce: Any, mistakes: Mistakes) -> None:
    if isinstance(nonce, str):
        mistakes.length(("nonce",), nonce, 0, 25)


def _mentions(allowed: Mapping[str, Any], mistakes: Mistakes) -> None:
    for kind in ("users", "roles"):
        mistakes.length(("allowed_mentions", kind), allowed.get(kind), 0, 100)
        if allowed.get(kind) and kind in (allowed.get("parse") or []):
            mistakes.add(("allowed_mentions",), f'parse:["{kind}"] and {kind}: [ids...] are mutually exclusive.')


def _embeds(embeds: Any, mistakes: Mistakes) -> None:
    mistakes.length(("embeds",), embeds, 0, 10)
    for index, embed in enumerate(embeds):
        _embed(embed, ("embeds", index), mistakes)
    if sum(map(_embed_size, embeds)) > 6000:
        mistakes.add(("embeds",), "Embed size exceeds maximum size of 6000", code="MAX_EMBED_SIZE_EXCEEDED")


def _embed(embed: Mapping[str, Any], at: tuple[str | int, ...], mistakes: Mistakes) -> None:
    mistakes.length((*at, "title"), embed.get("title"), 0, 256)
    mistakes.length((*at, "description"), embed.get("description"), 0, 4096)
    mistakes.length((*at, "fields"), embed.get("fields"), 0, 25)
    mistakes.length((*at, "footer", "text"), (embed.get("footer") or {}).get("text"), 1, 2048)
    mistakes.length((*at, "author", "name"), (embed.get("author") or {}).get("name"), 1, 256)
    for index, field in enumerate(embed.get("fields") or []):
        for name, high in (("name", 256), ("value", 1024)):
            mistakes.length((*at, "fields", index, name), (field.get(name) or "").strip(), 1, high)


def _embed_size(embed: Mapping[str, Any]) -> int:
    texts = [embed.get("title"), embed.get("description")]
    texts += [(embed.get("footer") or {}).get("text"), (embed.get("author") or {}).get("name")]
    for field in embed.get("fields") or []:
        texts += [field.get("name"), field.get("value")]
    return sum(len(text) for text in texts if text)


def _old_components(body: Mapping[str, Any], mistakes: Mistakes) -> None:
    rows = body.get("components") or []
    mistakes.length(("components",), rows, 0, 5)
    for index, row in enumerate(rows):
        if row.get("type") != parts.ROW:
            mistakes.add(("components", index, "type"), "Value of field must be one of (1,).")


def _new_components(body: Mapping[str, Any], mistakes: Mistakes) -> None:
    for name in ("content", "embeds", "poll", "sticker_ids"):
        if body.get(name):
            text = f"The '{name}' field cannot be used when using MessageFlags.IS_COMPONENTS_V2"
            mistakes.add((name,), text, code="MESSAGE_CANNOT_USE_LEGACY_FIELDS_WITH_COMPONENTS_V2")
    every = [component for _, component in parts.walk(body.get("components"))]
    if len(every) > 40:
        mistakes.add(("components",), "Total components must be 40 or fewer.", code="COMPONENT_TOO_MANY")
    text_size = sum(len(one.get("content") or "") for one in every if one.get("type") == parts.TEXT_DISPLAY)
    if text_size > 4000:
        mistakes.add(("components",), "Displayable text must be 4000 characters or fewer in sum.")


def check_components(components: Any, mistakes: Mistakes) -> None:
    """Note what is wrong with each component, and custom ids that are used twice."""
    seen: set[str] = set()
    for path, component in parts.walk(components):
        _component(component, path, mistakes)
        name = component.get("custom_id")
        if name is not None and name in seen:
            text = "Component custom id cannot be duplicated"
            mistakes.add((*path, "custom_id"), text, code="COMPONENT_CUSTOM_ID_DUPLICATED")
        seen |= {name} if name is not None else set()


def _component(component: Mapping[str, Any], path: tuple[str | int, ...], mistakes: Mistakes) -> None:
    kind = component.get("type")
    mistakes.length((*path, "custom_id"), component.get("custom_id"), 1, 100)
    if kind == parts.ROW:
        _row(component.get("components") or [], path, mistakes)
    elif kind == parts.BUTTON:
        _button(component, path, mistakes)
    elif kind in parts.SELECTS:
        _select(component, path, mistakes)
    elif kind == parts.TEXT_DISPLAY:
        mistakes.length((*path, "content"), component.get("content") or "", 1, 4000)
    elif kind == parts.SECTION:
        mistakes.length((*path, "components"), component.get("components") or [], 1, 3)
    elif kind == parts.GALLERY:
        mistakes.length((*path, "items"), component.get("items") or [], 1, 10)


def _row(inside: Any, path: tuple[str | int, ...], mistakes: Mistakes) -> None:
    mistakes.length((*path, "components"), inside, 1, 5)
    if len(inside) > 1 and any(one.get("type") in parts.SELECTS for one in inside):
        mistakes.add((*path, "components"), "A select takes a row of its own.", code="COMPONENT_LAYOUT_WIDTH_EXCEEDED")


def _button(button: Mapping[str, Any], path: tuple[str | int, ...], mistakes: Mistakes) -> None:
    mistakes.length((*path, "label"), button.get("label"), 0, 80)
    mistakes.length((*path, "url"), button.get("url"), 1, 512)
    wanted = "url" if button.get("style") == parts.LINK else "custom_id"
    if button.get("style") != parts.PREMIUM and not button.get(wanted):
        mistakes.add((*path, wanted), f"A {wanted} is required", code="BASE_TYPE_REQUIRED")
    if button.get("url") and button.get("custom_id"):
        mistakes.add(path, "A custom id and url cannot both be specified")
    if not any(button.get(name) for name in ("label", "emoji", "sku_id")):
        mistakes.add((*path, "label"), "A label or an emoji is required", code="BASE_TYPE_REQUIRED")


def _select(select: Mapping[str, Any], path: tuple[str | int, ...], mistakes: Mistakes) -> None:
    mistakes.length((*path, "placeholder"), select.get("placeholder"), 0, 150)
    if select.get("type") != parts.STRING_SELECT:
        return
    options = select.get("options") or []
    mistakes.length((*path, "options"), options, 1, 25)
    for index, option in enumerate(options):
        for name, low in (("label", 1), ("value", 1), ("description", 0)):
            mistakes.length((*path, "options", index, name), option.get(name), low, 100)
    values = [option.get("value") for option in options]
    if len(set(values)) < len(values):
        mistakes.add((*path, "options"), "Option values must differ", code="SELECT_COMPONENT_OPTION_VALUE_DUPLICATED")
