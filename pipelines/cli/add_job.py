"""`pipecall add-job`: a pipeline on a schedule of its own."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

import typer

from pipelines.cli import completing, frame, given, printing, records, words
from pipelines.cli.late import late
from pipelines.model import ScheduleRow

SHOWN = 5
"""So many of the next runs are shown once a job was made."""


class Kind(StrEnum):
    """The types of jobs."""

    CRON = "cron"
    INTERVAL = "interval"
    DATE = "date"


Pipeline = Annotated[str, typer.Argument(metavar="PIPELINE", help="What it runs.", autocompletion=completing.pipelines)]
Type = Annotated[Kind | None, typer.Option("--type", "-t", help="Need not be given where the time says it.")]
Cron = Annotated[str | None, typer.Option("--cron", help="cron: minute, hour, day, month, weekday: '0 9 * * *'.")]
Every = Annotated[str | None, typer.Option("--every", help="interval: such as 30m, 6h or '1 hour 30 minutes'.")]
At = Annotated[str | None, typer.Option("--at", help="date: once, such as 2027-06-20T15:30.")]
When = Annotated[str | None, typer.Option("--when", help="Any of them in words: 'every weekday at 09:00'.")]
Part = Annotated[int | None, typer.Option(min=0, help="interval: so many, summed up with the others.")]
Zone = Annotated[str | None, typer.Option("--timezone", help="Such as Europe/Stockholm; else the scheduler's.")]
Name = Annotated[str | None, typer.Option("--name", help="What the job is called; else after its pipeline.")]


def add_job(  # noqa: PLR0913 - one argument for each option
    pipeline: Pipeline,
    *,
    kind: Type = None,
    cron: Cron = None,
    every: Every = None,
    at: At = None,
    when: When = None,
    weeks: Part = None,
    days: Part = None,
    hours: Part = None,
    minutes: Part = None,
    seconds: Part = None,
    timezone: Zone = None,
    name: Name = None,
    param: given.Params = None,
    as_json: frame.Json = False,
) -> None:
    """Make a job: run a pipeline by cron, every so often, or once. The service takes it up at once."""
    parts = {"weeks": weeks, "days": days, "hours": hours, "minutes": minutes, "seconds": seconds}
    interval = {unit: count for unit, count in parts.items() if count is not None}
    said = {"--cron": cron, "--every": every, "--at": at, "--when": when, "--weeks … --seconds": interval or None}
    time = _one(kind, {option: value for option, value in said.items() if value is not None})
    row, fires, cautions = frame.run_async(
        _add(pipeline, time, timezone=timezone, name=name, params=given.params(param))
    )
    if as_json:
        printing.document({**records.schedule(row), "next_fires": fires, "cautions": cautions})
        return
    printing.line(f"{row.id} runs {row.pipeline} {row.words}, {row.timezone}; next:")
    for fire in fires:
        printing.line(f"  {words.day(fire, row.timezone)}")
    for caution in cautions:
        printing.note(f"note: {caution}")


KINDS = {"--cron": Kind.CRON, "--every": Kind.INTERVAL, "--weeks … --seconds": Kind.INTERVAL, "--at": Kind.DATE}


def _one(kind: Kind | None, said: Mapping[str, Any]) -> tuple[str, Any]:
    """Return the one time that was given, as option and value."""
    if len(said) != 1:
        found = " and ".join(said) or "none"
        raise typer.BadParameter(f"found {found}; give one of --cron, --every, --at, --when, or --hours and the like")
    option, value = next(iter(said.items()))
    if kind is not None and KINDS.get(option, kind) is not kind:
        fitting = " or ".join(each for each, its in KINDS.items() if its is kind)
        raise typer.BadParameter(f"{kind} takes {fitting}, found {option}", param_hint="--type")
    return option, value


async def _add(
    pipeline: str, time: tuple[str, Any], *, timezone: str | None, name: str | None, params: Mapping[str, str]
) -> tuple[ScheduleRow, list[datetime], tuple[str, ...]]:
    async with frame.attached() as desk:
        engine = desk.engine
        zone, now = timezone or engine.catalog.options.timezone, engine.clock()
        late("pipelines.triggers:check_zone")(zone)
        spec = late("pipelines.cli.job_time:spec")(*time, zone=zone, now=now)
        late("pipelines.cli.job_time:check_to_come")(spec, zone=zone, now=now)
        there = [each.trigger for each in engine.jobs.entries.values() if each.pipeline == pipeline]
        row = await desk.verbs.schedule(desk.asked(), pipeline, spec, timezone=zone, params=params, name=name)
        trigger = engine.jobs.entries[row.id].trigger
        fires = late("pipelines.phrases:next_fires")(trigger, now, SHOWN)
        return row, fires, late("pipelines.phrases:cautions")(trigger, now, zone, there)
