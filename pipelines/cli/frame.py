"""What commands work on: settings, the pipelines, and the engine beside a running service or without one.

Here is also who asks: whoever can write the store may do everything, so a terminal's caller is an administrator.
"""

from __future__ import annotations

import asyncio
import getpass
import logging
import os
import sys
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from pipelines.cli import printing
from pipelines.cli.late import late
from pipelines.errors import ConfigError
from pipelines.log import printable
from pipelines.model import Actor, Asked, Role
from pipelines.settings import Settings, read_settings

if TYPE_CHECKING:
    from pipelines.catalog import Catalog
    from pipelines.engine import Engine
    from pipelines.reads import Reads
    from pipelines.verbs import Verbs

DOOR = "terminal"

T = TypeVar("T")

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
"""The option of every command that reads."""


@dataclass(frozen=True, slots=True)
class Desk:
    """What a command has at hand: the engine, what people may ask of it, and who asks."""

    engine: Engine
    verbs: Verbs

    def asked(self, request_id: str | None = None) -> Asked:
        """Return a request of the user of this terminal."""
        return Asked(caller(), DOOR, request_id)


def caller() -> Actor:
    """Return the user of this terminal."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # a container's user need not have a name
        name = str(os.getuid())
    return Actor(id=f"terminal:{name}", name=name, level=Role.ADMIN)


def settings(**given: Any) -> Settings:
    """Read the settings; `given` wins over environment and `.env`.

    Raises:
        ConfigError: one is wrong.
    """
    return read_settings(**given)


def catalog(chosen: Settings) -> Catalog:
    """Load the pipelines file; its warnings go to standard error.

    Raises:
        ConfigError: all that is wrong with it.
    """
    quiet()
    loaded: Catalog = late("pipelines.service:load_catalog")(chosen, os.environ)
    return loaded


def _no_catalog(chosen: Settings) -> Catalog:
    quiet()
    none: Catalog = late("pipelines.catalog:Catalog")(late("pipelines.inventory:no_file")(chosen))
    return none


def quiet() -> None:
    """Have only warnings logged, one line each to standard error; with `--debug` the log is set up already."""
    root = logging.getLogger()
    if root.handlers:
        return
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(_told)
    handler.setFormatter(Short())
    root.addHandler(handler)


def _told(record: logging.LogRecord) -> bool:
    """Let warnings pass, and what the service says of its own stopping; what is about a run stands in its log."""
    loud = record.levelno >= logging.WARNING or record.name == "pipelines.service"
    return loud and not hasattr(record, "run")


class Short(logging.Formatter):
    """`warning: …`: what a person at a terminal wants of a log line."""

    def format(self, record: logging.LogRecord) -> str:
        """Render one record without time and place."""
        level = f"{record.levelname.lower()}: " if record.levelno >= logging.WARNING else ""
        return f"{level}{printable(record.getMessage())}"


def _known(chosen: Settings, *, file: bool, lenient: bool) -> tuple[Catalog, bool]:
    """Return the pipelines, and whether the file could be read and was."""
    if not file:
        return _no_catalog(chosen), False
    try:
        return catalog(chosen), True
    except ConfigError:
        if not lenient:
            raise
        printing.note("the pipelines file is wrong ('pipecall check' says how); this is by what the store knows")
        return _no_catalog(chosen), False


@asynccontextmanager
async def attached(chosen: Settings | None = None, *, file: bool = True, lenient: bool = False) -> AsyncIterator[Desk]:
    """Within the block, act on the store beside whatever service runs on it; None reads the settings.

    Without `file` neither pipelines nor jobs are known, so that runs can be stopped while the file is wrong or a
    plugin hangs as it is imported. Where it is `lenient`, a wrong file is told, and the jobs are those of the store.

    Raises:
        ConfigError: a setting or the pipelines file is wrong.
        StoreError: the store cannot be used.
    """
    chosen = chosen or settings()
    known, read = _known(chosen, file=file, lenient=lenient)
    made = late("pipelines.engine:Engine")(chosen, known, env=os.environ, attached=True)
    async with made as engine:
        if file:
            await engine.attach(file=read)
        yield Desk(engine, late("pipelines.verbs:Verbs")(engine))


@asynccontextmanager
async def reading(chosen: Settings | None = None) -> AsyncIterator[Reads]:
    """Within the block, read what the store remembers, without the pipelines file; nothing is changed or created.

    Raises:
        ConfigError: a setting is wrong.
        StoreError: there is no store yet, or it cannot be read.
    """
    quiet()
    named = chosen or settings()
    async with late("pipelines.cli.standing:reader")(named) as reader:
        yield late("pipelines.reads:Reads")(reader, named)


def run_async(work: Coroutine[Any, Any, T]) -> T:
    """Do the asynchronous work of a command, and return what came of it."""
    return asyncio.run(work)
