"""`pipecall migrate-store`: what it prints, on a terminal and off it, and its exit codes."""

from __future__ import annotations

import json

import pytest
from sqlalchemy import insert

from pipelines.__main__ import main
from pipelines.cli import migrate_store, printing
from pipelines.store import database, holding
from pipelines.store.moving import Step
from pipelines.store.schema import state_values
from tests.servers import fresh_schema


@pytest.fixture
def source(tmp_path, monkeypatch) -> str:
    """A store with three values, in the settings."""
    url = f"sqlite:///{tmp_path / 'store.db'}"
    engine = database.connect(url)
    database.migrate(engine)
    with database.writing(engine).begin() as conn:
        conn.execute(insert(state_values), [{"pipeline": "p", "name": name, "value": 1} for name in "abc"])
    engine.dispose()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SCHEDULER_DB_URL", url)
    return url


def test_the_store_of_the_settings_moves(source, tmp_path, capsys):
    """Off a terminal each table is a line with its speed; the last ones say what was moved and what to do next."""
    assert 0 == main(["migrate-store", "--to", f"sqlite:///{tmp_path / 'new.db'}"])
    said = capsys.readouterr().out
    assert "state_values: 3 of 3 rows, " in said
    assert "rows/s" in said
    assert f"moved 4 rows from {source} to sqlite:///{tmp_path / 'new.db'} in " in said
    assert f"now set SCHEDULER_DB_URL=sqlite:///{tmp_path / 'new.db'} in .env" in said


def test_to_a_server_with_json(source, capsys):
    """With `--json` each line is an object; the last sums up, and no password stands in any."""
    with fresh_schema() as url:
        assert 0 == main(["migrate-store", "--from", source, "--to", url, "--json"])
    said = capsys.readouterr().out
    *steps, last = [json.loads(line) for line in said.splitlines()]
    assert {"table": "state_values", "done": 3, "rows": 3, "checked": True} in steps
    assert (4, False, source) == (last["rows"], last["dry_run"], last["from"])
    assert {"table": "state_values", "rows": 3, "orphans": 0} in last["tables"]


def test_a_dry_run_is_told(source, tmp_path, capsys):
    """`--dry-run` lists the tables that hold something, and says that nothing was changed."""
    new = tmp_path / "new.db"
    assert 0 == main(["migrate-store", "--to", f"sqlite:///{new}", "--dry-run"])
    said = capsys.readouterr().out
    assert "state_values\t3\t\n" in said
    assert f"4 rows would be moved from {source} to sqlite:///{new}; nothing was changed" in said
    assert not new.exists()


def test_exit_codes(source, capsys):
    """A wrong URL is wrong input; a server that does not answer is a failure. The password is not told.

    Each names what gave the URL: an option, or without it the setting.
    """
    assert 2 == main(["migrate-store", "--to", "mysql://h/d"])
    assert "--to: 'mysql' is not supported" in capsys.readouterr().err
    assert 2 == main(["migrate-store", "--to", source])
    assert 1 == main(["migrate-store", "--to", "postgresql://u:secret@127.0.0.1:1/d"])
    said = capsys.readouterr().err
    assert "cannot be reached" in said
    assert "check --to and that the server runs" in said
    assert "secret" not in said
    assert 1 == main(["migrate-store", "--from", "postgresql://u@127.0.0.1:1/d", "--to", f"{source}.new"])
    assert "check --from and that the server runs" in capsys.readouterr().err


def test_a_store_of_the_settings_that_is_missing(tmp_path, monkeypatch, capsys):
    """Where no option gave the source, it is the setting that has to be mended."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SCHEDULER_DB_URL", f"sqlite:///{tmp_path / 'missing.db'}")
    assert 2 == main(["migrate-store", "--to", f"sqlite:///{tmp_path / 'new.db'}"])
    assert "SCHEDULER_DB_URL: " in capsys.readouterr().err


def test_a_store_in_use_is_named_by_its_option(source, tmp_path, capsys):
    """A service on the target is told of with the option that named it."""
    with holding.hold(f"sqlite:///{tmp_path / 'new.db'}"):
        assert 1 == main(["migrate-store", "--to", f"sqlite:///{tmp_path / 'new.db'}"])
    said = capsys.readouterr().err
    assert "name another database with --to" in said
    assert "SCHEDULER_DB_URL" not in said


def test_on_a_terminal_a_bar_is_drawn(source, tmp_path, capsys, monkeypatch):
    """A person sees a bar for each table that holds something."""
    monkeypatch.setattr(printing, "on_terminal", lambda: True)
    assert 0 == main(["migrate-store", "--from", source, "--to", f"sqlite:///{tmp_path / 'new.db'}"])
    said = capsys.readouterr().out
    assert "state_values" in said
    assert "3/3" in said
    assert "occurrences" not in said


def test_big_tables_are_told_of_on_the_way(capsys):
    """Of a big table every hundred thousand rows are a line, not every few."""
    with migrate_store._telling(as_json=False) as tell:
        for done in range(5_000, 250_001, 5_000):
            tell(Step("runs", done, 250_000, 1.0))
    told = [line.split(" ")[1] for line in capsys.readouterr().out.splitlines()]
    assert ["100,000", "200,000", "250,000"] == told
