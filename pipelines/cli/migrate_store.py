"""`pipecall migrate-store`: the store moves to another database, from an SQLite file to a server or back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from pipelines.cli import frame, printing
from pipelines.cli.late import late

if TYPE_CHECKING:
    from pipelines.store.moving import Moved, Step

_BIG_ROWS = 100_000
"""A table with more rows is told of while it moves as well, each time so many are done, where no bar is drawn."""

Source = Annotated[
    str | None, typer.Option("--from", metavar="URL", help="The store to move; without it that of SCHEDULER_DB_URL.")
]
Target = Annotated[str, typer.Option("--to", metavar="URL", help="An empty database: sqlite:///… or postgresql://…")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be moved, and whether it could be.")]


def migrate_store(target: Target, source: Source = None, dry_run: DryRun = False, as_json: frame.Json = False) -> None:
    """Move the store with all its history to another database, which is empty; stop the service first.

    All of it arrives, or nothing; the old store is left as it is.
    """
    frame.quiet()
    names = late("pipelines.store.url_names:Names")("--from" if source else "SCHEDULER_DB_URL")
    source = source or frame.settings().scheduler_db_url
    with _telling(as_json=as_json) as tell:
        moved = late("pipelines.store.moving:move")(source, target, tell, dry_run=dry_run, names=names)
    if as_json:
        printing.json_line(_record(moved))
        return
    _say(moved)


def _say(moved: Moved) -> None:
    if moved.dry_run:
        shares = [share for share in moved.shares if share.rows or share.orphans]
        rows = [(share.table, f"{share.rows:,}", _orphans(share.orphans)) for share in shares]
        printing.table(("table", "rows", "left out"), rows, empty="the store is empty")
        printing.line(f"{moved.rows:,} rows would be moved from {moved.source} to {moved.target}; nothing was changed")
        return
    for share in moved.shares:
        if share.orphans:
            printing.line(f"{share.table}: left out: {_orphans(share.orphans)}")
    printing.line(
        f"moved {moved.rows:,} rows from {moved.source} to {moved.target} in {moved.seconds:,.1f} s; all were read "
        "again there and are the same"
    )
    printing.line(f"now set SCHEDULER_DB_URL={moved.target} in .env, with its password if it has one, and start the")
    printing.line(f"service; {moved.source} is as it was, remove it once all is well")


def _orphans(number: int) -> str:
    return f"{number:,} of runs that are not there" if number else ""


def _record(moved: Moved) -> dict[str, Any]:
    shares = [{"table": each.table, "rows": each.rows, "orphans": each.orphans} for each in moved.shares]
    return {
        "from": moved.source,
        "to": moved.target,
        "dry_run": moved.dry_run,
        "rows": moved.rows,
        "elapsed_s": round(moved.seconds, 3),
        "tables": shares,
    }


@contextmanager
def _telling(*, as_json: bool) -> Iterator[Callable[[Step], None]]:
    """Return who is told of each step: a drawn bar on a terminal, else a line at a table's end and within big ones."""
    if as_json:
        yield _json_step
    elif not printing.on_terminal():
        yield _line
    else:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
        )
        with Progress(*columns, TimeRemainingColumn(), console=printing.console()) as progress:
            yield _Bars(progress)


def _worth_telling(step: Step) -> bool:
    return bool(step.rows) and (step.done >= step.rows or step.done % _BIG_ROWS == 0)


def _line(step: Step) -> None:
    if step.checked or not _worth_telling(step):
        return
    printing.line(f"{step.table}: {step.done:,} of {step.rows:,} rows, {_rate(step)}")


def _json_step(step: Step) -> None:
    if _worth_telling(step):
        state = {"table": step.table, "done": step.done, "rows": step.rows, "checked": step.checked}
        printing.json_line(state if step.checked else state | {"elapsed_s": round(step.seconds, 3)})


def _rate(step: Step) -> str:
    return f"{step.done / max(step.seconds, 0.001):,.0f} rows/s"


class _Bars:
    """A bar for each table that holds something."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._bars: dict[str, Any] = {}

    def __call__(self, step: Step) -> None:
        if not step.rows:
            return
        if step.table not in self._bars:
            self._bars[step.table] = self._progress.add_task(step.table, total=step.rows, rate="")
        rate = "checked" if step.checked else _rate(step)
        self._progress.update(self._bars[step.table], completed=step.done, rate=rate)
