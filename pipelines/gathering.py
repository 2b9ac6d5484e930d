"""Making one message of many that have waited for long: nobody wants to scroll through an outage."""

from __future__ import annotations

from datetime import datetime

from pipelines.channels import Channel
from pipelines.remedies import FLOOD, FLOOD_AGE, GATHERED
from pipelines.store import deliveries
from pipelines.store.deliveries import Gather
from pipelines.store.writer import Reader, Writer


async def gather(writer: Writer, reader: Reader, channel: Channel, target: str, now: datetime) -> int:
    """Tell the oldest messages that wait for a target by one, if they are old enough; return how many those were.

    Raises:
        StoreError: the database refused.
    """
    first = await reader.read(deliveries.untried, target, "message", 1)
    if not first or first[0].created_at > now - FLOOD_AGE:
        return 0
    parcels = await reader.read(deliveries.untried, target, "message", GATHERED)
    made = channel.together(parcels)
    if made is None or len(made[0]) <= FLOOD:
        return 0
    await writer.call(deliveries.gather, Gather(*made))
    return len(made[0])
