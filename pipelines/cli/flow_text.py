"""Text about a run that was made to be looked at: items, counts, messages, what was not kept. Pure functions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pipelines.cli.flow import Flow
from pipelines.log import printable
from pipelines.model import Message, Outcome, RunState
from pipelines.redaction import Redactor

PIPED_WIDTH = 160
"""Columns of what does not go to a terminal."""
LONGEST_TEXT = 400
"""Longer texts in messages are cut, in characters."""
MOST_MESSAGES = 20
"""So many messages are shown."""


def item_text(item: Any, redactor: Redactor, width: int) -> str:
    """Return an item in one line of at most `width` - 4 columns, secrets hidden before anything is cut."""
    try:
        text = repr(redactor.value(item))
    except Exception as error:  # noqa: BLE001 - the item is the user's, and so is its `__repr__`
        text = f"<{type(item).__name__} whose text could not be had: {type(error).__name__}>"
    return cut(" ".join(printable(redactor.text(text)).split()), max(width - 4, 20))


def cut(text: str, length: int) -> str:
    """Return text of at most `length` characters."""
    return text if len(text) <= length else f"{text[: length - 1]}…"


def report(name: str, outcome: Outcome, flow: Flow, redactor: Redactor, *, show: bool, read: bool) -> Iterator[str]:
    """Yield the lines about a run that ended: its stages, messages, what was not kept, and how it ended.

    `read` tells whether its state was read from a store.
    """
    yield from _stages(outcome, flow)
    if outcome.messages:
        yield from _messages(outcome.messages, redactor, full=show)
    yield from _not_kept(outcome, read=read)
    if outcome.error and outcome.error.traceback:
        yield outcome.error.traceback.rstrip()
    yield _end(name, outcome, flow)


def _stages(outcome: Outcome, flow: Flow) -> Iterator[str]:
    counts = flow.counts(outcome)
    broad = max((len(count.name) for count in counts), default=0)
    for place, count in enumerate(counts):
        held = "  left out: a dry run takes nothing out" if place in flow.held_back else ""
        went_in = "" if place == 0 else f"{count.items_in:>8,} in"
        came_out = f"{count.items_out:>8,} out {count.busy_s:9.3f} s{held}"
        yield f"{place + 1:>2} {count.name:<{broad}} {went_in:>11} {came_out}"
        passed = flow.passed[place] if place < len(flow.passed) else None
        if passed is None:
            continue
        yield from (f"    {text}" for text in passed.samples)
        if passed.count > len(passed.samples):
            yield f"    … {passed.count - len(passed.samples):,} more"


def _messages(messages: tuple[Message, ...], redactor: Redactor, *, full: bool) -> Iterator[str]:
    yield f"{len(messages):,} message{'' if len(messages) == 1 else 's'} would be sent:"
    for message in messages[:MOST_MESSAGES]:
        yield f"  to {redactor.text(message.target)} ({message.kind})"
        if full:
            yield from (f"    {line}" for line in _tree(redactor.values(message.body)))
    if len(messages) > MOST_MESSAGES:
        yield f"  … {len(messages) - MOST_MESSAGES:,} more"


def _tree(value: Any, name: str = "") -> Iterator[str]:
    """Yield a JSON value as indented lines: texts with their line breaks, long ones cut, nothing that is empty."""
    if value in (None, [], {}, ""):
        return
    if isinstance(value, Mapping):
        yield from _under(name, (line for key, each in value.items() for line in _tree(each, str(key))))
    elif isinstance(value, list | tuple):
        yield from _under(name, (line for each in value for line in _tree(each, "-")))
    else:
        first, *rest = printable(cut(str(value), LONGEST_TEXT)).splitlines() or [""]
        yield f"{printable(name)}{'' if name in ('', '-') else ':'} {first}".strip()
        yield from (f"  {line}" for line in rest)


def _under(name: str, lines: Iterator[str]) -> Iterator[str]:
    if not name:
        yield from lines
        return
    yield name if name == "-" else f"{printable(name)}:"
    yield from (f"  {line}" for line in lines)


def _not_kept(outcome: Outcome, *, read: bool) -> Iterator[str]:
    change = outcome.change
    parts = ["its state"] if change.values is not None else []
    for name, changed in change.collections.items():
        parts.append(f"collection '{printable(name)}' (+{len(changed.put):,} -{len(changed.removed):,})")
    if parts:
        source = "" if read else "; there is no store, so it began with none"
        yield f"not kept: what it changed in {', '.join(parts)}{source}"


def _end(name: str, outcome: Outcome, flow: Flow) -> str:
    counts = flow.counts(outcome)
    seconds = sum(count.busy_s for count in outcome.stages)
    why = str(outcome.error) if outcome.error else outcome.reason
    sign = "✓" if outcome.state.good else "✗"
    items = f", {counts[0].items_out:,} in, {counts[-1].items_out:,} out" if counts else ""
    told = f": {printable(' '.join(why.split()))}" if why else ""
    state = "was interrupted" if outcome.state is RunState.CANCELLED else str(outcome.state)
    return f"{sign} {name} {state} in {seconds:.2f} s{items}{told} (nothing was recorded)"
