"""`/runs/{id}`: one run with its attempts, stages and log; cancel it, or run it again."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from markupsafe import Markup
from starlette.responses import PlainTextResponse

from pipelines import Asked, Engine, Run, RunState, StageCount, UnknownName, Verb
from web import pictures, words
from web.access import Caller, caller
from web.pages.deeds import done, submitted
from web.pages.frame import Said, check, engine_of, may, page, verbs_of
from web.pages.pipeline import told

router = APIRouter()

LINES = 400
"""So many lines of the log stand on the page; the file has all."""
WAITING = frozenset({RunState.QUEUED, RunState.WAITING_RETRY})
LONGEST_ID = 18


async def found(request: Request, who: Caller, run_id: str, verb: Verb = Verb.VIEW) -> Run:
    """Return the run of an address.

    Raises:
        UnknownName: there is none.
        Denied: they may not see it.
    """
    if not (run_id.isascii() and run_id.isdigit() and len(run_id) <= LONGEST_ID):
        raise UnknownName("run", words.cut(run_id, 60), [])
    run = await engine_of(request).reads.run(int(run_id))
    check(request, who, verb, run.pipeline)
    return run


@router.get("/runs/{run_id}")
async def run(request: Request, run_id: str, who: Annotated[Caller, Depends(caller)]) -> Response:
    """Show one."""
    engine = engine_of(request)
    shown = await found(request, who, run_id)
    if shown.state in WAITING:
        await engine.reads.machines()  # so that what it waits for is what is the case now
    live = await engine.following.one(shown.id) if shown.state is RunState.RUNNING else None
    counts = live.stages if live is not None else await engine.reads.stages(shown.id)
    may_logs = may(request, who, Verb.LOGS, shown.pipeline)
    lines = await engine.reads.log(shown.id, LINES) if may_logs else []
    return page(
        request,
        "run.html",
        who,
        attempts=await engine.reads.attempts(shown.id),
        lines=lines,
        live={"done": _percent(live.done), "note": live.note} if live is not None else None,
        log_cut=len(lines) >= LINES,
        may_cancel=may(request, who, Verb.CANCEL, shown.pipeline),
        may_logs=may_logs,
        may_run=shown.pipeline in engine.catalog.pipelines and may(request, who, Verb.RUN, shown.pipeline),
        params=params(engine, shown),
        run=shown,
        stages=timeline(counts),
        waits=engine.overview.waiting_for(shown) if not shown.state.final else None,
    )


@router.get("/runs/{run_id}/log.txt")
async def log(request: Request, run_id: str, who: Annotated[Caller, Depends(caller)]) -> Response:
    """Give the whole log as a file of text."""
    shown = await found(request, who, run_id, Verb.LOGS)
    lines = await engine_of(request).reads.log(shown.id)
    text = "".join(f"{line.at.isoformat(timespec='milliseconds')} {line.source} {line.text}\n" for line in lines)
    name = f'attachment; filename="run-{shown.id}.txt"'
    return PlainTextResponse(text.encode("utf-8", "replace"), headers={"Content-Disposition": name})


@router.post("/runs/{run_id}/cancel")
async def cancel(request: Request, run_id: str, who: Annotated[Caller, Depends(caller)]) -> Response:
    """Cancel it."""
    form, asked = await submitted(request, who)
    shown = await found(request, who, run_id)

    async def deed(asked: Asked) -> tuple[str, Said]:
        await verbs_of(request).cancel(asked, shown.id)
        return "", Said(f"Run #{shown.id} of {shown.pipeline} is being cancelled.")

    return await done(form, asked, deed)


@router.post("/runs/{run_id}/again")
async def again(request: Request, run_id: str, who: Annotated[Caller, Depends(caller)]) -> Response:
    """Queue a run of the same pipeline with the same parameters."""
    form, asked = await submitted(request, who)
    shown = await found(request, who, run_id)

    async def deed(asked: Asked) -> tuple[str, Said]:
        made = await verbs_of(request).run(asked, shown.pipeline, shown.params)
        return f"/runs/{made.id}", Said(f"Run #{made.id} of {made.pipeline} is queued, as #{shown.id} was.")

    return await done(form, asked, deed)


def timeline(counts: Any) -> list[tuple[StageCount, Markup]]:
    """Return the stages, each with its bars, beside the busiest and the one with the most items."""
    busiest = max((each.busy_s for each in counts), default=0.0)
    most = max((max(each.items_in, each.items_out) for each in counts), default=0)
    return [(each, pictures.stage(each, busiest, most)) for each in counts]


def params(engine: Engine, run: Run) -> list[tuple[str, str]]:
    """Return a run's own parameters, secrets hidden."""
    return [(key, told(value)) for key, value in engine.redactor.values(run.params).items()]


def _percent(done: float | None) -> int | None:
    return min(max(round(done * 100), 0), 100) if done is not None else None
