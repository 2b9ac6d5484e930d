"""What is shown of runs that are followed: a live table on a terminal, plain lines to any other reader, or JSON."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import TracebackType
from typing import Protocol, Self

from rich.console import Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from pipelines.cli import printing, records, words
from pipelines.cli.following import Sight
from pipelines.log import printable
from pipelines.model import LogLine, Run, RunState, StageCount, utcnow
from pipelines.terminal import summary_line

NEWEST = 5
"""So many lines of the log are shown under a live table."""
FRAMES_A_SECOND = 8


class Screen(Protocol):
    """Shows where runs stand; a context manager."""

    def __enter__(self) -> Self:
        """Begin."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Leave the terminal as it was."""

    def show(self, sights: Sequence[Sight]) -> None:
        """Show where the runs stand now."""


def screen(as_json: bool) -> Screen:
    """Return what suits the reader of the output."""
    if as_json:
        return JsonLines()
    return Drawn() if printing.on_terminal() else Lines()


@dataclass
class Lines:
    """One line for each change of state, and the log as it comes."""

    told: dict[int, tuple[RunState, int]] = field(default_factory=dict)

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Nothing is to be put right."""

    def show(self, sights: Sequence[Sight]) -> None:
        """Print what is new."""
        for sight in sights:
            now = (sight.run.state, sight.run.attempt)
            new, over = self.told.get(sight.run.id) != now, sight.run.state.final
            self.told[sight.run.id] = now
            if new and not over:
                self.state(sight)
            for each in sight.lines:
                self.line(sight.run, each)
            if new and over:
                self.state(sight)

    def line(self, run: Run, each: LogLine) -> None:
        """Print a line of a log."""
        printing.line(f"{words.named(run)} | {level(each)}{each.text}")

    def state(self, sight: Sight) -> None:
        """Print where a run stands."""
        printing.line(summary_line(sight.run) if sight.run.state.final else standing(sight.run))


class JsonLines(Lines):
    """One JSON object a line: `{"event": "state", "run": …}` and `{"event": "log", "run": 812, "line": …}`."""

    def line(self, run: Run, each: LogLine) -> None:
        """Print a line of a log."""
        printing.json_line({"event": "log", "run": run.id, "line": records.log_line(each)})

    def state(self, sight: Sight) -> None:
        """Print where a run stands."""
        printing.json_line({"event": "state", "run": records.run(sight.run)})


class Drawn:
    """A table that is drawn anew while the runs go on; when they are over, the last of it stays on the terminal."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._newest: deque[Text] = deque(maxlen=NEWEST)
        self._live = Live(console=printing.console(), refresh_per_second=FRAMES_A_SECOND)

    def __enter__(self) -> Self:
        """Begin to draw."""
        self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Stop drawing; the cursor comes back."""
        self._live.stop()

    def show(self, sights: Sequence[Sight]) -> None:
        """Draw where the runs stand."""
        for sight in sights:
            for each in sight.lines[-NEWEST:]:
                text = Text(f"  {each.at.astimezone():%H:%M:%S} {words.named(sight.run)} ", style="dim", no_wrap=True)
                self._newest.append(text.append(printable(f"{level(each)}{each.text}"), style="default"))
        over = all(sight.run.state.final for sight in sights)
        self._live.update(drawn(sights, () if over else self._newest, utcnow()))


def drawn(sights: Sequence[Sight], newest: Sequence[Text], now: datetime) -> Group:
    """Return the table: a line for each run, below it its stages, at the end the newest lines of the logs."""
    table = Table.grid(padding=(0, 2))
    for _ in range(4):
        table.add_column(overflow="fold")
    for sight in sights:
        run = sight.run
        table.add_row(_mark(run), Text(words.named(run)), _how(sight, now), _far(sight))
        for stage in sight.progress.stages if sight.progress else ():
            table.add_row("", Text(f"  {stage.name}", style="dim"), Text(counts(stage), style="dim"), "")
    return Group(table, *newest)


def _mark(run: Run) -> Text | Spinner:
    if run.state is RunState.RUNNING:
        return Spinner("dots", style="cyan")
    marks = {RunState.SUCCEEDED: "✓", RunState.SKIPPED: "–"}
    return Text(marks.get(run.state, "✗" if run.state.final else "…"), style=words.state(run.state).style)


def _how(sight: Sight, now: datetime) -> Text:
    run = sight.run
    if run.state.final:
        took = f" in {words.lasting(run.duration)}" if run.duration else ""
        why = words.why(run)
        said = f"{took}, {run.items_in} in, {run.items_out} out" + (f": {printable(why)}" if why else "")
        return words.state(run.state).append(said, style="default")
    return Text(standing(run, named=False, now=now))


def _far(sight: Sight) -> ProgressBar | Text:
    """Return what a run says of how far it is."""
    if sight.progress is None:
        return Text("")
    note = printable(sight.progress.note)
    if sight.progress.done is None:
        return Text(note)
    return Text(f"{sight.progress.done:.0%} {note}".rstrip())


def standing(run: Run, *, named: bool = True, now: datetime | None = None) -> str:
    """Return where a run that is not over stands: `prices #812 is running, attempt 1/3`."""
    state = str(run.state).replace("_", " ")
    tries = f", attempt {run.attempt}/{run.max_attempts}" if run.attempt else ""
    since = f", {words.lasting(now - run.started_at)}" if now and run.started_at else ""
    again = f", again at {words.instant(run.not_before)}" if run.state is RunState.WAITING_RETRY else ""
    return (f"{words.named(run)} is " if named else "") + f"{state}{tries}{since}{again}"


def counts(stage: StageCount) -> str:
    """Return what a stage did so far."""
    return f"{stage.items_in} in, {stage.items_out} out"


def level(each: LogLine) -> str:
    """Return the level of a line where it is worth a word."""
    return f"{logging.getLevelName(each.level)}: " if each.level >= logging.WARNING else ""
