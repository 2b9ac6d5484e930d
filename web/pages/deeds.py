"""Changes that a form asks for: the form is checked, the deed done once, and told of on the next page."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from starlette.requests import Request
from starlette.responses import Response

from pipelines import AlreadyAsked, Asked, InvalidTransition, UnknownName
from web.access import Caller, access_of
from web.forms import read_form
from web.pages.frame import Said, own_path, to

NONCE = 64
"""Characters of a form's number that are looked at."""

Deed = Callable[[Asked], Awaitable[tuple[str, Said]]]
"""Makes the change; returns where the browser goes then (empty: back) and what it is told."""


async def submitted(request: Request, who: Caller) -> tuple[Mapping[str, str], Asked]:
    """Return the fields of a form, and who asks for what it says.

    Raises:
        NotFromHere: it is not of our own pages.
    """
    form = await read_form(request)
    await access_of(request).check_form(request, form)
    nonce = form.get("nonce", "")[:NONCE]
    return form, who.asked("web", key=f"{request.url.path}:{nonce}" if nonce else None)


async def done(form: Mapping[str, str], asked: Asked, deed: Deed, *, tell: bool = True) -> Response:
    """Do it, and send the browser on; what cannot be done as things stand is told on the page that it came from.

    Raises:
        Denied: they may not.
        InvalidTransition, UnknownName: see above, where it is not to `tell` but to be told on the form itself.
    """
    back = own_path(form.get("back", ""))
    try:
        path, said = await deed(asked)
    except AlreadyAsked as error:
        return to(f"/runs/{error.run_id}" if error.run_id else back, Said("That was done already."))
    except (InvalidTransition, UnknownName) as error:
        if not tell:
            raise
        return to(back, Said(str(error), "bad"))
    return to(path or back, said)
