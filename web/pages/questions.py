"""Questions about missed runs: what is still open, as pages show it, and the answer to one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from pipelines import Asked, InvalidTransition, MakeUp, Question, Run, UnknownName, Verb
from web import words
from web.access import Caller, caller
from web.pages.deeds import done, submitted
from web.pages.frame import Said, engine_of, verbs_of

router = APIRouter()

MOST = 20
"""So many are shown; once they are answered, the next ones are."""
LONGEST_ID = 18
CHOICES: Mapping[MakeUp, str] = MappingProxyType(
    {MakeUp.LATEST: "Run latest", MakeUp.ALL: "Run all", MakeUp.SKIP: "Skip"}
)
"""What can be chosen, with the words on its button."""


@dataclass(frozen=True, slots=True)
class Open:
    """A question as it is shown; `choices` is empty for those who may not answer."""

    question: Question
    choices: Sequence[tuple[str, str]]


async def still_open(request: Request, who: Caller) -> list[Open]:
    """Return the questions that nobody has answered, about pipelines that `who` may look at."""
    verbs = verbs_of(request)
    found = await engine_of(request).reads.open_questions(MOST)
    names = {each.pipeline for each in found}
    seen, may = (verbs.within(who.actor, verb, names) for verb in (Verb.VIEW, Verb.RUN))
    return [Open(each, choices(each) if each.pipeline in may else ()) for each in found if each.pipeline in seen]


def choices(question: Question) -> list[tuple[str, str]]:
    """Return what can be chosen, with the words for it: of one missed run there is no latest."""
    if len(question.instants) == 1:
        return [(MakeUp.LATEST.value, "Run it"), (MakeUp.SKIP.value, CHOICES[MakeUp.SKIP])]
    return [(choice.value, said) for choice, said in CHOICES.items()]


@router.post("/questions/{number}/answer")
async def answer(request: Request, number: str, who: Annotated[Caller, Depends(caller)]) -> Response:
    """Decide about missed runs; whoever is first decides."""
    form, asked = await submitted(request, who)
    chosen = next((each for each in CHOICES if each.value == form.get("choice")), None)

    async def deed(asked: Asked) -> tuple[str, Said]:
        if not (number.isascii() and number.isdigit() and len(number) <= LONGEST_ID):
            raise UnknownName("question", words.cut(number, 60), [])
        if chosen is None:
            raise InvalidTransition(f"choose one of {', '.join(CHOICES.values())}")
        decided = await verbs_of(request).make_up(asked, int(number), chosen)
        return "", Said(_said(decided.question.schedule_id, decided.runs))

    return await done(form, asked, deed)


def _said(job: str, runs: Sequence[Run]) -> str:
    if not runs:
        return f"The missed runs of {job} are skipped."
    if len(runs) == 1:
        return f"Run #{runs[0].id} of {job} is queued."
    return f"{words.several(len(runs), 'run')} of {job} are queued, #{runs[0].id} to #{runs[-1].id}."
