"""Reads the files that say what is to run, as the settings name them: for a start, a check, and when they change."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from pipelines import loader
from pipelines.catalog import Catalog
from pipelines.errors import ConfigError, Problem
from pipelines.loader import Loaded
from pipelines.registry import Registry
from pipelines.settings import Settings, env_file_faults, misspelt_settings

logger = logging.getLogger(__name__)

DISCORD_SINK = "bot.sink.DiscordSink"


def load_catalog(settings: Settings, env: Mapping[str, str]) -> Catalog:
    """Load the pipelines file that the settings name; tell its warnings, and log at the level that both say.

    Raises:
        ConfigError: all that is wrong with it.
    """
    catalog = read_catalog(settings, env)
    logging.getLogger().setLevel(catalog.options.log_level)
    for warning in doubts(catalog, env):
        logger.warning("%s", warning)
    return catalog


def read_catalog(settings: Settings, env: Mapping[str, str]) -> Catalog:
    """Load the pipelines file that the settings name, and tell nobody.

    Raises:
        ConfigError: all that is wrong with it.
    """
    return Catalog(read(settings, env))


def read(settings: Settings, env: Mapping[str, str], before: Loaded | None = None) -> Loaded:
    """Read all files that say what is to run; what is as it was in `before` is taken over.

    Raises:
        ConfigError: all that is wrong with them.
    """
    registry = Registry(settings.plugins_folder, settings.allowed_modules)
    loaded = loader.load(
        settings.pipelines_config,
        registry=registry,
        env=env,
        overrides=settings.overrides,
        jobs=settings.scheduler_jobs,
        before=before,
    )
    _refuse_discord_without_token(settings, loaded)
    return loaded


def doubts(catalog: Catalog, env: Mapping[str, str]) -> list[Problem]:
    """Return what people should know of settings and file, though neither is refused for it."""
    of_settings = (*misspelt_settings(env), *env_file_faults())
    return [*map(Problem, of_settings), *catalog.loaded.warnings]


def _refuse_discord_without_token(settings: Settings, loaded: Loaded) -> None:
    """Raise ConfigError where the settings say that posting to Discord needs a token, and there is none."""
    if settings.discord_without_token != "refuse" or settings.bot_token():  # noqa: S105 -- a choice, no password
        return
    raise_for = [
        Problem(
            "posts to Discord, but there is no DISCORD_TOKEN, and DISCORD_WITHOUT_TOKEN is 'refuse'; set the token, "
            "or 'queue' to let messages wait for it",
            path=f"pipelines.{name}.chain[{place}]",
            file=str(settings.pipelines_config),
        )
        for name, definition in loaded.file.pipelines.items()
        for place, stage in enumerate(definition.chain)
        if definition.enabled and stage.path == DISCORD_SINK and "webhook" not in stage.kwargs
    ]
    if raise_for:
        raise ConfigError(raise_for)
