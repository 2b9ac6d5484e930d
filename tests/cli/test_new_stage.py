"""`pipecall new-stage` and `config create`: what they write works at once, and nothing that is there is lost."""

from __future__ import annotations

import stat
import subprocess
import sys

import pytest

from pipelines.__main__ import main
from pipelines.cli import starter_texts
from tests.project import ROOT

KINDS = ("fetcher", "transform", "sink", "function")


@pytest.fixture
def here(project, monkeypatch):
    """An empty folder of a user's, as the program sees it."""
    monkeypatch.chdir(project.folder)
    for name, value in project.environment.items():
        monkeypatch.setenv(name, value)
    return project


def python(project, *arguments):
    """Run a module of Python in the project's folder; pytest with those of its plugins only that are named."""
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=project.folder,
        env=project.environment | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_what_is_written_passes_its_own_test_and_the_linter(here):
    """Every kind of stage, fresh from the command, passes its test and this project's lint rules."""
    for kind in KINDS:
        assert 0 == main(["new-stage", f"my_{kind}", "--kind", kind])
    tested = python(here, "pytest", "-q", "-p", "pytest_asyncio.plugin", "plugins")
    assert (0, True) == (tested.returncode, "5 passed" in tested.stdout), tested.stdout
    config = str(ROOT / "pyproject.toml")
    linted = python(here, "ruff", "check", "--no-cache", "--config", config, "plugins")
    assert 0 == linted.returncode, linted.stdout
    formatted = python(here, "ruff", "format", "--no-cache", "--check", "--config", config, "plugins")
    assert 0 == formatted.returncode, formatted.stdout


def test_the_lines_to_paste_make_a_pipeline(here, capsys):
    """The lines that are printed, pasted into a chain, make a file that is good."""
    chain = []
    for kind in KINDS:
        assert 0 == main(["new-stage", f"my_{kind}", "--kind", kind])
        chain += [line for line in capsys.readouterr().out.splitlines() if line.startswith("      ")]
    (here.folder / "pipelines.yml").write_text("\n".join(["pipelines:", "  mine:", "    chain:", *chain]))
    assert 0 == main(["check"])


@pytest.mark.parametrize(
    "name",
    ["json", "pipelines", "pytest", "class", "match", "Tea", "tea-prices", "../tea", "a.b", "", "1st", "x" * 60, "tée"],
)
def test_names_that_cannot_be_used_are_refused(here, capsys, name):
    """A name that is taken, or is no plain module name, is refused with exit code 2; nothing is written."""
    assert 2 == main(["new-stage", name])
    assert ("", False) == (capsys.readouterr().out, (here.folder / "plugins").exists())


def test_nothing_is_overwritten(here, capsys):
    """A stage that is there stays as it is; so does a test of that name alone."""
    path = here.plugin("mine", "# my own\n")
    assert 3 == main(["new-stage", "mine"])
    assert ("# my own\n", True) == (path.read_text(), "plugins/mine.py is there already" in capsys.readouterr().err)
    test = here.folder / "plugins" / "tests" / "test_other.py"
    test.parent.mkdir()
    test.write_text("# mine too\n")
    assert (3, False) == (main(["new-stage", "other"]), (here.folder / "plugins" / "other.py").exists())


def test_a_dead_link_is_not_written_through(here):
    """A symbolic link that leads nowhere counts as being there."""
    (here.folder / "plugins").mkdir()
    (here.folder / "plugins" / "linked.py").symlink_to(here.folder / "elsewhere.py")
    assert (3, False) == (main(["new-stage", "linked"]), (here.folder / "elsewhere.py").exists())


def test_a_folder_that_cannot_be_made_is_told(here, capsys):
    """Where a file stands in the place of the plugins folder, that is said; exit code 1."""
    (here.folder / "plugins").write_text("not a folder")
    assert 1 == main(["new-stage", "mine"])
    assert "plugins/mine.py cannot be written" in capsys.readouterr().err


def test_created_files_are_good_and_private(here, capsys):
    """What `config create` writes is a good file without a warning, and only the user can read .env."""
    assert 0 == main(["config", "create"])
    assert 0o600 == stat.S_IMODE((here.folder / ".env").stat().st_mode)
    capsys.readouterr()
    assert 0 == main(["check"])
    assert "✓ 2 pipelines, 1 schedule, all well" in capsys.readouterr().out


def test_created_pipelines_run(here):
    """The pipelines of a fresh start run at once, in the program that runs everything once."""
    assert 0 == main(["config", "create"])
    done = here.run("main.py", "hello", "to-file")
    assert (0, True) == (done.returncode, "hello 6" in done.stderr), done.stderr
    assert 11 == len((here.folder / "output" / "numbers.csv").read_text().splitlines())


def test_create_keeps_what_is_there(here, capsys):
    """Files that are there stay; with --force they are written anew, and the old ones kept under another name."""
    here.write("pipelines: {}\n")
    (here.folder / ".env").write_text("DISCORD_TOKEN=mine\n")
    assert 0 == main(["config", "create"])
    assert ("pipelines: {}\n", "DISCORD_TOKEN=mine\n") == (
        (here.folder / "pipelines.yml").read_text(),
        (here.folder / ".env").read_text(),
    )
    assert 0 == main(["config", "create", "--force"])
    kept = [path.read_text() for path in sorted(here.folder.glob("*.before-*")) + sorted(here.folder.glob(".env.b*"))]
    assert {"pipelines: {}\n", "DISCORD_TOKEN=mine\n"} == set(kept)
    assert starter_texts.ENV == (here.folder / ".env").read_text()


def test_the_settings_are_those_of_the_example():
    """The .env that is written is the example in the tree, word for word."""
    assert (ROOT / ".env.example").read_text(encoding="utf-8") == starter_texts.ENV


def test_the_starter_plugin_is_well_formed(here):
    """The example plugin passes this project's own lint rules and format."""
    assert 0 == main(["config", "create"])
    config = str(ROOT / "pyproject.toml")
    linted = python(here, "ruff", "check", "--no-cache", "--config", config, "plugins")
    formatted = python(here, "ruff", "format", "--no-cache", "--check", "--config", config, "plugins")
    assert (0, 0) == (linted.returncode, formatted.returncode), linted.stdout + formatted.stdout
