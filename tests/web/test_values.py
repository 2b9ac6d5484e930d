"""What REST and events show of runs and jobs: their parameters without the secrets among them."""

from __future__ import annotations

from datetime import UTC, datetime

from pipelines import Redactor, Run, RunState, ScheduleRow, StartedBy
from web.values import RunValue, ScheduleValue

NOW = datetime(2027, 1, 1, tzinfo=UTC)
PARAMS = {"password": "correct horse", "note": "with hush-hush-hush in it", "days": 7}
SHOWN = {"password": "•••", "note": "with ••• in it", "days": 7}


def test_secrets_among_parameters_are_hidden():
    """Those known by their value, and those that their name gives away; the rest is as it was."""
    redactor = Redactor(["hush-hush-hush"])
    run = Run(1, "prices", RunState.QUEUED, StartedBy.MANUAL, NOW, params=PARAMS)
    job = ScheduleRow("daily", "prices", {"daily": "07:00"}, "UTC", "every day at 07:00", params=PARAMS)
    assert (SHOWN, SHOWN) == (RunValue.of(run, redactor).params, ScheduleValue.of(job, redactor).params)
