"""What is wrong with a set-up before anything runs: the pipelines file, its plugins, and what the store holds of jobs.

The findings are values; `check` and `doctor` print them.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from heapq import nsmallest
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from pipelines.catalog import Catalog
from pipelines.errors import ConfigError, PipecallError, Problem, StoreError
from pipelines.loading import doubts, read_catalog
from pipelines.model import ScheduleState
from pipelines.registry import Registry
from pipelines.settings import Settings
from pipelines.store import schedules
from pipelines.store.peek import peek
from pipelines.tracebacks import users_line

ELSEWHERE = ("file", "python")
"""Where jobs come from whose pipelines are the business of the file, or of a program that names them itself."""
SOON = 5
"""So many of the next due instants are told."""


@dataclass(frozen=True, slots=True)
class Due:
    """When a schedule is due next, in UTC, and the zone it thinks in."""

    at: datetime
    schedule: str
    pipeline: str
    zone: str


@dataclass(frozen=True, slots=True)
class Findings:
    """What came of looking: the catalog is None where the file was refused."""

    catalog: Catalog | None
    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...]
    next: tuple[Due, ...] = ()


def look(settings: Settings, env: Mapping[str, str], now: datetime) -> Findings:
    """Load everything as the service would and return what there is to say; what plugins print is no answer."""
    with contextlib.redirect_stdout(sys.stderr):
        catalog, told = _loaded(settings, env)
        problems = [*told, *_plugins(settings)]
    if catalog is None:
        return Findings(None, tuple(problems), ())
    warnings = [*doubts(catalog, env), *_orphans(settings, catalog)]
    return Findings(catalog, tuple(problems), tuple(warnings), soonest(catalog, now))


def soonest(catalog: Catalog, now: datetime) -> tuple[Due, ...]:
    """Return the next instants at which schedules of the file are due, one for each schedule at most."""
    due = []
    for entry in catalog.schedules():
        at = entry.trigger.next_after(now - entry.offset)
        if at is not None:
            due.append(Due(at + entry.offset, entry.id, entry.pipeline, entry.zone))
    return tuple(nsmallest(SOON, due, key=lambda each: (each.at, each.schedule)))


def _loaded(settings: Settings, env: Mapping[str, str]) -> tuple[Catalog | None, Sequence[Problem]]:
    try:
        return read_catalog(settings, env), ()
    except ConfigError as error:
        return None, error.problems


def _plugins(settings: Settings) -> Iterator[Problem]:
    """Yield a problem, with the user's own file and line, for each plugin that cannot be imported, named or not."""
    folder = settings.plugins_folder
    registry = Registry(folder, settings.allowed_modules)
    for name in registry.modules():
        file = folder / f"{name}.py"
        if not file.is_file():
            file = folder / name / "__init__.py"
            if not file.is_file():
                continue
        try:
            registry.load(name)
        except PipecallError as error:
            place = users_line(error.__cause__) if error.__cause__ is not None else None
            shown, line = (_shown(place[0]), place[1]) if place else (str(file), 1)
            yield Problem(str(error), file=shown, line=line)


def _shown(filename: str) -> str:
    path = Path(filename)
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else filename


def _orphans(settings: Settings, catalog: Catalog) -> Iterator[Problem]:
    """Yield a warning for each job in the store whose pipeline is gone; a store that cannot be read is one as well."""
    try:
        with peek(settings.scheduler_db_url) as engine:
            if engine is None:
                return
            with engine.connect() as conn:
                rows = schedules.list_all(conn)
    except (StoreError, SQLAlchemyError) as error:
        yield Problem(str(error).splitlines()[0], file="store")
        return
    for row in rows:
        if (
            row.source not in ELSEWHERE
            and row.state is not ScheduleState.RETIRED
            and row.pipeline not in catalog.pipelines
        ):
            remedy = f"bring it back, or 'pipecall remove-job {row.id}'"
            yield Problem(
                f"runs pipeline '{row.pipeline}', which is not in the pipelines file; {remedy}",
                path=f"job {row.id}",
                file="store",
            )
