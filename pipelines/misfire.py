"""Which of the instants that a schedule was due at become runs, and which are recorded as missed. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from pipelines.definition import MisfirePolicy

CATCH_UP = 1_000
"""So many instants of one schedule are handled one by one after a pause; older ones are recorded in one line."""

ON_TIME = timedelta(seconds=60)
"""An instant handled within this time of being due counts as on time, whatever the policy: twice the longest nap."""

ASKED = "asked"
"""The reason of a missed instant about which people are asked."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of one due instant: a run when `missed` is None, else the reason why not; or people are asked."""

    due_at: datetime
    missed: str | None
    asked: bool = False


def decide(
    instants: Sequence[datetime], *, left_out: int, now: datetime, grace: timedelta, policy: MisfirePolicy
) -> Iterator[Decision]:
    """Yield a decision for each of `instants` (UTC, ascending, all ≤ now), oldest first.

    `left_out` older instants, beyond `CATCH_UP`, are told in the reason of the oldest decision. Within `grace` the
    newest runs (`latest`) or all do (`all`); with `none` only what is on time runs, and with `ask` people are asked
    about the others.
    """
    oldest_to_run = now - (min(grace, ON_TIME) if policy is MisfirePolicy.NONE else max(grace, ON_TIME))
    newest = instants[-1] if instants else None
    for index, due_at in enumerate(instants):
        if due_at < oldest_to_run:
            more = f", like {left_out} before it" if left_out and index == 0 else ""
            yield Decision(due_at, f"the service did not run when it was due{more}")
        elif policy is MisfirePolicy.ASK and due_at < now - ON_TIME:
            yield Decision(due_at, ASKED, asked=True)
        elif policy is MisfirePolicy.LATEST and due_at is not newest:
            yield Decision(due_at, f"a newer one, due {newest:%Y-%m-%d %H:%M:%S}Z, took its place")
        else:
            yield Decision(due_at, None)
