"""Names of jobs: which a new one may have, and which it gets where nobody gave it one."""

from __future__ import annotations

from collections.abc import Collection

from pipelines.errors import BadSchedule, InvalidTransition
from pipelines.schedule_definition import NAME


def check_free(job_id: str, taken: Collection[str]) -> None:
    """Let an id pass that a new job may have.

    Raises:
        BadSchedule: it is no name.
        InvalidTransition: a job has it.
    """
    try:
        NAME.read(job_id)
    except ValueError as error:
        raise BadSchedule(f"the job's name: {error}") from None
    if job_id in taken:
        raise InvalidTransition(f"a job is called '{job_id}' already; give this one another name")


def free(pipeline: str, taken: Collection[str]) -> str:
    """Return an id that no job has: the pipeline's name, or the start of that with a number."""
    numbered = (f"{pipeline[:74]}-{number}" for number in range(2, len(taken) + 3))
    return pipeline if pipeline not in taken else next(each for each in numbered if each not in taken)
