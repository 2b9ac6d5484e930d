"""`/pipelines`: all pipelines, each with its last runs, and a button that runs it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from markupsafe import Markup

from pipelines import Mark, PipelineView, RunState, Verb
from web import pictures, words
from web.access import Caller, caller
from web.pages.frame import engine_of, page, verbs_of

router = APIRouter()

ON_PAGE, STRIP = 50, 20
CHOICES: Mapping[str, str] = MappingProxyType(
    {"": "all", "failing": "that fail", "running": "that run", "unscheduled": "without schedule", "off": "switched off"}
)
_KINDS: Mapping[str, Callable[[PipelineView], bool]] = MappingProxyType(
    {
        "failing": lambda view: view.failing,
        "running": lambda view: bool(view.running or view.queued),
        "unscheduled": lambda view: not view.jobs,
        "off": lambda view: not view.definition.enabled,
    }
)


@dataclass(frozen=True, slots=True)
class Row:
    """A pipeline as it stands in the list; `rate` is of the runs in its strip."""

    view: PipelineView
    strip: Markup
    rate: str


@router.get("/pipelines")
async def pipelines(request: Request, who: Annotated[Caller, Depends(caller)], q: str = "", only: str = "") -> Response:
    """List them, a page at a time."""
    engine, verbs = engine_of(request), verbs_of(request)
    views = engine.overview.pipelines()
    names = verbs.within(who.actor, Verb.VIEW, (view.name for view in views))
    seen = [view for view in views if view.name in names]
    only = only if only in CHOICES else ""
    wanted = q[:200].casefold().split()
    found = [view for view in seen if fits(view, wanted, only)] if wanted or only else seen
    number, count = turned(request.query_params.get("page", ""), len(found))
    shown = found[(number - 1) * ON_PAGE : number * ON_PAGE]
    strips = await engine.reads.strips([view.name for view in shown], STRIP)
    return page(
        request,
        "pipelines.html",
        who,
        choices=CHOICES.items(),
        found=len(found),
        may_run=verbs.within(who.actor, Verb.RUN, {view.name for view in shown}),
        only=only,
        page=number,
        pages_count=count,
        q=q[:200],
        rows=[Row(view, pictures.strip(strips[view.name], STRIP), rate(strips[view.name])) for view in shown],
        running=RunState.RUNNING,
        total=len(seen),
    )


def fits(view: PipelineView, wanted: Sequence[str], only: str) -> bool:
    """Say whether a pipeline is one that was searched for; `wanted` are words in small letters."""
    if only and not _KINDS[only](view):
        return False
    text = f"{view.name} {view.definition.description}".casefold() if wanted else ""
    return all(each in text for each in wanted)


def turned(asked: str, count: int, size: int = ON_PAGE) -> tuple[int, int]:
    """Return the page that is shown, and how many there are; what was `asked` for may be any text."""
    pages = max(-(-count // size), 1)
    number = int(asked) if asked.isascii() and asked.isdigit() and len(asked) < 9 else 1
    return min(max(number, 1), pages), pages


def rate(marks: Sequence[Mark]) -> str:
    """Return the share of runs that succeeded, of those that were executed to an end."""
    good = sum(mark.state is RunState.SUCCEEDED for mark in marks)
    bad = sum(mark.state in pictures.BAD for mark in marks)
    return words.rate(good / (good + bad) if good + bad else None)
