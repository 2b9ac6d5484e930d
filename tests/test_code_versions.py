"""The versions of what runs of pipelines do."""

from __future__ import annotations

import re
import shutil
import sys
from time import thread_time

import pytest

from pipelines.catalog import Catalog
from pipelines.code_versions import CodeVersions
from pipelines.definition import PipelineDefinition
from pipelines.loader import load
from pipelines.registry import Registry

FILE = """
pipelines:
  own:
    schedule: "@daily"
    chain: [versioned_shop.keep, pipelines.transforms.Log]
  built-in:
    chain: [pipelines.transforms.Log]
"""
MODULE = "def keep(item):\n    return item\n"


class Machine:
    """A pipelines file and its plugins in a folder, as one of several machines has them."""

    def __init__(self, folder):
        self.folder, self.plugins = folder, folder / "plugins"
        self.plugins.mkdir(parents=True)
        self.write("versioned_shop.py", MODULE)
        self.catalog = Catalog(self.loaded(FILE))
        self.versions = CodeVersions(self.catalog, self.plugins)

    def write(self, name, text):
        """Write a file of the plugins folder."""
        path = self.plugins / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)

    def loaded(self, text):
        """Load a text as the pipelines file."""
        path = self.folder / "pipelines.yml"
        path.write_text(text)
        return load(path, registry=Registry(self.plugins), env={})


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """One machine."""
    monkeypatch.setattr("sys.path", [*sys.path])
    yield Machine(tmp_path / "one")
    sys.modules.pop("versioned_shop", None)


def test_machines_with_the_same_files_have_the_same_versions(machine, tmp_path):
    """Where the folders are and what Python or an editor left in them makes no difference."""
    other = tmp_path / "other" / "place"
    shutil.copytree(machine.plugins, other)
    for name in ("__pycache__/versioned_shop.cpython-313.pyc", ".hidden.py", "notes.txt"):
        (other / name).parent.mkdir(exist_ok=True)
        (other / name).write_text("different")
    assert machine.versions.all() == CodeVersions(machine.catalog, other).all()


def test_a_version_is_short_and_shows_whether_plugins_count(machine):
    """The digest of the plugins stands in the versions of those pipelines alone that have a stage from there."""
    definition = machine.catalog.get("own").hash
    assert re.fullmatch(rf"{definition}-[0-9a-f]{{8}}", machine.versions.of("own"))
    assert machine.catalog.get("built-in").hash == machine.versions.of("built-in")


@pytest.mark.parametrize("name", ["versioned_shop.py", "another.py", "deep/inside.py"])
def test_changed_code_is_another_version_after_renew(machine, name):
    """Any module of the folder counts, once it is in force and not before; built-in stages are untouched by it."""
    before = dict(machine.versions.all())
    machine.write(name, MODULE + "\n\nRATE = 2\n")
    assert before == machine.versions.all()
    machine.versions.renew()
    changed = {each for each, version in machine.versions.all().items() if version != before[each]}
    assert {"own"} == changed


def test_moving_bytes_between_modules_is_another_version(machine):
    """Paths count as well as bytes."""
    before = machine.versions.of("own")
    (machine.plugins / "versioned_shop.py").rename(machine.plugins / "versioned_store.py")
    machine.write("versioned_shop.py", "")
    machine.versions.renew()
    assert before != machine.versions.of("own")


@pytest.mark.parametrize(
    ("change", "same"),
    [
        (('"@daily"', '"@hourly"'), True),
        (("  own:", "  own:\n    queue: heavy\n    priority: 5\n    description: told"), True),
        (("transforms.Log]\n  b", "transforms.Log, versioned_shop.keep]\n  b"), False),
        (("  own:", "  own:\n    timeout: 5m"), False),
    ],
)
def test_a_version_tells_what_a_run_does_and_not_when(machine, change, same):
    """Another schedule, queue or priority is the same version; another chain or timeout is not."""
    before = machine.versions.of("own")
    machine.catalog.replace(machine.loaded(FILE.replace(*change)))
    assert same == (before == machine.versions.of("own"))


def test_an_unknown_pipeline_has_no_version(machine):
    """What is not in force here has none, and so is never mistaken for what any version can do."""
    assert machine.versions.of("elsewhere") is None


def test_a_pipeline_made_in_python_has_the_version_of_its_definition(machine):
    """What the program added counts by its definition, from the moment it is added."""
    made = PipelineDefinition.model_validate({"name": "made", "chain": ["callable:made.extract"]})
    machine.catalog.add(made)
    assert (made.hash, made.hash) == (machine.versions.of("made"), machine.versions.all()["made"])


@pytest.mark.parametrize("there", [True, False])
def test_without_plugins_definitions_count_alone(machine, tmp_path, there):
    """No plugins folder, or one that is not there, is fine."""
    versions = CodeVersions(machine.catalog, tmp_path / "none" if there else None)
    assert {name: each.hash for name, each in machine.catalog.pipelines.items()} == versions.all()


def test_a_key_left_at_its_default_makes_no_other_version():
    """So a later release may add keys without making another version of every pipeline."""
    base = {"name": "a", "chain": ["pipelines.transforms.Log"]}
    said = PipelineDefinition.model_validate({**base, "on_crash": "retry", "max_instances": 1})
    assert PipelineDefinition.model_validate(base).hash == said.hash


def test_ten_thousand_are_told_at_once(machine):
    """Told once, ten thousand versions are looked up in well under a second."""
    stage = ["versioned_shop.keep"]
    for number in range(500):
        machine.write(f"module_{number}.py", MODULE)
    made = {f"p{at}": PipelineDefinition.model_validate({"name": f"p{at}", "chain": stage}) for at in range(10_000)}
    machine.catalog._all = made  # as `replace` does with a loaded file, whose reading is not what is measured
    machine.versions.renew()
    assert 10_000 == len(machine.versions.all())
    began = thread_time()
    told = {machine.versions.of(name) for name in made}
    assert (10_000, True) == (len(told), thread_time() - began < 0.5)
