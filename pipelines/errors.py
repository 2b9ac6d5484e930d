"""The error tree: every failure this program expects, and the words it tells people with.

    PipecallError                  the root; its text may be shown to anybody
    ├── ConfigError                problems found in a pipelines file or a setting; all of them at once
    ├── BadSchedule                a schedule that cannot be read or never fires; also a ValueError
    ├── BadParameter               values for a run that do not fit what its pipeline takes; all of them at once
    ├── UnknownName                a name that is not there, with the nearest one that is
    ├── NotAllowed                 a class path that the allow-list does not cover
    ├── StoreError                 the database said no
    │   ├── StoreLocked            another service holds the SQLite file
    │   └── SchemaTooNew           the database was written by a newer version of this program
    ├── InvalidTransition          a run or a schedule whose state does not allow what was asked of it
    ├── Denied                     the policy does not let somebody do what they asked for
    ├── AlreadyAsked               the very same request took effect before
    └── RetryLater                 raised by a stage: the other side named the time to wait

    Skip                           not an error: a stage ends its run as `skipped`, with a reason

Nothing here imports anything else of this package. What is raised where is said in the docstrings of those who raise
it.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


class PipecallError(Exception):
    """Root of the expected errors. Its text says what, where, what was expected and what to do next."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with a file or a setting.

    `file` is the path as the user gave it, `line` counts from 1 (None: not in a file), `path` is the dotted way to
    the value (`pipelines.prices.schedule.cron`), `message` says what was found, what was expected, and the nearest
    valid word.
    """

    message: str
    path: str = ""
    file: str | None = None
    line: int | None = None

    def __str__(self) -> str:
        """`pipelines.yml:12: pipelines.prices.schedule.cron: …`, leaving out what is not known."""
        place = ":".join(str(part) for part in (self.file, self.line) if part is not None)
        return ": ".join(part for part in (place, self.path, self.message) if part)


class ConfigError(PipecallError):
    """One or more problems with what the user configured; `problems` holds them in the order of their lines."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        """Take the problems; the error's text is one line for each."""
        self.problems: tuple[Problem, ...] = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class BadSchedule(PipecallError, ValueError):
    """A schedule that cannot be read or can never fire; the text names field, token, reason, and a remedy."""


class BadParameter(PipecallError):
    """One or more values that do not fit the parameters of a pipeline; `problems` holds a sentence for each."""

    def __init__(self, problems: Iterable[str], *, pipeline: str = "") -> None:
        """Take the problems; the error's text is one line for each, the `pipeline` is named once, in front."""
        self.problems: tuple[str, ...] = tuple(problems)
        told = "\n".join(self.problems)
        between = "\n" if len(self.problems) > 1 else " "
        super().__init__(f"pipeline '{pipeline}':{between}{told}" if pipeline else told)


class UnknownName(PipecallError):
    """A name that nothing goes by. `nearest` is what the user may have meant, or None."""

    def __init__(self, kind: str, name: str, known: Iterable[str] | None) -> None:
        """Say that no `kind` is called `name`; `known` are the names there are (None: too many to tell)."""
        names = sorted(known or ())
        self.nearest = nearest(str(name), names)
        hint = f"; known are: {', '.join(names) or 'none'}" if known is not None else ""
        hint = f"; did you mean '{self.nearest}'?" if self.nearest else hint
        super().__init__(f"no {kind} is called '{name}'{hint}")


class NotAllowed(PipecallError):
    """A class path outside the allow-list; it was not imported."""


class StoreError(PipecallError):
    """The database refused or could not be used."""


class StoreLocked(StoreError):
    """Another service runs on the same SQLite file; the text names its process."""


class SchemaTooNew(StoreError):
    """The database was written by a newer version of this program."""


class InvalidTransition(PipecallError):
    """A run or a schedule whose state does not allow what was asked of it."""


class Denied(PipecallError):
    """The policy does not let somebody do what they asked for; `missing` says what they lack."""

    def __init__(self, verb: str, target: str | None, missing: str) -> None:
        """Say what was asked for and what is missing."""
        self.missing = missing
        deed = {"view": "look at", "logs": "read the log of"}.get(verb, verb)
        super().__init__(f"you may not {deed} {target or 'anything here'}: {missing}")


class AlreadyAsked(PipecallError):
    """The very same request arrived before and took effect; `run_id` is the run that it made, where it made one."""

    def __init__(self, request_id: str, run_id: int | None) -> None:
        """Name the request and what came of it."""
        self.run_id = run_id
        super().__init__(
            f"this ({request_id}) was asked for before{f': run #{run_id}' if run_id else ''}; nothing was done twice"
        )


class RetryLater(PipecallError):
    """Raise it in a stage when the other side said when to come back; the next attempt waits `after_s` seconds."""

    def __init__(self, message: str, after_s: float) -> None:
        """`after_s` is in seconds from now; it wins over the pipeline's own backoff."""
        super().__init__(message)
        self.after_s = after_s


class Skip(Exception):
    """Raise it in a stage to end the run as `skipped`; the reason is kept with the run."""

    def __init__(self, reason: str = "nothing to do") -> None:
        """`reason` is one line for people."""
        super().__init__(reason)
        self.reason = reason


def nearest(word: str, known: Sequence[str]) -> str | None:
    """Return the known word that `word` was most likely meant to be, or None when none is near."""
    folded = {name.casefold(): name for name in known}
    found = difflib.get_close_matches(word.casefold(), folded, n=1, cutoff=0.6)
    return folded[found[0]] if found else None
