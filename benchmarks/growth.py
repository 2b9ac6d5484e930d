"""What a run costs a store on PostgreSQL that has recorded 1,000, 100,000 or 1,000,000, and one that many went through.

The peer is procrastinate, bare, which keeps its jobs as well; its cost is that of a job by itself.
"""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlalchemy import Engine, text

from benchmarks import kept_runs
from benchmarks.measure import Row, ms
from tests.servers import own_postgres

KEPT = (1_000, 100_000, 1_000_000)
GROUPS = ((1, 300), (50, 60))
"""Runs that go through together, as when the writer is idle and when it is busy, and how many such groups are timed."""
TURNS = 5
WARM = 10
"""So many groups go before those that are timed, until the server has made its plans."""
CHURNED = 200_000
_SIZE = "SELECT pg_relation_size('runs_live')"


def measure() -> Iterator[Row]:
    """Yield the cost of a run in stores of several sizes, and after many went through."""
    yield from _kept()
    yield from _churn()


def _kept() -> Iterator[Row]:
    """All stores are measured in turns: what else the machine does is then the same for each."""
    with ExitStack() as stack:
        stores = {kept: stack.enter_context(kept_runs.store(kept)) for kept in KEPT}
        peers = {kept: stack.enter_context(kept_runs.peer_store(kept)) for kept in KEPT}
        spent: dict[tuple[str, int], list[float]] = defaultdict(list)
        for _ in range(TURNS):
            for kept in KEPT:
                for group, groups in GROUPS:
                    spent[f"{group}", kept] += _costs(stores[kept], group, groups // TURNS)
                spent["peer", kept] += kept_runs.peer_cost_s(peers[kept], WARM + GROUPS[0][1] // TURNS)[WARM:]
    for kept in KEPT:
        alone, together, peer = (statistics.median(spent[who, kept]) for who in ("1", f"{GROUPS[1][0]}", "peer"))
        what = f"a run queued, claimed and ended, {kept:,} kept"
        yield Row(f"{what}: by itself", ms(alone), f"{ms(peer)}, procrastinate", peer / alone)
        yield Row(f"{what}: {GROUPS[1][0]} together", f"{together * 1e3:.2f} ms")


def _churn() -> Iterator[Row]:
    """Let many runs go through a store whose server vacuums by itself, as one does that nobody configured."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        server = stack.enter_context(own_postgres(folder, autovacuum="on"))
        engine = stack.enter_context(kept_runs.store_at(server.url, KEPT[-1]))
        group = GROUPS[1][0]
        first, small = statistics.median(_costs(engine, *GROUPS[1])), _live_kb(engine)
        kept_runs.cost_s(engine, group=group, groups=CHURNED // group)
        last, large = statistics.median(_costs(engine, *GROUPS[1])), _live_kb(engine)
    what = f"a run of {group} together, after {CHURNED:,} went through"
    yield Row(what, f"{last * 1e3:.2f} ms", f"{first * 1e3:.2f} ms, before", first / last)
    yield Row(f"index of live runs after {CHURNED:,} went through", f"{large:,} KB", f"{small:,} KB, before")


def _costs(engine: Engine, group: int, groups: int) -> list[float]:
    return kept_runs.cost_s(engine, group=group, groups=WARM + groups)[WARM:]


def _live_kb(engine: Engine) -> int:
    with engine.connect() as conn:
        return int(conn.execute(text(_SIZE)).scalar_one()) // 1024
