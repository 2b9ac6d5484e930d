"""The set of pipelines in force."""

from __future__ import annotations

import sys

import pytest

from pipelines.catalog import Catalog
from pipelines.errors import UnknownName
from pipelines.loader import load
from pipelines.registry import Registry

FILE = """
scheduler: {max_parallel_jobs: 7}
pipelines:
  prices:
    params: {region: eu, page: 1}
    schedule: ["@daily", {hourly: 5, id: often, params: {page: 2}}, {daily: 09:30, timezone: Asia/Tokyo}]
    chain: [shop_catalog.keep]
  start: {chain: [shop_catalog.keep]}
  off: {enabled: no, schedule: "@daily", chain: [shop_catalog.keep]}
  off-too: {enabled: no, chain: [shop_catalog.keep]}
"""


@pytest.fixture
def read(tmp_path, monkeypatch):
    """Load a text as a pipelines file."""
    monkeypatch.setattr("sys.path", [*sys.path])
    plugins = tmp_path / "plugins"
    plugins.mkdir()
    (plugins / "shop_catalog.py").write_text("def keep(item):\n    return item\n")

    def loaded(text):
        path = tmp_path / "pipelines.yml"
        path.write_text(text)
        return load(path, registry=Registry(plugins), env={})

    yield loaded
    sys.modules.pop("shop_catalog", None)


@pytest.fixture
def catalog(read):
    return Catalog(read(FILE))


def test_enabled(catalog):
    """Disabled pipelines are known but not enabled."""
    assert ["prices", "start"] == [each.name for each in catalog.enabled()]
    assert {"prices", "start", "off", "off-too"} == set(catalog.pipelines)


def test_unscheduled(catalog):
    """Enabled pipelines without a schedule are those to run once at start."""
    assert ["start"] == [each.name for each in catalog.unscheduled()]


def test_schedule_ids(catalog):
    """A schedule goes by its own id, else by its pipeline's name and its place in the list."""
    assert ["prices", "often", "prices-3"] == [entry.id for entry in catalog.schedules()]


def test_schedule_params(catalog):
    """A schedule's parameters are merged over its pipeline's."""
    expected = [{"region": "eu", "page": 1}, {"region": "eu", "page": 2}, {"region": "eu", "page": 1}]
    assert expected == [entry.params for entry in catalog.schedules()]


def test_schedule_zones(catalog):
    """A schedule thinks in its own time zone, else in the scheduler's, which is Stockholm's unless the file differs."""
    assert ["Europe/Stockholm", "Europe/Stockholm", "Asia/Tokyo"] == [entry.zone for entry in catalog.schedules()]


def test_get(catalog):
    """A pipeline is found by its name."""
    assert "off" == catalog.get("off").name


def test_get_unknown(catalog):
    """An unknown name is refused with the nearest one."""
    with pytest.raises(UnknownName) as caught:
        catalog.get("price")
    assert "prices" == caught.value.nearest


def test_options(catalog):
    """What holds for all pipelines is at hand."""
    assert 7 == catalog.options.max_parallel_jobs


def test_replace(catalog, read):
    """A new valid set takes the place of the old one as a whole."""
    before = catalog.loaded
    assert before is catalog.replace(read("pipelines: {only: {chain: [shop_catalog.keep]}}"))
    assert (["only"], [], 3) == (list(catalog.pipelines), catalog.schedules(), catalog.options.max_parallel_jobs)


def test_pipelines_cannot_be_changed(catalog):
    """Nobody adds to the set in force by accident."""
    with pytest.raises(TypeError):
        catalog.pipelines["more"] = catalog.get("off")
