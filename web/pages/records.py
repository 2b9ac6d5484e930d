"""`/missed` and `/audit`: what was due and did not run, and who asked for what."""

from __future__ import annotations

import json
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from pipelines import AuditEntry, Verb
from web import words
from web.access import Caller, caller
from web.asking import see_audit
from web.pages.frame import engine_of, page, verbs_of
from web.pages.questions import still_open

router = APIRouter()

FIRST, MOST = 50, 800


@router.get("/missed")
async def missed(request: Request, who: Annotated[Caller, Depends(caller)], limit: str = "") -> Response:
    """List the instants that did not become runs."""
    wanted = limited(limit)
    rows = await engine_of(request).reads.ledger(limit=wanted)
    names = verbs_of(request).within(who.actor, Verb.VIEW, {name for _, name in rows})
    shown = [(each, name) for each, name in rows if name in names]
    asked = await still_open(request, who)
    return page(request, "missed.html", who, rows=shown, more=_more(wanted, len(rows)), questions=asked)


@router.get("/audit")
async def audit(request: Request, who: Annotated[Caller, Depends(caller)], limit: str = "") -> Response:
    """List who asked for what; for admins, as it names people.

    Raises:
        Denied: they are none.
    """
    see_audit(request, who)
    wanted = limited(limit)
    rows = await engine_of(request).reads.audit(wanted)
    return page(request, "audit.html", who, rows=rows, more=_more(wanted, len(rows)), details=details)


def limited(asked: str) -> int:
    """Return how many rows are shown; what was `asked` for may be any text."""
    number = int(asked) if asked.isascii() and asked.isdigit() and len(asked) < 6 else FIRST
    return min(max(number, 1), MOST)


def details(entry: AuditEntry) -> str:
    """Return what an entry says besides, on one line."""
    kept = {key: value for key, value in entry.detail.items() if value not in (None, "", {}, [])}
    return words.cut(json.dumps(kept, ensure_ascii=False, default=str), 240) if kept else ""


def _more(wanted: int, found: int) -> int:
    return min(wanted * 4, MOST) if found >= wanted < MOST else 0
