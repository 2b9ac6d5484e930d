"""What asyncio's clients of servers may lose: that the task which waits for an answer was told to end."""

from __future__ import annotations

import asyncio


def raise_if_cancelled() -> None:
    """Raise `CancelledError` where the current task was told to end; call it before an error is passed over.

    A client that is cancelled while it waits cleans up first. Should that fail, as when the connection breaks in that
    moment, it raises that error in place of the cancellation (redis-py and psycopg do), and is never cancelled again.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
