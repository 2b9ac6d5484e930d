"""What becomes of instants that were due: which run, which are recorded as missed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.definition import MisfirePolicy
from pipelines.misfire import decide

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def ran(instants, *, grace=5 * MINUTE, policy=MisfirePolicy.LATEST, left_out=0):
    """The instants, as minutes before now, that become runs."""
    decisions = decide(instants, left_out=left_out, now=NOW, grace=grace, policy=policy)
    return [(NOW - decision.due_at) // MINUTE for decision in decisions if decision.missed is None]


@pytest.mark.parametrize(
    ("policy", "expected"),
    [(MisfirePolicy.LATEST, [2]), (MisfirePolicy.ALL, [4, 2]), (MisfirePolicy.NONE, []), (MisfirePolicy.ASK, [])],
)
def test_policies_differ_within_grace(policy, expected):
    """Of what is late but within grace, `latest` runs the newest, `all` each, `none` and `ask` nothing."""
    instants = [NOW - minutes * MINUTE for minutes in (9, 4, 2)]
    assert expected == ran(instants, policy=policy)


@pytest.mark.parametrize("policy", list(MisfirePolicy))
def test_what_is_on_time_runs_under_every_policy(policy):
    """An instant handled the moment it is due runs, even without any grace."""
    assert [0] == ran([NOW], grace=timedelta(0), policy=policy)


def test_beyond_grace_nothing_runs():
    """A run that comes too late is recorded as missed, with the reason."""
    (decision,) = decide([NOW - 6 * MINUTE], left_out=0, now=NOW, grace=5 * MINUTE, policy=MisfirePolicy.LATEST)
    assert "the service did not run when it was due" == decision.missed


def test_people_are_asked_about_what_lies_within_grace():
    """With `ask`, what is late within grace is asked about; what is older is only recorded, what is on time runs."""
    instants = [NOW - minutes * MINUTE for minutes in (9, 4, 2, 0)]
    decisions = list(decide(instants, left_out=0, now=NOW, grace=5 * MINUTE, policy=MisfirePolicy.ASK))
    assert [False, True, True, False] == [each.asked for each in decisions]
    assert ["the service did not run when it was due", "asked", "asked", None] == [each.missed for each in decisions]


def test_older_instants_are_told_in_one_line():
    """What lies before the newest thousand is counted in the reason of the oldest."""
    instants = [NOW - 9 * MINUTE, NOW]
    first, _ = decide(instants, left_out=4_000, now=NOW, grace=5 * MINUTE, policy=MisfirePolicy.ALL)
    assert "the service did not run when it was due, like 4000 before it" == first.missed


@given(
    ages=st.lists(st.integers(0, 100_000), unique=True, max_size=50),
    grace=st.integers(0, 100_000),
    policy=st.sampled_from(list(MisfirePolicy)),
)
def test_every_instant_is_decided_once(ages, grace, policy):
    """Each due instant gets exactly one decision, in order; under `latest` at most one runs, and it is the newest."""
    instants = sorted(NOW - timedelta(seconds=age) for age in ages)
    decisions = list(decide(instants, left_out=0, now=NOW, grace=timedelta(seconds=grace), policy=policy))
    running = [decision.due_at for decision in decisions if decision.missed is None]
    assert instants == [decision.due_at for decision in decisions]
    assert policy is not MisfirePolicy.LATEST or running in ([], instants[-1:])
