"""`pipecall status`: how the service is, and what goes on."""

from __future__ import annotations

from pipelines.cli import codes, frame, printing
from pipelines.cli.late import late


def status(as_json: frame.Json = False) -> int:
    """Show how the service is, what runs and how far it is, what is next, and what failed last.

    It works without a service, too: what is known then is what the store remembers.
    """
    found = frame.run_async(late("pipelines.cli.situation:situation")(frame.settings()))
    if as_json:
        printing.document(found.record())
    else:
        printing.facts(found.facts())
    if found.fault is not None:
        raise found.fault
    return codes.OK
