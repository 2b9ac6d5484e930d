"""Settings from the environment and a `.env` file. Built once by the mains, then passed in; nothing else reads them.

A setting that is None was not given: `pipelines.yml` decides then, and after it the default named there. What is given
here wins over the file, so that one machine can differ from another without touching it.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from dotenv.parser import parse_stream
from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from pipelines.errors import ConfigError, Problem, nearest

DEFAULT_DB_URL = "sqlite:///data/pipecall.db"


class Settings(BaseSettings):
    """Every setting, under the upper-case name of its field. The description says what a valid value looks like."""

    model_config = SettingsConfigDict(
        env_file=".env", env_file_encoding="utf-8", extra="ignore", frozen=True, env_ignore_empty=True
    )

    scheduler_mode: Literal["scheduler", "legacy"] = Field(
        default="scheduler", description="'scheduler' (the service) or 'legacy' (every pipeline once, then exit)"
    )
    pipelines_config: Path = Field(default=Path("pipelines.yml"), description="the path of a pipelines file")
    scheduler_db_url: str = Field(
        default=DEFAULT_DB_URL,
        pattern=r"^(sqlite:///[^:]|postgresql(\+psycopg)?://.)",
        description="sqlite:///data/pipecall.db, another file, or postgresql://user:password@host:5432/name",
    )
    scheduler_timezone: str | None = Field(default=None, description="a time zone such as Europe/Stockholm")
    scheduler_max_jobs: int | None = Field(default=None, ge=1, le=1000, description="a whole number from 1 to 1000")
    scheduler_retry_attempts: int | None = Field(default=None, ge=1, le=100, description="a whole number from 1 to 100")
    scheduler_retry_delay: float | None = Field(
        default=None, ge=0, le=86_400, allow_inf_nan=False, description="seconds, from 0 to 86400"
    )
    scheduler_drain_s: float = Field(
        default=30,
        ge=0,
        le=86_400,
        allow_inf_nan=False,
        description="seconds from 0 to 86400",
    )
    output_dir: Path | None = Field(default=None, description="a folder for one JSON report per run")
    plugins_dir: Path | None = Field(default=None, description="the folder of your own stages")
    plugins_allow: str = Field(
        default="",
        pattern=r"^\s*([A-Za-z_][\w.]*\s*(,\s*|$))*$",
        description="module names separated by commas, such as my_company.stages,my_lab",
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] | None = Field(
        default=None, description="DEBUG, INFO, WARNING or ERROR"
    )
    log_format: Literal["text", "json"] = Field(default="text", description="'text' or 'json'")
    worker_max_runs: int = Field(
        default=1_000,
        ge=1,
        le=1_000_000,
        description="runs after which a worker process is replaced, from 1 to 1000000",
    )

    executor: Literal["local", "procrastinate"] = Field(
        default="local", description="'local' (schedulers execute runs) or 'procrastinate' (workers do; PostgreSQL)"
    )
    run_lease_seconds: float = Field(
        default=30, ge=2, le=3_600, allow_inf_nan=False, description="seconds, from 2 to 3600"
    )
    scheduler_lock: Literal["none", "file", "redis", "postgres"] | None = Field(
        default=None, description="none, file, redis or postgres"
    )
    scheduler_lock_url: str | None = Field(
        default=None, description="redis://host:6379/0 for SCHEDULER_LOCK=redis, a path for SCHEDULER_LOCK=file"
    )

    discord_token: SecretStr | None = Field(default=None, description="the token of a Discord bot")
    discord_token_file: Path | None = Field(default=None, description="a file that holds the token of a Discord bot")
    discord_guilds: str = Field(
        default="",
        pattern=r"^\s*([0-9]{1,20}\s*(,\s*|$))*$",
        description="ids of Discord servers separated by commas, such as 1234567890123456789",
    )
    discord_without_token: Literal["queue", "refuse"] = Field(
        default="queue", description="'queue' (messages wait for a token) or 'refuse' (a file that posts to Discord)"
    )
    discord_api_base: str | None = Field(
        default=None, pattern=r"^https?://.+[^/]$", description="an address such as https://discord.com/api/v10"
    )
    discord_gateway_url: str | None = Field(
        default=None, pattern=r"^wss?://.+", description="an address such as wss://gateway.discord.gg/"
    )

    scheduler_jobs: Path | None = Field(default=None, description="the path of a JSON file of jobs")
    scheduler_reload: Literal["on", "off"] = Field(
        default="on", description="'on' (the pipelines file and plugins are watched) or 'off'"
    )

    web: Literal["on", "off"] = Field(default="on", description="'on' (REST and dashboard) or 'off'")
    web_host: str = Field(default="127.0.0.1", pattern=r"^[\w.:\[\]-]+$", description="an address such as 127.0.0.1")
    web_port: int = Field(default=8080, ge=0, le=65_535, description="a port from 1 to 65535; 0 picks a free one")
    web_hosts: str = Field(
        default="",
        pattern=r"^\s*([\w.:\[\]-]+\s*(,\s*|$))*$",
        description="names under which browsers may ask, separated by commas, such as pipecall.example",
    )
    web_token: SecretStr | None = Field(default=None, description="a token that may do everything on the web")
    web_token_file: Path | None = Field(default=None, description="a file that holds such a token")

    @property
    def guild_ids(self) -> tuple[int, ...]:
        """The Discord servers named here; they win over those of the pipelines file."""
        return tuple(int(each) for each in self.discord_guilds.replace(",", " ").split())

    def bot_token(self) -> str | None:
        """Return the token of the Discord bot, from the setting or the file that a setting names; None without one.

        Raises:
            ConfigError: the file cannot be read, or is empty.
        """
        return _secret(self.discord_token, self.discord_token_file, "DISCORD_TOKEN_FILE")

    def admin_token(self) -> str | None:
        """Return the web token that may do everything, from the setting or the file it names; None without one.

        Raises:
            ConfigError: the file cannot be read, or is empty.
        """
        return _secret(self.web_token, self.web_token_file, "WEB_TOKEN_FILE")

    @property
    def plugins_folder(self) -> Path:
        """The folder of the user's own stages: as set, else `plugins` beside the pipelines file."""
        return self.plugins_dir or self.pipelines_config.parent / "plugins"

    @property
    def allowed_modules(self) -> tuple[str, ...]:
        """Module prefixes that stages may come from, besides the plugins folder."""
        named = (name.strip() for name in self.plugins_allow.split(","))
        return ("pipelines.transforms", "bot.sink", *(name for name in named if name))

    @property
    def overrides(self) -> dict[str, Any]:
        """The keys of the pipelines file's `scheduler` section that are set here, and so win over it."""
        retry = {"attempts": self.scheduler_retry_attempts, "delay": self.scheduler_retry_delay}
        given = {
            "timezone": self.scheduler_timezone,
            "max_parallel_jobs": self.scheduler_max_jobs,
            "log_level": self.log_level,
            "default_retry": {name: value for name, value in retry.items() if value is not None} or None,
        }
        return {name: value for name, value in given.items() if value is not None}


def read_settings(**given: Any) -> Settings:
    """Read the settings from the environment and `.env`; `given` wins over both.

    Raises:
        ConfigError: one problem for each wrong setting, with what was found and what was expected.
    """
    logging.getLogger("dotenv").setLevel(logging.ERROR)  # it names no file; `env_file_faults` does
    try:
        return Settings(**given)
    except ValidationError as error:
        raise ConfigError(_problem(detail["loc"], detail["input"]) for detail in error.errors()) from None
    except UnicodeDecodeError:
        raise ConfigError([Problem("not UTF-8 text; save it as UTF-8", file=".env")]) from None


def _secret(given: SecretStr | None, file: Path | None, setting: str) -> str | None:
    """Return a token, from a setting itself or the file that another names."""
    if given is not None:
        return given.get_secret_value().strip() or None
    if file is None:
        return None
    try:
        token = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError([_of_file(file, f"cannot be read: {error}", setting)]) from None
    if not token:
        raise ConfigError([_of_file(file, "is empty; put the token into it", setting)])
    return token


def _of_file(path: Path, what: str, setting: str) -> Problem:
    return Problem(f"the file {path} {what}", path=setting, file="environment or .env")


def _problem(loc: tuple[int | str, ...], found: object) -> Problem:
    field = Settings.model_fields[str(loc[0])]
    name = str(loc[0]).upper()
    said = "a value" if "token" in name.lower() else re.sub(r"://.*@", "://***@", repr(found))
    return Problem(f"found {said}, expected {field.description}", path=name, file="environment or .env")


def misspelt_settings(env: Mapping[str, str]) -> list[str]:
    """Return a line for each `SCHEDULER_…`, `DISCORD_…` or `WEB_…` variable in `env` that no setting goes by."""
    known = [name.upper() for name in Settings.model_fields]
    strange = sorted(name for name in env if name.startswith(("SCHEDULER_", "DISCORD_", "WEB_")) and name not in known)
    return [f"{name} is not a setting; the nearest is {nearest(name, known) or 'none'}" for name in strange]


def env_file_faults(path: Path = Path(".env")) -> list[str]:
    """Return a line for each line of a `.env` file that cannot be read, or names a setting that there is not."""
    if not path.is_file():
        return []
    found = []
    with path.open(encoding="utf-8") as file:
        for binding in parse_stream(file):
            if binding.error:
                found.append(f"{path}:{binding.original.line}: cannot be read and is left out; expected NAME=value")
            elif binding.key:
                wrong = misspelt_settings({binding.key: ""})
                found.extend(f"{path}:{binding.original.line}: {words}" for words in wrong)
    return found
