"""One store in use: its lock held, its schema brought up to date, the writer started; all closed again in order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from pipelines.store import database, holding
from pipelines.store.writer import Reader, Writer


@asynccontextmanager
async def opened(url: str, *, shared: bool = False) -> AsyncIterator[tuple[Writer, Reader]]:
    """Within the block the store at `url` is this process's alone, or `shared` with a service that may hold it.

    Raises:
        StoreLocked: another service holds it.
        StoreError: the database cannot be used.
    """
    async with AsyncExitStack() as stack:
        if not shared:
            stack.enter_context(holding.hold(url))
        engine = await asyncio.to_thread(database.connect, url)
        stack.callback(engine.dispose)
        await asyncio.to_thread(database.migrate, engine)
        writer, reader = Writer(engine), Reader(engine)
        await writer.start()
        stack.push_async_callback(writer.close)
        stack.push_async_callback(reader.close)
        yield writer, reader
