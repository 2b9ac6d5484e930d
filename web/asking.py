"""What the routes have in common: who asks, through what, once or not, and which faults each tells of."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Depends, Header, Path, Request, Security
from fastapi.security import HTTPBearer

from pipelines import AlreadyAsked, Asked, Denied, Engine, Run, Verb, Verbs
from web.access import Caller, caller
from web.problems import MEDIA_TYPE
from web.values import Problem

NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
BEARER = HTTPBearer(auto_error=False, description="A token of 'pipecall token create'.")
FAULTS: dict[int | str, dict[str, Any]] = {
    status: {"model": Problem, "description": words, "content": {MEDIA_TYPE: {}}}
    for status, words in (
        (400, "The request cannot be read."),
        (401, "A token is needed."),
        (403, "Not allowed."),
        (404, "Not there."),
        (409, "Not as things stand."),
        (413, "Too big."),
        (421, "For another host."),
        (422, "Wrong input; every fault is told."),
        (429, "Too many wrong tokens."),
        (503, "The store or the service is out of reach."),
    )
}
Who = Annotated[Caller, Depends(caller)]
SECURITY = [Security(BEARER)]
Name = Annotated[str, Path(max_length=200, description="A name, as the file has it.")]
Number = Annotated[int, Path(ge=1, le=2**63 - 1)]
Key = Annotated[
    str | None,
    Header(alias="Idempotency-Key", min_length=1, max_length=200, description="Sent again, it takes effect once."),
]


def engine_of(request: Request) -> Engine:
    """Return the engine of the service that is asked."""
    engine: Engine = request.app.state.engine
    return engine


def verbs_of(request: Request) -> Verbs:
    """Return the verbs of the service that is asked."""
    verbs: Verbs = request.app.state.verbs
    return verbs


def asked(who: Caller, key: str | None = None) -> Asked:
    """Return a request through the REST interface."""
    return who.asked("api", key=key)


def see(request: Request, who: Caller, pipeline: str | None, verb: Verb = Verb.VIEW) -> None:
    """Let those pass who may look at a pipeline, or (None) at things in general.

    Raises:
        Denied: they may not.
    """
    decision = verbs_of(request).may(who.actor, verb, pipeline)
    if not decision.allowed:
        raise Denied(verb, pipeline, decision.missing)


async def before(request: Request, error: AlreadyAsked) -> Run:
    """Return the run that the same request made when it came first.

    Raises:
        AlreadyAsked: it made none.
    """
    if error.run_id is None:
        raise error
    return await engine_of(request).reads.run(error.run_id)
