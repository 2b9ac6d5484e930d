"""All that leaves for people: alerts are written into the outbox, and what waits there is delivered."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Mapping
from datetime import datetime

from pipelines.alerts import Alerts
from pipelines.catalog import Catalog
from pipelines.channels import Channel
from pipelines.delivery import Delivery
from pipelines.model import Run, RunState
from pipelines.notices import Notices
from pipelines.questions import Questions
from pipelines.redaction import Redactor
from pipelines.store.writer import Reader, Writer


class Messages:
    """The alerts and the delivery of one store."""

    def __init__(
        self,
        writer: Writer,
        reader: Reader,
        catalog: Catalog,
        *,
        channels: Mapping[str, Channel],
        absent: Mapping[str, str],
        upcoming: Callable[[], Iterable[tuple[str, datetime]]],
        redactor: Redactor,
        clock: Callable[[], datetime],
        may: Callable[[], bool] = lambda: True,
    ) -> None:
        """`channels` deliver by the first part of a target, `absent` says why one is missing; see `Alerts`.

        `may` says whether this process is the one that delivers; see `Delivery`.
        """
        self.delivery = Delivery(writer, reader, channels, clock, absent=absent, may=may)
        self.alerts = Alerts(
            writer=writer,
            reader=reader,
            catalog=catalog,
            clock=clock,
            upcoming=upcoming,
            posted=self.delivery.wake,
        )
        self.notices = Notices(catalog, writer, redactor=redactor, posted=self.delivery.wake, clock=clock, may=may)
        self.questions = Questions(writer, reader, clock=clock, posted=self.delivery.wake)

    def happened(self, run: Run) -> None:
        """Take note of what became of a run: its messages were stored with its end."""
        self.alerts.happened(run)
        if run.state in (RunState.SUCCEEDED, RunState.MISSED):  # people may be asked about a missed one
            self.delivery.wake()

    def look_again(self, *, send_again: bool) -> None:
        """Look at alerts and outbox now; with `send_again`, somebody has mended what kept messages from leaving."""
        self.alerts.wake()
        self.delivery.wake()
        if send_again:
            self.delivery.retry_now()

    def duties(self) -> Mapping[str, Callable[[], Coroutine[None, None, None]]]:
        """Return what begins what must go on while this process leads, by name; it can be cancelled and begun again."""
        return {"delivery": self.delivery.run, "alerts": self.alerts.run, "questions": self.questions.run}

    async def flush(self, timeout_s: float) -> str:
        """Deliver for up to `timeout_s` seconds; return in words what waits then, empty where nothing does."""
        if self.delivery.may():
            await self.alerts.look()
        await self.delivery.flush(timeout_s)
        left = [f"{each.waiting} for {each.target} ({each.state})" for each in self.delivery.status() if each.waiting]
        return f"messages wait for delivery: {', '.join(left)}" if left else ""
