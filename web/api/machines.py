"""Who takes part in the store, over REST: schedulers and workers, queues, and who holds which run."""

from __future__ import annotations

from fastapi import APIRouter, Request

from pipelines import Verb
from web.asking import Who, engine_of, see, verbs_of
from web.machine_values import ProcessesValue, QueueValue

router = APIRouter(tags=["service"])


@router.get("/processes", summary="Schedulers and workers")
async def processes(request: Request, who: Who) -> ProcessesValue:
    """All that share the store, the leader first, and those that fell silent, for a day; and who holds which run."""
    see(request, who, None)
    found = await engine_of(request).reads.machines()
    names = {each.pipeline for each in found.leases}
    return ProcessesValue.of(found, set(verbs_of(request).within(who.actor, Verb.VIEW, names)))


@router.get("/queues", summary="Queues")
async def queues(request: Request, who: Who) -> list[QueueValue]:
    """All queues by name: what waits, for how long, what goes on, and who takes runs from it."""
    see(request, who, None)
    return [QueueValue.of(each) for each in await engine_of(request).reads.queues()]
