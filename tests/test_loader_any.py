"""Whatever the file holds, the loader gives a valid set or a list of problems."""

from __future__ import annotations

import copy
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.errors import ConfigError
from pipelines.loader import Loaded, load
from tests.loading import ENV, as_yaml, temporary_folder
from tests.test_schema import FULL


@pytest.fixture(scope="module")
def folder():
    """One folder for all: its plugin is imported once."""
    with temporary_folder() as made:
        yield made


VALID = {
    "scheduler": {"timezone": "UTC", "default_retry": {"attempts": 2, "delay": "5s"}},
    "pipelines": {
        "a": {
            "schedule": [{"cron": "0 */6 * * *", "params": {"x": "${TOKEN}"}}, {"interval": {"hours": 1}}],
            "retry": {"attempts": 1, "retry_on": ["OSError"]},
            "chain": [{"class": "mine.Prices", "kwargs": {"url": "${HOST}", "limit": 3}}, "mine.Save"],
        },
        "b": {"enabled": False, "timeout": "5m", "schedule": "@daily", "params": {}, "chain": ["mine.Save"]},
    },
}
KEYS = st.sampled_from(
    ["pipelines", "scheduler", "a", "schedule", "chain", "class", "kwargs", "cron", "id", "<<", "x-y", "name"]
)
LEAVES = st.one_of(
    *(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), KEYS),
    st.sampled_from(["mine.Prices", "mine.Save", "@daily", "* * * * *", "UTC", "${TOKEN}", "${", "os.system", "1h"]),
)
TREES = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4))


def outcome(folder, text):
    """Load any text; all that may come is a valid set or a ConfigError with problems."""
    try:
        folder.file.write_bytes(text.encode("utf-8", "surrogatepass"))
        result = load(folder.file, registry=folder.registry, env=ENV)
    except ConfigError as error:
        result = error
    assert isinstance(result, Loaded) or all(problem.message for problem in result.problems)
    return result


@settings(deadline=None, max_examples=50)
@given(text=st.text() | st.binary().map(lambda data: data.decode("latin-1")))
def test_any_text(folder, text):
    """Whatever text the file holds, there is a valid set or a ConfigError."""
    outcome(folder, text)


@settings(deadline=None, max_examples=60)
@given(tree=st.dictionaries(KEYS, TREES, max_size=4) | TREES)
def test_any_structure(folder, tree):
    """Whatever structure the file holds, there is a valid set or a ConfigError."""
    outcome(folder, as_yaml(tree))


@settings(deadline=None, max_examples=50)
@given(data=st.data())
def test_mutants_of_a_valid_file(folder, data):
    """A valid file with some values replaced, removed or added gives a valid set or a ConfigError."""
    tree = copy.deepcopy(VALID)
    for _ in range(data.draw(st.integers(1, 3))):
        node = tree
        while isinstance(node, dict | list) and node:
            key = data.draw(st.sampled_from(sorted(node)) if isinstance(node, dict) else st.integers(0, len(node) - 1))
            if not isinstance(node[key], dict | list) or not node[key] or data.draw(st.booleans()):
                break
            node = node[key]
        action = data.draw(st.sampled_from(["replace", "remove", "add"]))
        if action == "remove" and node:
            del node[key]
        elif isinstance(node, dict):
            node[key if action == "replace" and node else data.draw(KEYS)] = data.draw(TREES)
        elif node:
            node[key] = data.draw(TREES)
    outcome(folder, as_yaml(tree))


def test_the_valid_file_is_valid(folder):
    """What the mutants are made of is valid itself."""
    assert isinstance(outcome(folder, json.dumps(VALID)), Loaded)


@settings(deadline=None, max_examples=60)
@given(
    position=st.integers(0, len(FULL)),
    piece=st.text(max_size=3) | st.sampled_from(["\t", ": ", "- ", "'", "{", "*x ", "&x "]),
)
def test_slips_of_the_keyboard(folder, position, piece):
    """A few characters typed anywhere into a valid file give a valid set or a ConfigError."""
    outcome(folder, FULL[:position] + piece + FULL[position:])
