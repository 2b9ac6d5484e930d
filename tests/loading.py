"""A folder with a pipelines file and plugins, to load texts from."""

from __future__ import annotations

import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from pipelines.errors import ConfigError
from pipelines.loader import load
from pipelines.registry import Registry

SHOP = """
from typing import Literal

from pipelines.transform import Fetcher, Sink


class Prices(Fetcher):
    def __init__(self, url: str = "", region: Literal["eu", "us"] = "eu", limit: int = 1, extra: object = None): ...

    async def fetch(self):
        yield 1


class Save(Sink):
    async def handle(self, item): ...


class Unfinished(Sink):
    pass
"""
ENV = {"TOKEN": "s3cret", "HOST": "shop.example", "EMPTY": ""}


def as_yaml(tree: object) -> str:
    """A tree as the text of a file; written in C where PyYAML has that, which takes a fifth of the time."""
    return str(yaml.dump(tree, Dumper=getattr(yaml, "CSafeDumper", yaml.SafeDumper), allow_unicode=True))


class Folder:
    """A folder with a pipelines file and plugins."""

    def __init__(self, path):
        self.path = path
        self.file = path / "pipelines.yml"
        self.registry = Registry(path / "plugins")
        (path / "plugins").mkdir()
        (path / "plugins" / "mine.py").write_text(SHOP)
        (path / "plugins" / "quits_l.py").write_text("raise SystemExit(3)")

    def load(self, text, **more):
        self.file.write_text(text, encoding="utf-8")
        return load(self.file, registry=self.registry, env=ENV, **more)

    def told(self, text, **more):
        """Line, path and message of all problems."""
        with pytest.raises(ConfigError) as caught:
            self.load(text, **more)
        assert {str(self.file)} == {problem.file for problem in caught.value.problems}
        return [(problem.line, problem.path, problem.message) for problem in caught.value.problems]


@contextmanager
def temporary_folder():
    """Make a folder; modules and search path are as they were afterwards."""
    path_before = list(sys.path)
    with tempfile.TemporaryDirectory() as name:
        yield Folder(Path(name))
    sys.path[:] = path_before
    sys.modules.pop("mine", None)


def one(text):
    """A file of one pipeline, whose keys begin in line 3."""
    return "pipelines:\n  p:\n" + "".join(f"    {line}\n" for line in text.splitlines())
