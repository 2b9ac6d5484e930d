"""What differs between two sets of pipelines, in words: `+1 pipeline, ~2 schedules`. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pipelines.loader import Loaded


@dataclass(frozen=True, slots=True)
class Difference:
    """The names that came, went and changed, each sorted."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()

    def words(self, one: str) -> list[str]:
        """Return what to say of it: `+1 pipeline`, `−2 pipelines`, `~1 pipeline`."""
        counts = {"+": self.added, "−": self.removed, "~": self.changed}
        return [f"{sign}{len(names)} {one}{'' if len(names) == 1 else 's'}" for sign, names in counts.items() if names]


@dataclass(frozen=True, slots=True)
class Change:
    """What a reload at an instant (UTC) put in force. `plugins` were read anew; `sections` of the file are others."""

    at: datetime
    pipelines: Difference
    schedules: Difference
    sections: tuple[str, ...] = ()
    plugins: bool = False

    def __bool__(self) -> bool:
        """Whether anything that runs has changed."""
        return bool(self.sections or self.plugins or self.pipelines.words("") or self.schedules.words(""))

    def __str__(self) -> str:
        """Say it in one line."""
        said = [*self.pipelines.words("pipeline"), *self.schedules.words("schedule")]
        said += [f"~{section}" for section in self.sections]
        said += ["plugins read anew"] if self.plugins else []
        return ", ".join(said) or "nothing that runs has changed"


def between(before: Loaded, now: Loaded, *, at: datetime, plugins: bool) -> Change:
    """Return what differs; what is the same object in both costs next to nothing."""
    sections = [name for name in type(now.file).model_fields if name != "pipelines"]
    return Change(
        at=at,
        pipelines=_difference(before.file.pipelines, now.file.pipelines),
        schedules=_difference({each.id: each for each in before.schedules}, {each.id: each for each in now.schedules}),
        sections=tuple(name for name in sections if getattr(before.file, name) != getattr(now.file, name)),
        plugins=plugins,
    )


def _difference(before: Mapping[str, Any], now: Mapping[str, Any]) -> Difference:
    both = before.keys() & now.keys()
    return Difference(
        added=tuple(sorted(now.keys() - before.keys())),
        removed=tuple(sorted(before.keys() - now.keys())),
        changed=tuple(sorted(name for name in both if not _same(before[name], now[name]))),
    )


def _same(before: Any, now: Any) -> bool:
    if before is now:
        return True
    if hasattr(now, "row"):  # a schedule is what the store is told of it
        return bool(before.row() == now.row() and before.definition == now.definition)
    return bool(before == now)
