"""Class path to stage: the allow-list on the string first, then the import, then whether it is a stage and fits.

Importing a module executes it. So a path is held against the allow-list and the names in the plugins folder before
anything is imported. Running stages is not done here.
"""

from __future__ import annotations

import importlib
import importlib.util
import keyword
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

from pipelines.callables import PREFIX, Own, OwnStages
from pipelines.contracts import COMMANDS, STAGE, Contract
from pipelines.errors import NotAllowed, PipecallError, nearest
from pipelines.keywords import Keywords, keywords_of
from pipelines.model import StageSpec
from pipelines.transforms import NAMES
from pipelines.wording import one_of, quoted

BUILT_IN = "pipelines.transforms"
DEFAULT_ALLOW = (BUILT_IN, "bot.sink")
MAX_PATH = 200


@dataclass(frozen=True, slots=True)
class _Stage:
    target: Any
    keywords: Keywords | None


class Registry:
    """Knows which class paths may be used, and what stands behind them.

    `plugins` is the folder of the user's own stages (None: there is none; it need not exist), `allow` are modules, each
    with all below it, that stages may come from besides. What was found is kept; what failed is tried anew each time.
    """

    def __init__(self, plugins: Path | None, allow: Sequence[str] = DEFAULT_ALLOW) -> None:
        """Nothing is imported and no path changed before the first `resolve`."""
        self.plugins = plugins.absolute() if plugins is not None else None
        self.allow = tuple(allow)
        self._found: dict[str, _Stage] = {}
        self.own = OwnStages()

    def renew(self, paths: Iterable[str]) -> None:
        """Look at every stage anew, as plugins may have changed: at those of `paths` now, at others when asked for."""
        self._found.clear()
        for path in paths:
            with suppress(PipecallError):  # told when a run needs it
                self.resolve(path)

    def activate(self) -> None:
        """Put the plugins folder at the end of `sys.path`, where it can hide no other module; once is enough."""
        if self.plugins is not None and str(self.plugins) not in sys.path:
            sys.path.append(str(self.plugins))

    def allowed(self, path: str) -> str | None:
        """Return why this class path may not be used, or None. Nothing is imported."""
        if path.startswith(PREFIX):
            unknown = f"{quoted(path.removeprefix(PREFIX))} is a callable that this program has not registered"
            return None if path in self.own else unknown
        parts = path.split(".")
        if len(path) > MAX_PATH:
            return f"the class path has {len(path)} characters; at most {MAX_PATH} are allowed"
        if len(parts) < 2 or not all(part.isidentifier() and not keyword.iskeyword(part) for part in parts):
            built_in = nearest(path, list(NAMES))
            hint = f"did you mean '{BUILT_IN}.{built_in}'?" if built_in else "such as my_plugin.MyFetcher"
            return f"{quoted(path)} is no class path; expected module and name, {hint}"
        if any(part.startswith("__") for part in parts):
            return f"{quoted(path)} names something internal to Python"
        if self._covered(path) or self._plugin_file(parts[0]) is not None:
            return None
        return f"{quoted(path)} is not allowed; {self._where_from(parts)}"

    def resolve(self, path: str) -> type | Callable[..., Any]:
        """Return the class or function at this path.

        Raises:
            NotAllowed: the allow-list does not cover it; nothing was imported.
            PipecallError: it cannot be imported, is not there, or is no stage.
        """
        target: type | Callable[..., Any] = self._stage(path).target
        return target

    def faults(self, path: str, kwargs: Mapping[str, Any]) -> list[tuple[str | None, str]]:
        """Return keyword (None: the stage as a whole) and message for each thing that keeps it from being built.

        Raises:
            PipecallError: as `resolve` does.
        """
        stage = self._stage(path)
        missing = sorted(getattr(stage.target, "__abstractmethods__", ()))
        found: list[tuple[str | None, str]] = []
        if missing:
            found.append((None, f"{path} cannot be used: it does not implement {one_of(missing)}"))
        return found + (list(stage.keywords.faults(kwargs)) if stage.keywords else [])

    def check(self, path: str, kwargs: Mapping[str, Any]) -> list[str]:
        """Return what is wrong with a stage and its keyword arguments, one line each; nothing is built."""
        try:
            return [message for _, message in self.faults(path, kwargs)]
        except PipecallError as error:
            return [str(error)]

    def build(self, spec: StageSpec) -> Any:
        """Return an instance of the stage's class, or its function with the keyword arguments bound.

        Raises:
            PipecallError: as `resolve` does, or the constructor refused; the constructor's own words are kept.
        """
        target, kwargs = self.resolve(spec.path), dict(spec.kwargs)
        own = self._handed_over(spec.path) or Own(target)
        try:
            return own.build(kwargs)
        except Exception as error:
            words = self.check(spec.path, kwargs) if isinstance(error, TypeError) else []
            said = "; ".join(words) or f"{_named(error)}{_place(error, self.plugins)}"
            raise PipecallError(f"{spec.path}: {said}") from error

    def commands(self, path: str) -> type:
        """Return the class of chat commands at this path.

        Raises:
            NotAllowed: the allow-list does not cover it; nothing was imported.
            PipecallError: it cannot be imported, is not there, or is no class of commands.
        """
        found: type = self._target(path, COMMANDS)
        return found

    def modules(self) -> list[str]:
        """Return the names of what lies in the plugins folder and could be a module; nothing is imported."""
        return self._module_names()

    def load(self, name: str) -> ModuleType:
        """Import a module of the plugins folder by its name, without looking for stages in it.

        Raises:
            PipecallError: its name is taken or is none, or importing it failed; the cause is what it raised.
        """
        if not name.isidentifier() or keyword.iskeyword(name):
            raise PipecallError(f"{quoted(name)} cannot be named in a pipelines file; rename it to a Python name")
        self.activate()
        return self._module(name, name)

    def taken(self, name: str) -> str | None:
        """Return why a new plugin must not have this name, or None: an installed module goes by it."""
        try:
            self._refuse_taken_name(name)
        except PipecallError:
            return f"the name {quoted(name)} is taken by {_owner(name)}"
        return None

    def _stage(self, path: str) -> _Stage:
        if (own := self._handed_over(path)) is not None:
            return _Stage(own.target, own.keywords)
        if path not in self._found:
            target = self._target(path, STAGE)
            is_class = isinstance(target, type)
            self._found[path] = _Stage(target, keywords_of(target, item_first=not is_class))
        return self._found[path]

    def _handed_over(self, path: str) -> Own | None:
        """Return what the program itself registered; in a worker process that imports the program's module."""
        try:
            return self.own.get(path)
        except (PipecallError, KeyboardInterrupt):
            raise
        except BaseException as error:  # the program's own code may raise anything, and must not end us
            raise self._import_failed(path.removeprefix(PREFIX), error) from error

    def _target(self, path: str, wanted: Contract) -> Any:
        reason = self.allowed(path)
        if reason is not None:
            raise NotAllowed(reason)
        self.activate()
        module_name, name = path.rsplit(".", 1)
        module = self._module(module_name, path)
        try:
            target = getattr(module, name)
        except AttributeError:
            offer = wanted.offer(module, name)
            raise PipecallError(f"the module {module_name} has no {wanted.noun} {quoted(name)}; {offer}") from None
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a module may make its names when asked, by importing others
            raise self._import_failed(path, error) from error
        reason = wanted.why_not(target)
        if reason is not None:
            raise PipecallError(f"{path} is no {wanted.noun}: {reason}")
        if self._covered(path) and target.__module__.partition(".")[0] != path.partition(".")[0]:
            raise NotAllowed(f"{quoted(path)} is not allowed: it comes from {target.__module__}")
        return target

    def _module(self, name: str, path: str) -> ModuleType:
        if not self._covered(path):
            self._refuse_taken_name(name.partition(".")[0])
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name is None or not f"{name}.".startswith(f"{error.name}."):
                raise self._import_failed(name, error) from error
            known = [each for each in self._module_names() if each != name]
            close = nearest(name, known)
            hint = f"; did you mean '{close}'?" if close else ""
            raise PipecallError(f"there is no module {quoted(error.name)}{hint}") from None
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a module's own code may raise anything, and must not end us
            raise self._import_failed(name, error) from error

    def _import_failed(self, name: str, error: BaseException) -> PipecallError:
        return PipecallError(f"importing {name} failed: {_named(error)}{_place(error, self.plugins)}")

    def _refuse_taken_name(self, first: str) -> None:
        importlib.invalidate_caches()
        try:
            spec = importlib.util.find_spec(first)
        except (ImportError, ValueError):
            spec = None
        if spec is not None and self.plugins is not None and not _is_inside(spec, self.plugins):
            raise PipecallError(
                f"the name {quoted(first)} is taken by {_owner(first)}; rename {self._plugin_file(first)}"
            )

    def _covered(self, path: str) -> bool:
        return any(path.startswith(f"{prefix}.") for prefix in self.allow)

    def _plugin_file(self, first: str) -> Path | None:
        if self.plugins is None:
            return None
        file, folder = self.plugins / f"{first}.py", self.plugins / first
        if file.is_file():
            return file
        return folder if folder.is_dir() else None

    def _module_names(self) -> list[str]:
        if self.plugins is None or not self.plugins.is_dir():
            return []
        entries = sorted(self.plugins.iterdir())
        return [entry.stem for entry in entries if _is_plugin(entry)]

    def _where_from(self, parts: list[str]) -> str:
        if self.plugins is not None and parts[0] == self.plugins.name and len(parts) > 2:
            return f"leave out '{parts[0]}.': write {'.'.join(parts[1:])}"
        close = nearest(parts[0], self._module_names())
        if close is not None:
            return f"did you mean '{'.'.join([close, *parts[1:]])}'?"
        prefix = nearest(".".join(parts[:-1]), self.allow)
        if prefix is not None:
            return f"did you mean '{prefix}.{parts[-1]}'?"
        absent = f" (there is no {parts[0]}.py)"
        folder = f"a module in {self.plugins.name}/{absent}" if self.plugins is not None else "no plugins folder"
        return f"stages come from {folder} or from {one_of(self.allow)}"


def _owner(name: str) -> str:
    return "a module of Python's own" if name in sys.stdlib_module_names else "another installed module"


def _is_plugin(entry: Path) -> bool:
    return not entry.name.startswith((".", "__")) and (entry.suffix == ".py" or entry.is_dir())


def _is_inside(spec: ModuleSpec, folder: Path) -> bool:
    places = [spec.origin] if spec.has_location and spec.origin else list(spec.submodule_search_locations or ())
    return bool(places) and all(Path(place).absolute().is_relative_to(folder) for place in places)


def _named(error: BaseException) -> str:
    said = str(error.msg if isinstance(error, SyntaxError) else error).strip().splitlines()
    if isinstance(error, ValueError) and said:
        return said[0]
    return f"{type(error).__name__}: {said[0]}" if said else type(error).__name__


def _place(error: BaseException, folder: Path | None) -> str:
    """Say where in the user's own code an error came from; empty where it did not."""
    if isinstance(error, SyntaxError) and error.filename:
        return f" ({Path(error.filename).name}, line {error.lineno})"
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if _is_own(frame.filename, folder)]
    return f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""


def _is_own(filename: str, folder: Path | None) -> bool:
    return folder is not None and Path(filename).is_relative_to(folder)
