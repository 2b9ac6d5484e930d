"""What the URLs of two stores go by for who gave them, such as an option of a command: errors say that name.

All other parts of the store know of one URL, that of the setting.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from pipelines.errors import ConfigError, Problem, StoreError
from pipelines.store import database

SETTING = "SCHEDULER_DB_URL"
"""Where a store's URL comes from unless an option gives it."""
_MEANT = re.compile(f"{SETTING}(?!=)")
"""The setting, but where it is part of a command that somebody shall type."""


@dataclass(frozen=True, slots=True)
class Names:
    """The names of the URLs of two stores."""

    source: str = "--from"
    target: str = "--to"


@contextmanager
def named(name: str) -> Iterator[None]:
    """Within the block, have what is told of a store say `name` in place of the setting."""
    try:
        yield
    except StoreError as error:
        if name == SETTING:
            raise
        said = str(error).replace(f"in {SETTING}", f"with {name}")
        raise type(error)(_MEANT.sub(name, said)) from error


def read(url: str, name: str) -> None:
    """Let a URL pass that can be read.

    Raises:
        ConfigError: it cannot be, or names no database that is supported.
    """
    try:
        database.parse(url)
    except StoreError as error:
        raise ConfigError([Problem(str(error).removeprefix(f"{SETTING}: "), name)]) from None
