"""`/schedules`: all jobs; add one in words, after a look at its next runs; pause, resume, remove, bring back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Depends, Request, Response

from pipelines import (
    Asked,
    BadSchedule,
    Denied,
    Engine,
    InvalidTransition,
    JobView,
    PipecallError,
    Understood,
    Verb,
    cautions,
    check_for,
    check_zone,
    examples,
    next_fires,
    parse_text,
    understand,
    zone_names,
)
from web import words
from web.access import Caller, caller
from web.pages.deeds import done, submitted
from web.pages.frame import Said, check, engine_of, page, verbs_of, zone_of
from web.pages.pipelines import ON_PAGE, turned

router = APIRouter()

FIRES = 5
KEYS = ("pipeline", "when", "zone", "params", "name")
LONGEST = 1_000
SUGGESTED = 500


@dataclass(frozen=True, slots=True)
class Preview:
    """A job as it would be."""

    words: str
    zone: str
    fires: tuple[datetime, ...]
    cautions: tuple[str, ...]


@router.get("/schedules")
async def schedules(request: Request, who: Annotated[Caller, Depends(caller)]) -> Response:
    """List them; with `when`, also show what a job would be that is asked for."""
    draft = drafted(request.query_params)
    if not draft["when"]:
        return await shown(request, who, draft)
    try:
        preview = previewed(request, who, draft)
    except PipecallError as error:
        return await shown(request, who, draft, problem=str(error), status=422)
    return await shown(request, who, draft, preview=preview)


@router.post("/schedules")
async def add(request: Request, who: Annotated[Caller, Depends(caller)]) -> Response:
    """Make a job."""
    form, asked = await submitted(request, who)
    draft = drafted(form)
    check(request, who, Verb.VIEW, draft["pipeline"])

    async def deed(asked: Asked) -> tuple[str, Said]:
        meant = understood(engine_of(request), draft)
        row = await verbs_of(request).schedule(
            asked,
            draft["pipeline"],
            meant.spec,
            timezone=meant.zone,
            params=parse_text(draft["params"]),
            name=draft["name"] or None,
        )
        return "/schedules", Said(f"The schedule {row.id} is made: {row.words}.")

    try:
        return await done(form, asked, deed, tell=False)
    except Denied:
        raise
    except PipecallError as error:
        return await shown(request, who, draft, problem=str(error), status=422)


@router.post("/schedules/{job_id}/pause")
async def pause(request: Request, job_id: str, who: Annotated[Caller, Depends(caller)]) -> Response:
    """Pause a job, perhaps until an instant."""
    form, asked = await submitted(request, who)

    async def deed(asked: Asked) -> tuple[str, Said]:
        typed, reason = form.get("until", "").strip()[:100], form.get("reason", "").strip()[:200]
        until = moment(engine_of(request), typed) if typed else None
        row = await verbs_of(request).pause(asked, job_id, until=until, reason=reason or None)
        at = f" until {words.clock(until, zone_of(engine_of(request)), engine_of(request).clock())}" if until else ""
        return "", Said(f"The schedule {row.id} is paused{at}.")

    return await _told(form, asked, deed)


@router.post("/schedules/{job_id}/{deed_name}")
async def change(request: Request, job_id: str, deed_name: str, who: Annotated[Caller, Depends(caller)]) -> Response:
    """Resume a job, remove it, or bring it back."""
    form, asked = await submitted(request, who)
    verbs = verbs_of(request)
    known = {
        "resume": (verbs.resume, "is active again"),
        "remove": (verbs.remove, "is removed"),
        "restore": (verbs.restore, "is back"),
    }
    if deed_name not in known:
        raise InvalidTransition(f"a schedule cannot be asked to {deed_name!r}")
    verb, became = known[deed_name]

    async def deed(asked: Asked) -> tuple[str, Said]:
        row = await verb(asked, job_id)
        return "", Said(
            f"The schedule {row.id} {became}.", undo=_path(row.id, "restore") if verb == verbs.remove else ""
        )

    return await _told(form, asked, deed)


async def _told(form: Mapping[str, str], asked: Asked, deed: Any) -> Response:
    """Do it; a moment that is not understood is told where the form was."""

    async def understood_deed(asked: Asked) -> tuple[str, Said]:
        try:
            result: tuple[str, Said] = await deed(asked)
        except BadSchedule as error:
            return "", Said(str(error), "bad")
        return result

    return await done(form, asked, understood_deed)


async def shown(
    request: Request,
    who: Caller,
    draft: Mapping[str, str],
    *,
    preview: Preview | None = None,
    problem: str = "",
    status: int = 200,
) -> Response:
    """Return the page."""
    engine, verbs = engine_of(request), verbs_of(request)
    q = request.query_params.get("q", "")[:200]
    wanted = q.casefold().split()
    every = engine.overview.jobs()
    names = verbs.within(who.actor, Verb.VIEW, {job.row.pipeline for job in every})
    found = [job for job in every if job.row.pipeline in names and (not wanted or fits(job, wanted))]
    number, count = turned(request.query_params.get("page", ""), len(found))
    on_page = found[(number - 1) * ON_PAGE : number * ON_PAGE]
    pipelines = {job.row.pipeline for job in on_page}
    known = verbs.within(who.actor, Verb.SCHEDULE, engine.catalog.pipelines)
    return page(
        request,
        "schedules.html",
        who,
        status=status,
        draft=draft,
        examples=examples(),
        found=len(found),
        jobs=on_page,
        known=sorted(known)[:SUGGESTED],
        may_change=verbs.within(who.actor, Verb.PAUSE, pipelines),
        may_remove=verbs.within(who.actor, Verb.REMOVE, pipelines),
        may_schedule=bool(known),
        page=number,
        pages_count=count,
        preview=preview,
        problem=problem,
        q=q,
        zones=sorted(zone_names()) if draft["zone"] else (),
    )


def drafted(given: Mapping[str, str]) -> dict[str, str]:
    """Return what was typed for a new job."""
    return {key: given.get(key, "").strip()[:LONGEST] for key in KEYS}


def fits(job: JobView, wanted: Sequence[str]) -> bool:
    """Say whether a job is one that was searched for; `wanted` are words in small letters."""
    text = f"{job.row.id} {job.row.pipeline} {job.row.words}".casefold()
    return all(each in text for each in wanted)


def understood(engine: Engine, draft: Mapping[str, str]) -> Understood:
    """Return what the words for a time mean.

    Raises:
        BadSchedule: they are not understood, or there is no such zone.
    """
    zone = check_zone(draft["zone"] or engine.catalog.options.timezone).key
    name = draft["name"] or engine.jobs.free_id(draft["pipeline"])
    return understand(draft["when"], zone=zone, now=engine.clock(), schedule_id=name)


def previewed(request: Request, who: Caller, draft: Mapping[str, str]) -> Preview:
    """Return a job as it would be; nothing changes.

    Raises:
        PipecallError: it cannot be made, in the words that say why.
    """
    engine = engine_of(request)
    definition = engine.catalog.get(draft["pipeline"])
    check(request, who, Verb.SCHEDULE, definition.name)
    meant = understood(engine, draft)
    check_for(definition, parse_text(draft["params"]))
    if draft["name"]:
        engine.jobs.check_free(draft["name"])
    view, entries = engine.overview.pipeline(definition.name), engine.jobs.entries
    others = [entries[job.row.id].trigger for job in view.jobs if job.row.id in entries] if view is not None else []
    return Preview(
        words=meant.trigger.words,
        zone=meant.zone,
        fires=tuple(next_fires(meant.trigger, engine.clock(), FIRES)),
        cautions=cautions(meant.trigger, engine.clock(), meant.zone, others),
    )


def moment(engine: Engine, typed: str) -> datetime:
    """Return the one instant that a text means, UTC.

    Raises:
        BadSchedule: it is not understood, is past, or comes again and again.
    """
    meant = understand(typed, zone=engine.catalog.options.timezone, now=engine.clock())
    instant = meant.trigger.next_after(engine.clock()) if meant.definition.at is not None else None
    if instant is None:
        raise BadSchedule(f"“until” needs one moment, and {meant.trigger.words} comes again and again")
    return instant


def _path(job_id: str, deed: str) -> str:
    return f"/schedules/{quote(job_id, safe='')}/{deed}"
