"""`python -m tests.faults --faults 3000 --seed 1`: plans of faults, one after the other, and their figures."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.faults.ledger import Figures
from tests.faults.plan import carry_out

EACH = 40
"""So many faults one project suffers."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry out plans; 0 where every promise was kept. `arguments` are those of the command line, if not given."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--faults", type=int, default=1000, help="how many at least (1000)")
    parser.add_argument("--seed", type=int, default=1, help="of the first plan; each further one has the next (1)")
    parser.add_argument("--together", type=int, default=2, help="how many plans go on at one time (2)")
    asked = parser.parse_args(arguments)
    figures = asyncio.run(_all(asked.faults, asked.seed, asked.together))
    print(figures)  # noqa: T201 - the terminal is whom this is for
    return 1 if figures.broken else 0


async def _all(faults: int, seed: int, together: int) -> Figures:
    total, seeds = Figures(), iter(range(seed, seed + -(-faults // EACH)))

    async def work() -> None:
        for each in seeds:
            with tempfile.TemporaryDirectory(prefix="faults-") as folder:
                try:
                    figures = await carry_out(Path(folder), seed=each, count=min(EACH, faults))
                except AssertionError as error:
                    figures = Figures(broken=[str(error)])
            figures.broken = [f"plan {each}: {words}" for words in figures.broken]
            total.add(figures)
            print(f"plan {each}: {total.faults.total()} faults so far", file=sys.stderr)  # noqa: T201 - as above

    await asyncio.gather(*(work() for _ in range(together)))
    return total


if __name__ == "__main__":
    sys.exit(main())
