"""`/login` and `/logout`: a token for a session, and its end."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from web.access import Caller, access_of, caller
from web.forms import read_form
from web.pages.frame import Said, own_path, page, to
from web.refusals import SignInNeeded, TooOften

router = APIRouter()


@router.get("/login")
async def login(request: Request) -> Response:
    """Ask for a token; where none is needed, there is nothing to ask for."""
    if not await access_of(request).guarded():
        return to("/")
    return page(request, "login.html", None, next=own_path(request.query_params.get("next", "")))


@router.post("/login")
async def sign_in(request: Request) -> Response:
    """Begin a session."""
    form, access = await read_form(request), access_of(request)
    await access.check_form(request, form)
    path = own_path(form.get("next", ""))
    answer = to(path)
    try:
        await access.sign_in(request, answer, form.get("token", "")[:500])
    except (SignInNeeded, TooOften) as error:
        status = 429 if isinstance(error, TooOften) else 401
        return page(request, "login.html", None, status=status, next=path, problem=error.detail)
    return answer


@router.post("/logout")
async def sign_out(request: Request, _: Annotated[Caller, Depends(caller)]) -> Response:
    """End it."""
    form, access = await read_form(request), access_of(request)
    await access.check_form(request, form)
    answer = to("/login", Said("You are signed out."))
    access.sign_out(request, answer)
    return answer
