"""The modules of the plugins folder that are loaded in this process: forgotten to be read anew, or put back."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType


def unload(folder: Path) -> Mapping[str, ModuleType]:
    """Forget the modules that came from `folder`, and return them by name; what runs keeps its own."""
    root = folder.absolute()
    mine = {name: module for name, module in sys.modules.copy().items() if _is_from(module, root)}
    for name in mine:
        del sys.modules[name]
    importlib.invalidate_caches()
    return mine


def put_back(folder: Path, modules: Mapping[str, ModuleType]) -> None:
    """Have just these of the folder loaded again, as their newer text was refused."""
    unload(folder)
    sys.modules.update(modules)


def _is_from(module: ModuleType, root: Path) -> bool:
    places = [getattr(module, "__file__", None), *getattr(module, "__path__", ())]
    return any(Path(place).is_relative_to(root) for place in places if isinstance(place, str))
