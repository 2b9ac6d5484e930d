"""How a service is stopped from a terminal: by the signals that it takes, until its lock is free."""

from __future__ import annotations

import os
import signal
import time

import psutil

from pipelines.cli import printing
from pipelines.cli.launching import LOOK_S
from pipelines.cli.standing import SILENT, is_here, who
from pipelines.errors import InvalidTransition, PipecallError
from pipelines.settings import Settings
from pipelines.store import processes
from pipelines.store.database import file_of
from pipelines.store.holding import Holder, holder
from pipelines.store.peek import peek

BEYOND_S = 20.0
"""So long, in seconds, a service may take to end beyond the time that it lets runs finish."""
AGAIN_S = 1.0
"""So long after a signal, in seconds, the next one is sent where it shall stop at once."""


def stop(chosen: Settings, timeout_s: float | None, *, now: bool) -> None:
    """Stop the service of the store and wait until it is gone; `now` cancels what it runs.

    Of several schedulers that share a store it is one of this machine.

    Raises:
        InvalidTransition: none runs, or it does so elsewhere.
        PipecallError: it may not be stopped by this user, or still runs after `timeout_s` seconds.
    """
    held = _service(chosen)
    if held is None:
        raise InvalidTransition("no service runs on this store; nothing to stop")
    if not is_here(held):
        raise InvalidTransition(f"the service is {who(held)}, not a process of this machine; stop it there")
    limit_s = chosen.scheduler_drain_s + BEYOND_S if timeout_s is None else timeout_s
    _tell(held)
    if not _gone(chosen, held, limit_s, again=now):
        raise PipecallError(f"{who(held)} still runs after {limit_s:.0f} s; 'pipecall stop --now' cancels its runs")
    printing.line(f"{who(held)} has stopped")


def _service(chosen: Settings) -> Holder | None:
    """Return the service that runs on the store; where there may be several, one of this machine if it has any."""
    if file_of(chosen.scheduler_db_url) is not None:
        return holder(chosen.scheduler_db_url)
    with peek(chosen.scheduler_db_url) as engine:
        if engine is None:
            return None
        with engine.connect() as conn:
            found = [
                Holder(each.pid, each.host, each.started_at.isoformat()) for each in processes.schedulers(conn, SILENT)
            ]
    running = [each for each in found if not is_here(each) or psutil.pid_exists(each.pid or 0)]
    return min(running, key=lambda each: not is_here(each), default=None)


def _tell(held: Holder) -> None:
    """Send the signal; a process that is gone by now needs none."""
    try:
        os.kill(held.pid or 0, signal.SIGTERM)
    except ProcessLookupError:
        return
    except PermissionError:
        raise PipecallError(
            f"{who(held)} belongs to another user; stop it as that user, or by its supervisor"
        ) from None


def _gone(chosen: Settings, held: Holder, limit_s: float, *, again: bool) -> bool:
    """Wait until the process no longer holds the store, telling it `again` every second where that is wanted."""
    began = told = time.monotonic()
    while psutil.pid_exists(held.pid or 0) and (there := _service(chosen)) is not None and there.pid == held.pid:
        moment = time.monotonic()
        if moment - began > limit_s:
            return False
        if again and moment - told > AGAIN_S:
            told = moment
            _tell(held)
        time.sleep(LOOK_S)
    return True
