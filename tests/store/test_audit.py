"""The audit: one row for each change that somebody asked for, in the transaction of the change."""

from __future__ import annotations

import pytest

from pipelines.model import Actor, Asked, AuditEntry, Verb
from pipelines.store import audit, history, runs
from pipelines.store.audit import Audited, Repeated
from tests.store.samples import NOON, manual

ANN = Actor("discord:1", "ann", 1)


def entry(request_id="discord:5", verb=Verb.RUN, **more):
    """A request of Ann's."""
    asked = Asked(ANN, "discord", request_id, {"guild": "1", "channel": "2"})
    return AuditEntry(asked, NOON, verb, "prices", **more)


def test_a_change_and_its_row_are_one(conn):
    """The row names who, what, where and the run that was made."""
    (run,) = audit.audited(conn, [Audited(entry(detail={"x": 1}), runs.insert_runs, manual())])
    (row,) = audit.newest(conn)
    assert ("discord:1", "ann", Verb.RUN, "prices", True, run.id, {"x": 1}, {"guild": "1", "channel": "2"}) == (
        row.asked.actor.id,
        row.asked.actor.name,
        row.verb,
        row.target,
        row.allowed,
        row.run_id,
        row.detail,
        row.asked.place,
    )


def test_the_same_request_takes_effect_once(conn):
    """A second arrival changes nothing and is told of the first one's run, also within one batch."""
    change = Audited(entry(), runs.insert_runs, manual())
    (run, again) = audit.audited(conn, [change, change])
    assert (Repeated(run.id), [run.id]) == (again, [each.id for each in history.runs(conn)])


def test_requests_without_an_id_are_all_different(conn):
    """Doors whose requests cannot arrive twice need no id."""
    audit.audited(conn, [Audited(entry(None)), Audited(entry(None))])
    assert 2 == len(audit.newest(conn))


def test_a_change_that_fails_leaves_no_row(engine):
    """The row is rolled back with the change."""

    def refuse(conn, args):
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"), engine.begin() as conn:
        audit.audited(conn, [Audited(entry(), refuse)])
    with engine.connect() as conn:
        assert [] == audit.newest(conn)


def test_a_denial_is_kept(conn):
    """It says what was missing; the same request is kept once."""
    denial = entry(allowed=False, missing="it needs operator")
    audit.record(conn, [denial, denial])
    (row,) = audit.newest(conn)
    assert (False, "it needs operator") == (row.allowed, row.missing)
