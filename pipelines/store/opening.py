"""One store in use: its lock held, its schema brought up to date, the writer started; all closed again in order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Literal, TypeAlias

from pipelines.store import claims, database, holding, runs
from pipelines.store.sharing import OPTION, Sharing
from pipelines.store.writer import Reader, Writer

Role: TypeAlias = Literal["scheduler", "worker", "visitor"]
"""What a process is to a store; a visitor, such as the terminal, may be there beside any service."""


@asynccontextmanager
async def opened(
    url: str, *, role: Role = "scheduler", sharing: Sharing | None = None
) -> AsyncIterator[tuple[Writer, Reader]]:
    """Within the block the store at `url` is in use, and held as a service holds it, unless this is only a visitor.

    `sharing` says how a store on a server is shared with other processes (None: it is not).

    Raises:
        StoreLocked: another service holds it.
        StoreError: the database cannot be used.
    """
    async with AsyncExitStack() as stack:
        if role != "visitor":
            stack.enter_context(holding.hold(url))
        engine = await asyncio.to_thread(database.connect, url, role=role)
        stack.callback(engine.dispose)
        await asyncio.to_thread(database.migrate, engine)
        if sharing is not None:
            engine = engine.execution_options(**{OPTION: sharing})
        writer, reader = Writer(engine, first={claims.take: runs.take_turn}), Reader(engine)
        await writer.start()
        stack.push_async_callback(writer.close)
        stack.push_async_callback(reader.close)
        yield writer, reader
