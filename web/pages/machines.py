"""`/machines`: the schedulers and workers on the store, the queues, and who holds which run."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from pipelines import Machines, Process, ProcessState, Verb
from web import words
from web.access import Caller, caller
from web.asking import see
from web.pages.frame import engine_of, page, verbs_of

router = APIRouter()

MOST = 200
"""So many rows of each table are shown."""


@router.get("/machines")
async def machines(request: Request, who: Annotated[Caller, Depends(caller)]) -> Response:
    """Show who takes part, what waits, and who holds what."""
    see(request, who, None)
    found = await engine_of(request).reads.machines()
    names = verbs_of(request).within(who.actor, Verb.VIEW, {each.pipeline for each in found.leases})
    held = [each for each in found.leases if each.pipeline in names]
    return page(
        request,
        "machines.html",
        who,
        machines=found,
        processes=found.processes[:MOST],
        queues=found.queues[:MOST],
        leases=held[:MOST],
        more=max(len(held) - MOST, 0),
        standing=lambda process: standing(found, process),
        took=words.duration,
    )


def standing(found: Machines, process: Process) -> tuple[str, str]:
    """Return in a word how a process is, and the look of that word."""
    if process in found.silent:
        return "silent", "bad"
    if process.leads:
        return "leads", "ok"
    return process.state.value, "warn" if process.state is ProcessState.DRAINING else ""
