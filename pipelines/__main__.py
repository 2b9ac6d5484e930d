"""`python -m pipelines`: look after the store from a terminal.

Exit codes: 0 all is well, 1 the store says no, 2 bad input.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from pipelines import backup
from pipelines.errors import ConfigError, PipecallError
from pipelines.model import utcnow
from pipelines.settings import Settings, read_settings

OK, FAILED, WRONG_INPUT = 0, 1, 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the arguments say and return the exit code."""
    chosen = _parser().parse_args(arguments)
    act = {"backup": _back_up, "restore": _restore}[chosen.command]
    try:
        for line in act(read_settings(), chosen.file):
            print(line)  # noqa: T201 - the user's terminal is whom this is for
    except ConfigError as error:
        print(error, file=sys.stderr)  # noqa: T201 - as above
        return WRONG_INPUT
    except PipecallError as error:
        print(f"✗ {error}", file=sys.stderr)  # noqa: T201 - as above
        return FAILED
    return OK


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m pipelines", description="Look after the store.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    made = commands.add_parser("backup", help="copy the store into a file, while the service runs or not")
    made.add_argument(
        "file", nargs="?", type=Path, metavar="FILE", help="a new file, packed if it ends in .gz; else one is named"
    )
    back = commands.add_parser("restore", help="put a copy in the place of the store; stop the service first")
    back.add_argument("file", type=Path, metavar="FILE", help="what backup made")
    return parser


def _back_up(settings: Settings, file: Path | None) -> list[str]:
    return [f"saved {backup.back_up(settings.scheduler_db_url, file, utcnow())}"]


def _restore(settings: Settings, file: Path) -> list[str]:
    copy, aside = backup.restore(settings.scheduler_db_url, file, utcnow())
    kept = [f"the store that was there before is kept as {aside}"] if aside else []
    return [f"restored {copy}", *kept, "start the service; it brings an older schema up to date"]


if __name__ == "__main__":
    sys.exit(main())
