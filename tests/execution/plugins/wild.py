"""Stages that behave badly, and a few that behave well, for the tests of executors."""

import asyncio
import ctypes
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from pipelines.errors import RetryLater, Skip
from pipelines.transform import Transform, current_run


def touch(path):
    Path(path).write_text(str(os.getpid()), encoding="utf-8")


def passed_on(item):
    """An item for the next stage, also where a chain starts, where None would be dropped."""
    return 1 if item is None else item


def numbers(item, *, count=3):
    yield from range(count)


def double(item):
    return item * 2


def fail_at(item, *, at=0):
    if item == at:
        raise ValueError(f"bad item {item}")
    return item


def spin(item, *, started):
    touch(started)
    while True:
        pass


def block(item, *, started):
    touch(started)
    time.sleep(1000)


def exit_hard(item, *, code=3):
    sys.stdout.write("about to go\n")
    sys.stdout.flush()
    os._exit(code)


def kill_self(item, *, number=int(signal.SIGKILL)):
    os.kill(os.getpid(), number)


def segfault(item):
    ctypes.string_at(0)


def leave(item):
    sys.exit(4)


def interrupt(item):
    raise KeyboardInterrupt


def skip(item):
    raise Skip("no new rows")


def later(item):
    raise RetryLater("busy", 12.5)


def flood(item, *, megabytes=50):
    line = "x" * 99 + "\n"
    for _ in range(megabytes):
        sys.stdout.write(line * 10_000)
    sys.stdout.write("the end\n")
    return passed_on(item)


def write_partial(item):
    sys.stdout.write("no newline here")
    return passed_on(item)


def log_much(item, *, lines=100_000):
    log = current_run().log
    for number in range(lines):
        log.info("line %d", number)
    return passed_on(item)


def log_some(item):
    current_run().log.debug("told at debug")
    logging.getLogger("some.library").info("told at info")
    logging.getLogger("some.library").debug("not told")
    sys.stdout.write("printed\n")
    return passed_on(item)


def leave_thread(item):
    threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
    return passed_on(item)


async def leave_task(item, *, ended):
    async def lasting():
        try:
            await asyncio.sleep(1000)
        finally:
            touch(ended)

    current_run().kept = asyncio.create_task(lasting())
    await asyncio.sleep(0)
    return passed_on(item)


def leave_child(item, *, pid_file):
    child = subprocess.Popen(["sleep", "1000"])
    Path(pid_file).write_text(str(child.pid), encoding="utf-8")
    os._exit(1)


def pid(item, *, path):
    with Path(path).open("a", encoding="utf-8") as file:
        file.write(f"{os.getpid()}\n")
    return passed_on(item)


def emit(item, *, count=1):
    run = current_run()
    for number in range(count):
        run.emit("discord:1", {"text": f"hello {number}"})
    run.emit("discord:1", {"text": "once"}, key="k")
    run.emit("discord:1", {"text": "never"}, key="k")
    run.progress(0.5, "half")
    return passed_on(item)


def keep_unfit(item):
    current_run().state["at"] = object()
    return passed_on(item)


async def remember(item, *, count=1000):
    seen = current_run().collection("seen")
    known = await seen.known(["old", "new"])
    stored = [key async for key, _ in seen.stored()]
    current_run().state["known"] = sorted(known)
    current_run().state["stored"] = len(stored)
    for number in range(count):
        seen.put(f"key-{number:07}", number)
    seen.remove("old")
    return passed_on(item)


class Wait(Transform):
    """Waits until it is cancelled; says when it started and when it was closed."""

    def __init__(self, started, closed=None, ignore=False, finish=False):
        self.started, self.closed, self.ignore, self.finish = started, closed, ignore, finish

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        if self.closed:
            touch(self.closed)

    async def __call__(self, items):
        async for item in items:
            touch(self.started)
            while True:
                try:
                    await asyncio.sleep(1000)
                except asyncio.CancelledError:
                    if self.finish:
                        break
                    if not self.ignore:
                        raise
            yield item


class Meet(Transform):
    """Waits until as many runs as asked for are in here at the same time."""

    def __init__(self, folder, parties):
        self.folder, self.parties = Path(folder), parties

    async def __call__(self, items):
        async for item in items:
            touch(self.folder / f"{os.getpid()}-{current_run().run_id}")
            while len(list(self.folder.iterdir())) < self.parties:
                await asyncio.sleep(0.01)
            yield item


class Announce:
    """Emits a message, then waits until a file is there."""

    def __init__(self, go):
        self.go = Path(go)

    async def __call__(self, items):
        async for item in items:
            current_run().emit("chat:1", {"content": "begun"}, key="begun")
            while not self.go.exists():
                await asyncio.sleep(0.01)
            yield item
