"""`run --inline`: a chain in this very process: nothing recorded, what flows can be seen, sinks can be spared."""

from __future__ import annotations

import signal
import subprocess
import sys
from contextlib import contextmanager

import pytest

from pipelines.__main__ import main
from pipelines.cli.inline_run import run_inline
from pipelines.errors import BadParameter, UnknownName
from pipelines.model import CollectionChange, StateChange
from pipelines.store import database, state
from tests.project import until

PLUGIN = """
import asyncio
import time
from pathlib import Path

from pipelines import Fetcher, Sink, Transform, current_run


class Numbers(Fetcher):
    def __init__(self, *, count: int = 8):
        self.count = count

    async def fetch(self):
        for number in range(self.count):
            Path("fetched").write_text(str(number))
            yield {"number": number, "password": "hunter22"}


def odd(item):
    return item if item["number"] % 2 else None


def slip(item):
    return item["nmber"]


class Save(Sink):
    async def handle(self, item):
        with Path("saved").open("a") as file:
            file.write(f"{item['number']}\\n")


class Tell(Transform):
    async def __call__(self, items):
        async for item in items:
            yield item
        run = current_run()
        run.emit("discord:123", {"content": f"all {run.params['what']} done", "token": "sesame-open"}, kind="message")


class Remember(Transform):
    async def __call__(self, items):
        run = current_run()
        known = await run.collection("seen").known(["a"])
        run.log.info("state %s known %s", run.state, known)
        async for item in items:
            run.state["last"] = item["number"]
            run.collection("seen").put(str(item["number"]))
            yield item


class Patient(Fetcher):
    async def __aenter__(self):
        return self

    async def __aexit__(self, *args):
        Path("closed").write_text("yes")

    async def fetch(self):
        Path("waiting").write_text("yes")
        await asyncio.sleep(300)
        yield 1


def blocking(_):
    Path("waiting").write_text("yes")
    time.sleep(300)


class Odd:
    def __repr__(self):
        raise RuntimeError("no text")


def strange(_):
    yield Odd()
    yield "\\x1b[31mred" + "x" * 5000
"""

FILE = """
pipelines:
  plain: {chain: [steps.Numbers, steps.odd, steps.Save]}
  telling: {params: {what: tea}, chain: [steps.Numbers, steps.Tell]}
  remembering: {chain: [steps.Numbers, steps.Remember]}
  failing: {chain: [steps.Numbers, steps.odd, steps.slip, steps.Save]}
  strange: {enabled: false, chain: [steps.strange]}
  patient: {chain: [steps.Patient]}
  blocking: {chain: [steps.blocking]}
  files:
    chain:
      - steps.Numbers
      - {class: pipelines.transforms.FileSink, kwargs: {path: out.csv}}
      - {class: pipelines.transforms.SqlSink, kwargs: {url: "sqlite:///out.db", table: t}}
"""


@pytest.fixture
def here(project, monkeypatch):
    """The project's folder as the program sees it."""
    monkeypatch.chdir(project.folder)
    for name, value in project.environment.items():
        monkeypatch.setenv(name, value)
    project.plugin("steps", PLUGIN)
    project.write(FILE)
    return project


def run(*names, params=None, limit=None, show=False, dry_run=False):
    return run_inline(names, params=params or {}, limit=limit, show=show, dry_run=dry_run)


def test_it_runs_and_records_nothing(here, capsys):
    """The chain runs to its end, its sink takes the items, and no store is made."""
    assert 0 == run("plain")
    out = capsys.readouterr().out
    assert ("1\n3\n5\n7\n", False) == ((here.folder / "saved").read_text(), (here.folder / "store.db").exists())
    assert "✓ plain succeeded in " in out
    assert ", 8 in, 4 out (nothing was recorded)" in out


def test_the_command_itself(here, capsys):
    """Each of the options makes `run` an inline one; a limit that is none is refused."""
    assert 0 == main(["run", "telling", "--param", "what=milk", "--show", "--limit", "1", "--dry-run"])
    assert "all milk done" in capsys.readouterr().out
    assert (1, 2, 2) == (
        main(["run", "failing", "--dry-run"]),
        main(["run", "plain", "--limit", "0"]),
        main(["run", "plian", "--inline"]),
    )
    assert not (here.folder / "store.db").exists()


def test_a_dry_run_spares_the_sinks(here, capsys):
    """Sinks take nothing, those of the library too; what they would have taken is counted."""
    assert 0 == run("plain", "files", dry_run=True)
    assert [] == [name for name in ("saved", "out.csv", "out.db") if (here.folder / name).exists()]
    out = capsys.readouterr().out
    assert 3 == out.count("left out: a dry run takes nothing out")
    assert "Save" in out


def test_a_limit_stops_the_first_stage(here, capsys):
    """After so many items nothing more is asked of the first stage, and the rest of the chain ends well."""
    assert 0 == run("plain", limit=2)
    assert ("1", "1\n") == ((here.folder / "fetched").read_text(), (here.folder / "saved").read_text())
    assert ", 2 in, 1 out" in capsys.readouterr().out


@pytest.mark.parametrize("limit", [0, -3])
def test_a_limit_below_one_is_refused(here, limit):
    """A limit of no items is a mistake, and nothing is run."""
    with pytest.raises(BadParameter):
        run("plain", limit=limit)
    assert not (here.folder / "fetched").exists()


def test_what_flows_is_shown(here, capsys):
    """After each stage stand its first items, the rest as a count; what only its name gives away is hidden."""
    assert 0 == run("plain", show=True)
    lines = capsys.readouterr().out.splitlines()
    at = next(place for place, line in enumerate(lines) if line.startswith(" 1 Numbers"))
    assert "    {'number': 0, 'password': '•••'}" == lines[at + 1]
    assert "    … 3 more" == lines[at + 6]
    assert "    {'number': 1, 'password': '•••'}" == lines[at + 8]


def test_counts_are_those_of_a_run_without_looking(here, capsys):
    """Looking changes neither the names nor the counts of the stages."""
    told = []
    for show in (False, True):
        assert 0 == run("plain", show=show)
        lines = capsys.readouterr().out.splitlines()
        stages = [line.split() for line in lines if line[:2].strip().isdigit()]
        told.append(
            [[word for word in stage if not word.replace(".", "").isdigit() or "." not in word] for stage in stages]
        )
    assert told[0] == told[1]


def test_strange_items_are_shown_safely(here, capsys):
    """An item without a text, or with one that steers terminals and never ends, harms nobody."""
    assert 0 == run("strange", show=True)
    out = capsys.readouterr().out
    assert "<Odd whose text could not be had: RuntimeError>" in out
    assert (False, True) == ("\x1b" in out, max(map(len, out.splitlines())) <= 160)


def test_messages_are_shown_and_not_sent(here, capsys):
    """What would be posted is shown in readable form, secrets hidden, with the parameters that were given."""
    assert 0 == run("telling", params={"what": "coffee"}, show=True)
    out = capsys.readouterr().out
    assert "1 message would be sent:\n  to discord:123 (message)\n    content: all coffee done\n" in out
    assert "sesame" not in out


def test_state_is_read_and_not_changed(here, capsys):
    """The pipeline's state comes from the store if there is one; what changes in it is told, and not kept."""
    url = f"sqlite:///{here.folder / 'store.db'}"
    engine = database.connect(url)
    database.migrate(engine)
    change = StateChange({"last": 41}, {"seen": CollectionChange(put={"a": 7})})
    with database.writing(engine).begin() as conn:
        state.apply(conn, "remembering", change)
    assert 0 == run("remembering")
    told = capsys.readouterr()
    assert "state {'last': 41} known {'a': 7}" in told.err
    assert "not kept: what it changed in its state, collection 'seen' (+8 -0)" in told.out
    with engine.connect() as conn:
        assert {"last": 41} == state.values(conn, "remembering")
        assert [] == state.scan(conn, "remembering", "seen", "a", 10)
    engine.dispose()
    assert [(0,)] == here.query("SELECT count(*) FROM runs")


def test_without_a_store_state_begins_empty(here, capsys):
    """No store is needed or made, and it is said that the state began with nothing."""
    assert 0 == run("remembering")
    told = capsys.readouterr()
    assert "state {} known {}" in told.err
    assert ("there is no store, so it began with none" in told.out, list(here.folder.glob("store.db*"))) == (True, [])


@pytest.mark.parametrize("show", [False, True])
def test_an_error_names_the_stage_and_the_users_line(here, capsys, show):
    """A stage that fails is named, with the user's own line marked; exit code 1; looking on changes none of it."""
    assert 1 == run("failing", show=show)
    out = capsys.readouterr().out
    marked = [line for line in out.splitlines() if line.startswith("> ")]
    assert [True] == ["steps.py" in line and line.endswith("in slip") for line in marked]
    assert "✗ failing failed in " in out
    assert "slip: KeyError: 'nmber'" in out


def test_the_worst_end_of_several_counts(here, capsys):
    """Several pipelines run one after the other; one that fails does not keep the next from running."""
    assert 1 == run("failing", "plain")
    assert "✓ plain succeeded" in capsys.readouterr().out


def test_wrong_names_and_parameters_run_nothing(here):
    """An unknown pipeline or parameter is told before anything runs."""
    with pytest.raises(UnknownName, match="did you mean 'plain'"):
        run("plain", "plian")
    with pytest.raises(BadParameter):
        run("plain", params={"what": "tea"})
    assert not (here.folder / "fetched").exists()


INTERRUPTED = """
import sys
from pipelines.cli.inline_run import run_inline
sys.exit(run_inline([sys.argv[1]], params={}, limit=None, show=False, dry_run=False))
"""


@contextmanager
def started(project, name):
    """Run a pipeline inline in a process of its own, and wait until its first stage is at work."""
    script = project.folder / "interrupted.py"
    script.write_text(INTERRUPTED, encoding="utf-8")
    with project.started(str(script), name) as program:
        until((project.folder / "waiting").exists, "it never started")
        yield program


def test_ctrl_c_closes_the_stages(here):
    """Ctrl-C cancels the run, its stages are closed, and the exit code says that it was interrupted."""
    with started(here, "patient") as program:
        code = program.stop(signal.SIGINT)
    assert (130, True) == (code, (here.folder / "closed").exists()), program.said
    assert "was interrupted" in program.said
    assert "Traceback" not in program.said


def test_a_second_ctrl_c_breaks_off_a_stage_that_blocks(here):
    """A stage that does not let go is broken off by the second Ctrl-C, where it stands; exit code 130."""
    with started(here, "blocking") as program:
        program.process.send_signal(signal.SIGINT)
        program.wait_for("once more breaks off")
        code = program.stop(signal.SIGINT)
    assert (130, True) == (code, "in blocking" in program.said), program.said


BREAKPOINT = """
import sys
from pipelines.cli.inline_run import run_inline
sys.exit(run_inline(["plain"], params={}, limit=1, show=False, dry_run=True))
"""


def test_a_breakpoint_reaches_the_terminal(here):
    """`breakpoint()` in a stage opens the debugger on this program's own input and output."""
    here.plugin("steps", PLUGIN.replace("    return item if", "    breakpoint()\n    return item if"))
    done = subprocess.run(
        [sys.executable, "-c", BREAKPOINT],
        cwd=here.folder,
        env=here.environment,
        input="p 'seen', item['number']\nc\n",
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (0, True) == (done.returncode, "('seen', 0)" in done.stdout), done.stderr
