"""Reading the pipelines file again, for admins: the button beside what is wrong with it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from pipelines import Asked, ConfigError, Verb
from web import words
from web.access import Caller, caller
from web.pages.deeds import done, submitted
from web.pages.frame import Said, check, verbs_of

router = APIRouter()


@router.post("/reload")
async def reload(request: Request, who: Annotated[Caller, Depends(caller)]) -> Response:
    """Read it, and put it in force unless it is wrong."""
    form, asked = await submitted(request, who)
    check(request, who, Verb.RELOAD, None)
    verbs = verbs_of(request)

    async def deed(asked: Asked) -> tuple[str, Said]:
        try:
            change = await verbs.reload(asked)
        except ConfigError as error:
            return "", Said(f"Refused again: {words.first_line(str(error))}", "bad")
        return "", Said(f"In force now: {change}." if change else "The files are in force; nothing has changed.")

    return await done(form, asked, deed)
