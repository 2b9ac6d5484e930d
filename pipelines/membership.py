"""This process among those that use one store: its id, what it shares, whether it executes, and who leads.

A store on a server is shared by schedulers, workers and terminals; an SQLite file has one service.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pkgutil import resolve_name

from pipelines.catalog import Catalog
from pipelines.code_versions import CodeVersions
from pipelines.model import Run
from pipelines.presence import Presence, dead_here, process_id
from pipelines.settings import Settings
from pipelines.store import database, processes, strays, ticket_tables
from pipelines.store.sharing import Sharing, Tickets
from pipelines.store.tickets import Dispatch, ProcrastinateTickets
from pipelines.store.writer import Reader, Writer
from pipelines.sweeping import Sweeping
from pipelines.work import Place

logger = logging.getLogger(__name__)

LATELY = timedelta(seconds=7)
"""A leader that has said nothing for so long may be gone."""
TICKETS = "pipelines.store.tickets:ProcrastinateTickets"
"""What hands runs to workers: looked up where they are used, as its library takes a while to import."""


@dataclass(frozen=True, slots=True)
class Member:
    """One process of a store. `shared` says whether others may be there, `executes` whether it executes runs itself.

    `versions` and `sharing` are None where the store is this process's alone. `lease` is how long leases are. `in_all`
    says how many runs may go on at one time on all machines; None: no limit but the places that there are.
    """

    id: str
    shared: bool
    executes: bool
    lease: timedelta
    versions: CodeVersions | None
    sharing: Sharing | None
    in_all: Callable[[], int | None]

    @property
    def place(self) -> Place:
        """Where and for whom this process executes."""
        versions = self.versions.of if self.versions is not None else None
        return Place(self.id, shared=self.shared, versions=versions, in_all=self.in_all)

    @property
    def tickets(self) -> Tickets | None:
        """What hands runs to workers; None where there are none."""
        return self.sharing.tickets if self.sharing is not None else None

    async def prepare(self, writer: Writer) -> None:
        """Make the store ready for workers, where runs are handed to them."""
        if self.tickets is not None:
            await writer.call(ticket_tables.install, None)

    def sweeping(
        self,
        writer: Writer,
        reader: Reader,
        taken_up: Callable[[Sequence[Run]], None],
        clock: Callable[[], datetime],
    ) -> Sweeping:
        """Return what takes up runs whose process died; see `Sweeping`."""
        return Sweeping(
            writer,
            reader,
            exclusive=not self.shared,
            taken_up=taken_up,
            dead=lambda: self.dead(reader),
            more=lambda: self._more(writer),
            clock=clock,
        )

    async def _more(self, writer: Writer) -> None:
        await self._strays(writer)
        if isinstance(self.tickets, ProcrastinateTickets):
            await writer.call(self.tickets.dispatch, Dispatch(lost_after=self.lease), durable=False)

    async def _strays(self, writer: Writer) -> None:
        """Have runs executed that nobody could execute as they stood."""
        if self.versions is not None:
            for each in await writer.call(strays.renew, strays.Renew(self.versions.of, self.lease)):
                told = (len(each.ids), each.pipeline, each.old, each.new)
                logger.warning("%d run(s) of '%s' needed its version %s, which nobody has; now they need %s", *told)

    def code(self) -> Mapping[str, str]:
        """Return the versions of the pipelines in force here."""
        return self.versions.all() if self.versions is not None else {}

    async def dead(self, reader: Reader) -> frozenset[str]:
        """Return the processes of this machine that are gone, without waiting for their leases to end."""
        if not self.shared:
            return frozenset()
        there = await reader.read(processes.all_of)
        return frozenset(each.id for each in there if each.id != self.id and dead_here(each))

    async def led(self, reader: Reader) -> bool:
        """Say whether some scheduler leads, as far as it said so lately."""
        return any(each.leads for each in await reader.read(processes.schedulers, LATELY))

    async def arrives(self, presence: Presence, reader: Reader) -> bool:
        """Let the others know of this scheduler; return whether it is the first that is there.

        Raises:
            StoreError: the database refused.
        """
        return not self.shared or await presence.arrive(self.lease, await self.dead(reader))

    async def others(self, reader: Reader) -> bool:
        """Say whether another scheduler is there."""
        if not self.shared:
            return False
        there = await reader.read(processes.schedulers, self.lease)
        return any(each.id != self.id and not dead_here(each) for each in there)


def member(settings: Settings, catalog: Catalog, *, attached: bool = False) -> Member:
    """Return this process as a member of its store; one that is `attached` executes nothing of itself.

    Raises:
        StoreError: SCHEDULER_DB_URL cannot be read.
    """
    own, shared = process_id(), database.file_of(settings.scheduler_db_url) is None
    executes = not attached and settings.executor == "local"
    lease = timedelta(seconds=settings.run_lease_seconds)
    if not shared:
        return Member(own, shared, executes, lease, None, None, lambda: None)

    def in_all() -> int | None:
        options = catalog.options
        # Workers are there to have more places than one machine: only a limit that was given counts.
        given = "max_parallel_jobs" in options.model_fields_set or settings.executor == "local"
        return options.max_parallel_jobs if given else None

    versions, tickets = CodeVersions(catalog, settings.plugins_folder), None
    if settings.executor == "procrastinate":
        tickets = resolve_name(TICKETS)(pools=lambda: catalog.options.pools, in_all=in_all)
    return Member(own, shared, executes, lease, versions, Sharing(own, versions.of, tickets), in_all)
