"""The terminal's frame: help, completion, wrong command lines, and what errors become."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from pipelines.__main__ import main
from pipelines.cli import codes, completing
from pipelines.cli.commands import COMMANDS
from pipelines.errors import (
    BadParameter,
    BadSchedule,
    ConfigError,
    InvalidTransition,
    PipecallError,
    Problem,
    StoreError,
    UnknownName,
)
from tests.project import ROOT

FILE = """
scheduler: {timezone: UTC}
pipelines:
  prices: {schedule: {daily: "09:00"}, chain: [terminal_none.nothing]}
  report: {chain: [terminal_none.nothing]}
"""


@pytest.fixture
def here(project, monkeypatch):
    """The project's folder as the program sees it."""
    monkeypatch.chdir(project.folder)
    for name, value in project.environment.items():
        monkeypatch.setenv(name, value)
    project.plugin("terminal_none", "def nothing(item): return item\n")
    project.write(FILE)
    return project


def python(project, code: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run code in the project's folder, with the program at hand."""
    return subprocess.run(
        [sys.executable, "-c", f"import sys; from pipelines.__main__ import main\n{code}"],
        cwd=project.folder,
        env=project.environment | env,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_has_help_and_stands_in_the_docs(name, here, capsys):
    """`--help` of each command works and says what it is for; its section is in the docs."""
    assert 0 == main([name, "--help"])
    assert f"Usage: pipecall {name}" in capsys.readouterr().out
    docs = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    assert re.search(rf"^### pipecall {name}$", docs, re.MULTILINE)


def test_help_does_not_load_the_engine(project):
    """Neither the list of commands nor the help of any of them waits for the database or the engine."""
    code = f"""
for asked in [["--help"], *([name, "--help"] for name in {list(COMMANDS)!r})]:
    assert main(asked) == 0
    assert not {{"sqlalchemy", "aiohttp", "pipelines.engine"}} & set(sys.modules), asked
"""
    done = python(project, code)
    assert (0, "") == (done.returncode, done.stderr)


def test_the_help_lists_every_command(here, capsys):
    """`pipecall --help` names each command with its line, and the exit codes."""
    assert 0 == main(["--help"])
    said = capsys.readouterr().out
    assert [] == [name for name in COMMANDS if not re.search(rf"^  {name}  ", said, re.MULTILINE)]
    assert "130 interrupted" in said


def test_the_version_is_told(here, capsys):
    """`--version` names the program and its version."""
    assert 0 == main(["--version"])
    assert re.fullmatch(r"pipecall (\d+\.\d+\S*|unknown)\n", capsys.readouterr().out)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["histroy"], "Did you mean 'history'?"),
        (["history", "--limti", "3"], "--limit"),
        (["history", "--state", "sleepy"], "'queued'"),
        (["cancel", "twelve"], "found 'twelve', expected the number of a run"),
        (["run"], "NAME"),
        ([], "Usage: pipecall"),
        (["run", "prices", "--param", "region"], "expected NAME=VALUE"),
        (["run", "prices", "--param", "a=1", "--param", "a=2"], "'a' is given twice"),
        (["add-job", "prices"], "give one of --cron"),
        (["add-job", "prices", "--cron", "0 9 * * *", "--hours", "6"], "found --cron and --weeks"),
        (["add-job", "prices", "--type", "date", "--cron", "0 9 * * *"], "date takes --at, found --cron"),
        (["add-job", "prices", "--cron", "0 9 * *"], "4 fields, expected 5"),
        (["add-job", "prices", "--every", "now and then"], "--every: 'now and then' is no interval"),
        (["pause", "prices", "--for", "2h", "--until", "tomorrow at 08:00"], "one of --until and --for"),
        (["add-job", "prices", "--at", "2001-01-01T09:00"], "is past"),
        (["add-job", "prices", "--every", "1h", "--timezone", "Mars"], "timezone 'Mars': there is no zone"),
        (["run", "prices", "--inline", "--json"], "in text only"),
        (["history", "--before", "9" * 30], "expected the number of a run"),
        (["logs", "1", "--tail", "9" * 30], "--tail"),
        (["token", "create", "ann", "--level", "viewer", "--expires", "soon"], "--expires: found 'soon'"),
        (["pause", "price"], "did you mean 'prices'?"),
        (["next", "pricse"], "did you mean 'prices'?"),
        (["run", "pricse", "report"], "did you mean 'prices'?"),
    ],
)
def test_wrong_input_is_told_and_ends_with_2(here, capsys, arguments, said):
    """What is wrong is said on standard error, with what was expected; nothing is printed as an answer."""
    assert codes.WRONG_INPUT == main(arguments)
    answer, told = capsys.readouterr()
    assert ("", True) == (answer, said in told), told


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigError([Problem("no")]), 2),
        (BadSchedule("no"), 2),
        (BadParameter(["no"]), 2),
        (UnknownName("run", "9", []), 2),
        (InvalidTransition("no"), 3),
        (StoreError("no"), 1),
        (PipecallError("no"), 1),
    ],
)
def test_errors_become_codes_in_one_place(here, capsys, monkeypatch, error, code):
    """Each expected error is printed as it words itself, without a traceback, and has its exit code."""

    def fails() -> None:
        raise error

    monkeypatch.setattr("pipelines.cli.jobs.jobs", fails)
    assert code == main(["jobs"])
    assert f"{error}\n" == capsys.readouterr().err


def test_what_nobody_foresaw_gets_an_id(here, capsys, monkeypatch):
    """The user sees an id and where to look; the traceback is in the log under it, and shown at once with --debug."""

    def breaks() -> None:
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr("pipelines.cli.jobs.jobs", breaks)
    assert 1 == main(["jobs"])
    told = capsys.readouterr().err
    found = re.fullmatch(r"unexpected error (\w{8}): ZeroDivisionError: by zero; the traceback is in (\S+) .*\n", told)
    log = (here.folder / "pipecall.log").read_text(encoding="utf-8")
    assert found
    assert (str(here.folder / "pipecall.log"), True) == (found[2], f"unexpected error {found[1]}" in log)
    assert "in breaks" in log
    assert 1 == main(["--debug", "jobs"])
    assert "in breaks" in capsys.readouterr().err


def test_ctrl_c_ends_with_130(here, monkeypatch):
    """An interrupted command has the exit code that shells expect."""

    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("pipelines.cli.jobs.jobs", interrupted)
    assert 130 == main(["jobs"])


def test_the_shell_completes_commands_and_names(project):
    """Completion offers commands, and the pipelines of the file, without loading the engine."""
    project.write(FILE)
    code = "import atexit; atexit.register(lambda: print('sqlalchemy' in sys.modules)); main([])"
    offered = {}
    for words in ("pipecall ru", "pipecall run p"):
        env = {"_PIPECALL_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
        offered[words] = python(project, code, **env).stdout.split()
    assert {"pipecall ru": ["run", "run-now", "False"], "pipecall run p": ["prices", "False"]} == offered


def test_completion_is_silent_whatever_is_wrong(here):
    """Without a store there are no jobs; a file that is broken, of another shape or gone offers no pipelines."""
    assert ([], ["prices", "report"]) == (completing.jobs(""), completing.targets(""))
    for text in ("pipelines: {a: [", "- 1", "pipelines: 3", ""):
        here.write(text)
        assert [] == completing.pipelines("")
    (here.folder / "pipelines.yml").unlink()
    assert [] == completing.pipelines("")
    (here.folder / "store.db").write_text("dear diary")
    assert [] == completing.runs("")


def test_a_reader_who_leaves_is_no_error(project):
    """`pipecall schema | head -1` ends without a traceback."""
    project.write(FILE)
    command = f"{sys.executable} -m pipelines schema | head -1"
    done = subprocess.run(
        command,
        shell=True,
        cwd=project.folder,
        env=project.environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert ("{\n", "") == (done.stdout, done.stderr)


def test_a_reader_who_leaves_while_a_command_prints_is_no_error(project):
    """The pipe breaks in the middle of the output, not at its end: the code is 0, and nothing is said."""
    code = """
from pipelines.cli import pipelines as command
def pipelines(): [print("x" * 100, flush=True) for _ in range(10_000)]
command.pipelines = pipelines
sys.exit(main(["pipelines"]))
"""
    with subprocess.Popen(
        [sys.executable, "-c", f"import sys; from pipelines.__main__ import main\n{code}"],
        cwd=project.folder,
        env=project.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        process.stdout.readline()
        process.stdout.close()
        assert (b"", 0) == (process.stderr.read(), process.wait(60))


def test_output_that_is_closed_or_knows_few_letters(here):
    """Without an output the code tells all; where it has no letter for a text, an escape stands for it."""
    closed = subprocess.run(
        ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", sys.executable, "-m", "pipelines", "pipelines"],
        cwd=here.folder,
        env=here.environment,
        timeout=60,
        check=False,
    )
    assert 0 == closed.returncode
    plain = python(here, 'sys.exit(main(["check"]))', PYTHONIOENCODING="ascii")
    assert (0, True) == (plain.returncode, plain.stdout.startswith("\\u2713 2 pipelines"))


def test_a_job_that_never_was_is_told(here, capsys):
    """No runs of a job, or none missed, is an answer only where there is such a job."""
    assert 0 == main(["add-job", "prices", "--every", "6h", "--name", "often"])
    for command in ("history", "missed"):
        assert 0 == main([command, "--job", "often"])
        assert 0 == main([command, "--job", "prices"])
        capsys.readouterr()
        assert 2 == main([command, "--job", "oftn"])
        assert "no job is called 'oftn'; did you mean 'often'?" in capsys.readouterr().err
