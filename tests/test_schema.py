"""The JSON Schema of pipelines files: current, valid, and of one mind with the loader."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema_rs import Draft202012Validator, meta
from pydantic import ValidationError

from docs.write_schema import TARGET, schema_text
from pipelines.definition import PipelineDefinition
from pipelines.file_schema import json_schema
from pipelines.yaml_text import parse

ROOT = Path(__file__).parent.parent
VALIDATOR = Draft202012Validator(json_schema())

FULL = """
x-retry: &retry {attempts: 2, delay: 5m}
scheduler:
  timezone: Europe/Stockholm
  max_parallel_jobs: 3
  log_level: INFO
  default_timeout: 3600
  default_retry: {attempts: 3, delay: 60, backoff: 2, max_delay: 3600, jitter: true}
  monitoring: {enabled: true, health_check_interval: 300}
pipelines:
  prices:
    description: Prices of the day
    enabled: yes
    executor: thread
    timeout: 90s
    retry: {<<: *retry, retry_on: [TimeoutError], give_up_on: ValueError}
    max_instances: 2
    on_crash: fail
    params: {region: eu}
    schedule:
      - "0 */6 * * *"
      - {cron: "0 7 * * 1-5", timezone: UTC, params: {region: us}, id: early, misfire: {grace: 6h, policy: all}}
      - {interval: {hours: 6, minutes: 30}}
      - {at: 2027-06-20T15:30:00}
      - {daily: 09:30}
      - {hourly: 15}
    chain:
      - {class: mine.Prices, kwargs: {url: "https://shop.example/"}}
      - mine.Save
  once: {schedule: "@daily", chain: [mine.Save]}
  start: {chain: [mine.Save]}
"""

WRONG = {
    "an unknown key": {"chain": ["a.B"], "timout": 3},
    "no chain": {"enabled": True},
    "an empty chain": {"chain": []},
    "a stage without class": {"chain": [{"kwargs": {}}]},
    "a fraction of an attempt": {"chain": ["a.B"], "retry": {"attempts": 2.5}},
    "two times in one schedule": {"chain": ["a.B"], "schedule": {"cron": "@daily", "hourly": 3}},
    "no time in a schedule": {"chain": ["a.B"], "schedule": {"timezone": "UTC"}},
    "an empty list of schedules": {"chain": ["a.B"], "schedule": []},
    "an unknown unit": {"chain": ["a.B"], "timeout": "5 parsecs"},
    "a timeout of nothing": {"chain": ["a.B"], "timeout": 0},
    "maybe for true or false": {"chain": ["a.B"], "enabled": "maybe"},
    "its name inside": {"chain": ["a.B"], "name": "prices"},
}


def complaints(pipeline):
    return list(VALIDATOR.iter_errors({"pipelines": {"prices": pipeline}}))


def test_the_file_is_current():
    """The schema in docs/ is what the models say; `python -m docs.write_schema` brings it up to date."""
    assert schema_text() == TARGET.read_text(encoding="utf-8")


def test_the_schema_is_one():
    """It is a valid schema of the draft that it names."""
    meta.validate(json_schema())


@pytest.mark.parametrize("text", [FULL, (ROOT / "pipelines.yml").read_text(encoding="utf-8")], ids=["full", "shipped"])
def test_what_the_loader_reads_fits(text):
    """Every form that a file may use, and the shipped file, fit the schema."""
    assert [] == [error.message for error in VALIDATOR.iter_errors(parse(text, "pipelines.yml").value)]


@pytest.mark.parametrize("pipeline", WRONG.values(), ids=WRONG)
def test_what_the_loader_refuses_does_not_fit(pipeline):
    """An editor marks what the loader would refuse."""
    assert complaints(pipeline)


@pytest.mark.parametrize("top", [{}, {"piplines": {}}, {"pipelines": {"a b": {"chain": ["a.B"]}}}, []])
def test_wrong_files_do_not_fit(top):
    """A file without pipelines, with an unknown section or a bad name is marked."""
    assert list(VALIDATOR.iter_errors(top))


def test_durations_in_defaults_are_seconds():
    """Defaults stand in the schema as one would write them."""
    assert 3600 == json_schema()["$defs"]["PipelineDefinition"]["properties"]["timeout"]["default"]
    assert "PT" not in json.dumps([each.get("default") for each in json_schema()["properties"].values()])


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 5000),
    st.floats(-2, 400),
    st.sampled_from(["yes", "5m", "90 s", "", "latest"]),
)
PIPELINES = st.fixed_dictionaries(
    {
        "chain": st.lists(
            st.one_of(st.just("a.B"), st.fixed_dictionaries({"class": st.just("a.B")}, optional={"kwargs": VALUES}))
        )
    },
    optional={
        "enabled": VALUES,
        "timeout": VALUES,
        "max_instances": VALUES,
        "retry": st.one_of(
            st.fixed_dictionaries(
                {}, optional={"attempts": VALUES, "delay": VALUES, "jitter": VALUES, "backoff": VALUES}
            )
        ),
        "schedule": st.one_of(
            VALUES,
            st.fixed_dictionaries({"hourly": VALUES}, optional={"misfire": st.fixed_dictionaries({"grace": VALUES})}),
            st.lists(st.fixed_dictionaries({"interval": st.fixed_dictionaries({"hours": st.integers(1, 9)})})),
        ),
    },
)


@settings(max_examples=50, deadline=None)
@given(PIPELINES)
def test_models_accept_no_more_than_the_schema(pipeline):
    """What the models accept, the schema does too: no valid file is marked in an editor."""
    try:
        PipelineDefinition.model_validate({**pipeline, "name": "prices"})
    except ValidationError:
        return
    assert [] == complaints(pipeline)
