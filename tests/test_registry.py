"""Class path to stage: what is allowed, what is a stage, what its keyword arguments may be, and building it."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.errors import NotAllowed, PipecallError
from pipelines.model import StageSpec
from pipelines.registry import Registry
from pipelines.testing import run_transform

SHOP = '''
from __future__ import annotations

import functools
from collections.abc import AsyncIterator
from typing import Any, Literal

from pipelines.transform import Fetcher


class Prices(Fetcher):
    def __init__(self, region: Literal["eu", "us"], limit: int | None = None) -> None:
        if limit == 0:
            raise ValueError("limit: found 0, expected at least 1")
        if limit == -1:
            raise RuntimeError("boom")
        if limit == -2:
            raise TypeError("limit does not suit")
        self.limit = limit

    async def fetch(self) -> AsyncIterator[Any]:
        yield self.limit


class Unfinished(Fetcher):
    pass


class Foreign:
    """Written for another codebase with the same contract."""

    async def __call__(self, items):
        async for item in items:
            yield item


class ForeignFetch:
    async def fetch(self):
        yield 1


class ForeignHandle:
    async def handle(self, item): ...


class Generator:
    def __call__(self, items):
        yield from items


class Plain:
    pass


def tax(item, rate: float = 0.25, *, note: str = ""):
    return item * (1 + rate)


async def later(item):
    return item


def nothing():
    return 1


def only_keywords(*, item):
    return item


cached = functools.lru_cache(tax)
ready = Foreign()
number = 3
'''
MODULES = {
    "shop_r": SHOP,
    "quits_r": "import sys\nsys.exit(3)\n",
    "syntax_r": "x = (\n",
    "breaks_r": "import os\n\nos.no_such_thing\n",
    "needs_r": "import no_such_library\n",
    "json": "class Stage: ...\n",
    "colorsys": "class Stage: ...\n",
    "croniter": "class Stage: ...\n",
}


@pytest.fixture
def registry(tmp_path, monkeypatch):
    """A registry over a folder of plugins; modules and path are as they were afterwards."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    folder = tmp_path / "plugins"
    package = folder / "pack_r"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "deep.py").write_text("def stage(item):\n    return item\n")
    (folder / "bare_r").mkdir()
    (folder / "bare_r" / "deep.py").write_text("def stage(item):\n    return item\n")
    for name, text in MODULES.items():
        (folder / f"{name}.py").write_text(text)
    yield Registry(folder)
    for name in [name for name in sys.modules if name.split(".")[0].endswith("_r")]:
        del sys.modules[name]


def refusal(registry, path):
    with pytest.raises(PipecallError) as caught:
        registry.resolve(path)
    return str(caught.value)


@pytest.mark.parametrize(
    "path", ["shop_r.Prices", "pack_r.deep.stage", "pipelines.transforms.Limit", "bot.sink.Anything"]
)
def test_allowed(registry, path):
    """The plugins folder and the listed modules may be used."""
    assert registry.allowed(path) is None


@pytest.mark.parametrize(
    "path",
    [
        *("os.system", "pipelines.model.Run", "pipelines.transformsx.A", "bot.client.X", "subprocess.run"),
        *("Prices", "", ".", "shop_r.", ".Prices", "shop_r..Prices", "shop_r.Prices()", "shop_r:Prices", "shop r.X"),
        *("shop_r.__builtins__", "__main__.X", "shop_r.lambda", "../x.Y", "shop_r.X\n", "shop_r." + "x" * 200),
        *("other_r.X", "plugins.shop_r.Prices", "pipelines.transforms", "builtins.eval"),
    ],
)
def test_not_allowed(registry, path):
    """Anything else is refused by its text alone."""
    assert registry.allowed(path)
    with pytest.raises(NotAllowed):
        registry.resolve(path)


def test_what_is_not_allowed_is_not_imported(registry):
    """The module of a path that is refused is not executed."""
    before = set(sys.modules)
    refusal(registry, "this.s")
    assert "this" not in set(sys.modules) - before


def test_allowing_imports_nothing(registry):
    """Asking whether a path is allowed neither imports its module nor touches the search path."""
    before = list(sys.path)
    assert registry.allowed("quits_r.Stage") is None
    assert (before, False) == (sys.path, "quits_r" in sys.modules)


@settings(deadline=None)
@given(
    path=st.text() | st.lists(st.sampled_from(["os", "pipelines", "sys", "transforms", "x", "__class__"])).map(".".join)
)
def test_no_text_is_allowed_by_accident(path):
    """Whatever the text, what is allowed lies below a listed module."""
    allowed = Registry(None).allowed(path) is None
    assert not allowed or path.startswith(("pipelines.transforms.", "bot.sink."))


@pytest.mark.parametrize("name", ["Prices", "Foreign", "ForeignFetch", "ForeignHandle", "tax", "later"])
def test_stages(registry, name):
    """Subclasses, classes of the same contract, and functions are stages."""
    assert name == registry.resolve(f"shop_r.{name}").__name__


@pytest.mark.parametrize(
    "name", ["Generator", "Plain", "nothing", "only_keywords", "cached", "ready", "number", "Literal"]
)
def test_no_stages(registry, name):
    """Anything else in a module is refused with a reason."""
    assert f"shop_r.{name} is no stage: " in refusal(registry, f"shop_r.{name}")


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("shop_r.Price", "has no stage 'Price'; did you mean 'Prices'?"),
        ("shop.Prices", "did you mean 'shop_r.Prices'?"),
        ("plugins.shop_r.Prices", "write shop_r.Prices"),
        ("pack_r.deeper.stage", "there is no module 'pack_r.deeper'"),
        ("quits_r.Stage", "importing quits_r failed: SystemExit: 3 (quits_r.py, line 2)"),
        ("syntax_r.Stage", "importing syntax_r failed: SyntaxError: '(' was never closed (syntax_r.py, line 1)"),
        ("breaks_r.Stage", "has no attribute 'no_such_thing' (breaks_r.py, line 3)"),
        ("needs_r.Stage", "ModuleNotFoundError: No module named 'no_such_library' (needs_r.py, line 1)"),
        ("json.Stage", "the name 'json' is taken by a module of Python's own; rename"),
        ("colorsys.Stage", "the name 'colorsys' is taken by a module of Python's own; rename"),
        ("croniter.Stage", "the name 'croniter' is taken by another installed module; rename"),
        ("pipelines.transforms.Limt", "did you mean 'Limit'?"),
        ("pipelines.transforms.NAMES", "is no stage"),
        ("pipelines.transforms.importlib", "is no stage"),
    ],
)
def test_refusals(registry, path, words):
    """What cannot be used is refused with what is wrong, where, and the nearest right word."""
    assert words in refusal(registry, path)


def test_what_an_allowed_module_imports_is_not_allowed(tmp_path, monkeypatch):
    """A listed module does not open the way to functions that it merely imported."""
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    (tmp_path / "listed_r.py").write_text("from shutil import rmtree\n")
    assert "it comes from shutil" in refusal(Registry(None, ["listed_r"]), "listed_r.rmtree")


def test_packages(registry):
    """Modules inside packages of the plugins folder are found, also without `__init__.py`."""
    assert all(registry.resolve(path) for path in ("pack_r.deep.stage", "bare_r.deep.stage"))


def test_the_folder_comes_last(registry):
    """The plugins folder stands at the end of the search path, once."""
    registry.activate()
    registry.activate()
    assert (str(registry.plugins), 1) == (sys.path[-1], sys.path.count(str(registry.plugins)))


def test_no_folder(tmp_path):
    """Without a plugins folder the listed modules still work."""
    assert ["Limit", "Limit"] == [
        Registry(folder).resolve("pipelines.transforms.Limit").__name__ for folder in (None, tmp_path / "none")
    ]


@pytest.mark.parametrize(
    ("path", "kwargs", "count"),
    [
        ("shop_r.Prices", {"region": "eu", "limit": 3}, 0),
        ("shop_r.Prices", {"regoin": "eu", "limit": "3"}, 2),
        ("shop_r.Foreign", {}, 0),
        ("shop_r.Foreign", {"x": 1}, 1),
        ("shop_r.Unfinished", {}, 1),
        ("shop_r.tax", {"rate": 1, "note": "x"}, 0),
        ("shop_r.tax", {"item": 1}, 1),
        ("shop_r.tax", {"rate": "high"}, 1),
        ("os.system", {}, 1),
    ],
)
def test_other_checks(registry, path, kwargs, count):
    """Keyword arguments of classes and functions are checked; unfinished classes and refused paths are told too."""
    assert count == len(registry.check(path, kwargs))


def test_build_a_class(registry):
    """A class is built with its keyword arguments."""
    assert 5 == registry.build(StageSpec("shop_r.Prices", {"region": "eu", "limit": 5})).limit


def test_build_a_function(registry):
    """A function gets its keyword arguments bound; without any it is itself."""
    bound = registry.build(StageSpec("shop_r.tax", {"rate": 1.0}))
    assert (6.0, registry.resolve("shop_r.tax")) == (bound(3), registry.build(StageSpec("shop_r.tax")))


@pytest.mark.parametrize(
    ("kwargs", "words"),
    [
        ({"region": "eu", "limit": 0}, "shop_r.Prices: limit: found 0, expected at least 1 (shop_r.py, line"),
        ({"region": "eu", "limit": -1}, "shop_r.Prices: RuntimeError: boom (shop_r.py, line"),
        ({"region": "eu", "limit": -2}, "shop_r.Prices: TypeError: limit does not suit"),
        ({"regoin": "eu"}, "unknown keyword 'regoin'; did you mean 'region'?"),
    ],
)
def test_build_errors(registry, kwargs, words):
    """What a constructor refuses is one clear error with the constructor's own words."""
    with pytest.raises(PipecallError) as caught:
        registry.build(StageSpec("shop_r.Prices", kwargs))
    assert words in str(caught.value)


async def test_a_built_stage_runs(registry):
    """A stage from the registry does its work."""
    assert [7] == await run_transform(registry.build(StageSpec("shop_r.Prices", {"region": "eu", "limit": 7})))
