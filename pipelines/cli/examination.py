"""All that `doctor` looks at, in the order in which it should be mended; the chat is looked at by its own doctor."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec

from pipelines.cli import findings, frame
from pipelines.errors import ConfigError
from pipelines.finding import Finding, Level, good, wrong
from pipelines.model import utcnow
from pipelines.settings import Settings

BOT = "bot"
"""The chat, which has a doctor of its own: the engine starts it as a program and knows no more of it."""
BOT_S = 60
"""So long, in seconds, the chat's doctor may take."""


def everything() -> Iterator[Finding]:
    """Yield what is found; settings that cannot be read end it."""
    yield findings.python()
    try:
        settings = frame.settings()
    except ConfigError as error:
        yield from (wrong(str(problem), "correct it; docs/settings.md explains each") for problem in error.problems)
        return
    now = utcnow()
    yield from findings.of_settings(os.environ)
    yield from findings.pipelines(settings, os.environ, now)
    yield from findings.store(settings)
    yield from findings.machines(settings)
    yield from findings.clock(settings, now)
    yield findings.web(settings)
    yield from _discord(settings)


def _discord(settings: Settings) -> Iterator[Finding]:
    try:
        token = settings.bot_token()
    except ConfigError as error:
        yield wrong(str(error), "correct DISCORD_TOKEN_FILE")
        return
    if token is None or find_spec(BOT) is None:
        yield good("Discord is off: there is no token")
        return
    try:
        done = subprocess.run(  # noqa: S603 - our own program
            [sys.executable, "-m", BOT, "doctor"], capture_output=True, text=True, timeout=BOT_S, check=False
        )
    except subprocess.TimeoutExpired:
        yield wrong(f"Discord did not answer within {BOT_S} s", "try again later: python -m bot doctor")
        return
    told = list(_taken_over(done.stdout))
    if done.returncode and not any(finding.level is Level.WRONG for finding in told):
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()
        yield wrong(f"Discord cannot be looked at: {said[-1] if said else 'no word why'}", "python -m bot doctor")
    yield from told


def _taken_over(said: str) -> list[Finding]:
    """Return the findings of the chat's own doctor, read from what it printed: a sign each, remedies indented."""
    found: list[Finding] = []
    for line in said.splitlines():
        sign, _, rest = line.partition(" ")
        if sign in list(Level):
            found.append(Finding(Level(sign), f"Discord: {rest}"))
        elif line.startswith("    ") and found:
            found[-1] = replace(found[-1], remedy=f"{found[-1].remedy}\n{line.strip()}".strip())
    return found
