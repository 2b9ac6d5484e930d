"""Where a function or class can be found again by another process: its module and name there, never a pickle.

A program's own main file is loaded as `__mp_main__`, as Python's multiprocessing does, so that what stands under
`if __name__ == "__main__":` is not run by a worker process.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from types import MethodType, ModuleType
from typing import Any

from pipelines.errors import PipecallError

MAIN = "__main__"
LOADED_MAIN = "__mp_main__"
"""What `__name__` is in a main file that a worker process loaded."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A module and the dotted name of something in it.

    `file` is the main file where the module is a program's main (None: it is imported by its name), `search` are the
    folders in which the program looks for modules.
    """

    module: str
    name: str
    file: str | None = None
    search: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON; `from_json` reads it back."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Reference:
        """Read what `as_json` wrote."""
        return cls(data["module"], data["name"], data["file"], tuple(data["search"]))

    def load(self) -> Any:
        """Import the module, if that was not done, and return what has the name there.

        Raises:
            PipecallError: the module has no such name in this process.
            BaseException: whatever the module's own code raises.
        """
        sys.path.extend(each for each in self.search if each not in sys.path)
        target: Any = importlib.import_module(self.module) if self.file is None else _main_module(Path(self.file))
        for part in self.name.split("."):
            if not hasattr(target, part):
                raise PipecallError(
                    f"'{self.name}' is not in {self.file or self.module} when a worker process loads it; define it "
                    "outside of 'if __name__ == \"__main__\":'"
                )
            target = getattr(target, part)
        return target


def reference_to(target: Any) -> Reference:
    """Return the reference to a function or class.

    Raises:
        PipecallError: another process could not find it; the text names the way out.
    """
    way_out = "use executor='thread', or a function that stands at the top of a module"
    if isinstance(target, partial | MethodType):
        kind = "a partial" if isinstance(target, partial) else "a bound method"
        raise PipecallError(f"{kind} cannot run in a worker process; {way_out} and give it 'args', 'kwargs' or context")
    module, name = getattr(target, "__module__", None), getattr(target, "__qualname__", None)
    if not module or not name:
        raise PipecallError(f"an object of class {type(target).__name__} cannot run in a worker process; {way_out}")
    if "<lambda>" in name:
        raise PipecallError(f"a lambda cannot run in a worker process: it has no name to be found by; {way_out}")
    if "<locals>" in name:
        inner = name.rpartition(".")[2]
        raise PipecallError(f"'{inner}' cannot run in a worker process: it is defined inside a function; {way_out}")
    if _found(module, name) is not target:
        raise PipecallError(f"'{name}' cannot run in a worker process: {module}.{name} is something else; {way_out}")
    home, file = _home(module, name)
    return Reference(home, name, file, tuple(each for each in sys.path if each))


def _found(module: str, name: str) -> Any:
    target: Any = sys.modules.get(module)
    for part in name.split("."):
        target = getattr(target, part, None)
    return target


def _home(module: str, name: str) -> tuple[str, str | None]:
    """Return the module's name, and its file where it is the main module that no name leads to."""
    if module not in (MAIN, LOADED_MAIN):
        return module, None
    main = sys.modules[module]
    spec = getattr(main, "__spec__", None)
    if spec is not None and spec.name != MAIN:
        return spec.name, None
    file = getattr(main, "__file__", None)
    if file is None or not Path(file).is_file():
        raise PipecallError(f"'{name}' was typed at a prompt: only functions in a file can run in a worker process")
    return MAIN, str(Path(file).absolute())


def _main_module(file: Path) -> ModuleType:
    """Return the main file as a module, executed once in this process under the name `__mp_main__`."""
    loaded = sys.modules.get(LOADED_MAIN)
    if loaded is not None and getattr(loaded, "__file__", None) == str(file):
        return loaded
    loader = importlib.machinery.SourceFileLoader(LOADED_MAIN, str(file))
    spec = importlib.util.spec_from_loader(LOADED_MAIN, loader)
    if spec is None:
        raise PipecallError(f"{file} cannot be loaded")
    module = importlib.util.module_from_spec(spec)
    importlib.import_module("multiprocessing")  # it gives this name to our own main when it is imported: not later
    sys.modules[LOADED_MAIN] = module
    try:
        loader.exec_module(module)
    except BaseException:
        del sys.modules[LOADED_MAIN]
        raise
    return module
