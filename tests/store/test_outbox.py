"""Messages on their way: one of each key, in order within a target, and never forgotten half-way."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import insert, text

from pipelines.model import Message
from pipelines.store import deliveries, outbox, runs, schema
from pipelines.store.deliveries import Bury, Gather, Parcel, Retry, Sent, Take
from pipelines.store.outbox import Post, PostState
from tests.store.conftest import on_sqlite
from tests.store.samples import NOON, after, manual


def a_post(key="k", target="discord:1", **more) -> Post:
    given = {"kind": "message", "body": {"text": key}, "at": NOON}
    return Post(target=target, key=key, **(given | more))


def posted(conn, *posts):
    return outbox.post(conn, posts)


def taken(conn, target="discord:1", now=NOON):
    """What `claim` gives for one target."""
    return deliveries.claim(conn, [Take(target, now)])[0]


def arrived(conn, parcel, message_id="m1"):
    return deliveries.sent(conn, [Sent(parcel.id, message_id, NOON)])[0]


def state(conn, key="k"):
    return outbox.find(conn, key).state


def drained(conn, target="discord:1", now=NOON):
    """The keys in the order in which they are delivered."""
    keys = []
    while isinstance(parcel := taken(conn, target, now), Parcel):
        keys.append(parcel.key)
        arrived(conn, parcel, f"m-{parcel.id}")
    return keys


def test_the_first_of_a_key_wins(conn):
    """A second message of the same key is not stored, whatever it says."""
    assert [True, False, True] == posted(conn, a_post(), a_post(body={"text": "other"}), a_post("k2"))
    assert ({"text": "k"}, "k", "k2") == (taken(conn).body, *drained(conn))


def test_a_runs_message_and_a_post_share_the_keys(conn):
    """What a run emitted can be found and changed by its full key."""
    (run,) = runs.insert_runs(conn, [manual()])
    outbox.put(conn, [(run.id, Message("discord:1", "message", {"text": "a"}, "out"), NOON)])
    key = outbox.dedupe_key(run.id, "out")
    assert [False, True] == posted(conn, a_post(key), a_post(key, replace=True, body={"text": "b"}, run_id=run.id))
    parcel = taken(conn)
    assert ({"text": "b"}, run.id) == (parcel.body, parcel.run_id)


def test_targets_have_their_own_order(conn):
    """Each target's messages come in the order of their storing, whatever waits for others."""
    posted(conn, a_post("a1"), a_post("b1", "discord:2"), a_post("a2"), a_post("b2", "discord:2"))
    assert {"discord:1": 2, "discord:2": 2} == outbox.waiting(conn)
    assert ["b1", "b2"] == drained(conn, "discord:2")
    assert ["a1", "a2"] == drained(conn)
    assert ({}, None) == (outbox.waiting(conn), taken(conn))


def test_a_taken_message_knows_its_tries(conn):
    """Each try is counted, and the first whose outcome is unknown keeps its time."""
    posted(conn, a_post())
    first = taken(conn, now=after(1))
    deliveries.retry(conn, [Retry(first.id, "no answer", after(2), first.first_tried_at)])
    assert after(2) == taken(conn, now=after(1.5))
    second = taken(conn, now=after(3))
    assert [(1, after(1), after(1)), (2, after(1), after(3))] == [
        (one.attempts, one.first_tried_at, one.at) for one in (first, second)
    ]
    deliveries.retry(conn, [Retry(second.id, "forbidden")])
    assert (3, after(4)) == (taken(conn, now=after(4)).attempts, taken(conn, now=after(5)).first_tried_at)


def test_a_message_in_sending_is_taken_again(conn):
    """What a process was sending when it died is the first to be tried by the next, with the same nonce."""
    posted(conn, a_post("a"), a_post("b"))
    died = taken(conn)
    again = taken(conn, now=after(60))
    assert (died.id, died.nonce, NOON, 2) == (again.id, again.nonce, again.first_tried_at, again.attempts)
    assert ["a", "b"] == drained(conn)


def test_nonces_are_short_and_differ(conn):
    """A nonce has 24 characters, and is another for another key."""
    posted(conn, *[a_post(f"key {number}") for number in range(50)], a_post("\ud800ö"))
    nonces = set()
    while isinstance(parcel := taken(conn), Parcel):
        nonces.add(parcel.nonce)
        arrived(conn, parcel)
    assert (51, {24}) == (len(nonces), {len(nonce) for nonce in nonces})


def test_channel_and_address(conn):
    """The address is all after the first colon."""
    posted(conn, a_post(target="webhook:A:B"))
    parcel = taken(conn, "webhook:A:B")
    assert ("webhook", "A:B") == (parcel.channel, parcel.address)


def test_an_arrival_is_kept(conn):
    """A sent message keeps the id under which it arrived, and is not taken again."""
    posted(conn, a_post())
    assert arrived(conn, taken(conn), "77")
    found = outbox.find(conn, "k")
    assert (PostState.SENT, "77", None, None) == (found.state, found.message_id, found.error, taken(conn))
    assert {"77"} == outbox.arrived(conn, ["77", "78"])


def test_a_dead_message_is_told_and_can_be_sent_again(conn):
    """What was refused for good stands in a list, newest first, and is queued again at its old place."""
    posted(conn, a_post("a"), a_post("b"), a_post("c"))
    for _ in range(2):
        parcel = taken(conn)
        assert [True] == deliveries.bury(conn, [Bury(parcel.id, f"no {parcel.key}")])
    assert [("b", "no b"), ("a", "no a")] == [(one.key, one.error) for one in outbox.dead(conn)]
    assert ["b"] == [one.key for one in outbox.dead(conn, 1)]
    assert [2, 0] == outbox.redeliver(conn, [None, None])
    assert ["a", "b", "c"] == drained(conn)
    assert {PostState.SENT: 3} == outbox.counts(conn)


def test_what_nobody_wants_any_more_expires(conn):
    """A message past its time is passed over, and not sent when others are sent again by hand."""
    posted(conn, a_post("a", expires_at=after(60)), a_post("b", expires_at=after(600)), a_post("c"))
    assert "b" == taken(conn, now=after(60)).key
    assert PostState.EXPIRED == state(conn, "a")
    assert [0] == outbox.redeliver(conn, [None])
    assert ["b", "c"] == drained(conn, now=after(120))


def test_a_waiting_message_is_replaced(conn):
    """An undelivered message of the key gets the new body at its old place."""
    posted(conn, a_post("a"), a_post("b"))
    assert [True] == posted(conn, a_post("a", body={"text": "new"}, replace=True))
    assert {"text": "new"} == taken(conn).body
    assert ["a", "b"] == drained(conn)


def test_a_message_replaced_while_it_is_sent_is_changed_afterwards(conn):
    """The old body may have arrived: the message is queued again, as a change of what arrived."""
    posted(conn, a_post())
    sending = taken(conn)
    posted(conn, a_post(body={"text": "new"}, replace=True))
    assert not arrived(conn, sending, "77")
    again = taken(conn)
    assert ("77", {"text": "new"}, 2) == (again.message_id, again.body, again.attempts)
    assert (True, None) == (arrived(conn, again, "77"), taken(conn))


def test_a_failure_of_what_was_replaced_changes_nothing(conn):
    """The new body is tried, whatever became of the old one."""
    posted(conn, a_post())
    sending = taken(conn)
    posted(conn, a_post(body={"text": "new"}, replace=True))
    assert ([False], [False]) == (
        deliveries.bury(conn, [Bury(sending.id, "refused")]),
        deliveries.retry(conn, [Retry(sending.id, "later", after(60))]),
    )
    assert {"text": "new"} == taken(conn).body


def test_a_delivered_message_is_replaced_by_a_change(conn):
    """A delivered message of the key is queued again, and changes what it made."""
    posted(conn, a_post())
    arrived(conn, taken(conn), "77")
    posted(conn, a_post(body={"text": "new"}, replace=True))
    again = taken(conn)
    assert ("77", 1, NOON) == (again.message_id, again.attempts, again.first_tried_at)


def test_a_change_finds_its_message_by_key(conn):
    """A change waits for its message in the same queue, and is given its id; one by id needs no other message."""
    change = a_post("change", body={"edits": "k", "text": "b"})
    posted(conn, a_post(), change, a_post("card", body={"message_id": 99}))
    first = taken(conn)
    assert (None, "k") == (first.message_id, first.key)
    arrived(conn, first, "77")
    for wanted in ("77", "99"):
        parcel = taken(conn)
        assert wanted == parcel.message_id
        arrived(conn, parcel, wanted)


@pytest.mark.parametrize("how", ["dead", "unknown"])
def test_a_change_of_nothing_is_dropped(conn, how):
    """A change whose message was never delivered is passed over, and says why."""
    posted(conn, a_post(), a_post("change", body={"edits": "k" if how == "dead" else "nothing"}), a_post("last"))
    deliveries.bury(conn, [Bury(taken(conn).id, "refused")])
    assert ["last"] == drained(conn)
    found = outbox.find(conn, "change")
    assert (PostState.EXPIRED, "the message that it changes was not delivered") == (found.state, found.error)


def test_many_are_told_by_one(conn):
    """The first of them says it all at its place, the others are not sent; one that was tried is left alone."""
    posted(conn, *[a_post(f"k{number}") for number in range(6)], a_post("card", kind="card"))
    tried = taken(conn)
    deliveries.retry(conn, [Retry(tried.id, "no answer", None, NOON)])
    waiting = deliveries.untried(conn, "discord:1", "message", 4)
    assert ["k1", "k2", "k3", "k4"] == [one.key for one in waiting]
    deliveries.gather(conn, [Gather([one.id for one in waiting], {"text": "all"})])
    assert ["k0", "k1", "k5", "card"] == drained(conn)
    assert f"told together with message {waiting[0].id}" == outbox.find(conn, "k3").error


def test_posts_of_a_forum_are_remembered(conn):
    """A later message with the same `reuse` is given the post that an earlier one opened, on the same target only."""
    forum = {"forum": {"name": "prices", "reuse": "pipeline:prices"}}
    posted(conn, a_post("a", body=forum), a_post("b", body=forum), a_post("c"), a_post("x", "discord:2", body=forum))
    first = taken(conn)
    assert first.post_id is None
    arrived(conn, first, "500/500")
    second = taken(conn)
    assert "500" == second.post_id
    arrived(conn, second, "600/601")  # the old post was deleted
    posted(conn, a_post("d", body=forum))
    assert [None, "600"] == [taken(conn).post_id, *[one.post_id for one in [_next(conn)]]]
    assert taken(conn, "discord:2").post_id is None


def _next(conn):
    arrived(conn, taken(conn))
    return taken(conn)


def test_a_long_key_is_found_by_itself(conn):
    """A key longer than an index takes is shortened everywhere alike."""
    key = "ö" * 5_000
    assert [True, False] == posted(conn, a_post(key), a_post(key))
    assert outbox.find(conn, key).target == "discord:1"


STEPS = st.lists(
    st.sampled_from(["post", "replace", "take", "sent", "unsure", "later", "bury", "die", "redeliver"]), max_size=30
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_whatever_happens_the_order_stands(conn, steps):
    """The oldest undelivered message is always the one taken, and each ends in one of the known states."""
    conn.execute(text("DELETE FROM outbox"))
    keys, parcel = 0, None
    for step in steps:
        if step in ("post", "replace"):
            keys += step == "post" or keys == 0
            posted(conn, a_post(f"k{keys}", replace=step == "replace"))
        elif step == "take":
            parcel = taken(conn)
            first = conn.execute(text("SELECT min(id) FROM outbox WHERE state IN ('queued', 'sending')")).scalar_one()
            assert first == (parcel and parcel.id)
        elif step == "redeliver":
            outbox.redeliver(conn, [None])
        elif parcel is not None and step != "die":
            _become(conn, parcel, step)
            parcel = None
    assert set(outbox.counts(conn)) <= set(PostState)
    drained(conn)
    assert {} == outbox.waiting(conn)


def _become(conn, parcel, step):
    if step == "sent":
        arrived(conn, parcel)
    elif step == "bury":
        deliveries.bury(conn, [Bury(parcel.id, "no")])
    else:
        since = parcel.first_tried_at if step == "unsure" else None
        deliveries.retry(conn, [Retry(parcel.id, step, None, since)])


@on_sqlite
def test_a_large_outbox_is_not_searched(conn):
    """Whose turn it is, is found by the index of undelivered messages, however many were delivered."""
    row = {"target": "discord:1", "kind": "message", "body": {}, "created_at": NOON - timedelta(days=1)}
    conn.execute(insert(schema.outbox), [{**row, "dedupe_key": f"old {n}", "state": "sent"} for n in range(500)])
    for statement in (*deliveries._FIRST, outbox._WAITING):
        compiled = statement.compile(conn.engine, compile_kwargs={"literal_binds": False})
        plan = conn.exec_driver_sql(f"EXPLAIN QUERY PLAN {compiled}", ("discord:1",) * len(compiled.params)).all()
        assert all("outbox_waiting" in step[3] for step in plan if "outbox" in step[3]), plan
