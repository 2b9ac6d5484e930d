"""Who may do what: the `policy` of a pipelines file, and the one pure function that every door asks.

viewer < operator < admin, by role or user id. A pipeline's own policy replaces, level by level, that of the file. Those
whom a `deny` names may do nothing, whatever else they are. Without any policy, people of an allowed place may look, and
only those whom the place trusts with its settings (on Discord: Manage Server) may change anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from pipelines.field_lists import Ids
from pipelines.model import Actor, Role, Verb
from pipelines.schedule_definition import Section

NEEDED: Mapping[Verb, Role] = {
    Verb.VIEW: Role.VIEWER,
    Verb.LOGS: Role.VIEWER,
    Verb.RUN: Role.OPERATOR,
    Verb.CANCEL: Role.OPERATOR,
    Verb.PAUSE: Role.OPERATOR,
    Verb.RESUME: Role.OPERATOR,
    Verb.MUTE: Role.OPERATOR,
    Verb.SCHEDULE: Role.OPERATOR,
    Verb.REMOVE: Role.ADMIN,
    Verb.REDELIVER: Role.ADMIN,
    Verb.RELOAD: Role.ADMIN,
}
"""The least role for each verb. Who made a job may remove it as an operator."""


class People(Section):
    """Some people, by the roles they have and by who they are; ids are numbers, as the chat shows them."""

    roles: Annotated[tuple[int, ...], Ids()] = Field(default=(), description="Ids of roles.")
    users: Annotated[tuple[int, ...], Ids()] = Field(default=(), description="Ids of users.")

    def include(self, actor: Actor) -> bool:
        """Say whether somebody is among them."""
        return actor.user in self.users or bool((actor.roles or frozenset()).intersection(self.roles))

    def may_include(self, actor: Actor) -> bool:
        """Say whether somebody may be among them, as far as is known: unknown roles may be any."""
        return self.include(actor) or (actor.roles is None and bool(self.roles))

    @property
    def words(self) -> str:
        """Who they are, as the chat shows it: `<@&1>, <@2>`; `nobody` when the list is empty."""
        return ", ".join([*(f"<@&{each}>" for each in self.roles), *(f"<@{each}>" for each in self.users)]) or "nobody"


class PolicySection(Section):
    """Who may do what; a level that is not given is as the default says."""

    viewer: People | None = Field(default=None, description="Who may look; not given: everybody in the place.")
    operator: People | None = Field(
        default=None, description="Who may run, cancel, schedule, pause and mute as well; not given: no further people."
    )
    admin: People | None = Field(
        default=None, description="Who may do all; not given: those who may manage the place (Manage Server)."
    )
    deny: People = Field(default=People(), description="Who may do nothing, whatever else they are.")


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether somebody may do something. `role` is what they are; `missing` says what they lack, empty when allowed."""

    allowed: bool
    role: Role
    missing: str = ""


class Policy:
    """The policy in force. Pure: asking it changes nothing."""

    def __init__(self, everywhere: PolicySection, own: Mapping[str, PolicySection] | None = None) -> None:
        """`everywhere` is the file's, `own` that of each pipeline which has one."""
        self._everywhere = everywhere
        self._own = own or {}

    def decide(self, actor: Actor, verb: Verb, pipeline: str | None = None, *, owner: str | None = None) -> Decision:
        """Say whether `actor` may do `verb`, to a pipeline or (None) in general.

        `owner` is the id of who made the job in question: they need less to remove it.
        """
        if self._denied(actor, pipeline):
            return Decision(False, Role.NOBODY, "you are on the policy's `deny` list")
        role = self._granted(actor, pipeline)
        needed = NEEDED[verb]
        if verb is Verb.REMOVE and owner == actor.id:
            needed = Role.OPERATOR
        if role >= needed:
            return Decision(True, role)
        if actor.roles is None:
            return Decision(False, role, "your roles are not known just now; try again in a minute")
        if actor.level is not None:
            return Decision(False, role, f"it needs {needed.name.lower()}; you are {role.name.lower()}")
        return Decision(False, role, self._lack(needed, role, pipeline))

    def within(self, actor: Actor, verb: Verb, pipelines: Iterable[str]) -> set[str]:
        """Return those pipelines to which `actor` may do `verb`; what has no policy of its own is decided but once."""
        usual = self.decide(actor, verb).allowed
        return {name for name in pipelines if (self.decide(actor, verb, name).allowed if name in self._own else usual)}

    def role(self, actor: Actor, pipeline: str | None = None) -> Role:
        """Return what somebody is to a pipeline, or (None) in general."""
        return Role.NOBODY if self._denied(actor, pipeline) else self._granted(actor, pipeline)

    def _granted(self, actor: Actor, pipeline: str | None) -> Role:
        if actor.level is not None:
            return actor.level
        admins = self._level("admin", pipeline)
        if actor.manages if admins is None else admins.include(actor):
            return Role.ADMIN
        operators = self._level("operator", pipeline)
        if operators is not None and operators.include(actor):
            return Role.OPERATOR
        viewers = self._level("viewer", pipeline)
        return Role.VIEWER if viewers is None or viewers.include(actor) else Role.NOBODY

    def _denied(self, actor: Actor, pipeline: str | None) -> bool:
        return any(section.deny.may_include(actor) for section in self._sections(pipeline))

    def _sections(self, pipeline: str | None) -> Iterable[PolicySection]:
        own = self._own.get(pipeline) if pipeline is not None else None
        return (own, self._everywhere) if own is not None else (self._everywhere,)

    def _level(self, name: str, pipeline: str | None) -> People | None:
        levels: Iterable[People | None] = (getattr(section, name) for section in self._sections(pipeline))
        return next((level for level in levels if level is not None), None)

    def _lack(self, needed: Role, role: Role, pipeline: str | None) -> str:
        """Say in words what is missing: `it needs operator (<@&1>) or admin (Manage Server); you are viewer`."""
        where = f" of {pipeline}" if pipeline else ""
        ways = [self._who(level, pipeline) for level in Role if level >= needed and self._known(level, pipeline)]
        return f"it needs {' or '.join(ways)}{where}; you are {role.name.lower()}"

    def _known(self, level: Role, pipeline: str | None) -> bool:
        people = self._level(level.name.lower(), pipeline)
        return level is Role.ADMIN if people is None else people != People()

    def _who(self, level: Role, pipeline: str | None) -> str:
        people = self._level(level.name.lower(), pipeline)
        return f"{level.name.lower()} ({'Manage Server' if people is None else people.words})"
