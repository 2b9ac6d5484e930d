"""The card of a run, as a pure function of facts: where the run stands, each stage, what went wrong, its buttons.

It is made of the newer components (V2). Every card is a new view: discord.py forgets buttons of a view that is sent
twice with some of them taken away.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from discord import ui

from bot import texts
from bot.commands.cancel import CancelButton
from bot.commands.logs import LogButton
from bot.commands.run import AgainButton
from bot.limits import V2, cut
from bot.safe_text import inline, inline_cut, plain
from pipelines import Run, RunError, RunState, StageCount

STAGES_SHOWN = 15
"""So many stages have a line; of longer chains, those around the one that matters."""
BAR = 10
"""Characters of a progress bar."""
LONGEST_NAME = 80
LONGEST_ERROR = 400
LONGEST_PARAMS = 200
LONGEST_TEXT = 3_900
"""Of the whole card, in UTF-16 units: what Discord takes, less a little."""

_STARTED = {"schedule": "on schedule", "startup": "at start"}


@dataclass(frozen=True, slots=True)
class Facts:
    """What a card tells of a run.

    `stages` are the counts so far, zeros for those to come. `done` is the run's own word for how far it is, 0 to 1, and
    `note` its words. `usual_s` is the median of its last `usual_of` successful runs, in seconds. `waits` says what a
    queued one waits for, `streak` how many runs failed in a row, this one included. `notice` is a line of our own.
    """

    run: Run
    stages: tuple[StageCount, ...] = ()
    done: float | None = None
    note: str = ""
    usual_s: float | None = None
    usual_of: int = 0
    waits: str = "waits for its turn"
    streak: int = 0
    notice: str = ""


def view(facts: Facts) -> ui.LayoutView:
    """Return the card as a view of its own, to be sent once."""
    card = ui.LayoutView(timeout=None)
    text: ui.TextDisplay[Any] = ui.TextDisplay(cut("\n".join(_lines(facts)), LONGEST_TEXT))
    row: ui.ActionRow[Any] = ui.ActionRow(*_buttons(facts.run))
    look = texts.look(facts.run.state)
    card.add_item(ui.Container(text, ui.Separator(), row, accent_colour=look.colour))
    return card


def payload(facts: Facts) -> dict[str, Any]:
    """Return the card as the JSON body of a message."""
    components = view(facts).to_components()  # type: ignore[no-untyped-call]  # the library leaves it without types
    return {"components": components, "flags": V2, "allowed_mentions": {"parse": []}}


def digest(body: Mapping[str, Any]) -> str:
    """Return what tells two states of a card apart."""
    return json.dumps(body, sort_keys=True)


def belongs_to(message: dict[str, Any], run_id: int) -> bool:
    """Tell whether a message, as Discord's JSON, is the card of a run: made of V2 parts, with a button for it."""
    ours = {f"p1:cancel:{run_id}", f"p1:again:{run_id}"}
    return bool((message.get("flags") or 0) & V2) and not ours.isdisjoint(_custom_ids(message.get("components") or []))


def headline(run: Run) -> str:
    """Return a run's one line: `✅ **prices** · run #812 · succeeded`."""
    look = texts.look(run.state)
    return f"{look.emoji} **{inline_cut(run.pipeline, LONGEST_NAME)}** · run #{run.id} · {look.word}"


def ordinal(number: int) -> str:
    """Return `1st`, `2nd`, `3rd`, `4th`."""
    ending = "th" if 10 <= number % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def error_line(error: RunError) -> str:
    """Return `**Save**: OSError: disk full`, harmless in markdown."""
    message = next((line for line in plain(error.message).splitlines() if line.strip()), "")
    what = inline_cut(f"{error.type}: {message}" if message else error.type, LONGEST_ERROR)
    return f"**{inline_cut(error.stage, LONGEST_NAME)}**: {what}" if error.stage else what


def _buttons(run: Run) -> list[ui.Item[Any]]:
    first = AgainButton(run.id) if run.state.final else CancelButton(run.id)
    return [first, LogButton(run.id)]


def _lines(facts: Facts) -> Iterator[str]:
    run = facts.run
    yield headline(run)
    yield " · ".join(_over(facts) if run.state.final else _going_on(facts))
    if run.params:
        given = ", ".join(f"{name} = {value}" for name, value in run.params.items())
        yield f"-# with {inline_cut(given, LONGEST_PARAMS)}"
    yield from _stage_lines(facts)
    if run.state is RunState.RUNNING:
        yield from _progress(facts.done, facts.note)
    yield from _trouble(facts)
    if facts.notice:
        yield f"-# {inline(facts.notice)}"


def _going_on(facts: Facts) -> Iterator[str]:
    run = facts.run
    if run.state is RunState.QUEUED:
        yield f"asked for {texts.ago(run.queued_at)} {_by(run)}"
        yield inline_cut(facts.waits, LONGEST_PARAMS)
    elif run.state is RunState.WAITING_RETRY:
        when = f" {texts.ago(run.not_before)}" if run.not_before else ""
        yield f"waits for attempt {run.attempt + 1} of {run.max_attempts}{when}"
        yield _by(run)
    else:
        yield f"started {texts.ago(run.started_at or run.queued_at)} {_by(run)}"
    if facts.usual_s is not None:
        yield f"usual {texts.seconds(facts.usual_s)} (median of {facts.usual_of})"
    if run.state is RunState.RUNNING and run.attempt > 1:
        yield f"attempt {run.attempt} of {run.max_attempts}"


def _over(facts: Facts) -> Iterator[str]:
    run = facts.run
    if run.duration is not None:
        yield f"in {texts.seconds(run.duration.total_seconds())}"
    if run.items_in or run.items_out:
        yield f"{run.items_in:,} in, {run.items_out:,} out"
    if run.attempt > 1:
        yield f"attempt {run.attempt} of {run.max_attempts}"
    yield _by(run)
    if run.ended_at is not None:
        yield texts.ago(run.ended_at)


def _by(run: Run) -> str:
    if run.actor:
        return f"by {inline_cut(run.actor, LONGEST_NAME)}"
    return _STARTED.get(run.started_by.value, "by hand")


def _progress(done: float | None, note: str) -> Iterator[str]:
    words = inline_cut(note, LONGEST_PARAMS) if note.strip() else ""
    if done is not None:
        share = min(1.0, max(0.0, done))
        full = int(share * BAR)
        bar = f"{'▓' * full}{'░' * (BAR - full)} {share:.0%}"
        words = f"{bar} · {words}" if words else bar
    if words:
        yield words


def _trouble(facts: Facts) -> Iterator[str]:
    run = facts.run
    if run.error is not None:
        yield f"> {error_line(run.error)}"
    elif run.reason and run.state is not RunState.SUCCEEDED:
        yield f"> {inline_cut(run.reason, LONGEST_ERROR)}"
    if facts.streak > 1:
        yield f"{ordinal(facts.streak)} failure in a row"


def _stage_lines(facts: Facts) -> Iterator[str]:
    """Yield a line for each stage, and for those left out of a long chain how many they are."""
    stages = facts.stages
    focus = _focus(facts)
    start = max(0, min(focus - STAGES_SHOWN // 2, len(stages) - STAGES_SHOWN))
    if start:
        yield f"-# … {start} before"
    failed = facts.run.error.stage if facts.run.error is not None else None
    for stage in stages[start : start + STAGES_SHOWN]:
        yield _stage_line(stage, _mark(facts.run.state, stage, failed))
    left = len(stages) - start - STAGES_SHOWN
    if left > 0:
        yield f"-# … {left} more"


def _focus(facts: Facts) -> int:
    """Return the place of the stage that matters most: the one that failed, else the last that items have reached."""
    failed = facts.run.error.stage if facts.run.error is not None else None
    at = [place for place, stage in enumerate(facts.stages) if stage.name == failed]
    reached = [place for place, stage in enumerate(facts.stages) if _reached(stage)]
    return at[0] if at else max(reached, default=0)


def _reached(stage: StageCount) -> bool:
    return bool(stage.items_in or stage.items_out or stage.position == 0)


def _mark(state: RunState, stage: StageCount, failed: str | None) -> str:
    """Items stream, so that several stages work at the same time; one that nothing has reached is still to come."""
    if stage.name == failed:
        return "❌"
    if state.good:
        return "✅"
    if state is RunState.RUNNING:
        return "▶" if _reached(stage) else "◻"
    return "▪" if stage.items_in or stage.items_out else "◻"


def _stage_line(stage: StageCount, mark: str) -> str:
    parts = [f"{mark} {inline_cut(stage.name, LONGEST_NAME)}"]
    if stage.items_in or stage.items_out:
        taken = f"{stage.items_in:,} in, " if stage.position else ""
        parts.append(f"{taken}{stage.items_out:,} out")
    if stage.busy_s >= 0.05:
        parts.append(texts.seconds(stage.busy_s))
    return " · ".join(parts)


def _custom_ids(components: list[dict[str, Any]]) -> Iterator[str]:
    for component in components:
        if component.get("custom_id"):
            yield component["custom_id"]
        yield from _custom_ids(component.get("components") or [])
