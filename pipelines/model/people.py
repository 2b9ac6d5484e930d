"""People who ask for something, through whichever door: who they are, what they asked for, and where."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum, StrEnum

from pipelines.model.base import JSON


class Verb(StrEnum):
    """What people can ask for."""

    VIEW = "view"
    LOGS = "logs"
    RUN = "run"
    CANCEL = "cancel"
    PAUSE = "pause"
    RESUME = "resume"
    MUTE = "mute"
    SCHEDULE = "schedule"
    REMOVE = "remove"
    REDELIVER = "redeliver"
    RELOAD = "reload"


class Role(IntEnum):
    """What somebody is to a pipeline; each may do all that those before it may."""

    NOBODY = 0
    VIEWER = 1
    OPERATOR = 2
    ADMIN = 3


@dataclass(frozen=True, slots=True)
class Actor:
    """Somebody who asks. `id` names them for ever (`discord:123`), `name` is for people.

    `user` and `roles` are ids as the policy names them; `roles` None means that they are not known just now, so that no
    role can grant anything. `manages` is true for those whom the place itself trusts with its settings. `level` is what
    the door itself granted, such as by a token; it holds for every pipeline, and the policy is not asked (None: it is).
    """

    id: str
    name: str
    user: int | None = None
    roles: frozenset[int] | None = frozenset()
    manages: bool = False
    level: Role | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """One request of somebody.

    `request_id` is unique for it, so that it takes effect once however often it arrives (None: it cannot arrive twice).
    `place` says where it was asked, for the audit (`{"guild": "1", "channel": "2"}`).
    """

    actor: Actor
    door: str
    request_id: str | None = None
    place: Mapping[str, JSON] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """What somebody asked for, and whether it was allowed; `missing` says what a denied request lacked.

    `target` is the pipeline, schedule or run it was about, `detail` the request's own values with secrets hidden. `id`
    counts from 1 in the order of asking (0: not stored yet).
    """

    asked: Asked
    at: datetime
    verb: Verb
    target: str | None
    allowed: bool = True
    missing: str | None = None
    detail: Mapping[str, JSON] = field(default_factory=dict)
    run_id: int | None = None
    id: int = 0
