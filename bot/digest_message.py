"""The daily summary as Discord shows it: from the facts that the engine stored to the body of a message."""

from __future__ import annotations

from collections.abc import Sequence

from bot import texts
from bot.alert_parts import LONGEST_NAME, Facts, Payload, ago, called, payload, sparkline
from bot.limits import units
from bot.safe_text import inline_cut

LONGEST_FIELD = 980


def digest(facts: Facts) -> Payload:
    """Return the body of the daily summary."""
    counts = facts["counts"]
    content = (
        f"📊 ✅ {counts['succeeded']:,} · ❌ {counts['failed']:,} · ⏭️ {counts['skipped']:,}"
        f" · missed {counts['missed']:,} since {ago(facts['since'])}"
    )
    sections = (
        ("Failing now", [_failing(each) for each in facts["failing"]], facts["failing_total"]),
        ("Slower than usual", [_slow(each) for each in facts["slow"]], 0),
        ("On and off this week", [f"{called(each)} ×{each['times']}" for each in facts["flaky"]], 0),
        ("Next", [f"{inline_cut(name, LONGEST_NAME)} {ago(at)}" for name, at in facts["next"]], 0),
        ("Successful, by day", [sparkline([_share(*day) for day in facts["days"]])] if facts["days"] else [], 0),
    )
    fields = [
        {"name": name, "value": _field(lines, total), "inline": False} for name, lines, total in sections if lines
    ]
    colour = texts.RED if facts["failing"] else texts.GREEN
    return payload(content, [{"color": colour, "fields": fields}] if fields else [], [], silent=True)


def _failing(of: Facts) -> str:
    counted = {"failure": f"×{of['count']}", "missed": f"missed {of['count']}", "empty": f"empty ×{of['count']}"}
    return f"❌ {called(of)} {counted.get(of['kind'], of['kind'])}, since {ago(of['since'])}"


def _slow(of: Facts) -> str:
    usual = f" (usually {texts.seconds(of['usual_s'])})" if of["usual_s"] else ""
    return f"🐢 {called(of)} #{of['run']} took {texts.seconds(of['duration_s'])}{usual}"


def _field(lines: Sequence[str], total: int) -> str:
    """Join as many lines as a field holds, and say how many are left out."""
    shown: list[str] = []
    for line in lines:
        if sum(map(units, shown)) + len(shown) + units(line) > LONGEST_FIELD:
            break
        shown.append(line)
    left = max(total, len(lines)) - len(shown)
    return "\n".join([*shown, *([f"… and {left} more"] if left > 0 else [])])


def _share(good: int, bad: int) -> float | None:
    return good / (good + bad) if good + bad else None
