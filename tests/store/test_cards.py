"""Cards in the store: one row for each, their end together with its messages, and runs that have none."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from pipelines.model import Actor, Asked, AuditEntry, NewRun, StartedBy, Verb
from pipelines.store import audit, cards, outbox, runs
from pipelines.store.cards import Card, CardEnd, CardState, Wish
from pipelines.store.outbox import Post

AT = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
ANN = Actor("discord:7", "ann", 7)


def new_run(conn):
    (run,) = runs.insert_runs(conn, [NewRun("prices", StartedBy.MANUAL)])
    return run.id


def wished(conn, run_id, *, at=AT, door="discord", verb=Verb.RUN, place=None):
    place = {"guild": "1", "channel": "42"} if place is None else place
    entry = AuditEntry(Asked(ANN, door, f"{door}:{run_id}:{verb}", place), at, verb, "prices", run_id=run_id)
    audit.record(conn, [entry])


def post(number):
    return Post("discord:42", "card", f"card:{number}", {"message_id": str(number)}, AT)


def test_a_message_is_a_card_once(conn):
    """The same message stored twice is one card; live ones are found again, oldest first."""
    made = [Card(100, 42, 1, AT), Card(200, 42, 2, AT)]
    assert [True, True] == cards.put(conn, made)
    assert [False] == cards.put(conn, made[:1])
    assert made == cards.live(conn)


def test_the_end_of_a_card_brings_its_messages_along(conn):
    """A card ends once: its messages are queued with that, and a second end queues nothing."""
    cards.put(conn, [Card(100, 42, 1, AT)])
    assert [True, False] == cards.end(conn, [CardEnd(100, (post(1), post(2))), CardEnd(100, (post(3),))])
    assert [] == cards.live(conn)
    assert [1, 1, 0] == [int(outbox.find(conn, f"card:{number}") is not None) for number in (1, 2, 3)]


def test_a_deleted_card_has_no_end(conn):
    """A card that somebody deleted is not live any more, and its end queues nothing."""
    cards.put(conn, [Card(100, 42, 1, AT)])
    assert [True, False] == cards.lose(conn, [100, 100])
    assert [False] == cards.end(conn, [CardEnd(100, (post(1),))])
    assert [] == cards.live(conn)
    assert CardState.GONE == "gone"


def test_who_asked_for_a_run(conn):
    """The one who asked for a run through a door is known by it; cancelling it, or another door, does not count."""
    run_id = new_run(conn)
    wished(conn, run_id, verb=Verb.CANCEL)
    assert cards.wish_for(conn, run_id, "discord") is None
    wished(conn, run_id)
    assert Wish(run_id, "discord:7", 42, AT) == cards.wish_for(conn, run_id, "discord")
    assert cards.wish_for(conn, run_id, "rest") is None


def test_runs_without_a_card(conn):
    """Runs asked for since an instant that no message follows or followed are found, newest first."""
    old, followed, lost, nowhere = (new_run(conn) for _ in range(4))
    wished(conn, old, at=AT - timedelta(days=2))
    wished(conn, followed)
    wished(conn, lost)
    wished(conn, nowhere, place={})
    cards.put(conn, [Card(100, 42, followed, AT)])
    cards.lose(conn, [100])
    assert [Wish(lost, "discord:7", 42, AT)] == cards.cardless(conn, AT - timedelta(days=1), "discord")
