"""Schedules over REST: the jobs there are, new ones, pausing, removing, and what a time means before it is used."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from pipelines import BadSchedule, Engine, ScheduleRow, Verb, cautions, next_fires, understand
from web.asking import Key, Name, Who, asked, engine_of, see, verbs_of
from web.values import Preview, ScheduleValue

router = APIRouter(tags=["schedules"])


class Time(BaseModel):
    """A time: `when` in words or as a cron text; `timezone` wins over the scheduler's own."""

    model_config = ConfigDict(extra="forbid")
    when: str = Field(max_length=500, examples=["every weekday at 09:00"])
    timezone: str | None = Field(default=None, max_length=80, examples=["Europe/Stockholm"])


class Wish(Time):
    """A job that is wanted; `name` None: one is made."""

    pipeline: str = Field(max_length=200)
    name: str | None = Field(default=None, max_length=200)
    params: dict[str, Any] = Field(default_factory=dict)


class Look(Time):
    """A time to look at: `count` instants of it."""

    count: int = Field(default=5, ge=1, le=50)


class Pause(BaseModel):
    """Until when a job is paused (None: until somebody resumes it), and why."""

    model_config = ConfigDict(extra="forbid")
    until: AwareDatetime | None = None
    reason: str | None = Field(default=None, max_length=500)


@router.get("/schedules", summary="All jobs")
async def every(request: Request, who: Who) -> list[ScheduleValue]:
    """Jobs of pipelines that the caller may look at, by id."""
    jobs = engine_of(request).overview.jobs()
    seen = verbs_of(request).within(who.actor, Verb.VIEW, {job.row.pipeline for job in jobs})
    return [ScheduleValue.model_validate(job.row) for job in jobs if job.row.pipeline in seen]


@router.post("/schedules", status_code=201, summary="Make a job")
async def make(request: Request, response: Response, who: Who, wish: Wish, key: Key = None) -> ScheduleValue:
    """A job of a pipeline at the times that `when` says."""
    engine = engine_of(request)
    zone = wish.timezone or engine.catalog.options.timezone
    meant = understand(wish.when, zone=zone, now=engine.clock(), schedule_id=wish.name or wish.pipeline)
    row = await verbs_of(request).schedule(
        asked(who, key), wish.pipeline, meant.spec, timezone=zone, params=wish.params, name=wish.name
    )
    response.headers["Location"] = f"/api/schedules/{row.id}"
    return ScheduleValue.model_validate(row)


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
async def enable(request: Request, who: Who, name: Name, key: Key = None) -> ScheduleValue:
    """A paused job is due again, from now on."""
    return _value(engine_of(request), await verbs_of(request).resume(asked(who, key), name))


@router.post("/schedules/{name}/disable", summary="Pause a job")
async def disable(request: Request, who: Who, name: Name, pause: Pause | None = None, key: Key = None) -> ScheduleValue:
    """A job is due no more until it is resumed."""
    wish = pause or Pause()
    if wish.until is not None and wish.until <= engine_of(request).clock():
        raise BadSchedule(f"{wish.until.isoformat()} is in the past; expected an instant to come")
    row = await verbs_of(request).pause(asked(who, key), name, until=wish.until, reason=wish.reason)
    return _value(engine_of(request), row)


@router.delete("/schedules/{name}", summary="Remove a job")
async def remove(request: Request, who: Who, name: Name, key: Key = None) -> ScheduleValue:
    """Takes away a job that somebody made; for ten minutes it can be restored."""
    return ScheduleValue.model_validate(await verbs_of(request).remove(asked(who, key), name))


@router.post("/schedules/{name}/restore", summary="Bring a removed job back")
async def restore(request: Request, who: Who, name: Name, key: Key = None) -> ScheduleValue:
    """Brings back a job that was removed less than ten minutes ago."""
    return ScheduleValue.model_validate(await verbs_of(request).restore(asked(who, key), name))


def _value(engine: Engine, row: ScheduleRow) -> ScheduleValue:
    return ScheduleValue.model_validate(engine.jobs.with_next_due(row))
