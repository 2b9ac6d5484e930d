"""Schedules over REST: the jobs there are, new ones, pausing, removing, and what a time means before it is used."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import APIRouter, Request, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from pipelines import AuditEntry, BadSchedule, Engine, ScheduleRow, Verb, cautions, next_fires, understand
from web.asking import Change, Name, Wanted, Who, engine_of, see, verbs_of
from web.listing import listing
from web.values import Preview, ScheduleValue

router = APIRouter(tags=["schedules"])


class Time(BaseModel):
    """A time: `when` in words or as a cron text; `timezone` wins over the scheduler's own."""

    model_config = ConfigDict(extra="forbid")
    when: str = Field(max_length=500, examples=["every weekday at 09:00"])
    timezone: str | None = Field(default=None, max_length=80, examples=["Europe/Stockholm"])


class Wish(Time):
    """A job that is wanted; `name` None: one is made."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"pipeline": "prices", "when": "every weekday at 09:00", "timezone": "Europe/Stockholm"}]
        }
    )
    pipeline: str = Field(max_length=200)
    name: str | None = Field(default=None, max_length=200)
    params: dict[str, Any] = Field(default_factory=dict)


class Look(Time):
    """A time to look at: `count` instants of it."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"when": "0 9 * * 1-5", "count": 3}]})
    count: int = Field(default=5, ge=1, le=50)


class Pause(BaseModel):
    """Until when a job is paused (None: until somebody resumes it), and why."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"until": "2030-01-01T12:00:00Z", "reason": "holidays"}, {}]}
    )
    until: AwareDatetime | None = None
    reason: str | None = Field(default=None, max_length=500)


@router.get("/schedules", summary="All jobs", response_model=list[ScheduleValue])
async def every(request: Request, who: Who) -> Response:
    """Jobs of pipelines that the caller may look at, by id."""
    engine = engine_of(request)
    jobs = engine.overview.jobs()
    seen = verbs_of(request).within(who.actor, Verb.VIEW, {job.row.pipeline for job in jobs})
    return await listing(ScheduleValue.of(job.row, engine.redactor) for job in jobs if job.row.pipeline in seen)


@router.post("/schedules", status_code=201, summary="Make a job", responses={404: {}})
async def make(change: Change, wish: Wish) -> ScheduleValue:
    """A job of a pipeline at the times that `when` says; `Location` is where it is found."""
    engine = change.engine
    zone = wish.timezone or engine.catalog.options.timezone
    meant = understand(wish.when, zone=zone, now=engine.clock(), schedule_id=wish.name or wish.pipeline)
    made = await _changed(
        change,
        wish.name or "",
        lambda: change.verbs.schedule(
            change.asked, wish.pipeline, meant.spec, timezone=zone, params=wish.params, name=wish.name
        ),
    )
    change.response.headers["Location"] = f"/api/schedules/{made.id}"
    return made


@router.post("/schedules/preview", summary="What a time means")
async def preview(request: Request, who: Who, look: Look) -> Preview:
    """The next instants of a time, and what to know before it is used; nothing is changed."""
    see(request, who, None)
    engine = engine_of(request)
    zone, now = look.timezone or engine.catalog.options.timezone, engine.clock()
    meant = understand(look.when, zone=zone, now=now)
    return Preview(
        words=meant.trigger.words,
        spec=meant.spec,
        next=next_fires(meant.trigger, now, look.count),
        cautions=list(cautions(meant.trigger, now, zone)),
    )


@router.get("/schedules/{name}", summary="One job")
async def one(request: Request, who: Who, name: Name) -> ScheduleValue:
    """A job with its next run."""
    engine = engine_of(request)
    see(request, who, engine.jobs.get(name).pipeline)
    return _value(engine, engine.jobs.get(name))


@router.post("/schedules/{name}/enable", summary="Resume a job")
async def enable(change: Change, name: Name) -> ScheduleValue:
    """A paused job is due again, from now on."""
    return await _changed(change, name, lambda: change.verbs.resume(change.asked, name))


@router.post("/schedules/{name}/disable", summary="Pause a job")
async def disable(change: Change, name: Name, pause: Pause | None = None) -> ScheduleValue:
    """A job is due no more until it is resumed, by somebody or at `until`."""
    wish = pause or Pause()
    if wish.until is not None and wish.until <= change.engine.clock():
        raise BadSchedule(f"{wish.until.isoformat()} is in the past; expected an instant to come")
    return await _changed(
        change, name, lambda: change.verbs.pause(change.asked, name, until=wish.until, reason=wish.reason)
    )


@router.delete("/schedules/{name}", summary="Remove a job")
async def remove(change: Change, name: Name) -> ScheduleValue:
    """Takes away a job that somebody made; for ten minutes it can be restored."""
    return await _changed(change, name, lambda: change.verbs.remove(change.asked, name))


@router.post("/schedules/{name}/restore", summary="Bring a removed job back")
async def restore(change: Change, name: Name) -> ScheduleValue:
    """Brings back a job that was removed less than ten minutes ago."""
    return await _changed(change, name, lambda: change.verbs.restore(change.asked, name))


async def _changed(change: Wanted, name: str, deed: Callable[[], Awaitable[ScheduleRow]]) -> ScheduleValue:
    """Do something to a job, once, and return it as it then stands."""

    async def again(entry: AuditEntry) -> ScheduleRow:
        there = change.engine.jobs.rows.get(entry.target or name)
        return there if there is not None else await change.engine.jobs.removed(entry.target or name)

    return _value(change.engine, await change.once(deed, again))


def _value(engine: Engine, row: ScheduleRow) -> ScheduleValue:
    return ScheduleValue.of(engine.jobs.with_next_due(row), engine.redactor)
