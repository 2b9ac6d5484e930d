"""`pipecall audit`: what people asked for."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated

import typer

from pipelines.cli import frame, printing, records, words
from pipelines.model import AuditEntry

Limit = Annotated[int, typer.Option("--limit", "-n", min=1, max=10_000, help="At most so many.")]


def audit(limit: Limit = 20, as_json: frame.Json = False) -> None:
    """List what people asked for through any door, newest first, and whether they were allowed to."""
    entries = frame.run_async(_newest(limit))
    if as_json:
        printing.document([records.audit(entry) for entry in entries])
        return
    titles = ("when", "who", "door", "asked for", "of", "allowed", "detail")
    printing.table(titles, [_row(entry) for entry in entries], empty="nobody has asked for anything yet")


async def _newest(limit: int) -> Sequence[AuditEntry]:
    async with frame.reading() as reads:
        return await reads.audit(limit)


def _row(entry: AuditEntry) -> list[printing.Cell]:
    allowed = "yes" if entry.allowed else f"no: {entry.missing}"
    detail = {name: value for name, value in entry.detail.items() if value not in (None, "", {})}
    shown = json.dumps(detail, ensure_ascii=False) if detail else ""
    asked = entry.asked
    return [words.instant(entry.at), asked.actor.name, asked.door, str(entry.verb), entry.target, allowed, shown]
