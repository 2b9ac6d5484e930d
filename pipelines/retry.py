"""When does the next attempt of a run come, if any? Pure: policies and outcomes in, an instant out."""

from __future__ import annotations

from datetime import datetime, timedelta
from random import Random

from pipelines.definition import OnCrash, PipelineDefinition, RetryPolicy
from pipelines.model import RETRYABLE_STATES, Outcome, RunState

MAX_RETRY_AFTER_S = 86_400.0
"""The longest wait, in seconds, that another side's Retry-After can impose."""


def wait_s(policy: RetryPolicy, attempt: int, random: Random) -> float:
    """Return the seconds to wait before attempt `attempt` (≥ 2).

    `min(max_delay, delay · backoff^(attempt − 2))`; with jitter the wait is drawn evenly from the upper half of that.
    """
    try:
        wait = min(policy.max_delay, policy.delay * policy.backoff ** (attempt - 2))
    except OverflowError:
        wait = policy.max_delay
    return random.uniform(wait / 2, wait) if policy.jitter else wait


def may_retry(definition: PipelineDefinition, outcome: Outcome) -> bool:
    """Tell whether an outcome is of the kind that another attempt may mend."""
    if outcome.state not in RETRYABLE_STATES or not outcome.retryable:
        return False
    if outcome.state is RunState.CRASHED:
        return definition.on_crash is OnCrash.RETRY
    names = outcome.error.class_names if outcome.error else frozenset()
    policy = definition.retry
    if names & set(policy.give_up_on):
        return False
    return not policy.retry_on or bool(names & set(policy.retry_on))


def next_attempt_at(
    definition: PipelineDefinition, outcome: Outcome, attempt: int, *, max_attempts: int, now: datetime, random: Random
) -> datetime | None:
    """Return when (UTC) attempt `attempt + 1` is to start, or None when the run ends with this outcome.

    A wait that the other side asked for wins over the policy's own, up to `MAX_RETRY_AFTER_S`.
    """
    if attempt >= max_attempts or not may_retry(definition, outcome):
        return None
    if outcome.retry_after_s is not None:
        return now + timedelta(seconds=min(max(outcome.retry_after_s, 0.0), MAX_RETRY_AFTER_S))
    return now + timedelta(seconds=wait_s(definition.retry, attempt + 1, random))
