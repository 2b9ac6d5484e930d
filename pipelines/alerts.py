"""The task that tells people of trouble, and once a day how things are: it stores messages; delivering is not its part.

It wakes when a run ends badly or goes on for too long, waits a moment for others, and looks at what people do not know
yet. Every half minute it looks all the same: for runs that are late, successes that are missing, mutes that are over,
reminders and the daily summary.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from itertools import islice

from pipelines import alert_facts, digest, notifications
from pipelines.catalog import Catalog
from pipelines.errors import StoreError
from pipelines.expectations import Expectations
from pipelines.face_definition import AlertKind, AlertsSection
from pipelines.model import RETRYABLE_STATES, Run, RunState, utcnow
from pipelines.notifications import Plan
from pipelines.store import incidents, notes, tellings
from pipelines.store.incidents import Late
from pipelines.store.outbox import Post
from pipelines.store.tellings import Told
from pipelines.store.writer import Reader, Writer
from pipelines.triggers.zones import check_zone

logger = logging.getLogger(__name__)

EVERY = timedelta(seconds=30)
"""At least so often it looks at everything."""
DEBOUNCE_S = 1.5
"""So long, in seconds, it waits after a bad end: trouble seldom comes alone."""
OVERLAP = timedelta(minutes=1)
"""Successes that ended so long before the newest one told are looked at again: ends are stored in any order."""
NEXT = 5
SUCCESSES_NOTE = "alerts.successes"

_WAKING = RETRYABLE_STATES | {RunState.MISSED}


class Alerts:
    """Tells of trouble. `run` is its task; `happened` takes note of runs, and `wake` makes it look soon."""

    def __init__(
        self,
        *,
        writer: Writer,
        reader: Reader,
        catalog: Catalog,
        clock: Callable[[], datetime] = utcnow,
        upcoming: Callable[[], Iterable[tuple[str, datetime]]] = tuple,
        posted: Callable[[], None] = lambda: None,
        debounce_s: float = DEBOUNCE_S,
    ) -> None:
        """Tell what `writer` and `reader` know, as the catalog's file says.

        `upcoming` yields pipelines with the instant they are next due (UTC), soonest first, for the daily summary.
        `posted` is called when messages were stored.
        """
        self._writer = writer
        self._reader = reader
        self._catalog = catalog
        self._clock = clock
        self._upcoming = upcoming
        self._posted = posted
        self._debounce_s = debounce_s
        self._woken = asyncio.Event()
        self._expectations = Expectations(writer, reader, catalog, wake=self._woken.set, clock=clock)
        self._watched: set[str] = set()
        self._reminded: dict[str, int] = {}
        self._sections: dict[str, AlertsSection] = {}
        self._loaded: object = None
        self._looked_at: datetime | None = None
        self._successes_until: datetime | None = None
        self._told_of_no_channel = False

    def happened(self, run: Run) -> None:
        """Take note of what became of a run; quick."""
        if self._expectations.happened(run):
            self._woken.set()
        if run.state in _WAKING:
            self._watched.add(run.pipeline)
            self._woken.set()
        elif run.state is RunState.SUCCEEDED and (run.pipeline in self._watched or self._tells_success(run.pipeline)):
            self._woken.set()

    def wake(self) -> None:
        """Have it look soon: somebody muted, or took something up."""
        self._woken.set()

    async def run(self) -> None:
        """Look at what there is to tell, for ever; begun again, it knows nothing of what others told meanwhile."""
        self._reminded, self._looked_at, self._successes_until = {}, None, None
        while True:
            try:
                await self.look()
            except StoreError as error:
                logger.error("alerts wait: %s", error)
            await self._rest()

    async def _rest(self) -> None:
        try:
            async with asyncio.timeout(EVERY.total_seconds()):
                await self._woken.wait()
        except TimeoutError:
            return
        await asyncio.sleep(self._debounce_s)
        self._woken.clear()

    async def look(self) -> None:
        """Look once, and store what there is to tell.

        Raises:
            StoreError: the database refused; all of it is told the next time.
        """
        now = self._clock()
        if self._looked_at is None or now >= self._looked_at + EVERY:
            await self._find_late(now)
            await self._expectations.find_missing(now)
            await self._summarise(now)
            self._looked_at = now
        await self._expectations.find_slow(now)
        await self._tell(now)
        await self._tell_successes(now)

    # ---------------------------------------------------------------- trouble

    async def _tell(self, now: datetime) -> None:
        situation = await self._reader.read(alert_facts.situation)
        plan = notifications.plan(situation, self._section, now, self._reminded)
        await self._store(plan, now)
        self._reminded = dict(plan.reminded)
        self._watched = {each.pipeline for each in situation.incidents if each.open}
        self._watched |= {mute.pipeline for mute in situation.mutes}
        untold = [each for each in situation.incidents if each.open and self._section(each.pipeline).channel_id is None]
        if untold and not self._told_of_no_channel:
            self._told_of_no_channel = True
            name = untold[0].pipeline
            logger.warning(
                "'%s' is in trouble and nobody is told: the pipelines file has no `alerts: channel_id:`", name
            )

    async def _store(self, plan: Plan, now: datetime) -> None:
        if not (plan.tellings or plan.marks or plan.lifted):
            return
        more = await self._reader.read(alert_facts.details, plan.tellings)
        posts = [alert_facts.post(telling, more, now) for telling in plan.tellings]
        await self._write(Told(posts=posts, marks=plan.marks, lifted=plan.lifted))

    async def _write(self, told: Told) -> None:
        await self._writer.call(tellings.tell, told)
        if told.posts:
            self._posted()

    async def _find_late(self, now: datetime) -> None:
        """Open incidents of runs that were due long ago and have not started."""
        soonest = min((each.late_after for each in self._own_sections()), default=None)
        if soonest is None:
            return
        overdue = await self._reader.read(incidents.overdue, now - soonest)
        late = [each for each in overdue if self._is_late(each, now)]
        await asyncio.gather(*(self._writer.call(incidents.open_late, (each, now)) for each in late))

    def _is_late(self, run: Late, now: datetime) -> bool:
        section = self._section(run.pipeline)
        return AlertKind.LATE in section.on and run.due_at + section.late_after <= now

    # ---------------------------------------------------------------- successes

    def _tells_success(self, pipeline: str) -> bool:
        section = self._section(pipeline)
        return AlertKind.SUCCESS in section.on and section.channel_id is not None

    async def _tell_successes(self, now: datetime) -> None:
        """Tell of runs that went well, where that was asked for."""
        names = [name for name in self._catalog.pipelines if self._tells_success(name)]
        if not names:
            return
        if self._successes_until is None:
            noted = await self._reader.read(notes.get, SUCCESSES_NOTE)
            self._successes_until = datetime.fromisoformat(noted) if isinstance(noted, str) else now
        found = await self._reader.read(alert_facts.successes, names, self._successes_until - OVERLAP)
        newest = max((run.ended_at for run in found if run.ended_at is not None), default=self._successes_until)
        if not found or newest <= self._successes_until:
            return
        usual = await self._reader.read(alert_facts.usual_of, [run.pipeline for run in found])
        posts = [
            alert_facts.success(run, f"discord:{self._section(run.pipeline).channel_id}", usual[run.pipeline], now)
            for run in found
        ]
        await self._write(Told(posts=posts, notes=[notes.Note(SUCCESSES_NOTE, newest.isoformat(), now)]))
        self._successes_until = newest

    # ---------------------------------------------------------------- the daily summary

    async def _summarise(self, now: datetime) -> None:
        """Tell once a day how things are; a day on which the service was down is told with the next."""
        wanted = self._catalog.loaded.file.discord.digest
        if wanted is None:
            return
        last = await self._reader.read(digest.noted)
        if last is None:
            counts = await self._reader.read(digest.totals)
            await self._write(Told(notes=[digest.note(now, counts)]))
            return
        zone = check_zone(self._catalog.options.timezone)
        due = digest.last_due(now, wanted.at, zone)
        if digest.since(last) >= due:
            return
        counts = await self._reader.read(digest.totals)
        facts = await self._reader.read(digest.facts, last, counts, now)
        facts["next"] = [(name, at.isoformat()) for name, at in islice(self._upcoming(), NEXT)]
        channel = wanted.channel_id or self._catalog.loaded.file.alerts.channel_id
        posts = []
        if channel is not None and any(facts["counts"].values()):
            key = f"digest:{due.astimezone(zone).date()}"
            expires_at = now + alert_facts.WANTED
            posts.append(Post(f"discord:{channel}", "digest", key, facts, now, expires_at=expires_at))
        await self._write(Told(posts=posts, notes=[digest.note(now, counts, facts["days"])]))

    # ---------------------------------------------------------------- what the file says

    def _section(self, pipeline: str) -> AlertsSection:
        """Return the section in force for a pipeline, also for one that has left the file."""
        loaded = self._catalog.loaded
        if loaded is not self._loaded:
            self._sections, self._loaded = {}, loaded
        if pipeline not in self._sections:
            base, definition = loaded.file.alerts, loaded.file.pipelines.get(pipeline)
            own = definition.alerts if definition is not None else None
            self._sections[pipeline] = own.over(base) if own is not None else base
        return self._sections[pipeline]

    def _own_sections(self) -> Iterable[AlertsSection]:
        """Yield the sections under which some pipeline is told of late runs."""
        file = self._catalog.loaded.file
        every = (file.alerts, *(each.alerts.over(file.alerts) for each in file.pipelines.values() if each.alerts))
        return (section for section in every if AlertKind.LATE in section.on)
