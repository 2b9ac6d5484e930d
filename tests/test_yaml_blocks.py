"""A large file that is read again part by part comes to what the whole of it would, whatever its text looks like."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines import loader, yaml_blocks
from pipelines.errors import ConfigError
from pipelines.registry import Registry

CHAIN = "chain: [pipelines.transforms.Log]"
BODIES = [
    f": {{schedule: '0 */6 * * *', {CHAIN}}}",
    f": {{schedule: '0 7 * * *',\n  {CHAIN}}}",
    f":\n    {CHAIN}\n    description: plain",
    f":\n    description: |\n      a text\n      other: {{{CHAIN}}}\n\n    {CHAIN}",
    f':\n    description: "over\n  two: {{{CHAIN}}}\n  lines"\n    {CHAIN}',
    f":\n    description: 'open\n    {CHAIN}",
    f":\n    # {CHAIN}\n    {CHAIN}   # why\n\n# a comment at the margin\n    enabled: false",
    f":\n    <<: *shared\n    {CHAIN}",
    f": &anchor\n    {CHAIN}",
    ": *anchor",
    f": !!map {{{CHAIN}}}",
    f":\n    {CHAIN}\n    description: it says 'quoted' and \"so\" & more * here",
    f":\n    {CHAIN}\n    description: ${{UNSET}}",
    f":\n    {CHAIN}\n    params: {{key: '${{KEY}}'}}\n    schedule: {{id: same, daily: '07:00'}}",
    ": 7",
    ":",
    f":\n   {CHAIN}",
    f":\n\t{CHAIN}",
    f":\r\n    {CHAIN}",
    f" :\n    {CHAIN}",
    f":\n    {CHAIN}\n ---\n",
]
NAMES = ["a", "b", '"c"', "two", "other", "null", "yes", "a.b", "7", "'q'", "? x", "- y"]
HEADS = [
    "",
    "# a comment\n",
    "scheduler: {timezone: UTC}\n",
    "x-shared: &shared {enabled: false}\n",
    "x: {\n",
    "%YAML 1.1\n---\n",
]
MIDDLES = [
    "pipelines:\n",
    "pipelines:   # all of them\n",
    "pipelines: \n\n",
    "pipelines: {}\n",
    "'pipelines':\n",
    "x: 'pipelines:\n",
]
TAILS = [
    "",
    "policy: {}\n",
    "x-more: 'a text\n  a: over lines'\n",
    "pipelines:\n  z: {}\n",
    "discord: {guilds: [1]}\n",
    "'\n",
]

PIPELINES = st.lists(
    st.tuples(st.sampled_from(NAMES[:5]), st.sampled_from([BODIES[0], BODIES[2], BODIES[3]])), min_size=1, max_size=5
)
ANY = st.tuples(st.sampled_from(NAMES), st.sampled_from(BODIES))


def text(head: str, middle: str, pipelines, tail: str) -> str:
    """A file of these parts."""
    return head + middle + "".join(f"  {name}{body}\n" for name, body in pipelines) + tail


@pytest.fixture(scope="module")
def load(tmp_path_factory):
    """Reads a text as a file, however small, part by part where that is possible."""
    path = tmp_path_factory.mktemp("read") / "pipelines.yml"

    def read(content: str, before=None):
        path.write_text(content, newline="")
        try:
            return loader.load(path, registry=Registry(None), env={"KEY": "hush"}, before=before)
        except ConfigError as error:
            return str(error)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(yaml_blocks, "SMALL", 0)
        yield read


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    head=st.sampled_from(HEADS[:3]),
    old=PIPELINES,
    new=ANY,
    place=st.integers(0, 5),
    instead=st.booleans(),
    middle=st.one_of(st.just(MIDDLES[0]), st.sampled_from(MIDDLES)),
    other_head=st.one_of(st.none(), st.sampled_from(HEADS)),
    tail=st.one_of(st.just(""), st.sampled_from(TAILS)),
)
def test_reading_again_comes_to_the_same(load, head, old, new, place, instead, middle, other_head, tail):
    """One pipeline, head or tail of a good file becomes another, good or not: the same set, or the same problems."""
    before = load(text(head, MIDDLES[0], dict(old).items(), ""))
    assert before.blocks is not None
    pipelines = list(dict(old).items())
    pipelines[place : place + 1 if instead else place] = [new]
    edited = text(head if other_head is None else other_head, middle, pipelines, tail)
    whole, again = load(edited), load(edited, before)
    assert whole == again
    if not isinstance(again, str):
        assert list(whole.file.pipelines) == list(again.file.pipelines)


def test_only_what_changed_is_parsed(load, monkeypatch):
    """Of a hundred pipelines of which one changed, that one and the lines around them all go to the parser."""
    pipelines = [(f"p{number}", BODIES[2]) for number in range(100)]
    before = load(text("", MIDDLES[0], pipelines, "policy: {}\n"))
    parsed = []

    def parse(part: str, file: str):
        parsed.append(part)
        return original(part, file)

    original = yaml_blocks.parse
    monkeypatch.setattr(yaml_blocks, "parse", parse)
    pipelines[7] = ("p7", BODIES[0])
    after = load(text("", MIDDLES[0], pipelines, "policy: {}\n"), before)
    assert ["pipelines:\npolicy: {}\n", f"  p7{BODIES[0]}\n"] == parsed
    assert before.file.pipelines["p8"] is after.file.pipelines["p8"]
    assert before.file.pipelines["p7"] != after.file.pipelines["p7"]


@pytest.mark.parametrize("body", [BODIES[7], BODIES[8], BODIES[10], BODIES[17]], ids=["merge", "anchor", "tag", "tab"])
def test_what_parts_may_mean_for_each_other_forbids_it(body):
    """Anchors, merge keys, tags and tabs: such a text is not certain."""
    parts = yaml_blocks.Blocks("pipelines:\n", {"a": f"  a{body}\n"})
    assert yaml_blocks.certain(parts, ["a"]) is None
    assert yaml_blocks.changed(parts, yaml_blocks.Blocks("pipelines:\n", {})) is None
