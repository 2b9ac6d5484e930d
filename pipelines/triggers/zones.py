"""Time zones by name: one pinned database, checked names, its version.

Python prefers the operating system's zone files over the `tzdata` package, and the two can differ by an hour for the
same zone and day. Schedules must mean the same on every machine, so the package is the only source. What to do with a
zone once it is found lives in `local_time`.
"""

from __future__ import annotations

import zoneinfo
from functools import lru_cache
from importlib.metadata import version
from zoneinfo import ZoneInfo

from pipelines.errors import BadSchedule, nearest


def pin_zones() -> None:
    """Make the `tzdata` package this process's only source of time zones; harmless to repeat.

    Zones that were read from the operating system before are forgotten, so that asking for them again reads `tzdata`.
    """
    if zoneinfo.TZPATH:
        zoneinfo.reset_tzpath(to=())
        ZoneInfo.clear_cache()


@lru_cache(maxsize=1)
def zone_names() -> frozenset[str]:
    """Return the names of all zones in the pinned database."""
    pin_zones()
    return frozenset(zoneinfo.available_timezones())


def check_zone(name: str) -> ZoneInfo:
    """Return the zone of that name.

    Raises:
        BadSchedule: there is none; the text has the nearest name there is.
    """
    pin_zones()
    if isinstance(name, str) and name in zone_names():
        return ZoneInfo(name)
    raise BadSchedule(f"timezone {name!r:.80}: there is no zone of that name; {_hint(name)}")


def tzdata_version() -> str:
    """Return the version of the time zone database in use, for instance `2026.1`."""
    return version("tzdata")


def _hint(name: object) -> str:
    name = name[:80] if isinstance(name, str) else ""
    cities = {known.rpartition("/")[2].replace("_", " "): known for known in sorted(zone_names())}
    city = nearest(name, list(cities))
    close = nearest(name, sorted(zone_names())) or (cities[city] if city else None)
    return f"did you mean '{close}'?" if close else "write a name such as Europe/Stockholm or UTC"
