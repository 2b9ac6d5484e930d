"""The page of promises: each promise stands on tests that exist."""

from __future__ import annotations

import ast
import re

import pytest

from tests.project import ROOT

PAGE = (ROOT / "docs" / "promises.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE)))


@pytest.mark.parametrize(("path", "name"), NAMED)
def test_each_named_test_exists(path, name):
    """A test that a promise names is there."""
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    there = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)}
    assigned = [target for node in tree.body if isinstance(node, ast.Assign) for target in node.targets]
    there |= {target.id for target in assigned if isinstance(target, ast.Name)}
    assert name in there


def test_each_promise_names_a_test():
    """No promise stands by itself."""
    held = PAGE.partition("## What holds\n")[2].partition("\n## ")[0]
    promises = re.split(r"^- ", held, flags=re.MULTILINE)[1:]
    assert [] == [promise for promise in promises if "`tests/" not in promise]
    assert len(promises) >= 20
