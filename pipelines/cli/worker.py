"""`pipecall worker`: executes runs, and nothing else, where `EXECUTOR=procrastinate`."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer

from pipelines.cli import frame
from pipelines.cli.late import late
from pipelines.errors import ConfigError, Problem
from pipelines.schedule_definition import NAME

Concurrency = Annotated[
    int | None, typer.Option("--concurrency", "-c", min=1, max=1000, help="So many runs at one time.", metavar="N")
]
Queues = Annotated[str | None, typer.Option("--queues", "-q", help="Only runs of these queues.", metavar="A,B")]


def worker(concurrency: Concurrency = None, queues: Queues = None) -> int:
    """Execute runs for the schedulers on the same PostgreSQL, until it is told to stop.

    Without options it runs as many at one time as `max_parallel_jobs` says, of all queues. It needs
    EXECUTOR=procrastinate, and the same pipelines file and plugins as the schedulers.
    """
    named = names(queues)
    late("pipelines.distributed.requirements:check_worker")(frame.settings())
    serve = late("pipelines.distributed.service:serve_worker")
    code: int = late("pipelines.service:main")(partial(serve, concurrency=concurrency, queues=named))
    return code


def names(given: str | None) -> frozenset[str] | None:
    """Return the queues that a list such as `gpu,default` names; None, which means all, where none was given.

    Raises:
        ConfigError: one of them is no name of a queue, or there is none.
    """
    if given is None:
        return None
    problems = []
    for name in given.split(","):
        try:
            NAME.read(name.strip())
        except ValueError as error:
            problems.append(Problem(f"{error}; queues are separated by commas", path="--queues", file="command line"))
    if problems:
        raise ConfigError(problems)
    return frozenset(name.strip() for name in given.split(","))
