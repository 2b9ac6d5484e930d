"""Changes on disk are told once each, however files are written, and nothing else is."""

from __future__ import annotations

import asyncio
import os
from contextlib import aclosing
from pathlib import Path

import pytest

from pipelines.watching import changed, fingerprint

LOOK_MS = 200


@pytest.fixture
def config(tmp_path):
    """A pipelines file in a folder of its own."""
    path = tmp_path / "config" / "pipelines.yml"
    path.parent.mkdir()
    path.write_text("a")
    return path


def replaced(file: Path, _: Path) -> None:
    new = file.with_suffix(".new")
    new.write_text("bb")
    new.replace(file)


def written(file: Path, _: Path) -> None:
    file.write_text("bb")


def removed(file: Path, _: Path) -> None:
    file.unlink()


def folder_swapped(file: Path, _: Path) -> None:
    file.parent.rename(file.parent.with_name("old"))
    file.parent.mkdir()
    file.write_text("bb")


def plugin_made(_: Path, plugins: Path) -> None:
    (plugins / "deep" / "deeper").mkdir(parents=True)
    (plugins / "deep" / "deeper" / "mine.py").write_text("x = 1")


@pytest.mark.parametrize("change", [replaced, written, removed, folder_swapped, plugin_made])
async def test_a_change_is_told(config, change):
    """However a file is changed, and wherever below the plugins folder one is made, it is told."""
    plugins = config.parent.parent / "plugins"
    async with asyncio.timeout(10), aclosing(changed(lambda: [config], plugins, look_ms=LOOK_MS)) as told:
        await anext(told)
        before = fingerprint([config], plugins)
        change(config, plugins)
        await anext(told)
        assert before != fingerprint([config], plugins)


async def test_links_turned_over(tmp_path):
    """Turning over a link to a folder on the way, as Kubernetes does, is told, with each turn."""
    for number in ("1", "2", "3"):
        (tmp_path / number).mkdir()
        (tmp_path / number / "pipelines.yml").write_text(number)
    (tmp_path / "..data").symlink_to("1")
    config = tmp_path / "pipelines.yml"
    config.symlink_to("..data/pipelines.yml")
    async with asyncio.timeout(10), aclosing(changed(lambda: [config], None, look_ms=LOOK_MS)) as told:
        await anext(told)
        for number in ("2", "3"):
            (tmp_path / "new").symlink_to(number)
            os.replace(tmp_path / "new", tmp_path / "..data")  # noqa: PTH105 -- the very call that is meant
            await anext(told)
            assert number == config.read_text()


def test_a_touch_is_no_change(config):
    """The fingerprint is of what files hold: touching changes nothing, a database beside does not count."""
    plugins = config.parent / "plugins"
    plugins.mkdir()
    (plugins / "mine.py").write_text("x = 1")
    before = fingerprint([config, config.parent / "no.json"], plugins)
    os.utime(config, (1, 1))
    (plugins / "runs.db").write_text("rows")
    assert before == fingerprint([config, config.parent / "no.json"], plugins)
    assert {config, plugins / "mine.py"} == set(before)
