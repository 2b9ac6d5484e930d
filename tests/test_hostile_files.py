"""Small mistakes that people make in pipelines files, plugins and settings, and what they are told."""

from __future__ import annotations

import pytest

from pipelines.errors import ConfigError
from pipelines.settings import env_file_faults, read_settings

PLUGIN = """
    def good(item, *, rate=1):
        return item

    class NoItems:
        async def __call__(self):
            yield 1

    class Asks:
        async def fetch(self, url, page):
            yield 1

    class Deaf:
        async def handle(self):
            pass

    class HelpsItself:
        async def fetch(self, url):
            return url

        async def handle(self, one, two):
            pass

        async def __call__(self, items):
            async for item in items:
                yield item
    """


def told(project, chain: str = "[mine.good]", more: str = "") -> str:
    """What a user is told about a pipelines file with this chain and these further lines; empty when it is valid."""
    project.plugin("mine", PLUGIN)
    project.write(f"pipelines:\n  p:\n    chain: {chain}\n{more}")
    try:
        project.catalog()
    except ConfigError as error:
        return str(error).replace(f"{project.folder}/", "")
    return ""


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("NoItems", "its __call__ takes other arguments; write 'async def __call__(self, items)'"),
        ("Asks", "its fetch takes other arguments; write 'async def fetch(self)'"),
        ("Deaf", "its handle takes other arguments; write 'async def handle(self, item)'"),
    ],
)
def test_a_method_with_the_wrong_arguments_is_told_at_load(project, name, remedy):
    """A stage's method that a run could not call is a mistake of the file, with the line to write instead."""
    assert f"pipelines.yml:3: pipelines.p.chain[0]: mine.{name} is no stage: {remedy}" == told(
        project, f"[mine.{name}]"
    )


def test_methods_that_a_run_never_calls_may_take_what_they_like(project):
    """A class with its own `__call__` may have a `fetch(url)` for its own use."""
    assert told(project, "[mine.HelpsItself]") == ""


@pytest.mark.parametrize("raised", ["class Own(BaseException): pass\nraise Own('x')", "raise SystemExit(3)"])
def test_a_plugin_may_raise_anything_while_it_is_imported(project, raised):
    """What a plugin raises at import, even outside `Exception`, is told with its line and is no traceback."""
    project.plugin("unruly", raised)
    said = told(project, "[unruly.stage]")
    assert said.startswith("pipelines.yml:3: pipelines.p.chain[0]: importing unruly failed: ")
    assert "(unruly.py, line " in said


@pytest.mark.parametrize(
    ("chain", "more", "words"),
    [
        ("[OnlyNew]", "", "did you mean 'pipelines.transforms.OnlyNew'?"),
        ("[pipeline.transforms.OnlyNew]", "", "did you mean 'pipelines.transforms.OnlyNew'?"),
        (
            "[mine.good]",
            "    schedule: */5 * * * *\n",
            "yml:4: cannot be read as YAML: a text that begins with * or &",
        ),
        ("[mine.good]", "    params: {a: ${HOME}}\n", "or a text with { or [ that needs quotes"),
        ("[mine.good]", "    retry: 3\n", "found 3 (a number); expected a mapping with keys such as attempts, delay,"),
        ("[mine.good]", "    schedule: {interval: 5m}\n", "expected a mapping with keys such as weeks, days, hours or"),
    ],
)
def test_a_common_slip_is_told_with_its_remedy(project, chain, more, words):
    """What people get wrong most often is answered with what to write instead."""
    assert words in told(project, chain, more)


def test_a_wrong_zone_of_the_settings_is_not_blamed_on_the_file(project):
    """SCHEDULER_TIMEZONE wins over the file, and so it is the one that is told when it is wrong."""
    project.plugin("mine", PLUGIN)
    project.write("pipelines:\n  p:\n    chain: [mine.good]\n")
    with pytest.raises(ConfigError) as caught:
        project.catalog(project.settings(scheduler_timezone="Europe/Stokholm"))
    said = "there is no zone of that name; did you mean 'Europe/Stockholm'?"
    expected = f"environment or .env: SCHEDULER_TIMEZONE: timezone 'Europe/Stokholm': {said}"
    assert expected == str(caught.value)


@pytest.mark.parametrize("url", ["mysql://root:secret@db/runs", "sqlite://", "sqlite:///:memory:", "Postgresql://h/x"])
def test_a_store_of_a_kind_that_is_not_supported_is_a_wrong_setting(monkeypatch, url):
    """A database URL that can never work is told as a setting, so the program ends with 2; no password is shown."""
    monkeypatch.setenv("SCHEDULER_DB_URL", url)
    with pytest.raises(ConfigError) as caught:
        read_settings(_env_file=None)
    assert str(caught.value).startswith("environment or .env: SCHEDULER_DB_URL: found '")
    assert "secret" not in str(caught.value)


def test_each_bad_line_of_a_dotenv_file_is_told(tmp_path):
    """A line that cannot be read and a misspelt setting are told with file and line."""
    path = tmp_path / ".env"
    path.write_text("LOG_LEVEL=INFO\nthis is no setting\nSCHEDULER_MAX_JOB=4\n")
    assert [
        f"{path}:2: cannot be read and is left out; expected NAME=value",
        f"{path}:3: SCHEDULER_MAX_JOB is not a setting; the nearest is SCHEDULER_MAX_JOBS",
    ] == env_file_faults(path)
