"""Puts another valid set of pipelines in force: catalog, jobs, secrets, log level, executors, as one step."""

from __future__ import annotations

import asyncio
import logging

from pipelines.catalog import Catalog
from pipelines.code_versions import CodeVersions
from pipelines.errors import StoreError
from pipelines.jobs import Jobs
from pipelines.loader import Loaded
from pipelines.redaction import Redactor
from pipelines.settings import Settings
from pipelines.work import Work


class InForce:
    """What must follow the pipelines that are in force. `changed` is set each time they are others."""

    def __init__(
        self,
        settings: Settings,
        catalog: Catalog,
        *,
        jobs: Jobs,
        work: Work,
        redactor: Redactor,
        versions: CodeVersions | None = None,
    ) -> None:
        """Nothing is changed before `put`."""
        self.changed = asyncio.Event()
        self._settings, self._catalog = settings, catalog
        self._jobs, self._work, self._redactor = jobs, work, redactor
        self._versions = versions

    async def put(self, loaded: Loaded, plugins: bool) -> None:
        """Put a set in force; `plugins` says whether those have changed as well.

        Raises:
            StoreError: the store refused; nothing was changed.
        """
        before = self._catalog.replace(loaded)
        try:
            await self._jobs.reload()
        except StoreError:
            self._catalog.replace(before)
            raise
        if self._versions is not None:
            self._versions.renew()
        self._redactor.learn(loaded.secrets)
        logging.getLogger().setLevel(self._settings.log_level or loaded.file.scheduler.log_level)
        self._work.adapt(plugins=plugins)
        self.changed.set()
