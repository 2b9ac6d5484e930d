"""Who is told what: the first failure pings, repeats are quiet, bursts share a message, and nothing is forgotten."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.alert_facts import situation
from pipelines.face_definition import AlertKind, AlertsSection
from pipelines.model import Incident, IncidentKind, Mute, RunState
from pipelines.notifications import BURST, Situation, Tell, plan
from pipelines.store import database, incidents, tellings, troubles
from pipelines.store.counts import Ended, count
from pipelines.store.tellings import Told

NOON = datetime(2027, 1, 5, 12, tzinfo=UTC)
SECTION = AlertsSection(channel_id=7, mention=(5,))
HERE = "discord:7"


def after(**span: float) -> datetime:
    return NOON + timedelta(**span)


def incident(number: int = 1, **more) -> Incident:
    given = {"opened_at": NOON, "last_at": NOON, "first_run_id": number, "last_run_id": number, "id": number}
    return Incident(**{"pipeline": f"p{number}", "kind": IncidentKind.FAILURE} | given | more)


def known(number: int = 1, **more) -> Incident:
    """An incident that people know of."""
    return incident(number, **{"told": 1, "message_key": f"incident:{number}", "target": HERE} | more)


def planned(*found: Incident, mutes=(), section=SECTION, now=NOON, reminded=None):
    return plan(Situation(found, mutes), lambda _name: section, now, reminded or {})


def said(made):
    return [(each.act, each.key, [member.id for member in each.incidents], each.mention) for each in made.tellings]


def test_the_first_failure_is_a_message_that_pings():
    """It goes to the channel of the section, with its roles, and counts as told with it."""
    made = planned(incident())
    assert [(Tell.ALERT, "incident:1", [1], (5,))] == said(made)
    (mark,) = made.marks
    assert (HERE, 1, 1, "incident:1") == (made.tellings[0].target, mark.incident_id, mark.version, mark.key)


def test_a_further_failure_changes_the_message():
    """No new message, no ping: the one that is there says how many they are."""
    made = planned(known(version=2, count=2))
    assert [(Tell.CHANGE, "incident:1:now", [1], ())] == said(made)
    assert ("incident:1", 2) == (made.tellings[0].edits, made.marks[0].version)


def test_what_is_known_is_not_told_again():
    """Without a change, and before the first reminder, there is nothing to say."""
    assert ([], []) == (said(made := planned(known())), list(made.marks))


def test_a_recovery_turns_the_message_green_and_adds_a_line():
    """The line pings nobody and has the key of that success, so that it comes once."""
    made = planned(known(version=2, closed_at=after(minutes=42), closing_run_id=9))
    assert [(Tell.CHANGE, "incident:1:now", [1], ()), (Tell.RECOVERY, "success:9", [1], ())] == said(made)


def test_a_recovery_is_not_told_where_it_is_not_wanted():
    """The message is brought up to date all the same."""
    section = SECTION.model_copy(update={"on": (AlertKind.FAILURE,)})
    made = planned(known(version=2, closed_at=NOON), section=section)
    assert [Tell.CHANGE] == [each.act for each in made.tellings]


def test_a_pipeline_that_fails_again_has_not_recovered():
    """The old message says how it ended; of recovery nobody speaks while new trouble is told."""
    again = incident(2, pipeline="p1")
    made = planned(known(version=2, closed_at=NOON), again)
    assert {(Tell.ALERT, "incident:2"), (Tell.CHANGE, "incident:1:now")} == {
        (each.act, each.key) for each in made.tellings
    }


def test_a_failure_that_was_over_before_anybody_looked_is_told_without_a_ping():
    """One message that says both; no further line."""
    made = planned(incident(version=2, closed_at=NOON, closing_run_id=3))
    assert [(Tell.ALERT, "incident:1", [1], ())] == said(made)


@pytest.mark.parametrize(
    "section", [AlertsSection(), AlertsSection(channel_id=7, on=(AlertKind.RECOVERY, AlertKind.LATE))]
)
def test_what_nobody_wants_to_hear_is_marked_only(section):
    """Without a channel, or of a kind that is not asked for, nothing is said, neither now nor at the end."""
    first = planned(incident(), section=section)
    assert ([], [(1, None)]) == (said(first), [(mark.version, mark.key) for mark in first.marks])
    assert [] == said(planned(incident(told=1, version=2, closed_at=NOON), section=section))


def test_a_burst_is_one_message():
    """Three pipelines in one channel share a message that pings once; two do not."""
    made = planned(*(incident(number) for number in range(1, 4)))
    assert [(Tell.ALERT, "burst:1", [1, 2, 3], (5,))] == said(made)
    assert ["burst:1"] * 3 == [mark.key for mark in made.marks]
    assert 2 == len(planned(incident(1), incident(2)).tellings)


def test_channels_have_bursts_of_their_own():
    """What is told elsewhere does not count."""
    own = {"p3": SECTION.model_copy(update={"channel_id": 8})}
    found = [incident(number) for number in range(1, 4)]
    made = plan(Situation(found, ()), lambda name: own.get(name, SECTION), NOON, {})
    assert 3 == len(made.tellings)


def test_a_burst_grows():
    """A pipeline that joins within a minute is added to the message without a further ping; later it has its own."""
    burst = [known(number, message_key="burst:1") for number in range(1, 4)]
    made = planned(*burst, incident(4, opened_at=after(seconds=20)), now=after(seconds=20))
    assert [(Tell.CHANGE, "burst:1:now", [1, 2, 3, 4], ())] == said(made)
    assert [("burst:1", HERE)] == [(mark.key, mark.target) for mark in made.marks]
    late = planned(*burst, incident(4, opened_at=after(seconds=90)), now=after(seconds=90))
    assert [(Tell.ALERT, "incident:4", [4], (5,))] == said(late)


def test_the_third_within_a_minute_begins_a_burst():
    """Those that were told alone keep their messages."""
    made = planned(known(1), known(2), incident(3))
    assert [(Tell.ALERT, "burst:3", [3], (5,))] == said(made)


def test_many_recoveries_are_one_line():
    """The shared message is brought up to date, and one line says that all is well."""
    over = [known(number, message_key="burst:1", version=2, closed_at=NOON) for number in range(1, 4)]
    assert [
        (Tell.CHANGE, "burst:1:now", [1, 2, 3], ()),
        (Tell.RECOVERY, "incident:1-3:recovered", [1, 2, 3], ()),
    ] == said(planned(*over))


def test_trouble_that_goes_on_is_told_again_at_each_step():
    """After one hour, four, and a day; once each, and after a pause of the service only the newest."""
    one = planned(known(), now=after(hours=1))
    assert [(Tell.REMINDER, "incident:1:remind:1", [1], (5,))] == said(one)
    assert [] == said(planned(known(), now=after(hours=2), reminded=one.reminded))
    assert ["incident:1:remind:3"] == [each.key for each in planned(known(), now=after(hours=30)).tellings]


def test_a_burst_is_reminded_of_as_one():
    """Its pipelines that still fail share the reminder, by the clock of the first."""
    burst = [known(number, message_key="burst:1", opened_at=after(seconds=10 * number)) for number in range(1, 4)]
    burst[0] = replace(burst[0], closed_at=NOON)
    made = planned(*burst, now=after(hours=1, seconds=20))
    assert [(Tell.REMINDER, "burst:1:remind:1", [2, 3], (5,))] == said(made)


def test_who_is_on_it_is_not_reminded():
    """An acknowledged incident has no reminders."""
    assert [] == said(planned(known(acknowledged_by="ann"), now=after(hours=5)))


def test_a_muted_pipeline_is_not_told():
    """New trouble waits; a message that is there already changes quietly; nothing is forgotten by being marked."""
    mute = Mute("p1", after(hours=9), NOON, "ann")
    made = planned(incident(), mutes=[mute], now=after(hours=5))
    assert ([], [], []) == (said(made), list(made.marks), list(made.lifted))
    changed = planned(known(version=2), mutes=[mute], now=after(hours=5))
    assert [Tell.CHANGE] == [each.act for each in changed.tellings]
    assert (mute,) == changed.tellings[0].mutes


def test_the_end_of_a_mute_tells_what_it_held_back():
    """Trouble that began meanwhile is told with the number of events; nothing else is said of it."""
    mute = Mute("p1", after(hours=2), NOON, "ann", suppressed=4)
    made = planned(incident(count=4), mutes=[mute], now=after(hours=2))
    assert ([(Tell.ALERT, "incident:1", [1], (5,))], [mute]) == (said(made), list(made.lifted))
    assert (mute,) == made.tellings[0].mutes
    assert [] == said(planned(known(count=4), now=after(hours=2), reminded=made.reminded))


def test_the_end_of_a_mute_reports_on_trouble_that_is_known():
    """The pipeline that still fails is told of once, with a ping, and the message no longer says that it is muted."""
    mute = Mute("p1", after(hours=2), NOON, "ann", suppressed=4)
    made = planned(known(), mutes=[mute], now=after(hours=2))
    key = f"mute:p1:{NOON.isoformat()}"
    assert [(Tell.UNMUTED, key, [1], (5,)), (Tell.CHANGE, "incident:1:now", [1], ())] == said(made)


def test_a_mute_until_success_ends_with_a_report():
    """All that was held back is in one quiet message; the recovery needs no other."""
    mute = Mute("p1", None, NOON, "ann", suppressed=2, last_success=after(minutes=5))
    for found in (incident(version=3, closed_at=after(minutes=5)), known(version=3, closed_at=after(minutes=5))):
        made = planned(found, mutes=[mute], now=after(minutes=5))
        acts = [(each.act, each.mention) for each in made.tellings if each.act is not Tell.CHANGE]
        assert ([(Tell.UNMUTED, ())], [3]) == (acts, [mark.version for mark in made.marks])


def test_a_mute_that_held_nothing_back_ends_in_silence():
    """There is nothing to report."""
    made = planned(mutes=[Mute("p1", NOON, NOON, "ann")])
    assert ([], 1) == (said(made), len(made.lifted))


# ---------------------------------------------------------------- any course of things


ends = st.sampled_from([RunState.FAILED, RunState.TIMED_OUT, RunState.SUCCEEDED, RunState.CANCELLED, RunState.MISSED])
names = st.sampled_from(["a", "b", "c", "d"])
events = st.one_of(
    st.tuples(st.just("end"), names, ends),
    st.tuples(st.just("look"), st.just(""), st.none()),
    st.tuples(st.just("mute"), names, st.sampled_from([None, timedelta(seconds=30), timedelta(hours=2)])),
    st.tuples(st.just("wait"), st.just(""), st.sampled_from([timedelta(seconds=20), timedelta(hours=2)])),
)


class Story:
    """A store in which things happen one after the other, and what people heard of it."""

    def __init__(self, conn) -> None:
        self.conn = conn
        self.now = NOON
        self.reminded = {}
        self.runs = 0
        self.bad = Counter()
        self.last = {}
        self.heard = set()
        self.reported = Counter()

    def happen(self, what, name, value) -> None:
        self.now += timedelta(seconds=1)
        if what == "end":
            self.end(name, value)
        elif what == "mute":
            incidents.mute(self.conn, [Mute(name, self.now + value if value else None, self.now, "ann")])
        elif what == "wait":
            self.now += value
        else:
            self.look()

    def end(self, name, state) -> None:
        self.runs += 1
        over = [Ended(name, state, self.now, None, self.runs)]
        count(self.conn, over)
        incidents.follow(self.conn, over)
        if state in (RunState.FAILED, RunState.TIMED_OUT):
            self.bad[name] += 1
        if state is not RunState.CANCELLED:
            self.last[name] = state

    def look(self) -> None:
        made = plan(situation(self.conn), lambda _name: SECTION, self.now, self.reminded)
        keys = [each.key for each in made.tellings if each.act is Tell.ALERT]
        assert len(keys) == len(set(keys))
        for each in made.tellings:
            muted = {mute.pipeline for mute in troubles.muted(self.conn) if not mute.over(self.now)}
            assert each.act is Tell.CHANGE or not muted & {one.pipeline for one in each.incidents}
            self.heard |= {(one.id, one.count) for one in each.incidents}
            for mute in each.mutes if each.act in (Tell.UNMUTED, Tell.ALERT) else ():
                self.reported[mute.pipeline] += mute.suppressed
        tellings.tell(self.conn, [Told(marks=made.marks, lifted=made.lifted)])
        self.reminded = dict(made.reminded)

    def finish(self) -> None:
        self.now += timedelta(seconds=1)
        incidents.unmute(self.conn, [(name, self.now) for name in "abcd"])
        self.look()


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    engine = database.connect(f"sqlite:///{tmp_path_factory.mktemp('alerts') / 'store.db'}")
    database.migrate(engine)
    yield engine
    engine.dispose()


@settings(max_examples=60)
@given(course=st.lists(events, max_size=40))
def test_nothing_is_told_twice_and_nothing_is_forgotten(engine, course):
    """Whatever happens: never two open incidents, each failure is told or reported, and a success closes."""
    with database.writing(engine).connect() as conn:
        story = Story(conn)
        for event in course:
            story.happen(*event)
            opened = Counter(each.pipeline for each in troubles.standing(conn))
            assert all(number == 1 for number in opened.values())
            assert {name for name, state in story.last.items() if state is not RunState.SUCCEEDED} == set(opened)
        story.finish()
        every = troubles.opened_since(conn, NOON)
        failures = [each for each in every if each.kind is IncidentKind.FAILURE]
        assert +story.bad == +sum((Counter({each.pipeline: each.count}) for each in failures), Counter())
        assert ([], []) == (troubles.changed(conn), troubles.muted(conn))
        silent = {each.pipeline for each in every if (each.id, each.count) not in story.heard}
        assert silent <= {name for name, held_back in story.reported.items() if held_back}
        conn.rollback()


def test_ten_thousand_at_once_are_planned_in_one_message():
    """A burst has no upper end."""
    made = planned(*(incident(number) for number in range(1, 10_001)))
    assert (1, 10_000, BURST) == (len(made.tellings), len(made.marks), 3)
