"""Declared parameters: what a declaration may say, and what becomes of the values that are given."""

from __future__ import annotations

import json
import shlex

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipelines import parameters
from pipelines.definition import PipelineDefinition
from pipelines.errors import BadParameter
from pipelines.parameters import TYPES, Parameter
from tests.loading import one, temporary_folder

DECLARED = {
    "region": {"type": "text", "choices": ["eu", "us"], "default": "eu", "description": "Where to look"},
    "pages": {"type": "int", "min": 1, "max": 10},
    "least": {"type": "number", "required": False},
    "fresh": {"type": "flag", "default": False},
    "wait": {"type": "duration", "default": "5m", "max": "1h"},
    "note": "none",
}


def refused(params, values):
    with pytest.raises(BadParameter) as caught:
        parameters.check(params, values)
    return caught.value.problems


# ----------------------------------------------------------- declarations


def test_declarations():
    """A mapping with a known type declares a parameter: without a default it is required, unless the file says no."""
    known = parameters.declared(DECLARED)
    assert ["region", "pages", "least", "fresh", "wait"] == list(known)
    assert ["pages"] == [name for name, each in known.items() if each.required]
    assert Parameter("region", "text", "eu", choices=("eu", "us"), description="Where to look") == known["region"]
    assert Parameter("wait", "duration", 300.0, highest=3600.0) == known["wait"]


@pytest.mark.parametrize(
    "value",
    [3, "x", None, ["text"], {}, {"a": 1}, {"type": 3}, {"type": "csv"}, {"type": "text", "rows": 5}, {"default": 3}],
)
def test_plain_values(value):
    """Everything else is a plain default, mappings with a type of their own too."""
    assert ({}, {"p": value}) == (parameters.declared({"p": value}), parameters.defaults({"p": value}))


def test_defaults():
    """The values of a run for which nothing is given: plain ones and declared defaults, as JSON."""
    assert {"region": "eu", "fresh": False, "wait": 300.0, "note": "none"} == parameters.defaults(DECLARED)


WRONG = {
    "type": ({"type": "txt"}, ("p", "type"), "there is no type 'txt'; did you mean 'text'?"),
    "key": ({"type": "int", "defalt": 3}, ("p", "defalt"), "unknown key 'defalt'; did you mean 'default'?"),
    "default": ({"type": "int", "default": "x"}, ("p", "default"), "found 'x'; expected a whole number"),
    "no choice": ({"type": "text", "choices": ["eu"], "default": "us"}, ("p", "default"), "expected 'eu'"),
    "outside": ({"type": "int", "max": 3, "default": 4}, ("p", "default"), "expected a whole number to 3"),
    "bounds": ({"type": "int", "min": 5, "max": 3}, ("p", "min"), "min is above max: 5 > 3"),
    "bound": ({"type": "int", "min": "x"}, ("p", "min"), "expected a whole number"),
    "text bound": ({"type": "text", "min": 3}, ("p", "min"), "min is for int, number or duration, not for text"),
    "longest": ({"type": "text", "longest": 0}, ("p", "longest"), "expected a whole number from 1 to 4,000"),
    "int longest": ({"type": "int", "longest": 3}, ("p", "longest"), "longest is for text, not for int"),
    "too long": ({"type": "text", "longest": 3, "default": "long"}, ("p", "default"), "text of at most 3 characters"),
    "choices": ({"type": "text", "choices": []}, ("p", "choices"), "found an empty list"),
    "choice": ({"type": "int", "choices": [1, "x"]}, ("p", "choices", 1), "found 'x'"),
    "required": ({"type": "int", "required": "maybe"}, ("p", "required"), "expected true or false"),
    "both": ({"type": "int", "required": True, "default": 3}, ("p", "required"), "leave one of the two out"),
    "description": ({"type": "int", "description": 3}, ("p", "description"), "expected text"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_declarations(name):
    """What is wrong with a declaration is told with its place."""
    raw, way, message = WRONG[name]
    _, [(found_way, found_message)] = parameters.read({"p": raw})
    assert (way, True) == (found_way, message in found_message), found_message


# ------------------------------------------------------------------ values


@pytest.mark.parametrize(
    ("kind", "given", "value"),
    [
        ("text", "x y", "x y"),
        ("int", " -3 ", -3),
        ("int", 3, 3),
        ("number", "1.5e3", 1500.0),
        ("number", ".5", 0.5),
        ("number", 3, 3),
        ("flag", "Yes", True),
        ("flag", "off", False),
        ("flag", True, True),
        ("date", "2027-01-31", "2027-01-31"),
        ("time", "09:30", "09:30:00"),
        ("datetime", "2027-01-31 09:30", "2027-01-31T09:30:00"),
        ("datetime", "2027-01-31T09:30+01:00", "2027-01-31T09:30:00+01:00"),
        ("duration", "1h30m", 5400.0),
        ("duration", 90, 90.0),
    ],
)
def test_values(kind, given, value):
    """Text that was typed becomes JSON of the declared type, and so does JSON."""
    read = parameters.check({"p": {"type": kind}}, {"p": given})["p"]
    assert (value, type(value)) == (read, type(read))


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        *(("text", each) for each in (3, None, "x" * 4001, "a\0", "\ud800")),
        *(("int", each) for each in ("x", "1.5", "٣", True, 1.5, "9" * 19, None, 2**70, "")),
        *(("number", each) for each in ("x", "1e999", "nan", "inf", True, float("nan"), None, "1" * 60, 10**400)),
        *(("flag", each) for each in ("maybe", 1, "", None)),
        *(("date", each) for each in ("2027-02-30", "20270101", "tomorrow", "2027-01-01T09:00", 20270101)),
        *(("time", each) for each in ("25:00", "9", "09:30Z", 930)),
        *(("datetime", each) for each in ("2027-01-01", "2027-01-01T25:00", "now", None)),
        *(("duration", each) for each in ("soon", "-5m", -1, "99999d", None)),
    ],
)
def test_values_that_do_not_fit(kind, given):
    """Anything else is refused with what was expected."""
    (problem,) = refused({"p": {"type": kind}}, {"p": given})
    assert problem.startswith("parameter 'p': found ")
    assert "; expected " in problem


def test_all_problems_at_once():
    """Unknown names, wrong values and missing ones are told together, with the nearest that is valid."""
    assert (
        "there is no parameter 'regoin'; did you mean 'region'?",
        "parameter 'wait': found '2h'; expected a duration such as 90s, 5m or 1h30m to 3,600 seconds",
        "the parameter 'pages' is missing: a whole number from 1 to 10",
    ) == refused(DECLARED, {"regoin": "eu", "wait": "2h"})
    assert ("parameter 'region': found 'uss'; expected 'eu' or 'us'; did you mean 'us'?",) == refused(
        DECLARED, {"region": "uss", "pages": 3}
    )


def test_the_pipeline_is_named_once():
    """Of several problems each has a line of its own below the pipeline's name; a single one stands beside it."""
    for values, told in (
        ({"n": "x"}, "pipeline 'prices': parameter 'n': found 'x'; expected a number"),
        (
            {"n": "x", "m": ""},
            "pipeline 'prices':\nparameter 'n': found 'x'; expected a number\nthere is no parameter 'm'; known are: n",
        ),
    ):
        with pytest.raises(BadParameter) as caught:
            parameters.check({"n": {"type": "number"}}, values, pipeline="prices")
        assert told == str(caught.value)


@pytest.mark.parametrize(("typed", "number"), [("3", "3"), (10, "10"), ("-2", "-2"), ("2.5", "2.5"), ("3.0", "3.0")])
def test_a_whole_number_stays_whole(typed, number):
    """A number without a fraction is an int, also as a default."""
    declared = {"n": {"type": "number", "default": typed}}
    assert number == str(parameters.check(declared, {"n": typed})["n"]) == str(parameters.defaults(declared)["n"])


PLAIN = {"count": 3, "ratio": 0.5, "on": True, "name": "x", "nothing": None, "limits": {"a": 1}}


def test_plain_defaults_set_the_type():
    """Text for a parameter that is not declared becomes JSON of the type of its plain default."""
    typed = {"count": "5", "ratio": "2", "on": "no", "name": "5", "nothing": "y"}
    assert {"count": 5, "ratio": 2.0, "on": False, "name": "5", "nothing": "y"} == parameters.check(PLAIN, typed)
    assert {"nothing": 3} == parameters.check(PLAIN, {"nothing": 3})
    assert {"limits": {"b": 2}} == parameters.check(PLAIN, {"limits": {"b": 2}})


def test_plain_defaults_refuse():
    """Text that cannot be of that type is refused; so are names that are not there."""
    assert ("parameter 'count': found 'x'; expected a whole number",) == refused(PLAIN, {"count": "x"})
    assert ("parameter 'limits': found 'x'; expected a mapping",) == refused(PLAIN, {"limits": "x"})
    (problem,) = refused(PLAIN, {"zzz": "1"})
    assert "there is no parameter 'zzz'; known are: count, ratio, on" in problem


def test_a_pipeline_without_parameters():
    """A pipeline that has none says so, with its name."""
    with pytest.raises(BadParameter, match="pipeline 'prices': it takes no parameters; leave out 'a', 'b'"):
        parameters.check({}, {"a": "1", "b": "2"}, pipeline="prices")


@given(st.sampled_from(TYPES), st.one_of(st.text(max_size=30), st.integers(), st.floats(), st.booleans(), st.none()))
def test_any_value_is_read_or_refused(kind, value):
    """Whatever is given becomes JSON that stays the same when it is read again, or is a BadParameter."""
    declared = {"p": {"type": kind}}
    try:
        read = parameters.check(declared, {"p": value})
    except BadParameter:
        return
    assert read == parameters.check(declared, json.loads(json.dumps(read, allow_nan=False)))


# -------------------------------------------------------------------- text


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("", {}),
        ("  region=eu   pages=3 ", {"region": "eu", "pages": "3"}),
        ("""a='x y' b="it's" c=$HOME""", {"a": "x y", "b": "it's", "c": "$HOME"}),
        (r'a="say \"hi\" \\"', {"a": 'say "hi" \\'}),
        ("a=“x y” b=‘z’", {"a": "x y", "b": "z"}),
        ("a= b=c", {"a": "", "b": "c"}),
        ("url=https://x/?q=1&r=2", {"url": "https://x/?q=1&r=2"}),
        ("a='x\ny'\nb=2", {"a": "x\ny", "b": "2"}),
    ],
)
def test_text(text, values):
    """Names and values are read from one text; quotes, also those of phones, keep spaces."""
    assert values == parameters.parse_text(text)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("region", "character 1, 'region': expected name=value"),
        ("a=1 'b'=2", "character 5, "),
        ("a=1 b='x", "character 5, "),
        ("a=1 a=2", "character 5: 'a' is given twice"),
        ("a = 3", "character 1, 'a = 3': expected name=value without spaces"),
        ("=3", "character 1, '=3'"),
        ("a=1 " * 1001, "4,004 characters are too many"),
    ],
)
def test_text_that_cannot_be_read(text, told):
    """What cannot be read is told with its place."""
    with pytest.raises(BadParameter) as caught:
        parameters.parse_text(text)
    assert told in str(caught.value)


@given(st.text(max_size=60))
@example("a=“‘")
def test_any_text_is_read_or_refused(text):
    """Whatever is typed is read or a BadParameter."""
    try:
        values = parameters.parse_text(text)
    except BadParameter:
        return
    assert all(isinstance(each, str) for each in values.values())


NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_.-]{0,8}", fullmatch=True)


@given(
    st.dictionaries(NAMES, st.text(st.characters(codec="utf-8", exclude_characters="\\'\""), max_size=20), max_size=4)
)
def test_quoted_values_are_read_back(values):
    """Values in double quotes are read back as they were."""
    assert values == parameters.parse_text(" ".join(f'{name}="{value}"' for name, value in values.items()))


@given(st.dictionaries(NAMES, st.from_regex(r"[a-z0-9:/.]{1,9}", fullmatch=True), max_size=4))
def test_bare_values_are_read_as_a_shell_would(values):
    """Without quotes, words are split at spaces."""
    text = " ".join(f"{name}={value}" for name, value in values.items())
    assert dict(word.split("=", 1) for word in shlex.split(text)) == parameters.parse_text(text)


# --------------------------------------------------------------- in a file


@pytest.fixture(scope="module")
def folder():
    """One folder for all: its plugin is imported once."""
    with temporary_folder() as made:
        yield made


def pipeline(**fields):
    return PipelineDefinition.model_validate({"name": "prices", "chain": ["mine.Prices"], **fields})


def test_the_parameters_of_a_run():
    """A run has the declared defaults under what is given; without a required value it cannot be."""
    definition = pipeline(params={**DECLARED, "note": "${NOTE}"})
    assert definition.parameters == parameters.declared(DECLARED)
    values = definition.resolved_params({"NOTE": "n"}, {"pages": 2, "fresh": True})
    assert {"region": "eu", "fresh": True, "wait": 300.0, "note": "n", "pages": 2} == values
    with pytest.raises(BadParameter, match="'pages' is missing"):
        definition.resolved_params({"NOTE": "n"})


def test_a_declared_default_may_be_a_variable():
    """`${NAME}` in a declared text is filled in; the same text from anybody else is not, for another name."""
    definition = pipeline(params={"a": {"type": "text", "default": "${X}"}, "b": {"type": "text", "default": ""}})
    assert {"a": "x", "b": "${X}"} == definition.resolved_params({"X": "x"}, {"b": "${X}"})


def test_what_somebody_may_give():
    """Parameters of the pipeline and of its schedules are known, each with the type that it has there."""
    definition = pipeline(params={"page": 1}, schedule={"cron": "@daily", "params": {"why": "x"}})
    assert {"page": 2, "why": "y"} == parameters.check_for(definition, {"page": "2", "why": "y"})
    with pytest.raises(BadParameter, match=r"pipeline 'prices': there is no parameter 'size'; known are: why, page"):
        parameters.check_for(definition, {"size": "2"})


def test_a_schedules_parameters_are_read(folder):
    """What a schedule gives becomes JSON of the declared type, over the defaults."""
    loaded = folder.load(
        one("params: {wait: {type: duration, default: 5m}, n: {type: int}}\nchain: [mine.Save]\n"
            "schedule:\n- {cron: '@daily', params: {n: 2}}\n- {hourly: 3, params: {n: 3, wait: 1h}}")
    )  # fmt: skip
    assert [{"wait": 300.0, "n": 2}, {"wait": 3600.0, "n": 3}] == [entry.params for entry in loaded.schedules]


BAD_FILES = {
    "declaration": (
        one("params:\n  n:\n    type: int\n    default: x\nchain: [mine.Save]"),
        (6, "pipelines.p.params.n.default", "found 'x'; expected a whole number"),
    ),
    "type": (
        one("params:\n  n: {type: txt}\nschedule: '@daily'\nchain: [mine.Save]"),
        (4, "pipelines.p.params.n.type", "there is no type 'txt'; did you mean 'text'?"),
    ),
    "unknown": (
        one(
            "params: {n: {type: int, default: 1}}\nschedule:\n  cron: '@daily'\n  params:\n    m: 2\nchain: [mine.Save]"
        ),
        (7, "pipelines.p.schedule.params.m", "there is no parameter 'm'; known are: n"),
    ),
    "value": (
        one("params: {n: {type: int, max: 1}}\nschedule:\n  cron: '@daily'\n  params:\n    n: 2\nchain: [mine.Save]"),
        (7, "pipelines.p.schedule.params.n", "found 2 (a number); expected a whole number to 1"),
    ),
    "missing": (
        one("params: {n: {type: int}}\nschedule:\n  cron: '@daily'\nchain: [mine.Save]"),
        (4, "pipelines.p.schedule", "the parameter 'n' is missing: a whole number"),
    ),
    "at start": (
        one("params:\n  n: {type: int}\nchain: [mine.Save]"),
        (4, "pipelines.p.params.n", "without a schedule it runs at start"),
    ),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_problems_of_a_file(folder, name):
    """Wrong declarations, and values of schedules that do not fit them, are told with their line."""
    text, (line, path, message) = BAD_FILES[name]
    [(found_line, found_path, found_message)] = folder.told(text)
    assert (line, path, True) == (found_line, found_path, message in found_message), found_message


def test_a_pipeline_for_asking_only(folder):
    """A disabled pipeline without a schedule may require parameters: it runs only when it is asked to."""
    folder.load(one("enabled: false\nparams: {n: {type: int}}\nchain: [mine.Save]"))
