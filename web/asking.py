"""What the routes have in common: who asks, through what, and that a request which comes twice takes effect once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, TypeVar

from fastapi import Depends, Header, Path, Query, Request, Response

from pipelines import AlreadyAsked, Asked, AuditEntry, Denied, Engine, Reads, Verb, Verbs
from web.access import Caller, caller

T = TypeVar("T")

REPLAYED = "Idempotency-Replayed"
"""The header of an answer to a request that took effect before."""

Who = Annotated[Caller, Depends(caller)]
Name = Annotated[str, Path(max_length=200, description="A name, as the file has it.", examples=["prices"])]
Number = Annotated[int, Path(ge=1, le=2**63 - 1, description="A number, such as that of a run.", examples=[42])]
Limit = Annotated[int, Query(ge=1, le=500, description="So many at most.")]
Before = Annotated[int | None, Query(ge=1, le=2**63 - 1, description="Older than the one of this number.")]
Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=200,
        description="Sent again by the same caller to the same path, the request takes effect once.",
    ),
]


def engine_of(request: Request) -> Engine:
    """Return the engine of the service that is asked."""
    engine: Engine = request.app.state.engine
    return engine


def verbs_of(request: Request) -> Verbs:
    """Return the verbs of the service that is asked."""
    verbs: Verbs = request.app.state.verbs
    return verbs


def see(request: Request, who: Caller, pipeline: str | None, verb: Verb = Verb.VIEW) -> None:
    """Let those pass who may look at a pipeline, or (None) at things in general.

    Raises:
        Denied: they may not.
    """
    decision = verbs_of(request).may(who.actor, verb, pipeline)
    if not decision.allowed:
        raise Denied(verb, pipeline, decision.missing)


def see_audit(request: Request, who: Caller) -> None:
    """Let admins pass, who may see what others asked for.

    Raises:
        Denied: they are none.
    """
    decision = verbs_of(request).may(who.actor, Verb.REDELIVER)
    if not decision.allowed:
        raise Denied(Verb.VIEW, "the audit", decision.missing)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A change that somebody asks for, and the answer that they will get."""

    engine: Engine
    verbs: Verbs
    asked: Asked
    response: Response

    @property
    def reads(self) -> Reads:
        """What is in the store."""
        return self.engine.reads

    async def once(self, deed: Callable[[], Awaitable[T]], again: Callable[[AuditEntry], Awaitable[T]]) -> T:
        """Return what `deed` does; where the same request did it before, what came of that, by what was noted of it.

        The latter is answered with 200, or 204 where there is nothing to say.
        """
        before = await self._before()
        if before is None:
            try:
                return await deed()
            except AlreadyAsked:  # both came at the same time
                before = await self._before()
                if before is None:
                    raise
        self.response.headers[REPLAYED] = "true"
        found = await again(before)
        if found is not None:
            self.response.status_code = 200
        return found

    async def _before(self) -> AuditEntry | None:
        request_id = self.asked.request_id
        return await self.reads.request(request_id) if request_id is not None else None


def wanted(request: Request, response: Response, who: Who, key: Key = None) -> Wanted:
    """Return the change that a request asks for; its key counts for its caller, method and path."""
    mine = f"{request.method} {request.url.path}:{key}" if key is not None else None
    return Wanted(engine_of(request), verbs_of(request), who.asked("api", key=mine), response)


Change = Annotated[Wanted, Depends(wanted)]
