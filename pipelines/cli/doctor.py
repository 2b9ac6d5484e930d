"""`pipecall doctor`: looks at the machine and the set-up, and says how to mend what is wrong."""

from __future__ import annotations

from pipelines.cli import codes, frame, printing
from pipelines.cli.late import late
from pipelines.finding import Level


def doctor(as_json: frame.Json = False) -> int:
    """Look at Python, settings, pipelines, plugins, store, clock, port and Discord; each fault comes with its remedy.

    Nothing is changed, and it may be asked while the service runs. Exit code 1: something is wrong.
    """
    found = []
    for finding in late("pipelines.cli.examination:everything")():
        found.append(finding)
        if not as_json:
            printing.line(str(finding))
    bad = sum(finding.level is Level.WRONG for finding in found)
    if as_json:
        shown = [{"level": each.level.name.lower(), "what": each.what, "remedy": each.remedy} for each in found]
        printing.document({"ok": not bad, "findings": shown})
    else:
        printing.line(f"{bad} thing{'' if bad == 1 else 's'} to mend" if bad else "all is well")
    return codes.FAILED if bad else codes.OK
