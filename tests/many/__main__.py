"""`python -m tests.many --seconds 120 --seed 1`: several schedulers under faults, and a verdict for each promise."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.many.plan import carry_out


def main() -> int:
    """Carry out one plan; 0 where every promise was kept."""
    parser = argparse.ArgumentParser(prog="python -m tests.many", description=__doc__)
    parser.add_argument("--seconds", type=float, default=120, help="how long things go wrong (120)")
    parser.add_argument("--seed", type=int, default=1, help="of the plan (1)")
    parser.add_argument("--schedulers", type=int, default=3, help="how many (3)")
    parser.add_argument("--workers", type=int, default=0, help="how many execute runs (0: schedulers do)")
    parser.add_argument("--schedules", type=int, default=20, help="how many are due every second, beside others (20)")
    parser.add_argument("--keep", type=Path, help="a folder in which logs and ledger stay (none)")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="many-") as folder:
        place = asked.keep or Path(folder)
        place.mkdir(parents=True, exist_ok=True)
        figures = carry_out(
            place,
            seconds=asked.seconds,
            seed=asked.seed,
            schedulers=asked.schedulers,
            schedules=asked.schedules,
            workers=asked.workers,
        )
    print(figures)  # noqa: T201 - the terminal is whom this is for
    return 1 if figures.broken else 0


if __name__ == "__main__":
    sys.exit(main())
