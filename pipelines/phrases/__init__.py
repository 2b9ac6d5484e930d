"""What people type for "when", understood: `every weekday at 09:00` becomes what a pipelines file would say.

This is the front door of the package; its modules import each other, never this. Words become tokens in `tokens`,
clauses in `clauses`, a schedule in `meaning`; what to know about it beforehand is in `outlook`. The grammar is our own:
the libraries that read such texts guess, and a guess is a run at the wrong time. Pure: the clock is passed in.
"""

from __future__ import annotations

from pipelines.phrases.meaning import Understood, examples, understand
from pipelines.phrases.outlook import cautions, next_fires

__all__ = ["Understood", "cautions", "examples", "next_fires", "understand"]
