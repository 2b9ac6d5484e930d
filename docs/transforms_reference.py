"""Writes `docs/transforms.md`, the reference of the built-in stages, from their docstrings.

Run it from the project's folder after changing one: `python -m docs.transforms_reference`.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path

from pipelines import transforms

PAGE = Path(__file__).with_name("transforms.md")

INTRODUCTION = """\
# Built-in stages

<!-- Made from the docstrings by `python -m docs.transforms_reference`; change those, not this page. -->

A chain in `pipelines.yml` is a list of stages; each entry has a `class` and its `kwargs`. An argument without
"required" may be left out. Arguments are checked when the file is loaded, before anything runs.
"""

SECTION = re.compile(r"^(Args|Raises):\n((?:    .*\n|\n)+)", re.MULTILINE)
ENTRY = re.compile(r"^    (\w+): (.*(?:\n {8}.*)*)", re.MULTILINE)


def page() -> str:
    """Return the whole page."""
    stages = [getattr(transforms, name) for name in sorted(transforms.NAMES)]
    table = [f"| [{stage.__name__}](#{stage.__name__.lower()}) | {summary(stage)} |" for stage in stages]
    contents = "\n".join(["| stage | what it does |", "|---|---|", *table])
    return "\n".join([INTRODUCTION, f"{contents}\n", *(chapter(stage) for stage in stages)])


def summary(stage: type) -> str:
    """Return the first line of a stage's docstring."""
    return (inspect.getdoc(stage) or "").split("\n", 1)[0]


def chapter(stage: type) -> str:
    """Return a stage's part of the page: its docstring with the sections as lists."""
    text = (inspect.getdoc(stage) or "") + "\n"
    sections = {found[1]: found[2] for found in SECTION.finditer(text)}
    lines = [f"## {stage.__name__}\n", f"{SECTION.sub('', text).strip()}\n"]
    if "Args" in sections:
        lines.append("Arguments:\n\n" + "\n".join(arguments(stage, sections["Args"])) + "\n")
    if "Raises" in sections:
        errors = [f"- `{name}`: {words}" for name, words in entries(sections["Raises"])]
        lines.append("Errors:\n\n" + "\n".join(errors) + "\n")
    return "\n".join(lines)


def arguments(stage: type, section: str) -> Iterator[str]:
    """Yield a list entry for each argument, with its type, and whether it is required."""
    parameters = inspect.signature(stage).parameters
    for name, words in entries(section):
        parameter = parameters[name]
        required = ", required" if parameter.default is parameter.empty else ""
        yield f"- `{name}` (`{parameter.annotation}`{required}): {words}"


def entries(section: str) -> Iterator[tuple[str, str]]:
    """Yield the name and the text, on one line, of each entry of a docstring's section."""
    for found in ENTRY.finditer(section):
        yield found[1], " ".join(found[2].split())


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
