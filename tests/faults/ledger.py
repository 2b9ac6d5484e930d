"""What must be true of store and Discord after whatever happened, and the figures of it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from tests.bot.whole import Whole
from tests.fake_discord.world import Channel
from tests.faults.shop import PART, PARTS, PERIODS_S

LIVE = "('queued', 'running', 'waiting_retry')"


@dataclass
class Figures:
    """What was counted, over one plan or several."""

    faults: Counter[str] = field(default_factory=Counter)
    occurrences: Counter[str] = field(default_factory=Counter)
    messages: Counter[str] = field(default_factory=Counter)
    runs: Counter[str] = field(default_factory=Counter)
    starts: int = 0
    broken: list[str] = field(default_factory=list)

    def add(self, other: Figures) -> None:
        """Count another plan's figures in."""
        for name in ("faults", "occurrences", "messages", "runs"):
            getattr(self, name).update(getattr(other, name))
        self.starts += other.starts
        self.broken += other.broken

    def __str__(self) -> str:
        """A few lines for people."""
        sums = (
            ("faults survived", self.faults.total(), self.faults),
            ("occurrences due", self.occurrences["due"], _without(self.occurrences, "due")),
            ("messages", self.messages["sent"], _without(self.messages, "sent")),
            ("runs", self.runs.total(), self.runs),
        )
        lines = [f"{name}: {total} ({_listed(parts)})" for name, total, parts in sums]
        return "\n".join([*lines, f"starts: {self.starts}", f"broken promises: {len(self.broken)}", *self.broken])


def _without(parts: Counter[str], name: str) -> dict[str, int]:
    return {each: count for each, count in parts.items() if each != name}


def _listed(parts: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(parts.items()))


@dataclass
class Ledger:
    """The books of one project, read when its service has stopped cleanly. `stopped_at` is in seconds since 1970."""

    whole: Whole
    channels: Sequence[Channel]
    stopped_at: float
    figures: Figures

    def check(self) -> None:
        """Count everything, and note whatever is not as it must be."""
        if (found := self.whole.rows("PRAGMA integrity_check")) != [("ok",)]:
            self.figures.broken.append(f"the file is damaged: {found[:3]}")
        for check in (self._occurrences, self._runs, self._kept, self._effects, self._messages, self._audit):
            self._note(check)
        self.figures.runs.update(dict(self.whole.rows("SELECT state, count(*) FROM runs GROUP BY state")))

    def _note(self, check: Callable[[], Iterator[str]]) -> None:
        self.figures.broken += list(check())

    def _none(self, what: str, statement: str) -> Iterator[str]:
        if rows := self.whole.rows(statement):
            yield f"{what}: {len(rows)}, such as {rows[:3]}"

    def _occurrences(self) -> Iterator[str]:
        """Every due instant has one row, and what the row says is what the run is."""
        counts = self.figures.occurrences
        counts.update(dict(self.whole.rows("SELECT outcome, count(*) FROM occurrences GROUP BY outcome")))
        for schedule, created, last in self.whole.rows("SELECT id, created_at, last_due_at FROM schedules"):
            period = PERIODS_S[schedule]
            if _seconds(last) < self.stopped_at - period - 3:
                yield f"{schedule} was due last at {last}, long before the stop"
            first, end = int(_seconds(created) // period) + 1, int(_seconds(last) // period)
            due = {number * period for number in range(first, end + 1)}
            rows = self.whole.rows("SELECT due_at FROM occurrences WHERE schedule_id = ?", schedule)
            lost = due - {round(_seconds(each)) for (each,) in rows}
            counts.update(due=len(due), lost=len(lost), doubled=0)
            if lost:
                yield f"{schedule}: {len(lost)} of {len(due)} instants have no row, such as {sorted(lost)[:3]}"
        doubled = self.whole.rows(
            "SELECT schedule_id, due_at, count(*) FROM runs WHERE due_at IS NOT NULL GROUP BY 1, 2 HAVING count(*) > 1"
        )
        counts["doubled"] += len(doubled)
        if doubled:
            yield f"ran twice: {doubled[:3]}"
        yield from self._none(
            "occurrences that say something else than their runs",
            "SELECT o.schedule_id, o.due_at, o.outcome, r.state FROM occurrences o LEFT JOIN runs r ON r.id = o.run_id "
            "WHERE r.id IS NULL OR r.schedule_id <> o.schedule_id OR r.due_at <> o.due_at "
            "OR (o.outcome = 'missed') <> (r.state = 'missed') OR (o.outcome = 'skipped') <> (r.state = 'skipped') "
            "OR (o.outcome <> 'run' AND (o.reason IS NULL OR r.attempt > 0))",
        )

    def _runs(self) -> Iterator[str]:
        """Nothing is at work; attempts are whole; the kept counts are those of the rows."""
        yield from self._none("runs at work after the stop", "SELECT id FROM runs WHERE state = 'running'")
        yield from self._none("attempts at work", "SELECT run_id FROM attempts WHERE state = 'running'")
        yield from self._none(
            "runs whose attempts are not 1 to the last",
            "SELECT r.id, r.attempt FROM runs r LEFT JOIN attempts a ON a.run_id = r.id GROUP BY r.id "
            "HAVING count(a.number) <> r.attempt OR coalesce(max(a.number), 0) <> r.attempt",
        )
        yield from self._none("too many attempts", "SELECT id FROM runs WHERE attempt > max_attempts")
        yield from self._none(
            "runs that did not end as their last attempt",
            "SELECT r.id, r.state, a.state FROM runs r JOIN attempts a ON a.run_id = r.id AND a.number = r.attempt "
            f"WHERE r.state NOT IN {LIVE} AND r.state <> a.state AND r.state <> 'cancelled'",
        )
        yield from self._none(
            "attempts after a success",
            "SELECT a.run_id FROM attempts a JOIN runs r ON r.id = a.run_id "
            "WHERE a.state = 'succeeded' AND (a.number < r.attempt OR r.state <> 'succeeded')",
        )
        yield from self._none(
            "runs over without an end, or with a holder",
            f"SELECT id, state FROM runs WHERE (state NOT IN {LIVE}) <> (ended_at IS NOT NULL) OR owner IS NOT NULL",
        )
        kept = self.whole.rows("SELECT pipeline, state, count FROM run_counts ORDER BY 1, 2")
        real = self.whole.rows(
            "SELECT pipeline, state, count(*) FROM runs WHERE ended_at IS NOT NULL GROUP BY 1, 2 ORDER BY 1, 2"
        )
        if kept != real:
            yield f"counts {kept} are not {real}"

    def _kept(self) -> Iterator[str]:
        """Durable state is that of the runs that succeeded, and of no others."""
        good = {
            str(run) for (run,) in self.whole.rows("SELECT id FROM runs WHERE pipeline='tick' AND state='succeeded'")
        }
        kept = {key for (key,) in self.whole.rows("SELECT key FROM collections WHERE pipeline = 'tick'")}
        values = self.whole.rows("SELECT value FROM state_values WHERE pipeline = 'tick'")
        counted = int(values[0][0]) if values else 0
        if good != kept:
            yield f"entries without a success {sorted(kept - good)[:3]}, successes without {sorted(good - kept)[:3]}"
        if counted != len(good):
            yield f"{counted} counted by stages, but {len(good)} succeeded"

    def _effects(self) -> Iterator[str]:
        """With `on_crash: fail` no run did its work twice, and those that succeeded did it."""
        path = self.whole.project.folder / "effects.txt"
        done = Counter(path.read_text().split() if path.exists() else [])
        if twice := [run for run, times in done.items() if times > 1]:
            yield f"at-most-once runs that worked twice: {twice[:3]}"
        rows = self.whole.rows("SELECT id FROM runs WHERE pipeline = 'once' AND state = 'succeeded'")
        if without := [run for (run,) in rows if not done[str(run)]]:
            yield f"succeeded without having worked: {without[:3]}"

    def _messages(self) -> Iterator[str]:
        """Each message of a run that succeeded stands in its channel once, in the order of the outbox."""
        counts = self.figures.messages
        counts.update(lost=0, doubled=0)
        for number, channel in enumerate(self.channels):
            here = [part for each in self.whole.fake.messages(channel) for part in PART.findall(each.content)]
            runs = self.whole.rows("SELECT id FROM runs WHERE pipeline = ? AND state = 'succeeded'", f"post-{number}")
            due = {(str(run), str(part)) for (run,) in runs for part in range(PARTS)}
            stored = self.whole.rows("SELECT body FROM outbox WHERE target = ? ORDER BY id", f"discord:{channel.id}")
            order = [part for (body,) in stored for part in PART.findall(json.loads(body)["payload"]["content"])]
            lost, doubled = due - set(here), len(here) - len(set(here))
            counts.update(sent=len(here), lost=len(lost), doubled=doubled)
            more = set(here) - due
            if lost or doubled or more:
                yield f"post-{number}: lost {sorted(lost)[:3]}, {doubled} doubled, unfounded {sorted(more)[:3]}"
            elif order != here:
                yield f"post-{number}: out of order"
        yield from self._none("messages not sent", "SELECT id, kind, state, error FROM outbox WHERE state <> 'sent'")
        yield from self._alerts()

    def _alerts(self) -> Iterator[str]:
        told = self.whole.rows("SELECT message_id FROM outbox WHERE target = ?", f"discord:{self.whole.alerts.id}")
        here = [str(each.id) for each in self.whole.fake.messages(self.whole.alerts)]
        self.figures.messages.update(sent=len(here))
        if {each for (each,) in told} != set(here):
            yield f"alerts: {len(set(here))} stand there, {len(set(told))} were told"

    def _audit(self) -> Iterator[str]:
        """Each run that somebody asked for has its one row in the audit, and each such row its run."""
        yield from self._none(
            "runs without who asked, or asked twice",
            "SELECT r.id, count(a.id) FROM runs r LEFT JOIN audit a ON a.run_id = r.id AND a.verb = 'run' "
            "AND a.allowed = 1 WHERE r.started_by = 'manual' GROUP BY r.id HAVING count(a.id) <> 1",
        )
        yield from self._none(
            "accepted wishes without a run",
            "SELECT a.id FROM audit a LEFT JOIN runs r ON r.id = a.run_id "
            "WHERE a.verb = 'run' AND a.allowed = 1 AND r.id IS NULL",
        )


def _seconds(stored: str) -> float:
    return datetime.fromisoformat(stored).replace(tzinfo=UTC).timestamp()
