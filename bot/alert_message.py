"""Alerts as Discord shows them: from the facts that the engine stored to the body of a message.

The content is what a phone shows: one line. What else there is to know stands in the embed, what can be done about it
in the buttons. Foreign text is made inert; only roles that the pipelines file names are pinged, and good news make no
sound.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from bot import texts
from bot.alert_parts import (
    LONGEST_NAME,
    PRIMARY,
    Facts,
    Payload,
    ago,
    at,
    button,
    called,
    ordinal,
    payload,
    row,
    so_many,
)
from bot.digest_message import digest
from bot.limits import units
from bot.safe_text import in_code, inline_cut
from pipelines import RunState

LONGEST_LINE = 110
LONGEST_LIST = 3600
NAMED = 5
"""So many pipelines stand in the content of a message about many."""
MUTES = (("1h", "Mute 1 h"), ("8h", "Mute 8 h"), ("success", "Mute until success"))


class Parcel(Protocol):
    """What the renderers need of a message to deliver."""

    @property
    def body(self) -> Mapping[str, Any]:
        """The facts."""


async def render_alert(parcel: Parcel) -> Payload | None:
    """Return the body of the message for a parcel of kind `alert`."""
    return alert(parcel.body)


async def render_digest(parcel: Parcel) -> Payload | None:
    """Return the body of the message for a parcel of kind `digest`."""
    return digest(parcel.body)


def alert(facts: Facts) -> Payload:
    """Return the body of the message that tells of trouble, of its end, or of a success."""
    tell, members = facts["tell"], facts.get("members", [])
    if tell == "success":
        return payload(_success_line(facts), [], [], silent=True)
    if tell == "unmuted":
        return _unmuted(facts)
    if tell == "recovery":
        lines = [_recovered(each) for each in members]
        return payload(lines[0] if len(lines) == 1 else _many_recovered(facts), _list(lines, facts), [], silent=True)
    one = members[0] if facts["total"] == 1 else None
    content = _line(one, tell) if one else _many(facts, tell)
    embeds = [_embed(one)] if one else _list([_short(each) for each in members], facts, texts.RED)
    if not facts["still"]:
        return payload(content, embeds, _rows(one), silent=True, edit=tell == "change")
    return payload(content, embeds, _rows(one), mention=facts["mention"], edit=tell == "change")


# ---------------------------------------------------------------- one pipeline


def _line(of: Facts, tell: str) -> str:
    """Say in one line what is wrong: what a phone shows."""
    if of["ended"]:
        return _recovered(of)
    name = called(of)
    parts = {
        "failure": lambda: [f"{name} {'still fails' if tell == 'reminder' else _failed(of)}{_in_stage(of)}"],
        "missed": lambda: [f"{name} missed {so_many(of['count'], 'run')}"],
        "late": lambda: [f"{name} is late: due {ago(of['since'])}, not started"],
        "missing": lambda: [f"{name} {_without_success(of)}"],
        "slow": lambda: [f"{name} is slow: {inline_cut(of['summary'], LONGEST_LINE)}"],
        "empty": lambda: [f"{name} succeeded with too little: {inline_cut(of['summary'], LONGEST_LINE)}"],
    }[of["kind"]]()
    if of["kind"] in ("failure", "empty") and of["count"] > 1:
        parts.append(f"{ordinal(of['count'])} in a row")
    if tell == "reminder" and of["kind"] not in ("late", "missing"):
        parts.append(f"since {ago(of['since'])}")
    if of["suppressed"]:
        parts.append(f"{of['suppressed']} while muted")
    emoji = "🔔" if tell == "reminder" else _emoji(of)
    return f"{emoji} {' · '.join(parts)}"


def _without_success(of: Facts) -> str:
    if of["last_success"]:
        return f"is missing: it last succeeded {ago(of['last_success'])}"
    return f"is missing: it should have succeeded {ago(of['since'])}, and never has"


def _recovered(of: Facts) -> str:
    """Say in one line that trouble is over."""
    took, count = texts.seconds(of["downtime_s"] or 0.0), of["count"]
    return {
        "failure": f"✅ {called(of)} recovered after {took} · {so_many(count, 'failure')}",
        "missed": f"✅ {called(of)} ran again after {took} · {so_many(count, 'run')} missed",
        "late": f"✅ {called(of)} ran after all · {took} after it was due",
        "missing": f"✅ {called(of)} succeeded again · {took} later than expected",
        "slow": f"✅ {called(of)} is no longer slow · {took} longer than expected",
        "empty": f"✅ {called(of)} has items again after {took} · {so_many(count, 'empty run')}",
    }[of["kind"]]


def _embed(of: Facts) -> dict[str, Any]:
    colour = texts.GREEN if of["ended"] else texts.RED if of["kind"] == "failure" else texts.YELLOW
    embed: dict[str, Any] = {"color": colour, "fields": _fields(of)}
    notes = list(_notes(of))
    error = in_code(of["error"]).strip() if of["error"] else ""
    if error and of["kind"] == "failure":
        notes.insert(0, f"```\n{error}\n```")
    if notes:
        embed["description"] = "\n".join(notes)
    return embed


def _fields(of: Facts) -> list[dict[str, Any]]:
    found: list[tuple[str, str]] = []
    if of["stage"]:
        found.append(("Stage", inline_cut(of["stage"], LONGEST_NAME)))
    if of["run"]:
        found.append(("Run", f"#{of['run']}"))
    if of["first_run"] and of["first_run"] != of["run"]:
        found.append(("First bad run", f"#{of['first_run']}, {ago(of['since'])}"))
    if of["duration_s"] is not None:
        usual = f" (usually {texts.seconds(of['usual_s'])})" if of["usual_s"] is not None else ""
        found.append(("Took", texts.seconds(of["duration_s"]) + usual))
    if not of["ended"]:
        found.append(("Last success", ago(of["last_success"]) if of["last_success"] else "never"))
    if of["count"] > 1:
        found.append(("Last", ago(of["last"])))
    if of["ended"] and of["closing_run"]:
        found.append(("Well again with", f"#{of['closing_run']}, {ago(of['ended'])}"))
    return [{"name": name, "value": value, "inline": True} for name, value in found]


def _notes(of: Facts) -> Iterable[str]:
    """Say who does something about it."""
    if of["ended"]:
        return
    if of["acknowledged_by"]:
        yield f"👀 {inline_cut(of['acknowledged_by'], LONGEST_NAME)} is on it"
    if of["muted_by"]:
        until = f"until {at(of['muted_until'])}" if of["muted_until"] else "until the next success"
        yield f"🔇 muted {until} by {inline_cut(of['muted_by'], LONGEST_NAME)}"


def _rows(of: Facts | None) -> list[dict[str, Any]]:
    """Return the buttons of a message about one pipeline; when all is well only the log is left."""
    if of is None:
        return []
    run, incident = of["run"], of["incident"]
    logged = [button("Log", f"p1:log:{run}")] if run and of["kind"] in ("failure", "slow", "empty") else []
    if of["ended"]:
        return [row(*logged)] if logged and of["kind"] == "failure" else []
    first = []
    if run and of["kind"] != "slow":  # what is slow goes on
        first.append(button("Retry" if of["kind"] == "failure" else "Run now", f"p1:retry:{run}", PRIMARY))
    first += logged
    if not of["acknowledged_by"]:
        first.append(button("I'm on it", f"p1:ack:{incident}"))
    mutes = row(*(button(label, f"p1:mute:{incident}:{span}") for span, label in MUTES))
    return [row(*first), mutes] if first else [mutes]


# ---------------------------------------------------------------- several pipelines


def _many(facts: Facts, tell: str) -> str:
    total, still = facts["total"], facts["still"]
    if not still:
        return f"✅ {total} pipelines recovered: {_names(facts)}"
    if tell == "reminder":
        return f"🔔 {total} pipelines still in trouble: {_names(facts)}"
    how_many = f"{still} of {total}" if still < total else f"{total}"
    return f"❌ {how_many} pipelines in trouble: {_names(facts)}"


def _many_recovered(facts: Facts) -> str:
    return f"✅ {facts['total']} pipelines recovered: {_names(facts)}"


def _names(facts: Facts) -> str:
    names = [called(each) for each in facts["members"][:NAMED]]
    left = facts["total"] - len(names)
    return ", ".join(names) + (f" and {left} more" if left > 0 else "")


def _short(of: Facts) -> str:
    if of["ended"]:
        return _recovered(of)
    line = _line(of, "alert")
    return f"{line} · {inline_cut(of['error'], LONGEST_LINE)}" if of["error"] else line


def _list(lines: Sequence[str], facts: Facts, colour: int = texts.GREEN) -> list[dict[str, Any]]:
    """Return an embed of lines, as many as there is room for; none for a single line."""
    if facts["total"] < 2:
        return []
    shown: list[str] = []
    for line in lines:
        if sum(map(units, shown)) + len(shown) + units(line) > LONGEST_LIST:
            break
        shown.append(line)
    left = facts["total"] - len(shown)
    if left > 0:
        shown.append(f"… and {left} more")
    return [{"color": colour if facts["still"] else texts.GREEN, "description": "\n".join(shown)}]


# ---------------------------------------------------------------- other alerts


def _unmuted(facts: Facts) -> Payload:
    """Report what was held back while a pipeline was muted."""
    members = facts["members"]
    held = f"{so_many(facts['suppressed'], 'alert')} held back since {ago(facts['muted_at'])}"
    if not members:
        return payload(f"🔔 {called(facts)} is no longer muted · {held} · it is well now", [], [], silent=True)
    (of,) = members
    now = {
        "failure": "it still fails",
        "missing": "it has not succeeded for too long",
        "empty": "it succeeds with too little",
        "missed": "it has not run since",
        "slow": "it is slow",
        "late": "it is late",
    }[of["kind"]]
    content = f"🔔 {called(facts)} is no longer muted · {held} · {now}"
    return payload(content, [_embed(of)], _rows(of), mention=facts["mention"])


def _success_line(facts: Facts) -> str:
    took = f" in {texts.seconds(facts['duration_s'])}" if facts["duration_s"] is not None else ""
    items = f" · {so_many(facts['items_out'], 'item')}" if facts["items_out"] else ""
    return f"✅ {called(facts)} #{facts['run']} succeeded{took}{items}"


# ---------------------------------------------------------------- parts


def _emoji(of: Facts) -> str:
    if of["kind"] in ("late", "slow"):
        return "🐢"
    return texts.look(_state(of)).emoji if of["kind"] == "failure" else "⚠️"


def _failed(of: Facts) -> str:
    return texts.look(_state(of)).word


def _state(of: Facts) -> RunState:
    return RunState(of["state"]) if of["state"] in ("failed", "timed_out", "crashed") else RunState.FAILED


def _in_stage(of: Facts) -> str:
    return f" in {inline_cut(of['stage'], LONGEST_NAME)}" if of["stage"] else ""
