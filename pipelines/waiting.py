"""What a run waits for, in words. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from pipelines.model import Machines, Run, RunState

NAMED = 3
"""Of the runs that hold a pool, so many are named."""


def waiting_for(
    run: Run,
    live: Iterable[Run],
    *,
    max_instances: int,
    pools: Mapping[str, int],
    slots: int,
    machines: Machines | None = None,
) -> str | None:
    """Say what a queued run waits for; None for one that does not wait for its start.

    `live` are the runs that wait or go on, in any order, this one among them or not; `max_instances` is how many of its
    pipeline, `pools` how many of each pool, and `slots` how many in all may go on at once.
    `machines` are those who take part (None: the one who asks is alone).
    """
    if run.state is not RunState.QUEUED:
        return None
    shared = machines if machines is not None and machines.many else None
    if shared is not None and (lacking := shared.lacking(run)) is not None:
        return lacking
    others = sorted((each for each in live if each.id != run.id), key=lambda each: each.id)
    behind = _behind(run, others, max_instances)
    if behind is not None:
        return f"queued behind #{behind}"
    at_work = [each for each in others if each.state is RunState.RUNNING]
    pooled = [each.id for each in at_work if run.pool is not None and each.pool == run.pool]
    places = pools.get(run.pool or "")
    if places is not None and len(pooled) >= places:
        taken = f"{len(pooled)} of {places} taken by {_named(pooled)}"
        return f"waits for a place in the pool {run.pool} ({taken})"
    if len(at_work) >= slots:
        return f"waits for a free slot ({len(at_work)} of {slots} busy)"
    return (_workers(run, shared) if shared is not None else None) or "waits for its turn"


def _workers(run: Run, machines: Machines) -> str | None:
    """Say that all who serve a run's queue are busy; None where one has room."""
    servers = [each for each in machines.alive if each.serves(run.queue)]
    slots, busy = sum(each.slots for each in servers), sum(each.running for each in servers)
    if busy < slots:
        return None
    return f"waits for a free slot on a machine that serves queue {run.queue} ({busy} of {slots} busy)"


def _behind(run: Run, others: Sequence[Run], max_instances: int) -> int | None:
    """Return the run right before it: of its lane, or of its pipeline where that has no room."""
    ahead = [each for each in others if each.id < run.id or each.state is not RunState.QUEUED]
    lane = [each.id for each in ahead if run.lane is not None and each.lane == run.lane]
    pipeline = [each.id for each in ahead if each.pipeline == run.pipeline]
    if lane:
        return lane[-1]
    return pipeline[-1] if len(pipeline) >= max_instances else None


def _named(ids: Sequence[int]) -> str:
    names = ", ".join(f"#{each}" for each in ids[:NAMED])
    return f"{names} and {len(ids) - NAMED} more" if len(ids) > NAMED else names
