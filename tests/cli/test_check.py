"""`pipecall check`: every problem with file and line, plugins that nothing names, jobs whose pipeline is gone."""

from __future__ import annotations

import json

import pytest

from pipelines.__main__ import main
from pipelines.model import ScheduleRow
from pipelines.store import database, schedules

GOOD = """
scheduler: {timezone: UTC}
pipelines:
  often: {schedule: {interval: {minutes: 5}}, chain: [things.nothing]}
  daily: {schedule: {daily: "08:00"}, chain: [things.nothing]}
  once: {chain: [things.nothing]}
"""


@pytest.fixture
def here(project, monkeypatch):
    """The project's folder as the program sees it, with a plugin `things`."""
    monkeypatch.chdir(project.folder)
    for name, value in project.environment.items():
        monkeypatch.setenv(name, value)
    project.plugin("things", "def nothing(item): return item\n")
    project.write(GOOD)
    return project


def test_a_good_file_is_summed_up(here, capsys):
    """A good file gives one line with the counts, and when its schedules are due next; the store is not made."""
    assert 0 == main(["check"])
    lines = capsys.readouterr().out.splitlines()
    assert "✓ 3 pipelines, 2 schedules, all well" == lines[0]
    assert {"often:", "daily:"} == {line.split()[0] for line in lines[1:3]}
    assert (["  once at start: once"], False) == (lines[3:], (here.folder / "store.db").exists())


def test_each_problem_has_its_line(here, capsys):
    """All problems of the file are told at once, each as `file:line: where: what`; exit code 2."""
    here.write(GOOD.replace("things.nothing", "things.noting", 1).replace("daily: {schedule", "daily: {shedule"))
    assert 2 == main(["check"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("pipelines.yml:4: pipelines.often.chain[0]: the module things has no stage 'noting'")
    assert lines[1].startswith("pipelines.yml:5: pipelines.daily.shedule: ")
    assert "✗ 2 problems" == lines[-1]


@pytest.mark.parametrize(
    ("code", "line", "said"),
    [
        ("import os\n\n1 / 0\n", 3, "ZeroDivisionError"),
        ("x = 1\ndef broken(:\n", 2, "SyntaxError"),
        ("import no_such_thing_at_all\n", 1, "no_such_thing_at_all"),
        ("import sys\nsys.exit(3)\n", 2, "SystemExit"),
        ("import functools\nfunctools.reduce(lambda a, b: a / b, [1, 0])\n", 2, "ZeroDivisionError"),
    ],
)
def test_a_plugin_that_nothing_names_is_imported_too(here, capsys, code, line, said):
    """A broken plugin is told by its own file and line, though no pipeline names it."""
    here.plugin("aside", code)
    assert 2 == main(["check"])
    told = capsys.readouterr().out.splitlines()[0]
    assert (True, True) == (told.startswith(f"plugins/aside.py:{line}: importing aside failed: "), said in told)


def test_a_plugin_whose_name_is_taken_is_told(here, capsys):
    """A plugin that goes by the name of an installed module could never be used, and is told."""
    here.plugin("json", "")
    assert 2 == main(["check"])
    assert "plugins/json.py:1: the name 'json' is taken by a module of Python's own" in capsys.readouterr().out


def test_what_is_no_module_is_left_alone(here, capsys):
    """Folders without modules, tests, and hidden files in the plugins folder are nobody's problem."""
    (here.folder / "plugins" / "tests").mkdir()
    (here.folder / "plugins" / "tests" / "test_things.py").write_text("1 / 0")
    (here.folder / "plugins" / ".hidden.py").write_text("1 / 0")
    assert 0 == main(["check"])


def test_what_a_plugin_prints_does_not_spoil_the_json(here, capsys):
    """With --json standard output is one document, whatever plugins print as they are imported."""
    here.plugin("chatty", "print('hello there')\n")
    assert 0 == main(["check", "--json"])
    told = json.loads(capsys.readouterr().out)
    assert (True, 3, 2, []) == (told["ok"], told["pipelines"], told["schedules"], told["problems"])
    assert {"often", "daily"} == {due["schedule"] for due in told["next"]}


def test_problems_as_json(here, capsys):
    """With --json each problem has its file, line and place, for other programs."""
    here.write("pipelines: {a: {chain: [things.gone]}}")
    assert 2 == main(["check", "--json"])
    told = json.loads(capsys.readouterr().out)
    assert (False, None) == (told["ok"], told["pipelines"])
    assert ("pipelines.yml", 1, "pipelines.a.chain[0]") == tuple(
        told["problems"][0][key] for key in ("file", "line", "where")
    )


def test_another_file_can_be_checked(here, capsys):
    """A file that is named is checked instead of the one that the settings name."""
    (here.folder / "other.yml").write_text("pipelines: 3")
    assert (2, 2) == (main(["check", "other.yml"]), main(["check", "nowhere.yml"]))
    out = capsys.readouterr().out
    assert (True, True) == ("other.yml:1: pipelines: found 3" in out, "nowhere.yml" in out)


def test_a_job_whose_pipeline_is_gone_is_a_warning(here, capsys):
    """A job in the store that names a pipeline which is no longer in the file is told, and the store is not changed."""
    url = f"sqlite:///{here.folder / 'store.db'}"
    engine = database.connect(url)
    database.migrate(engine)
    row = ScheduleRow("orphan", "vanished", {"cron": "0 8 * * *"}, "UTC", "daily at 08:00", source="chat")
    with database.writing(engine).begin() as conn:
        schedules.add(conn, [row])
    engine.dispose()
    assert 0 == main(["check"])
    out = capsys.readouterr().out
    assert "warning: store: job orphan: runs pipeline 'vanished', which is not in the pipelines file" in out
    assert "all well, 1 warning" in out


def test_a_store_that_is_none_is_a_warning(here, capsys):
    """A store that cannot be read does not keep the file from being checked."""
    (here.folder / "store.db").write_bytes(b"this is no database, and long enough to be looked at as one" * 20)
    assert 0 == main(["check"])
    assert "warning: store: " in capsys.readouterr().out
