"""Which version of the program this is."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def program_version() -> str:
    """Return the version of this program; `unknown` where it was not installed."""
    try:
        return version("pipecall")
    except PackageNotFoundError:
        return "unknown"
