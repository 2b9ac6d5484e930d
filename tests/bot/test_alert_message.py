"""Alerts and summaries as they look: one line for the phone, the rest in the embed, never more than Discord takes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.alert_message import alert, ordinal, render_alert, render_digest
from bot.digest_message import digest, sparkline
from bot.limits import SILENT, faults
from pipelines.alert_facts import Details, post, success
from pipelines.model import Incident, IncidentKind, Mute, Run, RunError, RunState, StartedBy
from pipelines.notifications import Tell, Telling
from tests.fake_discord.limits import check_message

NOON = datetime(2027, 1, 5, 12, tzinfo=UTC)
T = int(NOON.timestamp())
RED, GREEN, YELLOW = 0xED4245, 0x57F287, 0xFEE75C


def trouble(number: int = 1, kind: IncidentKind = IncidentKind.FAILURE, **more) -> Incident:
    given = {"opened_at": NOON, "last_at": NOON, "first_run_id": 11, "last_run_id": 14, "id": number}
    name = more.pop("pipeline", f"prices{number}" if number > 1 else "prices")
    return Incident(pipeline=name, kind=kind, **given | more)


def details(state: RunState = RunState.FAILED, error: RunError | None = None) -> Details:
    run = Run(14, "prices", state, StartedBy.SCHEDULE, NOON, started_at=NOON, ended_at=NOON + timedelta(seconds=42))
    object.__setattr__(run, "error", error or RunError("OSError", "disk full", "Save"))
    return Details(run, 30.0)


def facts(act: Tell, *members: Incident, more: Details | None = None, **given) -> dict:
    telling = Telling(act, "discord:7", "k", members, **given)
    return post(telling, {each.id: more or details() for each in members}, NOON).body


def shown(act: Tell, *members: Incident, **given) -> dict:
    payload = alert(facts(act, *members, **given))
    assert [] == faults(payload)
    check_message(payload)
    return payload


def fields(payload: dict) -> dict[str, str]:
    return {field["name"]: field["value"] for field in payload["embeds"][0]["fields"]}


def ids(payload: dict) -> list[str]:
    return [button["custom_id"] for row in payload["components"] for button in row["components"]]


def test_a_failure_is_one_line_and_what_there_is_to_know():
    """The line says what, where, how often and pings the role; the embed has the error and the numbers."""
    payload = shown(Tell.ALERT, trouble(count=4, last_success=NOON - timedelta(hours=1)), mention=(5,))
    assert "❌ **prices** failed in Save · 4th in a row · <@&5>" == payload["content"]
    assert ({"parse": [], "roles": ["5"]}, RED) == (payload["allowed_mentions"], payload["embeds"][0]["color"])
    assert "```\nOSError: disk full\n```" == payload["embeds"][0]["description"]
    assert {
        "Stage": "Save",
        "Run": "#14",
        "First bad run": f"#11, <t:{T}:R>",
        "Took": "42.0 s (usually 30.0 s)",
        "Last success": f"<t:{T - 3600}:R>",
        "Last": f"<t:{T}:R>",
    } == fields(payload)
    assert "flags" not in payload


def test_a_failure_has_its_buttons():
    """Retry and log name the run, the others the incident; who is on it is not asked for again."""
    payload = shown(Tell.ALERT, trouble(7))
    assert ["p1:retry:14", "p1:log:14", "p1:ack:7", "p1:mute:7:1h", "p1:mute:7:8h", "p1:mute:7:success"] == ids(payload)
    assert "p1:ack:7" not in ids(shown(Tell.CHANGE, trouble(7, acknowledged_by="ann"), edits="k"))


@pytest.mark.parametrize(
    ("state", "line"), [(RunState.TIMED_OUT, "⏰ **prices** timed out"), (RunState.CRASHED, "💥 **prices** crashed")]
)
def test_other_bad_ends_have_their_own_words(state, line):
    """A timeout and a crash are called so."""
    more = Details(Run(14, "prices", state, StartedBy.MANUAL, NOON))
    assert line == shown(Tell.ALERT, trouble(), more=more)["content"]


def test_a_change_pings_nobody():
    """An edit has neither roles nor flags; it says who is on it and how long it is muted."""
    mute = Mute("prices", NOON + timedelta(hours=1), NOON, "ann")
    payload = shown(Tell.CHANGE, trouble(acknowledged_by="olga"), mutes=(mute,), mention=(5,), edits="k")
    assert ({"parse": [], "roles": []}, False) == (payload["allowed_mentions"], "flags" in payload)
    assert ["👀 olga is on it", f"🔇 muted until <t:{T + 3600}:f> by ann"] == payload["embeds"][0][
        "description"
    ].splitlines()[-2:]


def test_the_end_turns_the_message_green():
    """It says how long it took and how many failures there were, and leaves the log's button."""
    over = trouble(count=4, closed_at=NOON + timedelta(minutes=42), closing_run_id=15)
    payload = shown(Tell.CHANGE, over, edits="k")
    assert ("✅ **prices** recovered after 42 min · 4 failures", GREEN, ["p1:log:14"]) == (
        payload["content"],
        payload["embeds"][0]["color"],
        ids(payload),
    )
    assert f"#15, <t:{T + 42 * 60}:R>" == fields(payload)["Well again with"]


def test_a_recovery_is_one_quiet_line():
    """No embed, no button, no sound."""
    payload = shown(Tell.RECOVERY, trouble(closed_at=NOON + timedelta(minutes=42)))
    assert ("✅ **prices** recovered after 42 min · 1 failure", [], [], SILENT) == (
        payload["content"],
        payload["embeds"],
        payload["components"],
        payload["flags"],
    )


def test_a_slow_run_has_its_own_words():
    """What is slow goes on: there is its log, and no second start."""
    slow = trouble(kind=IncidentKind.SLOW, summary="run #812 goes on for longer than 10m")
    payload = shown(Tell.ALERT, slow, more=Details())
    assert "🐢 **prices** is slow: run #812 goes on for longer than 10m" == payload["content"]
    assert ["Log", "I'm on it"] == [each["label"] for each in payload["components"][0]["components"]]
    over = trouble(kind=IncidentKind.SLOW, closed_at=NOON + timedelta(minutes=5))
    assert "✅ **prices** is no longer slow · 5 min longer than expected" == shown(Tell.RECOVERY, over)["content"]


def test_what_never_ran_can_be_missing():
    """There is nothing to run again, but somebody can take it up or mute it."""
    payload = shown(Tell.ALERT, trouble(kind=IncidentKind.MISSING, first_run_id=None, last_run_id=None), more=Details())
    assert ["I'm on it"] == [each["label"] for each in payload["components"][0]["components"]]


def test_trouble_that_is_over_when_it_is_told_makes_no_sound():
    """Good news, though late."""
    assert SILENT == shown(Tell.ALERT, trouble(closed_at=NOON))["flags"]


@pytest.mark.parametrize(
    ("kind", "line", "over"),
    [
        (IncidentKind.MISSED, "⚠️ **prices** missed 3 runs", "✅ **prices** ran again after 5 min · 3 runs missed"),
        (
            IncidentKind.LATE,
            f"🐢 **prices** is late: due <t:{T}:R>, not started",
            "✅ **prices** ran after all · 5 min after it was due",
        ),
        (
            IncidentKind.MISSING,
            f"⚠️ **prices** is missing: it should have succeeded <t:{T}:R>, and never has",
            "✅ **prices** succeeded again · 5 min later than expected",
        ),
        (
            IncidentKind.EMPTY,
            "⚠️ **prices** succeeded with too little: ∅ · 3rd in a row",
            "✅ **prices** has items again after 5 min · 3 empty runs",
        ),
    ],
)
def test_other_trouble_has_its_own_words(kind, line, over):
    """And a button that runs the pipeline now."""
    payload = shown(Tell.ALERT, trouble(kind=kind, count=3), more=Details())
    assert (line, YELLOW, "Run now") == (
        payload["content"],
        payload["embeds"][0]["color"],
        payload["components"][0]["components"][0]["label"],
    )
    end = trouble(kind=kind, count=3, closed_at=NOON + timedelta(minutes=5))
    assert over == shown(Tell.RECOVERY, end)["content"]


def test_a_reminder_says_since_when():
    """It pings again."""
    payload = shown(Tell.REMINDER, trouble(count=2), mention=(5,))
    assert f"🔔 **prices** still fails in Save · 2nd in a row · since <t:{T}:R> · <@&5>" == payload["content"]


def test_a_burst_lists_its_pipelines():
    """The line names the first few, the embed all for which there is room."""
    members = [trouble(number, count=number, summary="OSError: disk full") for number in range(1, 31)]
    payload = shown(Tell.ALERT, *members, mention=(5,), more=Details())
    assert (
        "❌ 30 pipelines in trouble: **prices**, **prices2**, **prices3**, **prices4**, **prices5** and 25 more · <@&5>"
        == payload["content"]
    )
    lines = payload["embeds"][0]["description"].splitlines()
    assert ("❌ **prices2** failed · 2nd in a row · OSError: disk full", "… and 5 more") == (lines[1], lines[-1])
    half = [trouble(number, closed_at=NOON if number > 2 else None) for number in range(1, 4)]
    assert shown(Tell.CHANGE, *half, edits="k")["content"].startswith("❌ 2 of 3 pipelines in trouble")
    over = [trouble(number, closed_at=NOON) for number in range(1, 4)]
    green = shown(Tell.CHANGE, *over, edits="k")
    assert (True, GREEN) == (green["content"].startswith("✅ 3 pipelines recovered"), green["embeds"][0]["color"])


def test_the_end_of_a_mute_says_what_was_held_back():
    """With the buttons where the trouble goes on, quietly where it is over."""
    mute = Mute("prices", NOON, NOON, "ann", suppressed=3)
    still = shown(Tell.UNMUTED, trouble(), mutes=(mute,), mention=(5,))
    line = f"🔔 **prices** is no longer muted · 3 alerts held back since <t:{T}:R> · it still fails · <@&5>"
    assert (line, True) == (still["content"], bool(ids(still)))
    assert "muted until" not in str(still["embeds"])
    well = shown(Tell.UNMUTED, mutes=(mute,))
    assert (True, SILENT) == (well["content"].endswith("it is well now"), well["flags"])


def test_a_success_is_a_quiet_line():
    """Number, duration and items."""
    run = Run(9, "a*b", RunState.SUCCEEDED, StartedBy.MANUAL, NOON, started_at=NOON, ended_at=NOON, items_out=1198)
    payload = alert(success(run, "discord:7", 1.0, NOON).body)
    assert ("✅ **a\\*b** #9 succeeded in 0.0 s · 1,198 items", SILENT) == (payload["content"], payload["flags"])


SUMMARY = {
    "since": NOON.isoformat(),
    "until": NOON.isoformat(),
    "counts": {"succeeded": 1310, "failed": 3, "skipped": 2, "missed": 0},
    "days": [[10, 0], [5, 5], [0, 0], [0, 3]],
    "failing": [{"pipeline": "prices", "kind": "failure", "count": 4, "since": NOON.isoformat()}],
    "failing_total": 12,
    "slow": [{"pipeline": "etl", "run": 8, "duration_s": 90.0, "usual_s": 30.0}],
    "flaky": [{"pipeline": "shaky", "times": 3}],
    "next": [["etl", NOON.isoformat()]],
}


def test_the_summary_is_one_line_and_what_is_worth_a_look():
    """Counts first; what fails, what was slow, what is unsteady, what comes next; it makes no sound."""
    payload = digest(SUMMARY)
    assert ([], SILENT) == (faults(payload), payload["flags"])
    assert f"📊 ✅ 1,310 · ❌ 3 · ⏭️ 2 · missed 0 since <t:{T}:R>" == payload["content"]
    assert {
        "Failing now": f"❌ **prices** ×4, since <t:{T}:R>\n… and 11 more",
        "Slower than usual": "🐢 **etl** #8 took 1 min 30 s (usually 30.0 s)",
        "On and off this week": "**shaky** ×3",
        "Next": f"etl <t:{T}:R>",
        "Successful, by day": "█▅·▁",
    } == fields(payload)


def test_a_quiet_summary_is_the_line_alone():
    """Sections without content are left out."""
    empty = {name: [] for name in ("days", "failing", "slow", "flaky", "next")}
    payload = digest(SUMMARY | empty | {"failing_total": 0})
    assert ([], []) == (payload["embeds"], faults(payload))


async def test_the_renderers_take_parcels():
    """They give the body of the message for what was stored."""
    stored = facts(Tell.ALERT, trouble())
    assert alert(stored) == await render_alert(SimpleNamespace(body=stored))
    assert digest(SUMMARY) == await render_digest(SimpleNamespace(body=SUMMARY))


def test_numbers_and_bars():
    """Ordinals as in English; shares as bars, none as a dot."""
    assert ["1st", "2nd", "3rd", "4th", "11th", "12th", "21st", "112th"] == [
        ordinal(number) for number in (1, 2, 3, 4, 11, 12, 21, 112)
    ]
    assert "▁█·" == sparkline([0.0, 1.0, None])


hostile = st.one_of(
    st.text(max_size=300),
    st.sampled_from(
        ["@everyone <@&1> <@2>", "``` @here", "\u202e\x1b[31m", "[x](http://a.b)", "", "\n\n# h", "字" * 300]
    ),
)
instants = st.integers(0, 10**9).map(lambda seconds: NOON + timedelta(seconds=seconds))
troubles = st.builds(
    Incident,
    pipeline=hostile,
    kind=st.sampled_from(IncidentKind),
    opened_at=instants,
    last_at=instants,
    first_run_id=st.one_of(st.none(), st.integers(1, 10**9)),
    last_run_id=st.one_of(st.none(), st.integers(1, 10**9)),
    count=st.integers(1, 10**6),
    summary=hostile,
    id=st.integers(1, 10**9),
    closed_at=st.one_of(st.none(), instants),
    closing_run_id=st.one_of(st.none(), st.integers(1, 10**9)),
    acknowledged_by=st.one_of(st.none(), hostile),
    last_success=st.one_of(st.none(), instants),
)


@settings(max_examples=50)
@given(
    act=st.sampled_from([Tell.ALERT, Tell.CHANGE, Tell.REMINDER, Tell.RECOVERY]),
    members=st.lists(troubles, min_size=1, max_size=40),
    error=st.builds(RunError, type=hostile, message=hostile, stage=st.one_of(st.none(), hostile)),
    actor=hostile,
)
def test_whatever_failed_can_be_told(act, members, error, actor):
    """No name, error or number makes a message that Discord refuses; none pings anybody but the roles of the file."""
    mute = Mute(members[0].pipeline, None, NOON, actor, suppressed=10**6)
    edits = "k" if act is Tell.CHANGE else None
    more = details(error=error)
    payload = shown(act, *members, more=more, mutes=(mute,), mention=tuple(range(30)), edits=edits)
    assert [] == payload["allowed_mentions"]["parse"]
    assert "@everyone" not in payload["content"]
    assert "<@2>" not in payload["content"]


@given(names=st.lists(hostile, min_size=1, max_size=10))
def test_whatever_is_summed_up_can_be_told(names):
    """Hostile names do no harm to a summary."""
    many = {
        "failing": [SUMMARY["failing"][0] | {"pipeline": name} for name in names],
        "next": [[name, NOON.isoformat()] for name in names[:5]],
    }
    payload = digest(SUMMARY | many)
    assert [] == faults(payload)
    check_message(payload)
