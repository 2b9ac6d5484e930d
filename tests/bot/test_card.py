"""The card of a run: what it says in each state, and that nothing a run can hold breaks it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from bot import card
from bot.card import Facts
from bot.limits import faults
from pipelines import Run, RunError, RunState, StageCount, StartedBy
from tests.bot.hostile import TEXTS
from tests.fake_discord.limits import check_message
from tests.fake_discord.messages import PING

AT = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
RUN = Run(
    id=812,
    pipeline="etl-sales",
    state=RunState.RUNNING,
    started_by=StartedBy.MANUAL,
    queued_at=AT,
    started_at=AT,
    actor="ann",
    attempt=1,
    max_attempts=3,
)
OVER = replace(RUN, state=RunState.SUCCEEDED, ended_at=AT + timedelta(seconds=41.8), items_in=1204, items_out=1198)
STAGES = (
    StageCount(0, "Extract", 0, 1204, 3.1),
    StageCount(1, "Clean", 1204, 700, 1.0),
    StageCount(2, "Save", 0, 0, 0.0),
)


def text(facts):
    """All that one reads of a card."""
    return "\n".join(texts(card.payload(facts)["components"]))


def texts(components):
    for one in components:
        if "content" in one:
            yield one["content"]
        yield from texts(one.get("components") or [])


def buttons(facts):
    return sorted(card._custom_ids(card.payload(facts)["components"]))


def test_a_running_card():
    """A running card says what runs since when and by whom, what is usual, where each stage stands, how far it is."""
    facts = Facts(RUN, STAGES, done=0.61, note="page 61 of 100", usual_s=42.0, usual_of=30)
    assert text(facts).splitlines() == [
        "⏳ **etl-sales** · run #812 · running",
        f"started <t:{int(AT.timestamp())}:R> by ann · usual 42.0 s (median of 30)",
        "▶ Extract · 1,204 out · 3.1 s",
        "▶ Clean · 1,204 in, 700 out · 1.0 s",
        "◻ Save",
        "▓▓▓▓▓▓░░░░ 61% · page 61 of 100",
    ]
    assert ["p1:cancel:812", "p1:log:812"] == buttons(facts)


def test_a_card_of_a_success():
    """A successful end is one line with time and items, all stages ticked; the run can be run again."""
    facts = Facts(OVER, STAGES)
    assert "✅ **etl-sales** · run #812 · succeeded\nin 41.8 s · 1,204 in, 1,198 out · by ann" in text(facts)
    assert 3 == text(facts).count("✅ ") - 1
    assert ["p1:again:812", "p1:log:812"] == buttons(facts)


def test_a_card_of_a_failure():
    """A failure names stage and error on one line, the attempt, and how many there were in a row."""
    error = RunError("OSError", "disk full\nsecond line", "Save")
    failed = replace(OVER, state=RunState.FAILED, attempt=3, error=error)
    said = text(Facts(failed, STAGES, streak=4))
    assert "> **Save**: OSError: disk full" in said
    assert "second line" not in said
    assert "attempt 3 of 3" in said
    assert "❌ Save" in said
    assert "4th failure in a row" in said


def test_a_card_of_a_run_that_waits():
    """A queued card says behind which run it waits; one that waits for another try says when that is."""
    queued = replace(RUN, state=RunState.QUEUED, started_at=None, attempt=0)
    assert "queued behind #811" in text(Facts(queued, waits="queued behind #811"))
    assert "waits for its turn" in text(Facts(queued))
    waiting = replace(RUN, state=RunState.WAITING_RETRY, not_before=AT + timedelta(minutes=1))
    assert f"waits for attempt 2 of 3 <t:{int(AT.timestamp()) + 60}:R>" in text(Facts(waiting))


def test_who_started_it():
    """A run that nobody asked for says what did."""
    assert "on schedule" in text(Facts(replace(RUN, actor=None, started_by=StartedBy.SCHEDULE)))
    assert "at start" in text(Facts(replace(RUN, actor=None, started_by=StartedBy.STARTUP)))


def test_parameters_reason_and_notice():
    """A card shows the run's parameters, why it was cancelled, and our own notice."""
    cancelled = replace(OVER, state=RunState.CANCELLED, reason="cancelled by bo", params={"region": "eu", "n": 3})
    said = text(Facts(cancelled, notice="I may not write here"))
    assert "with region = eu, n = 3" in said
    assert "> cancelled by bo" in said
    assert "I may not write here" in said


def test_a_long_chain():
    """Of 200 stages the fifteen around the failing one have a line, and the others are counted."""
    stages = tuple(StageCount(at, f"S{at}", 1, 1, 0.1) for at in range(200))
    failed = replace(OVER, state=RunState.FAILED, error=RunError("E", "x", "S100"))
    said = text(Facts(failed, stages))
    assert "… 93 before" in said
    assert "❌ S100" in said
    assert "… 92 more" in said
    assert "S92 " not in said


def test_the_colour_is_that_of_the_state():
    """Each state has its own colour at the card's edge."""
    colours = {
        state: card.payload(Facts(replace(RUN, state=state)))["components"][0]["accent_color"] for state in RunState
    }
    assert colours[RunState.FAILED] != colours[RunState.SUCCEEDED] != colours[RunState.RUNNING]


def test_every_view_is_a_new_one():
    """No two cards share a view or a button: discord.py forgets the buttons of one that is sent twice."""
    facts = Facts(RUN)
    assert card.view(facts) is not card.view(facts)


def test_a_card_knows_its_message():
    """A message is the card of a run if it is of the new kind and has its button; an alert with a log button is not."""
    message = card.payload(Facts(RUN))
    assert card.belongs_to(message, 812)
    assert not card.belongs_to(message, 81)
    assert not card.belongs_to({**message, "flags": 0}, 812)
    assert not card.belongs_to({"flags": 1 << 15, "components": [{"type": 2, "custom_id": "p1:log:812"}]}, 812)


def test_ordinals():
    """Numbers in a row are told as one says them."""
    assert ["1st", "2nd", "3rd", "4th", "11th", "22nd"] == [card.ordinal(number) for number in (1, 2, 3, 4, 11, 22)]


HUGE = TEXTS | st.sampled_from(["x" * 5000, "漢" * 5000, "*" * 5000, "<@1>" * 2000, "\ud83d" * 10])


@given(
    name=HUGE,
    actor=st.none() | HUGE,
    message=HUGE,
    stage=HUGE,
    note=HUGE,
    reason=st.none() | HUGE,
    params=st.dictionaries(TEXTS, HUGE, max_size=4),
    state=st.sampled_from(list(RunState)),
    count=st.integers(0, 200),
    done=st.none() | st.floats(allow_nan=False),
)
@settings(max_examples=40)
def test_nothing_breaks_a_card(name, actor, message, stage, note, reason, params, state, count, done):
    """Whatever names, errors, notes and parameters hold: Discord takes the card, and it pings nobody."""
    error = RunError(stage, message, stage) if count % 2 else None
    run = replace(RUN, pipeline=name, actor=actor, error=error, reason=reason, params=params, state=state)
    stages = tuple(StageCount(at, stage, 10**9, 10**9, 1e6) for at in range(count))
    facts = Facts(run, stages, done=done, note=note, usual_s=1e6, usual_of=30, waits=note, streak=50, notice=note)
    payload = card.payload(facts)
    assert [] == faults(payload)
    check_message(payload)
    assert not PING.search(text(facts))
