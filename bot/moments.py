"""Times that people type: how they are understood, what is offered while they type, and which time zone they are in."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from bot.errors import UserError
from bot.lengths import cut
from bot.matching import LABEL, MOST, label, matching, until
from bot.safe_text import inline, plain
from pipelines import BadSchedule, Understood, check_zone, examples, understand, zone_names

if TYPE_CHECKING:
    from bot.client import Pipecall

Offer = tuple[str, str]
"""A choice's label and its value."""

MOMENTS = ("in 2 hours", "tomorrow at 08:00", "in 1 day", "in 7 days", "on monday at 08:00")
"""Texts for one moment, the most useful first."""

POPULAR = (
    "UTC", "Europe/Stockholm", "Europe/London", "Europe/Berlin", "Europe/Paris", "Europe/Madrid", "Europe/Helsinki",
    "Europe/Istanbul", "Europe/Moscow", "Africa/Cairo", "Africa/Lagos", "Africa/Johannesburg", "America/New_York",
    "America/Chicago", "America/Denver", "America/Los_Angeles", "America/Toronto", "America/Sao_Paulo", "Asia/Dubai",
    "Asia/Kolkata", "Asia/Singapore", "Asia/Shanghai", "Asia/Tokyo", "Australia/Sydney", "Pacific/Auckland",
)  # fmt: skip
"""Time zones that are offered before anything is typed, by continent."""

_EXAMPLES_SHOWN = 5


def now(bot: Pipecall) -> datetime:
    """Return the scheduler's time, UTC."""
    return bot.scheduler.clock()


def default_zone(bot: Pipecall) -> str:
    """Return the scheduler's time zone."""
    return bot.scheduler.catalog.options.timezone


def local(bot: Pipecall, instant: datetime | None = None) -> datetime:
    """Return an instant (None: now) in the scheduler's time zone."""
    return (instant or now(bot)).astimezone(check_zone(default_zone(bot)))


def zone(bot: Pipecall, typed: str | None) -> str:
    """Return the time zone that was typed, as the database writes it; the scheduler's if nothing was.

    Raises:
        UserError: there is no such zone, with the nearest.
    """
    wanted = (typed or "").partition(" · ")[0].strip()
    if not wanted:
        return default_zone(bot)
    folded = {name.casefold(): name for name in zone_names()}
    try:
        return check_zone(folded.get(wanted.casefold(), wanted)).key
    except BadSchedule as error:
        raise UserError(inline(str(error)), "Choose one of the suggestions.") from None


def moment(bot: Pipecall, typed: str) -> datetime:
    """Return the one instant that a text means, in UTC.

    Raises:
        UserError: it is not understood, is past, or comes again and again.
    """
    try:
        meant = understand(typed, zone=default_zone(bot), now=now(bot))
    except BadSchedule as error:
        raise UserError(f"`until`: {inline(str(error))}.", f"Write for instance `{MOMENTS[0]}`.") from None
    instant = _once(meant, now(bot))
    if instant is None:
        what = f"`until` needs one moment, and {inline(meant.trigger.words)} comes again and again."
        raise UserError(what, f"Write for instance `{MOMENTS[0]}`.")
    return instant


def _once(meant: Understood, at: datetime) -> datetime | None:
    return meant.trigger.next_after(at) if meant.definition.at is not None else None


# ---------------------------------------------------------------- choices while typing


def when_offers(typed: str, *, zone: str, now: datetime) -> Iterator[Offer]:
    """Yield how a text for "when" is understood; examples where nothing was typed or it is not understood."""
    if typed.strip():
        try:
            yield _understood(understand(typed, zone=zone, now=now), zone, now), typed.strip()[:LABEL]
            return
        except BadSchedule as error:
            fitting = [*matching(typed, examples()), *examples()]
            yield _not_understood(typed, error, fitting[0]), typed.strip()[:LABEL]
    yield from _examples(typed, examples(), zone, now)


def until_offers(typed: str, *, zone: str, now: datetime) -> Iterator[Offer]:
    """Yield how a text for one moment is understood; examples where nothing was typed or it is not understood."""
    if typed.strip():
        try:
            meant = understand(typed, zone=zone, now=now)
            instant = _once(meant, now)
            if instant is not None:
                yield f"until {_at(instant, zone, now)} {zone}", typed.strip()[:LABEL]
                return
            yield label(f"✗ {meant.trigger.words} comes again and again – try: {MOMENTS[0]}"), typed.strip()[:LABEL]
        except BadSchedule as error:
            yield _not_understood(typed, error, [*matching(typed, MOMENTS), *MOMENTS][0]), typed.strip()[:LABEL]
    for example in list(matching(typed, MOMENTS)) or MOMENTS:
        shown = understand(example, zone=zone, now=now).trigger.next_after(now)
        yield f"{example} → {_at(shown, zone, now)}" if shown else example, example


def _examples(typed: str, known: Collection[str], zone: str, now: datetime) -> Iterator[Offer]:
    fitting = list(matching(typed, list(known)))
    for example in fitting or list(known)[:_EXAMPLES_SHOWN]:
        yield f"{example} → {_next(understand(example, zone=zone, now=now), zone, now)}", example


def _understood(meant: Understood, zone: str, now: datetime) -> str:
    """Return `every weekday at 09:00 Europe/Stockholm → Mon 23 Nov 09:00`; the end stays when it must be cut."""
    end = f" {zone} → {_next(meant, zone, now)}"
    return f"{cut(meant.trigger.words, LABEL - len(end))}{end}"


def _not_understood(typed: str, error: BadSchedule, example: str) -> str:
    if "in the past" in str(error):
        return label(f"✗ {error}")
    end = f" – try: {example}"
    return f"✗ cannot read '{cut(' '.join(plain(typed).split()), LABEL - len(end) - 16)}'{end}"


def _next(meant: Understood, zone: str, now: datetime) -> str:
    instant = meant.trigger.next_after(now)
    return _at(instant, zone, now) if instant is not None else "never"


def _at(instant: datetime, zone: str, now: datetime) -> str:
    """Return `Mon 23 Nov 09:00`, with the year where it is another one."""
    there = ZoneInfo(zone)
    at = instant.astimezone(there)
    year = "" if at.year == now.astimezone(there).year else f" {at.year}"
    return f"{at:%a} {at.day} {at:%b}{year} {at:%H:%M}"


def zone_offers(typed: str, *, first: str, now: datetime) -> Iterator[Offer]:
    """Yield time zones with the time there: those that match, or the `first` and popular ones."""
    names = matching(typed, sorted(zone_names())) if typed.strip() else dict.fromkeys([first, *POPULAR])
    for _, name in zip(range(MOST), names, strict=False):
        there = now.astimezone(ZoneInfo(name))
        yield label(name, f"now {until(there, there)}"), name


def zone_or_default(bot: Pipecall, typed: str) -> str:
    """Return the time zone that was typed, or while it is none (yet) the scheduler's."""
    try:
        return zone(bot, typed)
    except UserError:
        return default_zone(bot)
