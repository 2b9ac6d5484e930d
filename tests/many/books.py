"""What must be true of the store, and of what stages wrote down, after whatever happened to the processes on it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from tests.many.fleet import Fleet
from tests.many.ledger import Span, most_at_once, overlaps

LIVE = "('queued', 'running', 'waiting_retry')"


@dataclass(frozen=True, slots=True)
class Limits:
    """How many may go on at one time: in each pipeline, in each pool (by its pipelines), and in all."""

    pipelines: Mapping[str, int]
    pools: Mapping[str, tuple[int, Sequence[str]]]
    in_all: int


@dataclass
class Figures:
    """What was counted. `verdicts` has for each promise what broke it, nothing where it was kept."""

    faults: Counter[str] = field(default_factory=Counter)
    occurrences: Counter[str] = field(default_factory=Counter)
    runs: Counter[str] = field(default_factory=Counter)
    attempts: int = 0
    again: int = 0
    verdicts: dict[str, list[str]] = field(default_factory=dict)

    @property
    def broken(self) -> list[str]:
        """All that broke a promise."""
        return [words for each in self.verdicts.values() for words in each]

    def __str__(self) -> str:
        """A verdict for each promise, line by line."""
        lines = [
            f"faults: {self.faults.total()} ({_listed(self.faults)})",
            f"occurrences: {self.occurrences.total()} ({_listed(self.occurrences)})",
            f"runs: {self.runs.total()} ({_listed(self.runs)})",
            f"attempts seen by stages: {self.attempts}, of them {self.again} after one that was cut off",
        ]
        for promise, broken in self.verdicts.items():
            lines += [f"{'broken' if broken else 'kept':6} {promise}", *(f"       {words}" for words in broken[:5])]
        return "\n".join(lines)


def _listed(parts: Counter[str]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(parts.items()))


class Books:
    """The books of one fleet. `periods_s` are the schedules that nobody changed, with their period in seconds."""

    def __init__(self, fleet: Fleet, periods_s: Mapping[str, int], limits: Limits | None = None) -> None:
        """Read nothing yet."""
        self._fleet, self._periods_s, self._limits = fleet, periods_s, limits

    def check(self, figures: Figures, until: datetime | None = None) -> Figures:
        """Count, and note what is not as it must be. At `until` (None: whenever) every schedule was still at work."""
        rows = self._fleet.rows("SELECT outcome, count(*) FROM occurrences GROUP BY outcome")
        figures.occurrences.update(dict(rows))
        figures.runs.update(dict(self._fleet.rows("SELECT state, count(*) FROM runs GROUP BY state")))
        spans = self._fleet.spans()
        figures.attempts, figures.again = len(spans), sum(span.attempt > 1 for span in spans)
        checks: dict[str, Callable[[], Iterator[str]]] = {
            "every due instant has one occurrence": lambda: self._lost(until),
            "no instant has two runs, and each occurrence has its own": self._doubled,
            "every run has ended, or waits": self._unended,
            "attempts are whole, and none is at work": self._attempts,
            "two attempts of one run never overlap": lambda: iter(overlaps(spans)),
            "on_crash: fail runs at most once": lambda: self._at_most_once(spans),
            "limits hold over all processes": lambda: self._limits_kept(spans),
            "runs of one schedule go one at a time": lambda: self._lanes(spans),
        }
        figures.verdicts = {promise: list(check()) for promise, check in checks.items()}
        return figures

    def _none(self, what: str, statement: str) -> Iterator[str]:
        if rows := self._fleet.rows(statement):
            yield f"{what}: {len(rows)}, such as {rows[:3]}"

    def _lost(self, until: datetime | None) -> Iterator[str]:
        for schedule, created, last in self._fleet.rows("SELECT id, created_at, last_due_at FROM schedules"):
            if (period_s := self._periods_s.get(schedule)) is None:
                continue
            if until is not None and last.timestamp() < until.timestamp() - period_s - 1:
                yield f"{schedule} was due last at {last}, long before {until}"
            first, end = int(created.timestamp() // period_s) + 1, int(last.timestamp() // period_s)
            due = {number * period_s for number in range(first, end + 1)}
            rows = self._fleet.rows("SELECT due_at FROM occurrences WHERE schedule_id = %s", schedule)
            if lost := due - {round(due_at.timestamp()) for (due_at,) in rows}:
                yield f"{schedule}: {len(lost)} of {len(due)} instants have no row, such as {sorted(lost)[:3]}"

    def _doubled(self) -> Iterator[str]:
        yield from self._none(
            "instants with two runs",
            "SELECT schedule_id, due_at, count(*) FROM runs WHERE due_at IS NOT NULL GROUP BY 1, 2 HAVING count(*) > 1",
        )
        yield from self._none(
            "occurrences that say something else than their runs",
            "SELECT o.schedule_id, o.due_at, o.outcome, r.state FROM occurrences o LEFT JOIN runs r ON r.id = o.run_id "
            "WHERE r.id IS NULL OR r.schedule_id <> o.schedule_id OR r.due_at <> o.due_at "
            "OR (o.outcome = 'missed') <> (r.state = 'missed') OR (o.outcome = 'skipped') <> (r.state = 'skipped')",
        )

    def _unended(self) -> Iterator[str]:
        yield from self._none(
            "runs over without an end, or at work, or with a holder",
            f"SELECT id, state, owner FROM runs WHERE (state NOT IN {LIVE}) <> (ended_at IS NOT NULL)"
            " OR owner IS NOT NULL OR state = 'running'",
        )
        yield from self._none(
            "runs that were neither good nor to run at most once",
            "SELECT id, pipeline, state, reason FROM runs WHERE state IN ('failed', 'timed_out')"
            " OR (state = 'crashed' AND NOT at_most_once)",
        )

    def _attempts(self) -> Iterator[str]:
        yield from self._none("attempts at work", "SELECT run_id FROM attempts WHERE state = 'running'")
        yield from self._none(
            "runs whose attempts are not 1 to the last",
            "SELECT r.id, r.attempt FROM runs r LEFT JOIN attempts a ON a.run_id = r.id GROUP BY r.id "
            "HAVING count(a.number) <> r.attempt OR coalesce(max(a.number), 0) <> r.attempt",
        )
        yield from self._none(
            "attempts after a success",
            "SELECT a.run_id FROM attempts a JOIN runs r ON r.id = a.run_id "
            "WHERE a.state = 'succeeded' AND (a.number < r.attempt OR r.state <> 'succeeded')",
        )

    def _at_most_once(self, spans: Sequence[Span]) -> Iterator[str]:
        single = {run for (run,) in self._fleet.rows("SELECT id FROM runs WHERE at_most_once")}
        begun = Counter(span.run for span in spans if span.run in single)
        yield from (f"run {run} began {times} times" for run, times in begun.items() if times > 1)

    def _limits_kept(self, spans: Sequence[Span]) -> Iterator[str]:
        if self._limits is None:
            return
        of = dict(self._fleet.rows("SELECT id, pipeline FROM runs"))
        for name, most in most_at_once(spans, lambda span: of.get(span.run)).items():
            if most > (limit := self._limits.pipelines.get(name, 1)):
                yield f"{most} runs of {name} went on at one time, {limit} may"
        for pool, (limit, members) in self._limits.pools.items():
            most = most_at_once(spans, lambda span: pool if of.get(span.run) in members else None).get(pool, 0)  # noqa: B023
            if most > limit:
                yield f"{most} runs in pool {pool} went on at one time, {limit} may"
        most = most_at_once(spans, lambda _: "all").get("all", 0)
        if most > self._limits.in_all:
            yield f"{most} runs went on at one time, {self._limits.in_all} may"

    def _lanes(self, spans: Sequence[Span]) -> Iterator[str]:
        lanes = dict(self._fleet.rows("SELECT id, lane FROM runs WHERE lane IS NOT NULL"))
        for lane, most in most_at_once(spans, lambda span: lanes.get(span.run)).items():
            if most > 1:
                yield f"{most} runs of schedule {lane} went on at one time"
