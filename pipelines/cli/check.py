"""`pipecall check`: all that is wrong with the pipelines file and its plugins, with lines that editors follow."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipelines.cli import codes, frame, printing
from pipelines.cli.late import late
from pipelines.errors import Problem
from pipelines.model import utcnow
from pipelines.settings import read_settings

if TYPE_CHECKING:
    from pipelines.cli.problems import Findings

File = Annotated[Path | None, typer.Argument(metavar="FILE", help="Another pipelines file than the settings name.")]


def check(file: File = None, as_json: frame.Json = False) -> int:
    """Check the pipelines file, all plugins, and the jobs in the store; nothing is run and nothing is changed.

    Each problem is one line, `file:line: where: what is wrong`. Exit code 2 says that the service would refuse it.
    """
    settings = frame.settings() if file is None else read_settings(pipelines_config=file)
    findings: Findings = late("pipelines.cli.problems:look")(settings, os.environ, utcnow())
    if as_json:
        printing.document(_document(findings))
    else:
        for line in _lines(findings):
            printing.line(line)
    return codes.WRONG_INPUT if findings.problems else codes.OK


def _lines(findings: Findings) -> Iterator[str]:
    yield from map(str, findings.problems)
    yield from (f"warning: {problem}" for problem in findings.warnings)
    if findings.problems or findings.catalog is None:
        yield f"✗ {_count(len(findings.problems), 'problem')}"
        return
    catalog, now, when = findings.catalog, utcnow(), late("pipelines.terminal:when")
    well = f"all well, {_count(len(findings.warnings), 'warning')}" if findings.warnings else "all well"
    pipelines = _count(len(catalog.pipelines), "pipeline")
    yield f"✓ {pipelines}, {_count(len(catalog.schedules()), 'schedule')}, {well}"
    for due in findings.next:
        yield f"  {due.schedule}: {when(due.at, due.zone, now)}"
    once = [definition.name for definition in catalog.unscheduled()]
    if once:
        yield f"  once at start: {', '.join(once)}"


def _document(findings: Findings) -> dict[str, Any]:
    catalog = findings.catalog
    return {
        "ok": not findings.problems,
        "pipelines": len(catalog.pipelines) if catalog else None,
        "schedules": len(catalog.schedules()) if catalog else None,
        "problems": [_problem(each) for each in findings.problems],
        "warnings": [_problem(each) for each in findings.warnings],
        "next": [
            {"at": due.at, "schedule": due.schedule, "pipeline": due.pipeline, "timezone": due.zone}
            for due in findings.next
        ],
    }


def _problem(problem: Problem) -> dict[str, Any]:
    return {"file": problem.file, "line": problem.line, "where": problem.path, "message": problem.message}


def _count(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
