"""`/login` and `/logout`: a token for a session, and its end."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from web.access import Caller, access_of, caller, client_of
from web.forms import read_form
from web.hosts import is_loopback
from web.pages.frame import Said, own_path, page, to
from web.refusals import SignInNeeded, TooOften

router = APIRouter()


@router.get("/login")
async def login(request: Request) -> Response:
    """Ask for a token; who is let in already has nothing to tell."""
    if await access_of(request).holds(request):
        return to(own_path(request.query_params.get("next", "")))
    return _form(request, own_path(request.query_params.get("next", "")))


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
        return _form(request, path, status=status, problem=error.detail)
    return answer


@router.post("/logout")
async def sign_out(request: Request, _: Annotated[Caller, Depends(caller)]) -> Response:
    """End it."""
    form, access = await read_form(request), access_of(request)
    await access.check_form(request, form)
    answer = to("/login", Said("You are signed out."))
    access.sign_out(request, answer)
    return answer


def _form(request: Request, path: str, *, status: int = 200, problem: str = "") -> Response:
    """Return the page that asks for a token, and warns where the token could be read on its way."""
    readable = request.url.scheme == "http" and not is_loopback(client_of(request))
    return page(request, "login.html", None, status=status, next=path, problem=problem, readable=readable)
