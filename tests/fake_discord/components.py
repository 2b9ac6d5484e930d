"""Buttons, selects, texts and containers: walking through them, and how Discord writes them in its answers."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

ROW, BUTTON, STRING_SELECT, TEXT_INPUT = 1, 2, 3, 4
SELECTS = (3, 5, 6, 7, 8)
SECTION, TEXT_DISPLAY, THUMBNAIL, GALLERY, FILE, SEPARATOR, CONTAINER, LABEL = 9, 10, 11, 12, 13, 14, 17, 18
LINK, PREMIUM = 5, 6
"""Button styles that carry no custom_id."""

DEFAULTS: Mapping[int, Mapping[str, Any]] = {
    3: {"min_values": 1, "max_values": 1},
    5: {"min_values": 1, "max_values": 1},
    6: {"min_values": 1, "max_values": 1},
    7: {"min_values": 1, "max_values": 1},
    8: {"min_values": 1, "max_values": 1},
    THUMBNAIL: {"description": None, "spoiler": False},
    FILE: {"spoiler": False, "name": None, "size": None},
    SEPARATOR: {"spacing": 1, "divider": True},
    CONTAINER: {"accent_color": None, "spoiler": False},
}

Path = tuple[str | int, ...]


def walk(components: Any, at: Path = ("components",)) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Every component at any depth with its path, parents first."""
    for index, component in enumerate(components or []):
        yield (*at, index), component
        yield from walk(component.get("components"), (*at, index, "components"))
        for name in ("accessory", "component"):
            if isinstance(component.get(name), dict):
                yield (*at, index, name), component[name]
                yield from walk(component[name].get("components"), (*at, index, name, "components"))


def answered(components: Any, files: Mapping[str, str]) -> list[dict[str, Any]]:
    """The components as Discord answers them: numbered, with defaults filled in.

    Args:
        components: As the bot sent them.
        files: The URL of each attachment by file name, for `attachment://` references.
    """
    numbers = itertools.count(1)
    return [_answered(component, numbers, files) for component in components or []]


def _answered(component: Mapping[str, Any], numbers: Iterator[int], files: Mapping[str, str]) -> dict[str, Any]:
    told = {key: value for key, value in component.items() if value is not None}
    full = {"id": next(numbers)} | dict(DEFAULTS.get(component["type"], {})) | told
    for name in ("components", "items"):
        if name in full:
            full[name] = [_inner(part, name, numbers, files) for part in full[name]]
    if "accessory" in full:
        full["accessory"] = _answered(full["accessory"], numbers, files)
    for name in ("media", "file"):
        if name in full:
            full[name] = _media(full[name], files)
    return full


def _inner(part: Mapping[str, Any], name: str, numbers: Iterator[int], files: Mapping[str, str]) -> dict[str, Any]:
    if name == "components":
        return _answered(part, numbers, files)
    return {"description": None, "spoiler": False} | dict(part) | {"media": _media(part["media"], files)}


def _media(media: Mapping[str, Any], files: Mapping[str, str]) -> dict[str, Any]:
    url = files.get(media["url"].removeprefix("attachment://"), media["url"])
    return {"id": "1", "url": url, "proxy_url": url}
