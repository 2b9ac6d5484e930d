"""The models of a pipelines file: what they read, what they refuse, what they make of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from pipelines.definition import (
    MisfirePolicy,
    PipelineDefinition,
    RetryPolicy,
    ScheduleDefinition,
    SchedulerSection,
)
from pipelines.errors import BadSchedule, PipecallError
from pipelines.fields import LONGEST_S, UNITS_S, Flag, Seconds, seconds_of
from pipelines.model import ExecutorKind, StageSpec


def pipeline(**fields):
    return PipelineDefinition.model_validate({"name": "prices", "chain": ["mine.Prices"], **fields})


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        *((300, 300), (0.5, 0.5), ("90s", 90), ("5m", 300), ("6h", 21_600), ("1d", 86_400), ("2w", 1_209_600)),
        *(("1h30m", 5_400), ("1h 30m", 5_400), (" 90 ", 90), ("1.5h", 5_400), ("250ms", 0.25)),
    ],
)
def test_durations(written, seconds):
    """A duration is a number of seconds, or text of numbers with units."""
    assert seconds == seconds_of(written)


@pytest.mark.parametrize("written", ["soon", "5 parsecs", "-5m", "1h30", "٣m", "", "5", True, None, [], "1e3s", "m"])
def test_texts_that_are_no_duration(written):
    """Anything else is not guessed at; a number in text is still a number of seconds."""
    assert (5.0 if written == "5" else None) == seconds_of(written)


@given(st.lists(st.tuples(st.integers(0, 999), st.sampled_from(sorted(UNITS_S))), min_size=1, max_size=5))
def test_durations_add_up(parts):
    """The parts of a duration are summed, whatever their order."""
    text = "".join(f"{number}{unit}" for number, unit in parts)
    assert sum(number * UNITS_S[unit] for number, unit in parts) == pytest.approx(seconds_of(text))


@given(st.one_of(st.text(max_size=100), st.floats(), st.integers(), st.none(), st.booleans()))
def test_a_duration_is_read_or_refused(value):
    """Whatever is written, a duration is within its bounds or a ValueError."""
    try:
        seconds = Seconds().read(value)
    except ValueError:
        return
    assert 0 < seconds <= LONGEST_S


@pytest.mark.parametrize("word", ["yes", "On", "TRUE", True])
def test_words_for_true(word):
    """Yes, on and true are true."""
    assert Flag().read(word)


@pytest.mark.parametrize("word", ["maybe", 1, 0, None, "y", "tRUE"])
def test_words_for_neither(word):
    """Anything but the known words is refused as neither true nor false."""
    with pytest.raises(ValueError, match="expected true or false"):
        Flag().read(word)


@pytest.mark.parametrize(
    "fields",
    [
        {"enabled": "maybe"},
        {"retry": {"attempts": 2.5}},
        {"retry": {"attempts": "3"}},
        {"retry": {"attempts": True}},
        {"retry": {"attempts": 0}},
        {"retry": {"backoff": 0.5}},
        {"retry": {"delay": -1}},
        {"retry": {"tries": 3}},
        {"timeout": 0},
        {"timeout": float("inf")},
        {"max_instances": 0},
        {"executor": "fork"},
        {"on_crash": None},
        {"params": []},
        {"chain": []},
        {"chain": "mine.Prices"},
        {"chain": [3]},
        {"chain": [{"kwargs": {}}]},
        {"chain": [{"path": "mine.Prices"}]},
        {"schedule": None},
        {"schedule": []},
        {"schedule": [[]]},
        {"schedules": "@daily"},
        {"schedule": {"cron": "@daily", "at": "2027-01-01"}},
        {"schedule": {"hourly": 60}},
        {"schedule": {"interval": {"seconds": 0}}},
        {"schedule": {"interval": {"seconds": 1.5}}},
        {"schedule": {"interval": {"days": 3000, "weeks": 500}}},
        {"name": "a b"},
        {"name": "x" * 81},
        {"name": "-x"},
        {"name": "å"},
    ],
)
def test_what_is_refused(fields):
    """Wrong types, values out of bounds and unknown keys are errors; nothing is rounded or guessed."""
    with pytest.raises(ValidationError):
        pipeline(**fields)


def test_defaults():
    """A pipeline that says nothing but its chain runs in a process, for at most an hour, three times."""
    definition = pipeline()
    assert (ExecutorKind.PROCESS, timedelta(hours=1), 3) == (
        definition.executor,
        definition.timeout,
        definition.retry.attempts,
    )


def test_definitions_are_frozen():
    """Nothing can be changed in a definition once it is read."""
    with pytest.raises(ValidationError, match="frozen"):
        pipeline().enabled = False


def test_retry_is_merged_field_by_field():
    """What a pipeline's retry does not say comes from the scheduler's default_retry."""
    scheduler = SchedulerSection.model_validate({"default_retry": {"attempts": 5, "delay": "2m"}})
    merged = pipeline(retry={"attempts": 1, "jitter": "no"}).with_defaults(scheduler)
    assert RetryPolicy(attempts=1, delay=120.0, jitter=False) == merged.retry


def test_default_timeout():
    """The scheduler's timeout holds for a pipeline that names none."""
    scheduler = SchedulerSection.model_validate({"default_timeout": "5m"})
    timeouts = [each.with_defaults(scheduler).timeout.total_seconds() for each in (pipeline(), pipeline(timeout=10))]
    assert [300, 10] == timeouts


@pytest.mark.parametrize(
    "change", [{"description": "new"}, {"schedule": "@daily"}, {"chain": [{"class": "mine.Prices", "kwargs": {}}]}]
)
def test_hash_stays(change):
    """The version of a definition does not depend on when it is due, what it says of itself, or how it is spelt."""
    assert pipeline().hash == pipeline(**change).hash


@pytest.mark.parametrize(
    "change",
    [{"chain": [{"class": "mine.Prices", "kwargs": {"a": 1}}]}, {"timeout": 5}, {"params": {"a": 1}}, {"name": "b"}],
)
def test_hash_changes(change):
    """The version of a definition changes with what a run of it does."""
    assert pipeline().hash != pipeline(**change).hash


def test_hash_is_short_hex():
    """The version is twelve hex digits."""
    assert 12 == len(f"{int(pipeline().hash, 16):012x}")


def test_hash_knows_no_secret():
    """The version is made of the text before variables are filled in."""
    secret = pipeline(chain=[{"class": "mine.Prices", "kwargs": {"token": "${TOKEN}"}}])
    assert secret.stage_specs({"TOKEN": "a"}) != secret.stage_specs({"TOKEN": "b"})
    assert "${TOKEN}" == secret.chain[0].kwargs["token"]


def test_stage_specs_are_filled():
    """Stages are handed out with variables replaced and escapes undone, at any depth."""
    kwargs = {"url": "https://${HOST}/", "deep": [{"a": "${HOST}"}, "$${HOST}"], "n": 3}
    specs = pipeline(chain=[{"class": "mine.Prices", "kwargs": kwargs}]).stage_specs({"HOST": "shop.example"})
    filled = {"url": "https://shop.example/", "deep": [{"a": "shop.example"}, "${HOST}"], "n": 3}
    assert (StageSpec("mine.Prices", filled),) == specs


def test_stage_specs_are_copies():
    """A stage that changes what it was given does not change the definition."""
    definition = pipeline(chain=[{"class": "mine.Prices", "kwargs": {"cols": ["a"]}}])
    definition.stage_specs({})[0].kwargs["cols"].append("b")
    assert ["a"] == definition.chain[0].kwargs["cols"]


def test_an_unset_variable_is_told():
    """A variable that vanished since loading is an expected error."""
    with pytest.raises(PipecallError, match="HOST is not set"):
        pipeline(params={"url": "${HOST}"}).resolved_params({})


def test_params_of_a_run():
    """A run's parameters win over the pipeline's, and what the file wrote is filled in."""
    definition = pipeline(params={"a": "${X}", "b": 1}, schedule={"cron": "@daily", "params": {"c": "${Y}"}})
    assert {"a": "x", "b": 2, "c": "y"} == definition.resolved_params({"X": "x", "Y": "y"}, {"b": 2, "c": "${Y}"})


def test_nobody_reads_the_environment_through_params():
    """Text that the file does not have stays as it is: a person's parameters cannot ask for a secret."""
    definition = pipeline(params={"a": "${X}"})
    assert {"a": "${SECRET}", "b": "${X}"} == definition.resolved_params(
        {"X": "x", "SECRET": "s"}, {"a": "${SECRET}", "b": "${X}"}
    )


@pytest.mark.parametrize(
    ("written", "first"),
    [
        ({"cron": "30 9 * * *"}, datetime(2027, 1, 1, 8, 30, tzinfo=UTC)),
        ({"daily": "09:30"}, datetime(2027, 1, 1, 8, 30, tzinfo=UTC)),
        ({"hourly": 15}, datetime(2027, 1, 1, 0, 15, tzinfo=UTC)),
        ({"interval": {"hours": 1, "minutes": 30}}, datetime(2027, 1, 1, 1, 30, tzinfo=UTC)),
        ({"at": "2027-06-20T15:30:00"}, datetime(2027, 6, 20, 13, 30, tzinfo=UTC)),
        ({"at": "2027-06-20T15:30:00", "timezone": "UTC"}, datetime(2027, 6, 20, 15, 30, tzinfo=UTC)),
    ],
)
def test_triggers(written, first):
    """Each way to say when becomes the trigger of that kind, in its own zone or the default one."""
    trigger = ScheduleDefinition.model_validate(written).trigger("Europe/Stockholm", "prices")
    assert first == trigger.next_after(datetime(2027, 1, 1, tzinfo=UTC))


def test_a_bad_time_is_told():
    """A time that the triggers refuse is their error."""
    with pytest.raises(BadSchedule):
        ScheduleDefinition.model_validate({"daily": "25:00"}).trigger("UTC", "prices")


def test_misfire_defaults():
    """A run may start five minutes late; of several missed instants the newest runs."""
    schedule = ScheduleDefinition.model_validate("@daily")
    assert (timedelta(minutes=5), MisfirePolicy.LATEST) == (schedule.misfire_grace, schedule.misfire_policy)


SCHEDULES = st.tuples(
    st.one_of(
        st.fixed_dictionaries({"cron": st.sampled_from(["@daily", "0 */6 * * *"])}),
        st.fixed_dictionaries({"interval": st.fixed_dictionaries({"seconds": st.integers(1, 99)})}),
        st.fixed_dictionaries({"hourly": st.integers(0, 59)}),
        st.just({"at": "2027-06-20"}),
        st.just({"daily": "09:30"}),
    ),
    st.fixed_dictionaries(
        {},
        optional={
            "timezone": st.sampled_from(["UTC", "Asia/Tokyo"]),
            "misfire": st.fixed_dictionaries({}, optional={"grace": st.integers(0, 999), "policy": st.just("all")}),
        },
    ),
)


@settings(deadline=None)
@given(SCHEDULES)
def test_spec_is_read_back(parts):
    """What the store keeps of a schedule makes the same schedule again."""
    schedule = ScheduleDefinition.model_validate(parts[0] | parts[1])
    assert schedule == ScheduleDefinition.model_validate(schedule.spec())
