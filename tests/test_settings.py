"""Settings: what the environment and `.env` may say, and what is said back when it is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.errors import ConfigError
from pipelines.settings import DEFAULT_DB_URL, Settings, misspelt_settings, read_settings

ROOT = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def bare(tmp_path, monkeypatch):
    """An empty folder to work in, and none of our settings in the environment."""
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    return tmp_path


def test_defaults_need_nothing():
    """Without any setting the program has a store, a pipelines file and a plugins folder beside it."""
    settings = read_settings()
    assert (DEFAULT_DB_URL, Path("pipelines.yml"), Path("plugins"), 30) == (
        settings.scheduler_db_url,
        settings.pipelines_config,
        settings.plugins_folder,
        settings.scheduler_drain_s,
    )


def test_environment_wins_over_dotenv(bare, monkeypatch):
    """A variable of the environment overrides the same one in `.env`; what is only there counts."""
    (bare / ".env").write_text("SCHEDULER_MAX_JOBS=4\nSCHEDULER_DRAIN_S=7\n")
    monkeypatch.setenv("SCHEDULER_MAX_JOBS", "9")
    settings = read_settings()
    assert (9, 7.0) == (settings.scheduler_max_jobs, settings.scheduler_drain_s)


def test_an_empty_variable_counts_as_not_set(monkeypatch):
    """`SCHEDULER_MAX_JOBS=` in a unit or Compose file leaves the default in force."""
    monkeypatch.setenv("SCHEDULER_MAX_JOBS", "")
    assert read_settings().scheduler_max_jobs is None


def test_all_wrong_settings_are_told_at_once(monkeypatch):
    """Each wrong setting gets a line: its name, what was found, what was expected."""
    monkeypatch.setenv("SCHEDULER_MAX_JOBS", "many")
    monkeypatch.setenv("SCHEDULER_MODE", "turbo")
    with pytest.raises(ConfigError) as caught:
        read_settings()
    modes = "'scheduler' (the service) or 'legacy' (every pipeline once, then exit)"
    assert [
        f"environment or .env: SCHEDULER_MODE: found 'turbo', expected {modes}",
        "environment or .env: SCHEDULER_MAX_JOBS: found 'many', expected a whole number from 1 to 1000",
    ] == str(caught.value).splitlines()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SCHEDULER_DRAIN_S", "nan"),
        ("SCHEDULER_DRAIN_S", "-1"),
        ("SCHEDULER_RETRY_ATTEMPTS", "0"),
        ("SCHEDULER_RETRY_DELAY", "inf"),
        ("SCHEDULER_DB_URL", "data/pipecall.db"),
        ("LOG_FORMAT", "xml"),
        ("PLUGINS_ALLOW", "os; rm"),
        ("WORKER_MAX_RUNS", "1.5"),
    ],
)
def test_a_wrong_value_names_its_setting(monkeypatch, name, value):
    """A value outside what is allowed is refused by name."""
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=f"{name}: found '{value}'"):
        read_settings()


def test_a_dotenv_file_in_another_encoding_is_told(bare):
    """A `.env` that is not UTF-8 is a clear error."""
    (bare / ".env").write_bytes(b"OUTPUT_DIR=\xff\xfe")
    with pytest.raises(ConfigError, match=r"\.env: not UTF-8"):
        read_settings()


def test_a_misspelt_variable_is_pointed_out():
    """A `SCHEDULER_…` variable that is no setting is named with the nearest one."""
    env = {"SCHEDULER_MAX_JOB": "3", "PATH": "/bin"}
    assert ["SCHEDULER_MAX_JOB is not a setting; the nearest is SCHEDULER_MAX_JOBS"] == misspelt_settings(env)


def test_extra_modules_are_allowed_by_name(monkeypatch):
    """`PLUGINS_ALLOW` adds module prefixes to the built-in ones."""
    monkeypatch.setenv("PLUGINS_ALLOW", "lab.stages, shop")
    assert ("pipelines.transforms", "bot.sink", "lab.stages", "shop") == read_settings().allowed_modules


@pytest.mark.parametrize("page", [".env.example", "docs/settings.md"])
def test_every_setting_is_documented(page):
    """Each setting stands in `.env.example` and in the reference."""
    text = (ROOT / page).read_text(encoding="utf-8")
    assert [] == [name.upper() for name in Settings.model_fields if name.upper() not in text]
