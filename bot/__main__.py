"""`python -m bot`: look after the bot from a terminal. Exit codes: 0 all is well, 1 something is wrong, 2 bad input."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence

from bot import addresses, registering
from bot.doctor import examine, invite
from pipelines import Catalog, ConfigError, Level, PipecallError, Settings, load_catalog, read_settings

OK, FAILED, WRONG_INPUT = 0, 1, 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the arguments say and return the exit code."""
    chosen = _parser().parse_args(arguments)
    try:
        settings = read_settings()
        addresses.use(settings)
        return asyncio.run(_act(chosen, settings))
    except ConfigError as error:
        print(error, file=sys.stderr)  # noqa: T201 - the user's terminal is whom this is for
        return WRONG_INPUT
    except PipecallError as error:
        print(f"✗ {error}", file=sys.stderr)  # noqa: T201 - as above
        return FAILED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bot", description="Look after the Discord bot.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("doctor", help="check token, application, servers and channels; says how to mend what is wrong")
    commands.add_parser("invite", help="print the address that adds the bot to a server")
    sync = commands.add_parser("sync", help="register the slash commands; stop the service first")
    sync.add_argument("--force", action="store_true", help="even if they did not change, such as after a deletion")
    return parser


async def _act(chosen: argparse.Namespace, settings: Settings) -> int:
    if chosen.command == "invite":
        _say(await invite(settings))
        return OK
    catalog = load_catalog(settings, os.environ)
    if chosen.command == "sync":
        _say(await registering.register(settings, catalog, os.environ, force=chosen.force))
        return OK
    return await _doctor(settings, catalog)


async def _doctor(settings: Settings, catalog: Catalog) -> int:
    findings = await examine(settings, catalog, os.environ)
    for finding in findings:
        _say(str(finding))
    wrong = sum(finding.level is Level.WRONG for finding in findings)
    _say(f"{wrong} thing{'' if wrong == 1 else 's'} to mend" if wrong else "all is well")
    return FAILED if wrong else OK


def _say(text: str) -> None:
    print(text)  # noqa: T201 - the user's terminal is whom this is for


if __name__ == "__main__":
    sys.exit(main())
