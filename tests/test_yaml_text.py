"""YAML text to JSON values with lines, by both of PyYAML's parsers."""

from __future__ import annotations

import json
import os

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines import yaml_text, yaml_values
from pipelines.errors import ConfigError
from pipelines.yaml_text import parse, read_text


@pytest.fixture(params=[True, False], ids=["libyaml", "python"])
def either_parser(request, monkeypatch):
    """Run the test with each of the two parsers."""
    monkeypatch.setattr(yaml, "__with_libyaml__", request.param)


def value(text):
    document = parse(text, "p.yml")
    assert () == document.problems
    return document.value


def problems(text):
    try:
        return [(problem.line, problem.message) for problem in parse(text, "p.yml").problems]
    except ConfigError as error:
        return [(problem.line, problem.message) for problem in error.problems]


def the_problem(text):
    found = problems(text)
    assert 1 == len(found)
    return found[0]


@pytest.mark.usefixtures("either_parser")
@pytest.mark.parametrize(
    ("written", "read"),
    [
        *(("null", None), ("~", None), ("", None), ("true", True), ("False", False), ("12", 12), ("-3", -3)),
        *(("0o17", 15), ("0xff", 255), ("0123", 123), ("1.5", 1.5), (".5", 0.5), ("1e3", 1000.0), ("-1.", -1.0)),
        *(("10:30", "10:30"), ("2027-06-20", "2027-06-20"), ("2027-06-20T15:30:00", "2027-06-20T15:30:00")),
        *(("yes", "yes"), ("off", "off"), ("1_000", "1_000"), ("'12'", "12"), ('"true"', "true"), ("1e", "1e")),
        *(("!!str 12", "12"), ("!!float 1", 1.0), ("=", "="), ("0b1", "0b1"), ("nULL", "nULL"), ("'<<'", "<<")),
    ],
)
def test_scalars(written, read):
    """Scalars are what YAML 1.2's core schema says, so that everything is JSON and times stay text."""
    got = value(f"a: {written}")["a"]
    assert (type(read), read) == (type(got), got)


@pytest.mark.usefixtures("either_parser")
@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("a: 1\nb: 2\na: 3", 3, "'a' is already there in line 1"),
        ("a:\n\t- b", 2, "tab"),
        ("a: b: c", 1, "':'"),
        ("a: 1\nb: 'x", 2, "never closed"),
        ("a: [1, 2\nb: 3", None, "bracket"),
        ("a: 1\n b: 2", 2, ""),
        ("a: *x", 1, "alias"),
        ("a: 1\n---\nb: 2", 2, "second document"),
        ("a: 1\n1: 2", 2, "'1' is not text (int)"),
        ("null: 2", 1, "is not text"),
        ("? [a]\n: 1", 1, "keys are text"),
        ("a: !!python/object/apply:os.system [ls]", 1, "not supported"),
        ("a: !secret x", 1, "not supported"),
        ("a: !!set {b}", 1, "not supported"),
        ("a: !!binary aGk=", 1, "not supported"),
        ("a: !!timestamp 2027-01-01", 1, "not supported"),
        ("a: !!int x", 1, "is no int"),
        ("a: .inf", 1, "finite"),
        ("a: .nan", 1, "finite"),
        ("a: 1e999", 1, "finite"),
        ("a: 99999999999999999999", 1, "too large"),
        ("a: 0x" + "f" * 40, 1, "too large"),
        ('a: "\\0"', 1, "NUL"),
        ("a: 1\nb: \x07", 2, "control character (U+0007)"),
        ("a: &x {<<: 3}", 1, "'<<' takes a mapping"),
        ("", 1, "empty"),
        ("# nothing\n", 1, "empty"),
    ],
)
def test_problems(text, line, words):
    """Each mistake is one problem, on its line."""
    got_line, message = the_problem(text)
    assert words in message
    assert got_line == (line or got_line)


@pytest.mark.usefixtures("either_parser")
@pytest.mark.parametrize("text", ['"\\ud800"', '"\\UFFFFFFFF"', '"\\q"'])
def test_texts_that_are_none(text):
    """Escapes for what is no character are one problem."""
    assert the_problem(f"a: {text}")


@pytest.mark.usefixtures("either_parser")
def test_merge_keys():
    """`<<` takes a mapping or a list of them; own keys win, then the earlier mapping."""
    text = "x: &x {a: 1, b: 1}\ny: &y {b: 2, c: 2}\nz: {<<: [*x, *y], c: 3}\nw: {b: 0, <<: *x}"
    assert ({"a": 1, "b": 1, "c": 3}, {"a": 1, "b": 0}) == (value(text)["z"], value(text)["w"])


def test_duplicates_are_all_told():
    """Every repeated key is told, each once, also where an alias repeats the mapping."""
    assert [2, 4] == [line for line, _ in problems("x: &x {a: 1,\n a: 2}\ny: [*x, *x]\nx: 1")]


@pytest.mark.usefixtures("either_parser")
@pytest.mark.parametrize(
    "text",
    [
        "a: &a [*a]",
        "a: &a {<<: *a}",
        "[" * 5000,
        "- " * 5000 + "x",
        "? " * 5000 + "x",
        "{a: " * 5000,
    ],
    ids=["loop", "merge loop", "brackets", "dashes", "keys", "braces"],
)
def test_depth(text):
    """Nesting without end is refused, whichever way it is written."""
    assert "nested more than" in the_problem(text)[1]


def test_a_bomb_of_values(monkeypatch):
    """Aliases that multiply are refused by the count of what they stand for."""
    monkeypatch.setattr(yaml_values, "MAX_VALUES", 10_000)
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 30)]
    assert "more than 10,000 values" in the_problem("\n".join(lines))[1]


def test_a_bomb_of_merges(monkeypatch):
    """Merge keys that multiply are refused as well."""
    monkeypatch.setattr(yaml_values, "MAX_VALUES", 10_000)
    lines = ["a0: &a0 {x: 1}"] + [f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 10)}]}}" for n in range(1, 30)]
    assert "more than 10,000 values" in the_problem("\n".join(lines))[1]


def test_a_bomb_of_text(monkeypatch):
    """A long text that is repeated by aliases counts each time."""
    monkeypatch.setattr(yaml_values, "MAX_CHARACTERS", 10_000)
    assert "more than 10,000 characters" in the_problem(f"a: &a {'x' * 1000}\nb: [{', '.join(['*a'] * 20)}]")[1]


def test_too_many_nodes(monkeypatch):
    """A file of nothing but tiny values is refused while it is parsed."""
    monkeypatch.setattr(yaml_text, "MAX_VALUES", 100)
    assert "more than 100 values" in the_problem(f"[{'1,' * 200}]")[1]


@pytest.mark.parametrize(
    ("path", "line", "shown"),
    [
        ((), 1, ""),
        (("a",), 2, "a"),
        (("a", "b", 1, "c"), 5, "a.b[1].c"),
        (("a", "b", 0), 4, "a.b[0]"),
        (("a", "missing"), 2, "a"),
        (("a", 0, "b"), 3, "a.b"),
        (("a", "b", 7), 3, "a.b"),
        (("m", "d"), 8, "m.d"),
        (("x y",), 9, "'x y'"),
    ],
)
def test_lines(path, line, shown):
    """A problem gets the line of its value; steps that the text does not have are left out."""
    text = "# top\na:\n  b:\n    - x\n    - c: 1\nbase: &base\n  # d\n  d: 4\nx y: 1\nm: {<<: *base}\n"
    problem = parse(text, "p.yml").problem(path, "?")
    expected = 2 if path == () else line
    assert (expected, shown) == (problem.line, problem.path)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**62), 2**62)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@settings(deadline=None, max_examples=80)
@given(st.dictionaries(st.text(min_size=1), JSON, min_size=1, max_size=4))
def test_json_is_yaml(data):
    """JSON text that has no NUL and no control characters is read as what it is."""
    text = json.dumps(data, ensure_ascii=True)
    if "\\u0000" in text or "\\ud" in text:
        return
    assert data == value(text)


@settings(deadline=None, max_examples=80)
@given(st.one_of(st.text(), st.text(alphabet=" \n:-[]{}&*!|>'\"%@`#?,~<0aé\t\x85\u2028")))
def test_any_text_is_read_or_refused(text):
    """Whatever the text, there is a document or a ConfigError with at least one problem."""
    try:
        problems_found = parse(text, "p.yml").problems
    except ConfigError as error:
        problems_found = error.problems or None
    assert problems_found is not None


def test_a_file(tmp_path):
    """A file's text comes without the byte order mark."""
    path = tmp_path / "p.yml"
    path.write_bytes(b"\xef\xbb\xbfa: 1")
    assert "a: 1" == read_text(path)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("missing.yml", "no such file; did you mean 'missin.yml'?"),
        ("folder", "this is a folder"),
        ("latin.yml", "not UTF-8"),
        ("large.yml", "too large: 16.0 MiB"),
        ("pipe", "not a regular file"),
        ("no/where.yml", "no such file"),
        ("nul\0.yml", "cannot be read"),
        ("x" * 300, "cannot be read"),
    ],
)
def test_unreadable_files(tmp_path, name, words):
    """Each way that a file cannot be read is one clear problem that names the file."""
    (tmp_path / "missin.yml").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "latin.yml").write_bytes(b"a: 1\nb: \xe5\n")
    with (tmp_path / "large.yml").open("wb") as file:
        file.truncate(16 * 1024 * 1024 + 1)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ConfigError) as caught:
        read_text(tmp_path / name)
    (problem,) = caught.value.problems
    assert words in problem.message
    assert str(tmp_path / name) == problem.file


def test_the_line_that_is_not_utf_8(tmp_path):
    """Of text in another encoding the first offending line is told."""
    path = tmp_path / "p.yml"
    path.write_bytes(b"a: 1\nb: \xe5\n")
    with pytest.raises(ConfigError) as caught:
        read_text(path)
    assert 2 == caught.value.problems[0].line
