"""The reference of the built-in stages: it is current and leaves nothing out."""

from __future__ import annotations

import inspect

import pytest

from docs import transforms_reference
from pipelines import transforms


def test_the_page_is_current():
    """`docs/transforms.md` is what the docstrings say; if not, run `python -m docs.transforms_reference`."""
    assert transforms_reference.page() == transforms_reference.PAGE.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", sorted(transforms.NAMES))
def test_every_argument_is_described(name):
    """Each argument of each stage has its entry, in the order of the signature, and each stage has an example."""
    stage = getattr(transforms, name)
    chapter = transforms_reference.chapter(stage)
    described = [line.split("`")[1] for line in chapter.split("Errors:")[0].splitlines() if line.startswith("- `")]
    assert list(inspect.signature(stage).parameters) == described
    assert f"class: pipelines.transforms.{name}\n" in chapter
