"""`pipecall pause`, `resume`, `remove-job` and `restore-job`: changes to a job that is there, or was just now."""

from __future__ import annotations

from typing import Annotated

import typer

from pipelines.cli import completing, frame, printing, words
from pipelines.cli.late import late
from pipelines.model import ScheduleRow

Job = Annotated[str, typer.Argument(metavar="JOB", help="The job.", autocompletion=completing.jobs)]
Until = Annotated[str | None, typer.Option("--until", help="When it resumes itself, such as 'tomorrow at 08:00'.")]
For = Annotated[str | None, typer.Option("--for", help="For how long, such as 2h or '1 day'.")]
Reason = Annotated[str | None, typer.Option("--reason", help="Why, for those who see it paused.")]


def pause(job: Job, until: Until = None, lasting: For = None, reason: Reason = None) -> None:
    """Pause a job until somebody resumes it, or until a moment. What is due meanwhile is not made up for."""
    if until is not None and lasting is not None:
        raise typer.BadParameter("give one of --until and --for", param_hint="--for")
    row = frame.run_async(_pause(job, until, lasting=lasting, reason=reason))
    until_when = f" until {words.instant(row.paused_until, row.timezone)}" if row.paused_until else ""
    printing.line(f"{row.id} is paused{until_when}; 'pipecall resume {row.id}' lets it go on")


async def _pause(job: str, until: str | None, *, lasting: str | None, reason: str | None) -> ScheduleRow:
    async with frame.attached(lenient=True) as desk:
        there = {"zone": desk.engine.jobs.get(job).timezone, "now": desk.engine.clock()}
        end = late("pipelines.cli.moments:moment")(until, **there) if until is not None else None
        end = late("pipelines.cli.moments:after")(lasting, **there) if lasting is not None else end
        return await desk.verbs.pause(desk.asked(), job, until=end, reason=reason)


def resume(job: Job) -> None:
    """Resume a paused job, from now on."""

    async def work() -> ScheduleRow:
        async with frame.attached(lenient=True) as desk:
            return desk.engine.jobs.with_next_due(await desk.verbs.resume(desk.asked(), job))

    row = frame.run_async(work())
    when = f"; it is due {words.day(row.next_due_at, row.timezone)}" if row.next_due_at else ""
    printing.line(f"{row.id} is active again{when}")


def remove_job(job: Job) -> None:
    """Take away a job that was added here, in chat or on the web; one of the pipelines file is paused instead."""

    async def work() -> ScheduleRow:
        async with frame.attached(lenient=True) as desk:
            return await desk.verbs.remove(desk.asked(), job)

    row = frame.run_async(work())
    printing.line(f"{row.id} ({row.pipeline}, {row.words}) is removed; 'pipecall restore-job {row.id}' brings it back")


def restore_job(job: Job) -> None:
    """Bring back a job that was removed in the last ten minutes."""

    async def work() -> ScheduleRow:
        async with frame.attached(lenient=True) as desk:
            return desk.engine.jobs.with_next_due(await desk.verbs.restore(desk.asked(), job))

    row = frame.run_async(work())
    when = f"; it is due {words.day(row.next_due_at, row.timezone)}" if row.next_due_at else ""
    printing.line(f"{row.id} ({row.pipeline}, {row.words}) is back{when}")
