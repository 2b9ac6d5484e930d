"""`/pipelines/{name}`: one pipeline with its runs, schedules and stages, and the form that runs it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from types import MappingProxyType
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from markupsafe import Markup

from pipelines import (
    Asked,
    BadParameter,
    Engine,
    Mark,
    Parameter,
    PipelineDefinition,
    PipelineView,
    Redactor,
    UnknownName,
    Verb,
)
from web import pictures, words
from web.access import Caller, caller
from web.pages.deeds import done, submitted
from web.pages.frame import Said, check, engine_of, may, page, verbs_of, zone_of
from web.pages.mutes import mute_of

router = APIRouter()

STRIP, HEAT, TREND, RUNS = 60, 2_000, 60, 15
LONGEST_VALUE, LONG_TEXT = 400, 200
_TYPES: Mapping[type, str] = MappingProxyType({bool: "flag", int: "int", float: "number", str: "text"})
KEPT = "set in the file, and hidden; left empty, it stays so"
FIELD = "p."
"""What the names of fields that hold parameters begin with."""


@dataclass(frozen=True, slots=True)
class Field:
    """A parameter in the form."""

    id: str
    name: str
    value: str
    hint: str
    choices: tuple[str, ...]
    required: bool
    number: bool
    long: bool


@router.get("/pipelines/{name}")
async def pipeline(request: Request, name: str, who: Annotated[Caller, Depends(caller)]) -> Response:
    """Show one."""
    return await shown(request, who, name)


@router.post("/pipelines/{name}/run")
async def run(request: Request, name: str, who: Annotated[Caller, Depends(caller)]) -> Response:
    """Queue a run; a form that is wrong comes back with what is wrong."""
    form, asked = await submitted(request, who)
    definition = engine_of(request).catalog.get(name)
    typed = {key[len(FIELD) :]: text.strip() for key, text in form.items() if key.startswith(FIELD)}
    usual = {each.name: words.typed(each.default) for each in parameters(definition)}
    given = {key: text for key, text in typed.items() if text and text != usual.get(key)}

    async def deed(asked: Asked) -> tuple[str, Said]:
        made = await verbs_of(request).run(asked, name, given)
        return f"/runs/{made.id}", Said(f"Run #{made.id} of {name} is queued.")

    try:
        return await done(form, asked, deed)
    except BadParameter as error:
        return await shown(request, who, name, typed=typed, problem=str(error), status=422)


async def shown(
    request: Request,
    who: Caller,
    name: str,
    *,
    typed: Mapping[str, str] | None = None,
    problem: str = "",
    status: int = 200,
) -> Response:
    """Return the page of a pipeline; of one that is gone from the file, as long as there are runs of it."""
    engine, verbs = engine_of(request), verbs_of(request)
    check(request, who, Verb.VIEW, name)
    view = engine.overview.pipeline(name)
    marks = (await engine.reads.strips([name], HEAT))[name]
    if view is None and not marks:
        raise UnknownName("pipeline", name, verbs.within(who.actor, Verb.VIEW, engine.catalog.pipelines))
    stats = next(iter(await engine.reads.stats(name)), None)
    return page(
        request,
        "pipeline.html",
        who,
        status=status,
        fields=fields(view.definition, typed or {}, engine.redactor) if view is not None else [],
        heat=heat(marks, zone_of(engine)),
        heat_count=len(marks),
        jobs=view.jobs if view is not None else (),
        marks_count=min(len(marks), STRIP),
        may_change=verbs.within(who.actor, Verb.PAUSE, [name]),
        may_mute=view is not None and may(request, who, Verb.MUTE, name),
        may_remove=verbs.within(who.actor, Verb.REMOVE, [name]),
        may_run=view is not None and may(request, who, Verb.RUN, name),
        may_schedule=view is not None and may(request, who, Verb.SCHEDULE, name),
        mute=await mute_of(engine, name),
        name=name,
        problem=problem,
        rate=words.rate(stats.success_rate) if stats is not None else "–",
        runs=await engine.reads.runs(pipeline=name, limit=RUNS),
        stages=stages(engine, view),
        stats=stats,
        strip=pictures.strip(marks, STRIP, links=True),
        trend=pictures.trend((await engine.reads.durations(name, TREND))[::-1]),
        view=view,
    )


def stages(engine: Engine, view: PipelineView | None) -> list[dict[str, Any]]:
    """Return the chain as it stands in the file, secrets hidden."""
    if view is None:
        return []
    return [
        {
            "path": each.path,
            "kwargs": [(key, told(value)) for key, value in engine.redactor.values(each.kwargs).items()],
        }
        for each in view.definition.chain
    ]


def told(value: Any) -> str:
    """Return a value of a pipelines file or a run, as JSON where it is no text."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return words.cut(text, LONGEST_VALUE)


def heat(marks: Sequence[Mark], zone: tzinfo) -> Markup:
    """Return when the runs were, by weekday and hour in `zone`."""
    at = [(mark.at.astimezone(zone), mark.state) for mark in marks]
    counts = Counter((each.weekday(), each.hour) for each, _ in at)
    bad = Counter((each.weekday(), each.hour) for each, state in at if state in pictures.BAD)
    return pictures.heat(counts, bad)


def parameters(definition: PipelineDefinition) -> list[Parameter]:
    """Return what can be asked for: declared parameters, required ones first, then plain ones of a simple type."""
    declared = definition.parameters
    plain = [
        Parameter(name, _TYPES[type(value)], default=value)
        for name, value in definition.params.items()
        if name not in declared and type(value) in _TYPES
    ]
    return [*sorted(declared.values(), key=lambda each: not each.required), *plain]


def fields(definition: PipelineDefinition, typed: Mapping[str, str], redactor: Redactor) -> list[Field]:
    """Return the fields of a pipeline's form, with what was typed before, or else the defaults, save what is secret."""
    asked = parameters(definition)
    usual = {each.name: words.typed(each.default) for each in asked}
    hidden = {name for name, text in redactor.values(usual).items() if text != usual[name]}
    return [
        Field(
            id=f"parameter-{place}",
            name=each.name,
            value=typed.get(each.name, "" if each.name in hidden else usual[each.name]),
            hint=" · ".join(part for part in (each.description, each.expected, KEPT * (each.name in hidden)) if part),
            choices=tuple(map(words.typed, each.choices)) or (("yes", "no") if each.type == "flag" else ()),
            required=each.required,
            number=each.type == "int",
            long=each.type == "text" and len(words.typed(each.default)) > LONG_TEXT,
        )
        for place, each in enumerate(asked)
    ]
