"""Exit codes, and which error ends in which: the one place that decides it for every command."""

from __future__ import annotations

from pipelines.errors import (
    AlreadyAsked,
    BadParameter,
    BadSchedule,
    ConfigError,
    Denied,
    InvalidTransition,
    NotAllowed,
    PipecallError,
    UnknownName,
)

OK = 0
FAILED = 1
"""What was asked for did not end well: a run failed, the store said no, the service is down."""
WRONG_INPUT = 2
"""A command line, a setting, the pipelines file, a name or a parameter is wrong; nothing was done."""
REFUSED = 3
"""The input is fine, but the present state does not allow it; nothing was done."""
INTERRUPTED = 130
"""Ctrl-C."""

WORDS = (
    "Exit codes: 0 all went well; 1 it failed; 2 wrong input (usage, setting, file, name, parameter); "
    "3 refused in the present state; 130 interrupted."
)

_WRONG_INPUT = (ConfigError, BadSchedule, BadParameter, UnknownName, NotAllowed)
_REFUSED = (InvalidTransition, Denied, AlreadyAsked)


def of(error: PipecallError) -> int:
    """Return the exit code of a command that an expected error ended."""
    if isinstance(error, _WRONG_INPUT):
        return WRONG_INPUT
    return REFUSED if isinstance(error, _REFUSED) else FAILED
