"""What a Python program has to run: the pipelines file if there is one, the pipelines and callables it made, its jobs.

It outlives the engine: what was added before a start is there after each. Changing it is for one thread at a time.
"""

from __future__ import annotations

import os

from pipelines import loading
from pipelines.catalog import Catalog
from pipelines.definition import PipelinesFile, SchedulerSection
from pipelines.errors import BadSchedule, ConfigError, InvalidTransition, Problem, UnknownName
from pipelines.loader import Loaded
from pipelines.pipeline import Made, registered_pipelines
from pipelines.registry import Registry
from pipelines.settings import Settings
from pipelines.store import database
from pipelines.triggers import check_zone
from pipelines.wishes import Wish


class Inventory:
    """`catalog` and `registry` are the engine's; `wishes` are the jobs of this program, by id.

    `of_jobs` are the names of those pipelines that are a job's callable and nothing else.
    """

    def __init__(self, settings: Settings) -> None:
        """Read the pipelines file that the settings name; where they name none and none is there, do without.

        Raises:
            ConfigError: all that is wrong with it.
        """
        self.with_file = "pipelines_config" in settings.model_fields_set or settings.pipelines_config.is_file()
        self.settings = settings.model_copy(update=self._differing(settings))
        self.registry = Registry(settings.plugins_folder, settings.allowed_modules)
        self.wishes: dict[str, Wish] = {}
        self.of_jobs: set[str] = set()
        self._made: dict[str, Made] = {}
        self.catalog = self._catalog()

    def _differing(self, settings: Settings) -> dict[str, str]:
        """Return the settings that are other ones than a service's.

        What this program made no worker has: it executes it itself. On a server others may share the store and lead,
        and they do not have it either: it records what is due itself. Where others record the same, the store lets one
        of them.
        """
        differing = {} if self.with_file else {"scheduler_reload": "off"}
        if settings.executor != "local":
            differing["executor"] = "local"
        if settings.scheduler_lock is None and database.file_of(settings.scheduler_db_url) is None:
            differing["scheduler_lock"] = "none"
        return differing

    def _catalog(self) -> Catalog:
        return loading.read_catalog(self.settings, os.environ) if self.with_file else Catalog(no_file(self.settings))

    def renew(self) -> None:
        """Read the pipelines file anew, for another start. Raises ConfigError for what is wrong with it."""
        self.catalog = self._catalog()
        for made in self._made.values():
            self._put(made)

    def add(self, made: Made) -> None:
        """Take a pipeline in, or put it in the place of the one of its name.

        Raises:
            InvalidTransition: the pipelines file has one of that name.
        """
        self._put(made)
        self._made[made.definition.name] = made

    def _put(self, made: Made) -> None:
        self.catalog.add(made.definition.with_defaults(self.catalog.options))
        for path, own in made.own.items():
            self.registry.own.register(path, own)

    def take_registered(self) -> list[str]:
        """Take in what `register_pipeline` made meanwhile; return the names.

        Raises:
            InvalidTransition: the program, or its pipelines file, has another of one's name.
        """
        new = {name: made for name, made in registered_pipelines().items() if self._made.get(name) is not made}
        for name, made in new.items():
            before = self._made.get(name)
            if before is not None and before.definition.chain != made.definition.chain:
                raise InvalidTransition(f"a pipeline is called '{name}' already; register this one by another name")
            self.add(made)
        return list(new)

    def made(self, name: str) -> Made | None:
        """Return the pipeline of this name that the program made, or None."""
        return self._made.get(name)

    def check_pipeline(self, name: str) -> None:
        """Let the name of a pipeline pass that is there.

        Raises:
            UnknownName: there is none; the nearest is named.
        """
        if name not in self.catalog.pipelines:
            raise UnknownName("pipeline", name, self.catalog.pipelines)


def no_file(settings: Settings) -> Loaded:
    """Return what stands for the pipelines file where there is none."""
    section = SchedulerSection.model_validate(settings.overrides)
    try:
        check_zone(section.timezone)
    except BadSchedule as error:
        raise ConfigError([Problem(str(error), path="SCHEDULER_TIMEZONE", file="environment or .env")]) from None
    return Loaded(
        file=PipelinesFile(scheduler=section, pipelines={}), warnings=(), secrets=frozenset(), digest="", schedules=()
    )
