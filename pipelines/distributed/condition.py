"""How a worker is, in a line: for those who watch over its process, such as systemd."""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.health import Status


@dataclass(frozen=True, slots=True)
class Condition:
    """A worker executes `running` runs of up to `slots`.

    `fetching` says why it can fetch none (None: it can), `files` why its newest pipelines file or plugins are not in
    force (None: they are). It is never of no use: a database that is away is waited for, and a part that died ends it.
    """

    running: int
    slots: int
    fetching: str | None = None
    files: str | None = None

    @property
    def complaints(self) -> tuple[str, ...]:
        """What is wrong, in words; nothing when all is well."""
        found = []
        if self.fetching is not None:
            found.append(f"no runs can be fetched: {self.fetching}")
        if self.files is not None:
            found.append(f"the newest files are refused: {self.files.splitlines()[0]}")
        return tuple(found)

    @property
    def status(self) -> Status:
        """The verdict."""
        return Status.DEGRADED if self.complaints else Status.OK

    def __str__(self) -> str:
        """`ok, 1 of 4 slots busy`."""
        return "; ".join((f"{self.status}, {self.running} of {self.slots} slots busy", *self.complaints))
