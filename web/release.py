"""Which version of the program this is."""

from __future__ import annotations

import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


def program_version() -> str:
    """Return the version that runs: of the tree beside, else of the installed package."""
    project = Path(__file__).parent.parent / "pyproject.toml"
    try:
        return str(tomllib.loads(project.read_text(encoding="utf-8"))["project"]["version"])
    except OSError:
        pass
    try:
        return version("pipecall")
    except PackageNotFoundError:
        return "unknown"
