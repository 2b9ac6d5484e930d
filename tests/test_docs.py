"""What the documents say is true: examples load and run, tables match the models, links lead somewhere."""

from __future__ import annotations

import asyncio
import re
import shlex
import shutil
import sqlite3
import subprocess
import sys

import httpx
import pytest
import yaml
from pydantic import BaseModel

from pipelines.__main__ import main
from pipelines.definition import (
    FACES,
    Interval,
    Keep,
    Misfire,
    Monitoring,
    PipelineDefinition,
    RetryPolicy,
    ScheduleDefinition,
    SchedulerSection,
)
from pipelines.face_definition import AlertsSection, ChatRules, Digest, DiscordSection
from pipelines.model import RunState
from pipelines.parameters.declarations import KEYS
from pipelines.policy import People, PolicySection
from pipelines.schedule_definition import TIMES
from pipelines.settings import Settings
from pipelines.store import database
from tests.project import ROOT, Project
from web.face import WebFace

README = (ROOT / "README.md").read_text(encoding="utf-8")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
SHIPPED = yaml.safe_load((ROOT / "pipelines.yml").read_text(encoding="utf-8"))


def blocks(text: str, language: str) -> list[str]:
    """The fenced blocks of a language, in their order."""
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def commands(text: str) -> list[str]:
    """What a reader is told to type, without the remarks behind."""
    lines = "".join(blocks(text, "console")).splitlines()
    return [line.removeprefix("$ ").partition("  #")[0].strip() for line in lines if line.startswith("$ ")]


def keys(*models: type[BaseModel]) -> set[str]:
    """The keys that sections of a pipelines file may have."""
    return {field.alias or name for model in models for name, field in model.model_fields.items()} - {"name"}


# ------------------------------------------------------------------ README


def test_the_readmes_pipelines_load(project: Project):
    """Each YAML block of the README is a valid file over the README's own plugin."""
    project.plugin("shop", blocks(README, "python")[0])
    for block in blocks(README, "yaml"):
        project.write(block)
        assert ["prices"] == list(project.catalog().pipelines)


def test_the_readmes_pipeline_runs(project: Project):
    """The README's first pipeline runs as it stands and leaves its item in the table."""
    project.plugin("shop", blocks(README, "python")[0])
    project.write(blocks(README, "yaml")[0])
    (project.folder / "data").mkdir()
    done = project.run("main.py")
    assert (0, "1 pipeline run, 0 failed") == (done.returncode, done.stdout.splitlines()[-1]), done.stderr
    with sqlite3.connect(project.folder / "data" / "shop.db") as shop:
        assert [(1, 9.5)] == shop.execute("SELECT id, price FROM prices").fetchall()
    shop.close()


@pytest.mark.parametrize("command", [each for each in commands(README) if each.startswith("make ")])
def test_make_knows_the_readmes_commands(command):
    """Each `make` command of the README is a target of the Makefile."""
    assert re.search(rf"^{command.split()[1]}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.parametrize("command", [each for each in commands(README) if each.startswith(".venv/bin/python ")])
def test_the_readmes_programs_run(project: Project, command):
    """Each Python program of the README exits with 0 on the shipped pipelines, offline, and leaves their results."""
    shutil.copy(ROOT / "pipelines.yml", project.folder)
    shutil.copytree(ROOT / "plugins", project.folder / "plugins", ignore=shutil.ignore_patterns("__pycache__"))
    python, script, *arguments = shlex.split(command)
    project.bare = arguments == []
    done = project.run(script, *arguments, timeout=60)
    assert (".venv/bin/python", 0) == (python, done.returncode), done.stderr
    assert f"{1 if arguments else 3} pipeline{'' if arguments else 's'} run, 0 failed" == done.stdout.splitlines()[-1]
    assert (project.folder / "output" / "packages.csv").read_text().startswith("name,version,files")


def test_the_readmes_pipecall_commands_run(project: Project, monkeypatch):
    """Each `pipecall` command that the README says to type exits with 0 on its own first pipeline; no other is left."""
    typed = [shlex.split(each) for each in commands(README)]
    assert {"make", ".venv/bin/python", "pipecall"} == {program for program, *_ in typed}
    monkeypatch.chdir(project.folder)
    for name, value in project.environment.items():
        monkeypatch.setenv(name, value)
    project.plugin("shop", blocks(README, "python")[0])
    project.write(blocks(README, "yaml")[0])
    (project.folder / "data").mkdir()
    done = [(arguments, main(arguments)) for program, *arguments in typed if program == "pipecall"]
    assert [] == [arguments for arguments, code in done if code != 0]
    assert len(done) >= 4


# The name of each other door in the README's table, and the page that tells all about it.
DOORS = {
    "terminal": "cli.md",
    "Python": "python.md",
    "JSON": "jobs.md",
    "REST": "rest.md",
    "dashboard": "dashboard.md",
    "metrics": "deployment.md",
}


def test_the_readmes_table_has_every_door():
    """Each door has a line with an example and the page that tells all about it."""
    section = README.partition("\n## Other doors\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (\w+) \| (.+) \| \[docs/([\w.-]+)\]\(docs/[\w.#-]+\) \|$", section, re.MULTILINE)
    assert {name: page for name, _, page in rows} == DOORS
    assert [] == [name for name, example, _ in rows if "`" not in example and "<http" not in example]


def test_the_readmes_json_job_is_one(project: Project):
    """The JSON that the README shows is a valid file of jobs for its first pipeline."""
    (text,) = re.findall(r"`(\{\"jobs\": .*?\})`", README)
    (project.folder / "jobs.json").write_text(text, encoding="utf-8")
    project.plugin("shop", blocks(README, "python")[0])
    project.write(blocks(README, "yaml")[0])
    loaded = project.catalog(project.settings(scheduler_jobs=project.folder / "jobs.json")).loaded
    assert {("nightly", "prices"), ("prices", "prices")} == {(each.id, each.pipeline) for each in loaded.schedules}


async def test_the_readmes_requests_are_answered(project: Project):
    """What the README asks of the web by curl, or has people open, is answered by a service with its first pipeline."""
    asked = re.findall(r"(?:curl (?:-X (POST) )?|<)http://127\.0\.0\.1:8080(/[\w/]*)?", README)
    project.plugin("shop", blocks(README, "python")[0])
    project.write(blocks(README, "yaml")[0])
    async with project.scheduler(web="on", web_port=0) as engine:
        await engine.start()
        face = WebFace(engine.settings)
        await face.start(engine)
        async with asyncio.timeout(10):
            while face.address is None:
                await asyncio.sleep(0.01)
        async with httpx.AsyncClient(base_url=face.address, timeout=10) as client:
            codes = {
                (verb or "GET", path or "/"): (await client.request(verb or "GET", path or "/")).status_code
                for verb, path in asked
            }
        await face.stop()
        await engine.drain(5)
    expected = {("GET", "/"): 200, ("GET", "/metrics"): 200, ("GET", "/api/docs"): 200}
    assert expected | {("POST", "/api/pipelines/prices/runs"): 202} == codes


def test_the_readme_leads_to_every_page():
    """Each page of the documents is linked from the README."""
    pages = {path.name for path in (ROOT / "docs").glob("*.md")}
    assert set() == pages - set(re.findall(r"\]\(docs/([\w-]+\.md)", README))


def test_the_readmes_query_fits_the_store(tmp_path):
    """The query that the README shows, and the tables that it names, are those of the store."""
    (query,) = re.findall(r'sqlite3 data/pipecall\.db "(.*?)"', README)
    (tables,) = re.findall(r"plain tables (.*?), to be read", README, re.DOTALL)
    engine = database.connect(f"sqlite:///{tmp_path / 'pipecall.db'}")
    database.migrate(engine)
    with engine.connect() as connection:
        assert [] == connection.exec_driver_sql(query).all()
        for table in re.findall(r"`(\w+)`", tables):
            assert 0 == connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar_one()
    engine.dispose()


def test_the_readmes_table_has_every_key():
    """The table of what a pipeline can say has the keys of the model, no more and no less."""
    section = README.partition("can say\n")[2].partition("\n## ")[0]
    assert keys(PipelineDefinition) == set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE))


def unnamed(section: type[BaseModel], text: str) -> list[str]:
    """The keys of a section that a text does not name."""
    return [key for key in sorted(keys(section)) if not re.search(rf"[`{{ ]{key}[`:,}}]", text)]


@pytest.mark.parametrize(
    "section", [RetryPolicy, ScheduleDefinition, SchedulerSection, Misfire, Monitoring, Keep, ChatRules]
)
def test_the_readme_names_every_key_of_a_section(section):
    """Each key of retry, schedule, misfire, scheduler, monitoring and a pipeline's chat stands in its chapter."""
    assert [] == unnamed(section, README.partition("can say\n")[2].partition("\n## ")[0])


@pytest.mark.parametrize("section", [PolicySection, People, AlertsSection, DiscordSection, Digest])
def test_the_readme_names_every_key_about_people(section):
    """Each key of the sections about people and chat stands in the README."""
    assert [] == unnamed(section, README)


def test_the_readme_names_every_key_of_a_parameter():
    """What a declared parameter may have stands in the README."""
    (told,) = re.findall(r"^A declared parameter (.*?)^$", README, re.MULTILINE | re.DOTALL)
    assert [] == [key for key in KEYS if f"`{key}`" not in told and f"`{key}: " not in told]


def test_the_readmes_table_has_every_command():
    """The README's table leads to each slash command's section, of which another test says that they are all."""
    page = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    told = re.findall(r"\[`/(\w+)`\]\(docs/commands\.md#(\w+)\)", README)
    assert sorted(re.findall(r"^### /(\w+)$", page, re.MULTILINE)) == sorted(name for name, _ in told)
    assert all(name == anchor for name, anchor in told)


def test_the_readme_names_settings_that_exist():
    """What looks like a setting in the README is one."""
    named = {name for name in re.findall(r"`([A-Z]+_[A-Z_]+)", README) if not name.startswith("SIG")}
    assert set() == named - {name.upper() for name in Settings.model_fields}


def test_the_readme_names_every_state():
    """The states of a run stand in the README in their order."""
    (line,) = re.findall(r"^`(queued → .*?)`", README, re.MULTILINE)
    assert [str(state) for state in RunState] == re.findall(r"\w+", line)


# ------------------------------------------------------------ CONTRIBUTING


def test_contributings_stages_run(project: Project):
    """The stages that CONTRIBUTING shows run through the chain that it shows."""
    (chain,) = re.findall(r"in a chain: `(\[.*?\])`", CONTRIBUTING)
    project.plugin("shop", blocks(CONTRIBUTING, "python")[0])
    project.write(f"pipelines: {{shop: {{chain: {chain}}}}}")
    done = project.run("main.py")
    assert (0, True) == (done.returncode, "1 in, 1 out" in done.stdout), done.stderr
    assert "saved tea" in done.stderr


def test_contributings_test_passes(project: Project):
    """The test that CONTRIBUTING shows passes beside the stages that it shows."""
    stages, example, *_ = blocks(CONTRIBUTING, "python")
    project.plugin("shop", stages)
    (project.folder / "tests").mkdir()
    (project.folder / "tests" / "test_shop.py").write_text(example, encoding="utf-8")
    shutil.copy(ROOT / "pyproject.toml", project.folder)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:xdist", "-p", "no:hypothesispytest"],
        cwd=project.folder,
        env=project.environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (0, "1 passed") == (done.returncode, done.stdout.splitlines()[-1][:8]), done.stdout


# ----------------------------------------------------------- pipelines.yml


def test_the_shipped_file_shows_every_key_of_a_pipeline():
    """Each key that a pipeline may have is used in the shipped file."""
    assert set() == keys(PipelineDefinition) - {key for each in SHIPPED["pipelines"].values() for key in each}


def test_the_shipped_file_shows_every_kind_of_schedule():
    """The short form, a list, each kind of time and each option of a schedule are used in the shipped file."""
    shown = [each["schedule"] for each in SHIPPED["pipelines"].values() if "schedule" in each]
    single = [each for one in shown for each in (one if isinstance(one, list) else [one])]
    assert {str, list, dict} == {type(each) for each in shown}
    assert keys(ScheduleDefinition) == {key for each in single if isinstance(each, dict) for key in each}


@pytest.mark.parametrize(
    ("key", "section"),
    [("interval", Interval), ("misfire", Misfire), ("retry", RetryPolicy), ("monitoring", Monitoring)],
)
def test_the_shipped_file_spells_sections_right(key, section):
    """Sections of the shipped file are shown; a retry policy with every key that it may have."""
    shown = {name for each in _mappings(SHIPPED) if isinstance(each.get(key), dict) for name in each[key]}
    assert shown
    assert shown <= keys(section)
    assert key != "retry" or shown | set(SHIPPED["scheduler"]["default_retry"]) == keys(section)


def test_the_shipped_file_shows_every_option_of_the_scheduler():
    """Each key of the scheduler's section, every executor, and both forms of a stage are used in the shipped file."""
    pipelines = SHIPPED["pipelines"].values()
    assert keys(SchedulerSection) == set(SHIPPED["scheduler"])
    assert {None, "thread", "inline"} == {each.get("executor") for each in pipelines}
    assert {str, dict} == {type(stage) for each in pipelines for stage in each["chain"]}


def test_the_shipped_file_shows_the_sections_about_people():
    """Policy, alerts and discord stand in the shipped file with each of their keys, some of them as remarks."""
    text = (ROOT / "pipelines.yml").read_text(encoding="utf-8")
    for name, section in FACES.items():
        (part,) = re.findall(rf"^{name}:.*?(?=^\S+:|^# Keys)", text, re.MULTILINE | re.DOTALL)
        assert [] == [key for key in sorted(keys(section)) if not re.search(rf"^[# ] {key}:", part, re.MULTILINE)]


def _mappings(value: object) -> list[dict[str, object]]:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [each for part in inner for each in _mappings(part)] + ([value] if isinstance(value, dict) else [])


def test_the_kinds_of_time_are_named():
    """The README names each kind of schedule."""
    assert [] == [kind for kind in TIMES if f"{{{kind}: " not in README]
