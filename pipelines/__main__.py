"""`python -m pipelines`, the same as `pipecall`: the terminal's commands. `pipelines.cli.codes` has the exit codes."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from pipelines.cli import program


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the arguments say (None: those of the process) and return the exit code."""
    return program.main(arguments)


if __name__ == "__main__":
    sys.exit(main())
