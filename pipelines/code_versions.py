"""The version of what a run of a pipeline does: its definition, and the user's own code behind it.

Where several processes share a store, a run is queued with the version that its scheduler has in force, and a worker
with other files leaves it to those that have the same. Only what the user writes counts. The program's own stages do
not: releases that may share a store run each other's runs, and a rolling upgrade of Pipecall strands none of them. Nor
do installed packages, which are the matter of whoever installs them.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path

from pipelines.catalog import Catalog
from pipelines.definition import PipelineDefinition
from pipelines.errors import UnknownName
from pipelines.watching import fingerprint

CODE_DIGITS = 8
"""Hex digits of the plugins in a version; those of the definition stand before them."""


class CodeVersions:
    """Versions of the pipelines in force, as text such as `3f9a2c41d07b` or, with plugins, `3f9a2c41d07b-77ab01ce`.

    All modules of the plugins folder count together, as they may import each other; of pipelines without a stage from
    there, none does. What a program registered in Python counts by its names and keyword arguments: its code is the
    program's, and processes with other programs do not have the pipeline at all. May be used from any thread.
    """

    def __init__(self, catalog: Catalog, plugins: Path | None) -> None:
        """Read the modules in `plugins`, which may be None or not be there; they are read again by `renew` alone."""
        self._catalog, self._plugins = catalog, plugins
        self._lock = threading.Lock()
        self._modules: frozenset[str] = frozenset()
        self._code = ""
        self._known: dict[str, tuple[PipelineDefinition, str]] = {}
        self.renew()

    def of(self, pipeline: str) -> str | None:
        """Return the version of a pipeline that is in force; None: there is none of this name."""
        try:
            definition = self._catalog.get(pipeline)
        except UnknownName:
            return None
        with self._lock:
            return self._of(definition)

    def all(self) -> Mapping[str, str]:
        """Return the versions of all pipelines in force, by name."""
        definitions = self._catalog.pipelines.values()
        with self._lock:
            return {each.name: self._of(each) for each in definitions}

    def renew(self) -> None:
        """Read the modules anew: what is in the folder now is in force."""
        digests = fingerprint((), self._plugins)
        named = {path.relative_to(self._plugins): digest for path, digest in digests.items()} if self._plugins else {}
        with self._lock:
            self._modules = frozenset(path.parts[0].removesuffix(".py") for path in named)
            self._code = _digest(named)
            self._known.clear()

    def _of(self, definition: PipelineDefinition) -> str:
        before = self._known.get(definition.name)
        # A reload hands over the same object where nothing changed, so that ten thousand are not hashed again.
        if before is None or before[0] is not definition:
            before = self._known[definition.name] = (definition, self._made(definition))
        return before[1]

    def _made(self, definition: PipelineDefinition) -> str:
        from_plugins = self._has_plugins(stage.path for stage in definition.chain)
        return f"{definition.hash}-{self._code}" if from_plugins else definition.hash

    def _has_plugins(self, paths: Iterable[str]) -> bool:
        return any(path.partition(".")[0] in self._modules for path in paths)


def _digest(modules: Mapping[Path, str]) -> str:
    """Return what stands for these modules: their paths, with `/` on every system, and the digests of their bytes."""
    text = "\n".join(sorted(f"{path.as_posix()}\0{digest}" for path, digest in modules.items()))
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:CODE_DIGITS]
