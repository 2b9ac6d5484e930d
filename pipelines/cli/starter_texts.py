"""What `config create` writes: a pipelines file that says what it can do, its plugin, and the settings."""

from __future__ import annotations

PIPELINES = """\
# The pipelines that run here. `pipecall check` says what is wrong with this file, `pipecall run hello` runs one now,
# `pipecall start` runs them all on time. Items stream through a chain of stages, from plugins/ or from the library.

scheduler:
  timezone: UTC                     # for schedules that name none of their own, such as Europe/Stockholm
  max_parallel_jobs: 3              # runs at one time, over all pipelines
  default_retry: {attempts: 3, delay: 60}   # a run that fails is tried again after up to 60 seconds

pipelines:

  hello:
    description: Numbers, doubled, into the log
    schedule: {interval: {minutes: 5}}      # also "*/5 * * * *", {daily: "08:00"}, {at: "2030-01-01T00:00"}
    timeout: 30                     # seconds; also 5m, 6h, 1d
    params: {greeting: hello}       # what a run may be given: pipecall run hello --param greeting=ciao
    chain:
      - class: example.Numbers      # the class Numbers in plugins/example.py
        kwargs: {count: 3}
      - example.doubled             # a plain function, called for each item
      - class: pipelines.transforms.Log
        kwargs: {text: "{greeting} {number}"}

  to-file:
    description: The same into a file, when somebody asks for it
    enabled: false                  # not scheduled; pipecall run to-file runs it
    chain:
      - class: example.Numbers
        kwargs: {count: 10}
      - class: pipelines.transforms.FileSink
        kwargs: {path: output/numbers.csv}
"""

PLUGIN = '''\
"""An example of your own stages; `pipecall new-stage NAME` writes another one with its test."""

from collections.abc import AsyncIterator
from typing import Any

from pipelines import Fetcher, current_run


class Numbers(Fetcher):
    """Yields numbered items."""

    def __init__(self, *, count: int = 3) -> None:
        """Take what `kwargs:` in the pipelines file gives: `count` is how many items there will be."""
        self.count = count

    async def fetch(self) -> AsyncIterator[dict[str, Any]]:
        """Yield the items, with the greeting that the run was given."""
        for number in range(1, self.count + 1):
            yield {"greeting": current_run().params.get("greeting", "hello"), "number": number}


def doubled(item: dict[str, Any]) -> dict[str, Any]:
    """Return the item with its number doubled; None would drop it."""
    return item | {"number": item["number"] * 2}
'''

ENV = """\
# Copy to .env and uncomment what you change; the environment wins over this file. docs/settings.md explains each.

#SCHEDULER_MODE=scheduler
#PIPELINES_CONFIG=pipelines.yml
#SCHEDULER_DB_URL=sqlite:///data/pipecall.db
#SCHEDULER_TIMEZONE=Europe/Stockholm
#SCHEDULER_MAX_JOBS=3
#SCHEDULER_RETRY_ATTEMPTS=3
#SCHEDULER_RETRY_DELAY=60
#SCHEDULER_DRAIN_S=30
#OUTPUT_DIR=output/reports
#PLUGINS_DIR=plugins
#PLUGINS_ALLOW=my_company.stages
#LOG_LEVEL=INFO
#LOG_FORMAT=text
#WORKER_MAX_RUNS=1000
#EXECUTOR=local
#RUN_LEASE_SECONDS=30
#SCHEDULER_LOCK=postgres
#SCHEDULER_LOCK_URL=redis://127.0.0.1:6379/0
#SCHEDULER_JOBS=jobs.json
#SCHEDULER_RELOAD=on
#WEB=on
#WEB_HOST=127.0.0.1
#WEB_PORT=8080
#WEB_HOSTS=pipecall.example
#WEB_TOKEN=
#WEB_TOKEN_FILE=/run/secrets/web-token
#DISCORD_TOKEN=
#DISCORD_TOKEN_FILE=/run/secrets/discord-token
#DISCORD_GUILDS=1234567890123456789
#DISCORD_WITHOUT_TOKEN=queue
#DISCORD_API_BASE=https://discord.com/api/v10
#DISCORD_GATEWAY_URL=wss://gateway.discord.gg/
"""
