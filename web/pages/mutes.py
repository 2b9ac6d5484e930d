"""Alerts of a pipeline: whether they are held back, holding them back, and letting them through again."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from pipelines import Asked, BadSchedule, Engine, Mute
from web import words
from web.access import Caller, caller
from web.pages.deeds import done, submitted
from web.pages.frame import Said, engine_of, verbs_of, zone_of
from web.pages.schedules import moment

router = APIRouter()


async def mute_of(engine: Engine, name: str) -> Mute | None:
    """Return how a pipeline's alerts are held back; None where they are not."""
    now = engine.clock()
    found = await engine.reads.mutes()
    return next((each for each in found if each.pipeline == name and not each.over(now)), None)


@router.post("/pipelines/{name}/mute")
async def mute(request: Request, name: str, who: Annotated[Caller, Depends(caller)]) -> Response:
    """Hold them back, until an instant or the next success."""
    form, asked = await submitted(request, who)
    engine, typed = engine_of(request), form.get("until", "").strip()[:100]

    async def deed(asked: Asked) -> tuple[str, Said]:
        engine.catalog.get(name)
        try:
            until = moment(engine, typed) if typed else None
        except BadSchedule as error:
            return "", Said(str(error), "bad")
        await verbs_of(request).mute(asked, name, until)
        end = words.clock(until, zone_of(engine), engine.clock()) if until else "its next success"
        return "", Said(f"Alerts of {name} are held back until {end}.")

    return await done(form, asked, deed)


@router.post("/pipelines/{name}/unmute")
async def unmute(request: Request, name: str, who: Annotated[Caller, Depends(caller)]) -> Response:
    """Let them through again."""
    form, asked = await submitted(request, who)

    async def deed(asked: Asked) -> tuple[str, Said]:
        await verbs_of(request).unmute(asked, name)
        return "", Said(f"Alerts of {name} come again.")

    return await done(form, asked, deed)
