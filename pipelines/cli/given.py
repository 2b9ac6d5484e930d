"""Parameters of a run as they stand on a command line: `--param region=eu`, as often as needed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from pipelines.errors import BadParameter

Params = Annotated[
    list[str] | None, typer.Option("--param", "-P", metavar="NAME=VALUE", help="A parameter; may be given repeatedly.")
]


def params(written: Sequence[str] | None) -> dict[str, str]:
    """Return names and values; what the values mean is for the pipeline to say.

    Raises:
        BadParameter: one has no name, or is given twice.
    """
    values: dict[str, str] = {}
    problems = []
    for each in written or ():
        name, sign, value = each.partition("=")
        if not sign or not name.strip():
            problems.append(f"--param: found '{each}', expected NAME=VALUE, such as region=eu")
        elif name.strip() in values:
            problems.append(f"--param: '{name.strip()}' is given twice; leave one out")
        values[name.strip()] = value
    if problems:
        raise BadParameter(problems)
    return values
