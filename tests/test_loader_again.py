"""A file loaded again gives what it would give anew; pipelines that stayed as they were are the same objects."""

from __future__ import annotations

import copy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.errors import ConfigError
from pipelines.loader import Loaded, load
from tests.loading import ENV, as_yaml, temporary_folder
from tests.test_loader_any import KEYS, TREES, VALID


@pytest.fixture(scope="module")
def folder():
    """One folder for all: its plugin is imported once."""
    with temporary_folder() as made:
        yield made


def outcome(folder, tree, before=None, env=ENV):
    """The set, or the problems as text."""
    folder.file.write_text("\n" * (len(str(tree)) % 3) + as_yaml(tree), "utf-8")
    try:
        return load(folder.file, registry=folder.registry, env=env, before=before)
    except ConfigError as error:
        return str(error)


def content(result):
    """All that a set holds, or its problems."""
    if isinstance(result, str):
        return result
    rows = [(entry.row(), entry.definition) for entry in result.schedules]
    return result.file, list(result.file.pipelines), result.warnings, result.secrets, result.digest, rows


def mutant(data):
    """The valid tree with some values replaced."""
    tree = copy.deepcopy(VALID)
    for _ in range(data.draw(st.integers(0, 2))):
        node = tree
        while isinstance(node, dict) and node:
            key = data.draw(st.sampled_from(sorted(node)))
            if not isinstance(node[key], dict) or not node[key] or data.draw(st.booleans()):
                node[key] = data.draw(TREES | KEYS)
                break
            node = node[key]
    if isinstance(tree.get("pipelines"), dict) and data.draw(st.booleans()):
        schedule = {"cron": "@daily", "id": data.draw(st.sampled_from(["a", "b", "z"]))}
        more = {"enabled": False, "params": {"t": "${NONE}"}, "schedule": schedule, "chain": ["mine.Save"]}
        tree["pipelines"]["c"] = more
    return tree


@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_again_is_as_anew(folder, data):
    """Loading a file on top of another gives the same set, warnings, secrets and problems, with their lines."""
    before = outcome(folder, mutant(data))
    before = before if isinstance(before, Loaded) else outcome(folder, VALID)
    tree = mutant(data)
    env = ENV | data.draw(st.sampled_from([{}, {"TOKEN": "other"}, {"NONE": "some"}]))
    assert content(outcome(folder, tree, env=env)) == content(outcome(folder, tree, before, env=env))


def test_the_same_objects(folder):
    """Of two pipelines the one that stayed is taken over, with its schedules; the changed one is not."""
    before = outcome(folder, VALID)
    tree = copy.deepcopy(VALID)
    tree["pipelines"]["b"]["timeout"] = "6m"
    after = outcome(folder, tree, before)
    assert before.file.pipelines["a"] is after.file.pipelines["a"]
    assert before.file.pipelines["b"] is not after.file.pipelines["b"]
    assert all(x is y for x, y in zip(before.schedules[:2], after.schedules[:2], strict=True))
    assert before.secrets == after.secrets


@pytest.mark.parametrize(
    ("scheduler", "env"), [({"timezone": "Europe/Oslo"}, ENV), (VALID["scheduler"], ENV | {"TOKEN": "new"})]
)
def test_what_it_depends_on(folder, scheduler, env):
    """A pipeline is read anew when the scheduler section or a variable that it names has changed."""
    before = outcome(folder, VALID)
    after = outcome(folder, VALID | {"scheduler": scheduler}, before, env)
    assert before.file.pipelines["a"] is not after.file.pipelines["a"]
