"""When the next attempt of a run comes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.definition import PipelineDefinition, RetryPolicy
from pipelines.model import Outcome, RunError, RunState
from pipelines.retry import MAX_RETRY_AFTER_S, next_attempt_at, wait_s

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
FAILED = Outcome(state=RunState.FAILED, error=RunError(type="TimeoutError", message="slow", bases=("OSError",)))


def policy(**given):
    """A policy without jitter, 60 s and doubling, unless told otherwise."""
    return RetryPolicy(**{"attempts": 3, "delay": 60, "backoff": 2, "max_delay": 3600, "jitter": False} | given)


def definition(retry=None, **given):
    """A pipeline with this retry policy."""
    chain = [{"class": "pipelines.transforms.Log"}]
    return PipelineDefinition.model_validate({"name": "p", "retry": retry or policy(), "chain": chain, **given})


def due(outcome, *, attempt=1, max_attempts=3, **given):
    """Seconds from now until the next attempt, or None."""
    at = next_attempt_at(definition(**given), outcome, attempt, max_attempts=max_attempts, now=NOW, random=Random(1))
    return None if at is None else (at - NOW).total_seconds()


@pytest.mark.parametrize(("attempt", "expected"), [(2, 60), (3, 120), (4, 240), (8, 3600), (10_000, 3600)])
def test_waits_grow_up_to_the_limit(attempt, expected):
    """Attempt N waits delay · backoff^(N-2) seconds, at most max_delay, however large N is."""
    assert expected == wait_s(policy(), attempt, Random(1))


@given(
    delay=st.floats(0, 1e6),
    backoff=st.floats(1, 10),
    attempt=st.integers(2, 5_000),
    limit=st.floats(0, 1e6),
    seed=st.integers(),
)
def test_jitter_draws_from_the_upper_half(delay, backoff, attempt, limit, seed):
    """With jitter the wait lies between half of the plain wait and all of it, for any policy."""
    plain = wait_s(policy(delay=delay, backoff=backoff, max_delay=limit), attempt, Random(seed))
    drawn = wait_s(policy(delay=delay, backoff=backoff, max_delay=limit, jitter=True), attempt, Random(seed))
    assert 0 <= plain / 2 <= drawn <= plain <= limit


def test_the_last_attempt_is_the_last():
    """Nothing follows when all attempts are used."""
    assert None is due(FAILED, attempt=3)


@pytest.mark.parametrize("state", [RunState.SUCCEEDED, RunState.SKIPPED, RunState.CANCELLED], ids=str)
def test_only_failures_are_tried_again(state):
    """A run that succeeded, was skipped or cancelled is over."""
    assert None is due(Outcome(state=state))


def test_errors_in_code_are_not_tried_again():
    """An outcome that no repetition can mend ends the run."""
    assert None is due(Outcome(state=RunState.FAILED, retryable=False))


def test_retry_after_wins():
    """The wait that the other side asked for replaces our own, and an absurd one is cut to a day."""
    asked = [Outcome(state=RunState.FAILED, retry_after_s=wait) for wait in (7.0, 1e12, -5.0)]
    assert [7.0, MAX_RETRY_AFTER_S, 0.0] == [due(outcome) for outcome in asked]


def test_classes_decide():
    """`give_up_on` and `retry_on` match an exception by its class or any base of it; giving up wins."""
    by_base = due(FAILED, retry=policy(retry_on=["OSError"]))
    other = due(FAILED, retry=policy(retry_on=["ValueError"]))
    given_up = due(FAILED, retry=policy(retry_on=["OSError"], give_up_on=["TimeoutError"]))
    assert (60.0, None, None) == (by_base, other, given_up)


def test_a_crash_is_tried_again_unless_told_not_to():
    """A process that died is tried again, unless the pipeline must run at most once."""
    crashed = Outcome(state=RunState.CRASHED)
    assert (60.0, None) == (due(crashed), due(crashed, on_crash="fail"))


def test_the_wait_starts_now():
    """The next attempt's instant is counted from the end of this one."""
    at = next_attempt_at(definition(), FAILED, 1, max_attempts=3, now=NOW, random=Random(1))
    assert NOW + timedelta(seconds=60) == at
