"""What Discord accepts of buttons, selects and the newer components (V2): numbers, lengths, and what excludes what.

The numbers are those of Discord's Components Reference; that all texts of a V2 message may have 4000 characters in
sum is enforced by Discord though not written there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bot.lengths import length_faults, number_faults, units

COMPONENTS = 40
"""In one V2 message, those inside others included."""
TEXT_SUM = 4000
ROWS = 5
BUTTONS_IN_A_ROW = 5
LABEL = 80
CUSTOM_ID = 100
URL = 512
OPTIONS = 25
OPTION_TEXT = 100
PLACEHOLDER = 150
SECTION_TEXTS = 3
GALLERY_ITEMS = 10

_V2 = 1 << 15
_ROW, _BUTTON, _STRING_SELECT, _SECTION, _TEXT, _GALLERY = 1, 2, 3, 9, 10, 12
_SELECTS = (3, 5, 6, 7, 8)
_LINK, _PREMIUM = 5, 6


def component_faults(payload: Mapping[str, Any]) -> Iterator[str]:
    """Yield what Discord would refuse in a message's components, or beside them."""
    every = list(_walk(payload.get("components") or (), "components"))
    if (payload.get("flags") or 0) & _V2:
        yield from _v2_faults(payload, [component for _, component in every])
    else:
        yield from number_faults("components", payload.get("components") or (), ROWS)
        for at, row in enumerate(payload.get("components") or ()):
            if row.get("type") != _ROW:
                yield f"components[{at}]: only rows are allowed without the flag for V2"
    names = [component["custom_id"] for _, component in every if component.get("custom_id") is not None]
    yield from (
        f"custom_id {name!r} is used twice" for name in sorted({each for each in names if names.count(each) > 1})
    )
    for place, component in every:
        yield from _of_one(place, component)


def _walk(components: Sequence[Mapping[str, Any]], place: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for at, component in enumerate(components):
        yield f"{place}[{at}]", component
        yield from _walk(component.get("components") or (), f"{place}[{at}].components")
        if component.get("accessory"):
            yield from _walk([component["accessory"]], f"{place}[{at}].accessory")


def _v2_faults(payload: Mapping[str, Any], every: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for name in ("content", "embeds", "poll", "sticker_ids"):
        if payload.get(name):
            yield f"{name} cannot go together with V2 components"
    yield from number_faults("components, those inside others included", every, COMPONENTS)
    size = sum(units(one.get("content") or "") for one in every if one.get("type") == _TEXT)
    if size > TEXT_SUM:
        yield f"the texts have {size} characters; at most {TEXT_SUM} in sum are allowed"


def _of_one(place: str, component: Mapping[str, Any]) -> Iterator[str]:
    kind = component.get("type")
    yield from length_faults(f"{place}.custom_id", component.get("custom_id"), CUSTOM_ID, least=1)
    if kind == _ROW:
        yield from _row_faults(place, component.get("components") or ())
    elif kind == _BUTTON:
        yield from _button_faults(place, component)
    elif kind in _SELECTS:
        yield from _select_faults(place, component)
    elif kind == _TEXT:
        yield from length_faults(f"{place}.content", (component.get("content") or "").strip(), TEXT_SUM, least=1)
    elif kind == _SECTION:
        yield from number_faults(f"{place}.components", component.get("components") or (), SECTION_TEXTS, least=1)
        if not component.get("accessory"):
            yield f"{place}: a section needs a button or a picture beside it"
    elif kind == _GALLERY:
        yield from number_faults(f"{place}.items", component.get("items") or (), GALLERY_ITEMS, least=1)


def _row_faults(place: str, inside: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    yield from number_faults(f"{place}.components", inside, BUTTONS_IN_A_ROW, least=1)
    if len(inside) > 1 and any(one.get("type") in _SELECTS for one in inside):
        yield f"{place}: a select takes a row of its own"


def _button_faults(place: str, button: Mapping[str, Any]) -> Iterator[str]:
    yield from length_faults(f"{place}.label", button.get("label"), LABEL)
    yield from length_faults(f"{place}.url", button.get("url"), URL, least=1)
    style = button.get("style")
    wanted = "url" if style == _LINK else "custom_id"
    if style != _PREMIUM and not button.get(wanted):
        yield f"{place}: the button has no {wanted}"
    if button.get("url") and button.get("custom_id"):
        yield f"{place}: a button has either a url or a custom_id"
    if not any(button.get(name) for name in ("label", "emoji", "sku_id")):
        yield f"{place}: the button has neither label nor emoji"


def _select_faults(place: str, select: Mapping[str, Any]) -> Iterator[str]:
    yield from length_faults(f"{place}.placeholder", select.get("placeholder"), PLACEHOLDER)
    if not select.get("custom_id"):
        yield f"{place}: the select has no custom_id"
    if select.get("type") != _STRING_SELECT:
        return
    options = select.get("options") or ()
    yield from number_faults(f"{place}.options", options, OPTIONS, least=1)
    for at, option in enumerate(options):
        yield from length_faults(f"{place}.options[{at}].label", option.get("label") or "", OPTION_TEXT, least=1)
        yield from length_faults(f"{place}.options[{at}].value", option.get("value") or "", OPTION_TEXT, least=1)
        yield from length_faults(f"{place}.options[{at}].description", option.get("description"), OPTION_TEXT)
    if len({option.get("value") for option in options}) < len(options):
        yield f"{place}: two options have the same value"
