"""`pipecall health`: is the service well? For scripts and container checks; answers by its exit code."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.cli import codes, frame, printing
from pipelines.cli.late import late

if TYPE_CHECKING:
    from pipelines.cli.standing import Standing


def health(as_json: frame.Json = False) -> int:
    """Say how the service is: ok, degraded or down, and why. Ends with 0 for ok and degraded, with 1 for down."""
    found: Standing = frame.run_async(late("pipelines.cli.standing:standing")(frame.settings()))
    if as_json:
        said = found.said.health if found.said else {}
        printing.document({**said, "status": found.status, "complaints": found.complaints, "running": found.runs})
    else:
        printing.line(": ".join([str(found.status), *(["; ".join(found.complaints)] if found.complaints else [])]))
    return codes.FAILED if found.status == "down" else codes.OK
