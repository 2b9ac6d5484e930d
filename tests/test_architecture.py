"""The shape of the tree: who may import whom, and how large things may grow."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import pipelines

ROOT = Path(__file__).parent.parent
ENGINE = ROOT / "pipelines"

ORDER = [
    "errors",
    "wording",
    "model",
    "settings",
    "log",
    "redaction",
    "transform",
    "transforms",
    "triggers",
    "yaml_values",
    "yaml_text",
    "variables",
    "keywords",
    "fields",
    "field_lists",
    "schedule_definition",
    "parameters",
    "policy",
    "face_definition",
    "definition",
    "file_schema",
    "phrases",
    "faults",
    "contracts",
    "registry",
    "stage_checks",
    "schedule_checks",
    "loader",
    "catalog",
    "store",
    "chain",
    "execution",
    "channels",
    "remedies",
    "delivery",
    "retry",
    "misfire",
    "runner",
    "worker",
    "timetable",
    "jobs",
    "overview",
    "reads",
    "endings",
    "reports",
    "notifications",
    "alert_facts",
    "digest",
    "alerts",
    "messages",
    "health",
    "scheduler",
    "verbs",
    "terminal",
    "service",
    "testing",
]
"""A module may import only from those before it, and from its own package."""

MAX_FILE_LINES = 300
MAX_FUNCTION_LINES = 60


def modules() -> list[Path]:
    return sorted(ENGINE.rglob("*.py"))


def noun(path: Path) -> str:
    return path.relative_to(ENGINE).parts[0].removesuffix(".py")


def imported(tree: ast.Module) -> set[str]:
    """The engine's own modules that this one imports at any depth, type checking included."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "pipelines":
            parts = node.module.split(".")
            found |= {parts[1]} if len(parts) > 1 else {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {name.name.split(".")[1] for name in node.names if name.name.startswith("pipelines.")}
    return found


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_follow_the_order(path):
    """A module imports only modules that stand before it in the reading order, or in its own package."""
    if path == ENGINE / "__init__.py":
        return
    tree = ast.parse(path.read_text(encoding="utf-8"))
    allowed = set(ORDER[: ORDER.index(noun(path)) + 1])
    assert imported(tree) <= allowed


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_the_engine_knows_no_face(path):
    """The engine never imports the chat, the web, or their libraries."""
    roots = {
        (node.module if isinstance(node, ast.ImportFrom) else node.names[0].name or "").split(".")[0]
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Import) or (isinstance(node, ast.ImportFrom) and node.module)
    }
    assert not roots & {"bot", "web", "discord", "fastapi"}


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_files_and_functions_stay_small(path):
    """No file is over 300 lines and no function over 60."""
    text = path.read_text(encoding="utf-8")
    too_long = [
        node.name
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or 0) - node.lineno >= MAX_FUNCTION_LINES
    ]
    assert ([], True) == (too_long, len(text.splitlines()) <= MAX_FILE_LINES)


def test_every_public_name_of_the_front_door_exists():
    """`__all__` is true: each name can be imported from the front door."""
    assert pipelines.__all__ == sorted(pipelines._HOMES)
    assert [name for name in pipelines.__all__ if getattr(pipelines, name, None) is None] == []


TESTS = sorted(Path(__file__).parent.rglob("test_*.py"))


@pytest.mark.parametrize("path", TESTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_test_says_what_it_proves(path):
    """Each test function has a docstring: the sentence that it proves."""
    mute = [
        node.name
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
        and not ast.get_docstring(node)
    ]
    assert [] == mute
