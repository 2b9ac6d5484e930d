"""Where in Discord a pipelines file writes: the channels of sinks, alerts and the digest, and the webhooks of sinks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from string import Template
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipelines import Catalog

SINK = "bot.sink.DiscordSink"


@dataclass(frozen=True, slots=True)
class Place:
    """A channel, or (None) something that needs no looking up; `fault` says what is wrong with it as written."""

    used_by: str
    channel_id: int | None = None
    words: str = ""
    fault: str = ""
    remedy: str = ""


def places(catalog: Catalog, env: Mapping[str, str]) -> list[Place]:
    """Return each place that somebody writes to once, with all who do; a pipeline that is off does not.

    `env` is what `${NAME}` is read from.
    """
    found: dict[Place, list[str]] = {}
    for used_by, place in _every(catalog, env):
        found.setdefault(place, []).append(used_by)
    return [
        Place(", ".join(users), place.channel_id, place.words, place.fault, place.remedy)
        for place, users in found.items()
    ]


def _every(catalog: Catalog, env: Mapping[str, str]) -> Iterator[tuple[str, Place]]:
    file = catalog.loaded.file
    if file.alerts.channel_id is not None:
        yield "alerts", Place("", file.alerts.channel_id)
    if file.discord.digest is not None and file.discord.digest.channel_id is not None:
        yield "the digest", Place("", file.discord.digest.channel_id)
    for name, definition in catalog.pipelines.items():
        if definition.alerts is not None and definition.alerts.channel_id is not None:
            yield f"alerts of {name}", Place("", definition.alerts.channel_id)
        for stage in definition.chain if definition.enabled else ():
            if stage.path == SINK:
                yield f"the sink of {name}", _of_sink(stage.kwargs, env)


def _of_sink(kwargs: Mapping[str, Any], env: Mapping[str, str]) -> Place:
    webhook = kwargs.get("webhook")
    if webhook is not None:
        if env.get(str(webhook)):
            return Place("", words=f"the webhook {webhook} is set")
        remedy = f"put the webhook's address into the variable {webhook}"
        return Place("", fault=f"the webhook {webhook} is not set", remedy=remedy)
    written = kwargs.get("thread_id") or kwargs.get("channel_id")
    filled = Template(str(written)).safe_substitute(env)
    if not filled.isdecimal():
        return Place("", fault=f"{written} is no channel id", remedy="copy it with Developer Mode on: Copy Channel ID")
    return Place("", int(filled))
