"""Where runs cannot be executed as asked, it is said before anything begins."""

from __future__ import annotations

import importlib.util

import pytest

from pipelines.__main__ import main
from pipelines.cli.worker import names
from pipelines.distributed import requirements
from pipelines.errors import ConfigError
from tests.project import Project

SERVER = "postgresql://nobody@127.0.0.1:1/nowhere"


@pytest.fixture
def told(project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """A call of the program in a folder with a pipelines file; returns its exit code and what it said of an error."""
    project.write("pipelines: {one: {executor: inline, chain: [{class: pipelines.transforms.Log}]}}")
    monkeypatch.chdir(project.folder)
    monkeypatch.setenv("PIPELINES_CONFIG", "pipelines.yml")
    monkeypatch.setattr("pipelines.service.set_up_logging", lambda *_: None)  # the log is pytest's here

    def call(*arguments: str, **env: str) -> tuple[int, str]:
        for name, value in env.items():
            monkeypatch.setenv(name, value)
        code = main(arguments)
        return code, capsys.readouterr().err

    return call


@pytest.mark.parametrize("command", ["worker", "start"])
def test_workers_need_a_server(told, command):
    """With an SQLite file, `EXECUTOR=procrastinate` is refused by worker and scheduler: why, and the two ways out."""
    code, said = told(command, EXECUTOR="procrastinate", SCHEDULER_DB_URL="sqlite:///store.db")
    assert 2 == code
    assert said.startswith("environment or .env: EXECUTOR=procrastinate needs PostgreSQL: an SQLite file is on one")
    assert "set SCHEDULER_DB_URL=postgresql://user:password@host:5432/name, or EXECUTOR=local" in said


def test_a_worker_beside_schedulers_that_execute_is_refused(told):
    """With `EXECUTOR=local` a worker would have nothing to do, and says so."""
    code, said = told("worker", EXECUTOR="local", SCHEDULER_DB_URL=SERVER)
    assert 2 == code
    assert "schedulers execute runs themselves, so a worker would have nothing to do" in said


def test_a_server_that_is_away_is_named_as_it_was_written(told):
    """The worker ends with 1, and says which server that was, without the driver's name and without the password."""
    code, said = told("worker", EXECUTOR="procrastinate", SCHEDULER_DB_URL="postgresql://me:hush@127.0.0.1:1/nowhere")
    assert (1, True) == (code, said.startswith("postgresql://me:***@127.0.0.1:1/nowhere: cannot be reached"))


def test_a_missing_extra_is_named(project, monkeypatch):
    """Without procrastinate the error says what to install."""
    found = importlib.util.find_spec
    monkeypatch.setattr(requirements, "find_spec", lambda name: None if name == "procrastinate" else found(name))
    with pytest.raises(ConfigError, match=r"pip install pipecall\[distributed\]"):
        requirements.check(project.settings(executor="procrastinate", scheduler_db_url=SERVER))


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--queues", "gpu,"), "--queues"),
        (("--queues", "a b"), "--queues"),
        (("--concurrency", "0"), "--concurrency"),
        (("--concurrency", "many"), "--concurrency"),
    ],
)
def test_wrong_options_are_named(told, arguments, expected):
    """A queue without a name and a number that is none end with code 2, and the option is named."""
    code, said = told("worker", *arguments, EXECUTOR="procrastinate", SCHEDULER_DB_URL=SERVER)
    assert 2 == code
    assert expected in said


def test_a_server_that_is_not_there_is_a_failure(told):
    """With a server that refuses, the worker ends with code 1, and the server is named."""
    code, said = told("worker", EXECUTOR="procrastinate", SCHEDULER_DB_URL=SERVER)
    assert 1 == code
    assert "127.0.0.1:1/nowhere: cannot be reached" in said


def test_queues_are_read_from_a_list():
    """`a, b` are two queues; nothing at all means all."""
    assert frozenset({"a", "b"}) == names("a, b")
    assert names(None) is None
