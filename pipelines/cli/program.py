"""`pipecall`: finds the command, runs it, and makes an exit code of what came of it. Nothing else handles errors.

Commands are imported when they are run or completed; help and the list of commands come from their table alone.
"""

from __future__ import annotations

import io
import logging
import os
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.exceptions import TyperException

from pipelines.cli import codes
from pipelines.cli.commands import COMMANDS, PANELS, Entry
from pipelines.cli.late import late
from pipelines.errors import PipecallError

PROGRAM = "pipecall"
DESCRIPTION = "Run pipelines from the terminal, with a service or without one."


class NobodyReadsError(Exception):
    """Whoever read the output has gone; typer would make exit code 1 of it."""


class LazyGroup(TyperGroup):
    """The commands of the table: shown from it, and imported once one of them is to run."""

    def __init__(self, **given: Any) -> None:
        """Stand for every command of the table by its line of help."""
        super().__init__(**given)
        for panel in PANELS:
            for name, entry in COMMANDS.items():
                if entry.panel == panel:
                    self.add_command(TyperCommand(name, help=entry.line, rich_help_panel=panel))

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Find the command that is to run or to complete words, and import it."""
        name, shown, rest = super().resolve_command(ctx, args)
        return name, shown and made(shown.name or "", COMMANDS[shown.name or ""]), rest

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            raise NobodyReadsError from error

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Show the commands by groups, for a reader that is no terminal."""
        del ctx
        for panel in PANELS:
            rows = [(name, entry.line) for name, entry in COMMANDS.items() if entry.panel == panel]
            if rows:
                with formatter.section(panel):
                    formatter.write_dl(rows)


def made(name: str, entry: Entry) -> Any:
    """Import a command and return it as what runs."""
    found = late(f"pipelines.cli.{entry.target}")
    if isinstance(found, typer.Typer):
        command: Any = typer.main.get_group(found)
    else:
        app = typer.Typer(add_completion=False, rich_markup_mode=_markup())
        app.command(name)(found)
        command = typer.main.get_command(app)
    command.name = name
    return command


def program() -> Any:
    """Return the whole program."""
    app = typer.Typer(
        cls=LazyGroup,
        name=PROGRAM,
        no_args_is_help=True,
        rich_markup_mode=_markup(),
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback(help=DESCRIPTION, epilog=codes.WORDS)(_options)
    return typer.main.get_command(app)


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"{PROGRAM} {late('pipelines.cli.release:program_version')()}")  # noqa: T201 - this is what was asked for
        raise typer.Exit


def _options(
    debug: Annotated[bool, typer.Option("--debug", help="Log all that happens; show where errors came from.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Say which version this is.")
    ] = False,
) -> None:
    del version
    if debug:
        logging.basicConfig(level=logging.DEBUG, stream=sys.stderr)


def _markup() -> Any:
    return "rich" if sys.stdout.isatty() else None


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that the arguments name (None: those of the process) and return the exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    _make_writable()
    try:
        came = program().main(args=given, prog_name=PROGRAM, standalone_mode=False)
        sys.stdout.flush()
    except SystemExit as ended:
        came = ended.code
    except (KeyboardInterrupt, typer.Abort):
        came = codes.INTERRUPTED
    except (PipecallError, TyperException) as error:
        came = _told(error)
    except (BrokenPipeError, NobodyReadsError):
        came = _nobody_reads()
    except Exception as error:  # noqa: BLE001 - the outermost frame
        came = _unexpected(error, debug="--debug" in given)
    return came if isinstance(came, int) and not isinstance(came, bool) else codes.OK


def _make_writable() -> None:
    """See to it that output that was closed is not mixed up with the next file, and that every text can be written."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            taken = os.open(os.devnull, os.O_RDWR)  # the lowest number that is free: its own, else none was closed
            setattr(sys, name, open(taken, "r" if number == 0 else "w", encoding="utf-8"))  # noqa: PTH123, SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors in ("strict", "surrogateescape"):
            stream.reconfigure(errors="backslashreplace")


def _told(error: PipecallError | TyperException) -> int:
    if isinstance(error, TyperException):
        return _misused(error)
    _say(str(error))
    return codes.of(error)


def _say(text: str) -> None:
    with suppress(OSError):
        print(text, file=sys.stderr)  # noqa: T201 - the user's terminal is whom this is for


def _misused(error: TyperException) -> int:
    """Tell what is wrong with the command line; where nothing was asked for, the help itself is the answer."""
    context = getattr(error, "ctx", None)
    if context is None or type(error).__name__ == "NoArgsIsHelpError":
        _say(error.format_message())
        return codes.WRONG_INPUT
    _say(f"{context.command_path}: {error.format_message()}")
    _say(f"{context.get_usage()}\n'{context.command_path} --help' tells more")
    return codes.WRONG_INPUT


def _nobody_reads() -> int:
    """End quietly when whoever read the output has gone, as `head` does once it has its lines."""
    sink = os.open(os.devnull, os.O_WRONLY)
    os.dup2(sink, sys.stdout.fileno())
    return codes.OK


def _unexpected(error: Exception, *, debug: bool) -> int:
    """Tell of an error that nobody foresaw by an id; the traceback goes to the log file, or is shown with `--debug`."""
    text = "".join(traceback.format_exception(error))
    if debug:
        _say(text)
    _say(late("pipelines.cli.mishap:told")(error, text))
    return codes.FAILED
