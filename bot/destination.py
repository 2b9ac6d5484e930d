"""Where a sink posts and whom it pings: its keywords read into values that a message can carry.

A webhook's address is a secret, so it is never seen here: the configuration gives the name of the environment variable
that holds it, and whoever delivers looks it up.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bot.lengths import cut
from bot.limits import TAGS, THREAD_NAME, USERNAME
from bot.safe_text import plain
from pipelines import Placeholders

MOST_PINGS = 20
KNOWN = ("date", "pipeline", "rows", "run_id")
"""The placeholders of texts that stand for a whole run."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_FORBIDDEN_USERNAME = re.compile(r"clyde|discord|```|@|#|:", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Destination:
    """`target` is what the store knows; `body` and `payload` are further keys of each message and of its payload."""

    target: str
    body: Mapping[str, Any]
    payload: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Forum:
    """A post in a forum: its name, its tags by their names, and whether all runs of a pipeline share one."""

    name: Placeholders
    pattern: str
    tags: tuple[str, ...]
    shared: bool

    def record(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return how the post stands in a message's body; messages with the same `reuse` go into the same post."""
        name = cut(" ".join(plain(self.name.fill(values)).split()), THREAD_NAME) or str(values["pipeline"])
        owner = f"pipeline:{values['pipeline']}" if self.shared else f"run:{values['run_id']}"
        return {"name": name, "tags": list(self.tags), "reuse": f"{owner}:{self.pattern}"}


def destination(
    channel_id: int | str | None,
    webhook: str | None,
    *,
    thread_id: int | str | None,
    username: str | None,
    avatar_url: str | None,
) -> Destination:
    """Read where to post.

    Raises:
        ValueError: neither or both of channel and webhook are given, or one of the values is wrong.
    """
    if (channel_id is None) == (webhook is None):
        raise ValueError("channel_id: give either channel_id or webhook, where to post")
    thread = None if thread_id is None else snowflake(thread_id, argument="thread_id")
    if channel_id is not None:
        for name, value in (("username", username), ("avatar_url", avatar_url)):
            if value is not None:
                raise ValueError(f"{name}: only a webhook has one; the bot posts under its own name")
        channel = snowflake(channel_id, argument="channel_id")
        return Destination(f"discord:{thread or channel}", {}, {})
    given = {"username": _username(username), "avatar_url": _address(avatar_url)}
    return Destination(
        f"webhook:{_variable(str(webhook))}",
        {} if thread is None else {"thread_id": thread},
        {name: value for name, value in given.items() if value is not None},
    )


def snowflake(value: int | str, *, argument: str) -> str:
    """Return one of Discord's ids as text.

    Raises:
        ValueError: it is not a positive whole number of 64 bits.
    """
    text = str(value).strip()
    if isinstance(value, bool) or not re.fullmatch(r"[1-9][0-9]{0,18}", text, re.ASCII):
        raise ValueError(
            f"{argument}: found {text[:40]!r}, expected an id such as 1139985544332211000; in Discord, turn on the "
            "developer mode, right-click the channel or role, and choose Copy ID"
        )
    return text


def forum_of(given: Mapping[str, Any] | None) -> Forum | None:
    """Read the `forum` keyword.

    Raises:
        ValueError: an unknown key, or a wrong value.
    """
    if given is None:
        return None
    unknown = sorted(given.keys() - {"name", "tags", "reuse"})
    if unknown:
        raise ValueError(f"forum: unknown key {unknown[0]!r}; known are name, tags, reuse")
    name, tags, reuse = given.get("name", "{pipeline} {date}"), given.get("tags") or [], given.get("reuse", "run")
    if not isinstance(name, str) or not name.strip():
        raise ValueError(f"forum: found the name {name!r}, expected a text such as '{{pipeline}} {{date}}'")
    if not isinstance(tags, list) or len(tags) > TAGS or not all(isinstance(tag, str) and tag for tag in tags):
        raise ValueError(f"forum: found the tags {tags!r}, expected a list of at most {TAGS} names")
    if reuse not in ("run", "pipeline"):
        raise ValueError(f"forum: found reuse: {reuse!r}, expected run (a post for each run) or pipeline (one for all)")
    return Forum(Placeholders(name, argument="forum", known=KNOWN), name, tuple(tags), reuse == "pipeline")


def pings_of(given: Mapping[str, Sequence[int | str]] | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Read the `mention` keyword: the ids of roles and of users.

    Raises:
        ValueError: an unknown key, too many, or something that is no id.
    """
    unknown = sorted((given or {}).keys() - {"roles", "users"})
    if unknown:
        raise ValueError(f"mention: unknown key {unknown[0]!r}; known are roles, users")
    roles, users = (_ids((given or {}).get(kind)) for kind in ("roles", "users"))
    if len(roles) + len(users) > MOST_PINGS:
        raise ValueError(f"mention: found {len(roles) + len(users)} roles and users; at most {MOST_PINGS} are pinged")
    return roles, users


def _ids(given: Any) -> tuple[str, ...]:
    if given is not None and not isinstance(given, list):
        raise ValueError(f"mention: found {given!r}, expected a list of ids")
    return tuple(dict.fromkeys(snowflake(each, argument="mention") for each in given or ()))


def _variable(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError(
            "webhook: expected the name of an environment variable, such as NEWS_WEBHOOK, not an address: a webhook's "
            "address is a secret. Put it into the environment or .env (NEWS_WEBHOOK=https://...) and write "
            "webhook: NEWS_WEBHOOK"
        )
    return name


def _username(name: str | None) -> str | None:
    if name is not None and (not 1 <= len(name.strip()) <= USERNAME or _FORBIDDEN_USERNAME.search(name)):
        raise ValueError(
            f"username: found {name[:90]!r}, expected 1 to {USERNAME} characters without @, #, : or ```, and without "
            "'discord' and 'clyde', which Discord refuses"
        )
    return name


def _address(url: str | None) -> str | None:
    if url is not None and not re.fullmatch(r"https?://\S+", url):
        raise ValueError(f"avatar_url: found {url[:60]!r}, expected an address that begins with https://")
    return url
