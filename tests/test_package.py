"""What is installed: a wheel holds all that the program reads at run time, and what type checkers look for."""

from __future__ import annotations

import tomllib
from pathlib import PurePath

import pytest

from tests.project import ROOT

PACKAGES = ("bot", "pipelines", "web")
DECLARED = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]["package-data"]


@pytest.mark.parametrize("package", PACKAGES)
def test_what_is_no_module_is_packed_too(package):
    """Each file of a package that is no module is declared as its data: templates, styles, stubs, markers."""
    folder = ROOT / package
    files = {PurePath(each.relative_to(folder)) for each in folder.rglob("*") if each.is_file()}
    data = {each for each in files if each.suffix not in {".py", ".pyc"}}
    assert set() == {str(each) for each in data if not any(each.match(pattern) for pattern in DECLARED[package])}


@pytest.mark.parametrize("package", PACKAGES)
def test_types_are_seen_from_outside(package):
    """Each package says that it is typed, so that users' programs are checked against it."""
    assert (ROOT / package / "py.typed").is_file()
    assert "py.typed" in DECLARED[package]


def test_every_folder_of_modules_is_a_package():
    """A folder without `__init__.py` would be left out of a wheel without a word."""
    folders = {each.parent for package in PACKAGES for each in (ROOT / package).rglob("*.py")}
    assert set() == {str(each.relative_to(ROOT)) for each in folders if not (each / "__init__.py").is_file()}
