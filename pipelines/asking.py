"""How people ask for a change, the same for every verb: the policy first, then the change and its audit row in one.

A denied request is recorded as well, before it is refused. A request that arrives twice takes effect once. What can be
asked for is in `verbs`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from pipelines.errors import AlreadyAsked, Denied
from pipelines.model import Actor, Asked, AuditEntry, Verb
from pipelines.policy import Decision, Policy
from pipelines.store import audit
from pipelines.store.audit import Audited, Repeated

if TYPE_CHECKING:
    from pipelines.engine import Engine


class Asking:
    """What all verbs over one engine share. They raise `Denied` for those who may not, once that is recorded."""

    def __init__(self, scheduler: Engine) -> None:
        """Act through `scheduler`."""
        self._scheduler = scheduler
        self._loaded: Any = None
        self._in_force: Policy | None = None

    @property
    def policy(self) -> Policy:
        """The policy of the pipelines file in force."""
        loaded = self._scheduler.catalog.loaded
        if self._in_force is None or self._loaded is not loaded:
            own = {name: each.policy for name, each in loaded.file.pipelines.items() if each.policy is not None}
            self._in_force, self._loaded = Policy(loaded.file.policy, own), loaded
        return self._in_force

    def may(self, actor: Actor, verb: Verb, pipeline: str | None = None, owner: str | None = None) -> Decision:
        """Say whether somebody may do something; nothing is recorded."""
        return self.policy.decide(actor, verb, pipeline, owner=owner)

    def within(self, actor: Actor, verb: Verb, pipelines: Iterable[str]) -> set[str]:
        """Return those pipelines to which somebody may do something; to ask `may` of thousands would take long."""
        return self.policy.within(actor, verb, pipelines)

    async def deny(self, asked: Asked, verb: Verb, target: str | None, missing: str) -> None:
        """Record that a request was denied, for a reason that the policy does not know of; it may come once more."""
        again = dataclasses.replace(asked, request_id=None)
        entry = self._entry(again, verb, target, allowed=False, missing=missing)
        await self._scheduler.writer.call(audit.record, entry)

    async def _allow(
        self, asked: Asked, verb: Verb, pipeline: str | None, *, target: str | None, owner: str | None = None
    ) -> None:
        decision = self.may(asked.actor, verb, pipeline, owner)
        if not decision.allowed:
            await self.deny(asked, verb, target, decision.missing)
            raise Denied(verb, target, decision.missing)

    def _entry(self, asked: Asked, verb: Verb, target: str | None, **more: Any) -> AuditEntry:
        more["detail"] = self._scheduler.redactor.values(more.get("detail", {}))
        return AuditEntry(asked=asked, at=self._scheduler.clock(), verb=verb, target=target, **more)

    def _write(self, entry: AuditEntry) -> Callable[[Callable[..., Any] | None, Any], Any]:
        """Return what writes a change together with `entry`; it raises AlreadyAsked where that was done before."""

        async def write(fn: Callable[..., Sequence[Any]] | None, arg: Any) -> Any:
            result = await self._scheduler.writer.call(audit.audited, Audited(entry, fn, arg))
            if isinstance(result, Repeated):
                raise AlreadyAsked(str(entry.asked.request_id), result.run_id)
            return result

        return write
