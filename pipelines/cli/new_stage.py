"""`pipecall new-stage`: a stage of the user's own and its test, to be filled in; what is there is never overwritten."""

from __future__ import annotations

import keyword
import re
from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli import frame, printing, stage_texts
from pipelines.cli.stage_texts import StageKind
from pipelines.errors import InvalidTransition, PipecallError
from pipelines.registry import Registry

Name = Annotated[str, typer.Argument(metavar="NAME", help="The module, such as tea_prices.")]
Kind = Annotated[StageKind, typer.Option("--kind", help="What it does.")]
NAME = re.compile(r"[a-z][a-z0-9_]{0,49}")


def new_stage(name: Name, kind: Kind = StageKind.TRANSFORM) -> None:
    """Write plugins/NAME.py with a stage that works, its test, and the lines for the pipelines file.

    A fetcher yields items, a transform takes items and yields items, a sink takes them out to somewhere, a function
    is called for each item.
    """
    if not NAME.fullmatch(name) or keyword.iskeyword(name) or keyword.issoftkeyword(name):
        raise typer.BadParameter(f"found {name!r}; expected a lower-case Python name such as tea_prices")
    settings = frame.settings()
    folder = settings.plugins_folder
    taken = Registry(folder, settings.allowed_modules).taken(name)
    if taken is not None:
        raise typer.BadParameter(f"{taken}; choose another")
    stage, test = folder / f"{name}.py", folder / "tests" / f"test_{name}.py"
    for path in (stage, folder / name, test):
        if path.exists() or path.is_symlink():
            raise InvalidTransition(f"{path} is there already, and nothing was written; choose another name")
    _write(stage, stage_texts.written(stage_texts.STAGES[kind], name, kind))
    _write(test, stage_texts.written(stage_texts.TESTS[kind], name, kind))
    conftest = folder / "tests" / "conftest.py"
    if not conftest.exists():
        _write(conftest, stage_texts.CONFTEST)
    printing.line(f"wrote {stage} and {test}; test it with: python -m pytest {test}")
    printing.line(f"into a chain of {settings.pipelines_config}:")
    printing.line(stage_texts.yaml_lines(name, kind))


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise PipecallError(f"{path} cannot be written: {error.strerror}; correct the rights of its folder") from error
