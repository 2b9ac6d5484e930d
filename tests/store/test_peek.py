"""Looking into a store makes nothing, changes nothing, and locks nobody out."""

from __future__ import annotations

import pytest
from sqlalchemy import inspect, text
from sqlalchemy.exc import DBAPIError

from pipelines.errors import StoreError
from pipelines.store import database
from pipelines.store.peek import peek
from tests.servers import fresh_schema


def test_where_there_is_no_store_none_is_made(tmp_path):
    """Without a file there is nothing to look into, and neither file nor folder is made."""
    with peek(f"sqlite:///{tmp_path / 'data' / 'store.db'}") as engine:
        assert engine is None
    assert [] == list(tmp_path.iterdir())


def test_a_database_without_tables_holds_no_store():
    """On a server that has the database but no store yet there is nothing to look into, and no table is made."""
    with fresh_schema() as url:
        with peek(url) as engine:
            assert engine is None
        engine = database.connect(url)
        assert [] == inspect(engine).get_table_names()
        engine.dispose()


def test_nothing_can_be_written(module_url, engine):
    """Who looks can read what is there, also while another one writes, and cannot write."""
    with database.writing(engine).begin() as writer, peek(module_url) as looking, looking.connect() as conn:
        writer.execute(text("DELETE FROM runs"))
        assert 0 == conn.execute(text("SELECT count(*) FROM runs")).scalar_one()
        with pytest.raises(DBAPIError, match=r"read-?only"):
            conn.execute(text("DELETE FROM runs"))


def test_a_name_that_means_something_in_urls_is_fine(tmp_path):
    """A file whose name holds spaces and signs of URLs can be looked into."""
    url = f"sqlite:///{tmp_path / 'a store & 100% #1.db'}"
    made = database.connect(url)
    database.migrate(made)
    made.dispose()
    with peek(url) as looking, looking.connect() as conn:
        assert 0 == conn.execute(text("SELECT count(*) FROM runs")).scalar_one()


def test_a_url_of_another_kind_is_refused(tmp_path):
    """A URL that cannot be read is told as an error of the store."""
    with pytest.raises(StoreError, match="expected sqlite"), peek("mysql://x/y"):
        pass
