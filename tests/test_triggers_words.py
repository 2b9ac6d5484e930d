"""Schedules in words, and time zones by name."""

from __future__ import annotations

import os
import subprocess
import sys
import zoneinfo
from contextlib import suppress
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines import triggers
from pipelines.errors import BadSchedule
from pipelines.triggers import check_zone, cron, interval, pin_zones, tzdata_version
from pipelines.triggers.words import cron_words


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("30 9 * * *", "every day at 09:30"),
        ("0 9 * * 1-5", "Monday to Friday at 09:00"),
        ("0 9 * * MON,WED", "Monday and Wednesday at 09:00"),
        ("0 9 * * 0", "every Sunday at 09:00"),
        ("0 0 * 6-8 FRI-SUN", "Friday to Sunday in June to August at 00:00"),
        ("0,30 6,18 * * 6,0", "Saturday and Sunday at 06:00, 06:30, 18:00 and 18:30"),
        ("*/30 * * * *", "every 30 minutes"),
        ("* * * * *", "every minute"),
        ("0 * * * *", "every hour"),
        ("15 * * * *", "every hour at minute 15"),
        ("5,35 * * * *", "every hour at minutes 5 and 35"),
        ("0 */2 * * *", "every 2 hours"),
        ("0 */6 * * *", "every day at 00:00, 06:00, 12:00 and 18:00"),
        ("0 9-17 * * 1-5", "every hour from 09:00 to 17:00, Monday to Friday"),
        ("7 */2 * * *", "every 2 hours from 00:07 to 22:07"),
        ("0 1-5,9,12 * * *", "every day at 01:00, 02:00, 03:00, 04:00, 05:00, 09:00 and 12:00"),
        ("*/15 9-17 * * 1-5", "every 15 minutes, between 09:00 and 17:59, Monday to Friday"),
        ("* 9 * * *", "every minute, between 09:00 and 09:59"),
        ("0 0 1 1 *", "on the 1st of January at 00:00"),
        ("0 0 2,3,22,L * *", "on the 2nd, the 3rd, the 22nd and the last day of the month at 00:00"),
        ("0 0 1-7 * *", "on the 1st to 7th of the month at 00:00"),
        ("0 0 13 * 5", "on the 13th of the month and every Friday at 00:00"),
        ("0 0 13 3 5", "on the 13th of March and every Friday in March at 00:00"),
        ("0 0 1-7 * */7", "on the 1st to 7th of the month when it is a Sunday at 00:00"),
        ("0 0 * * 1#2,5L", "on the 2nd Monday and the last Friday of the month at 00:00"),
        ("0 0 * 2 MON#1", "on the 1st Monday of February at 00:00"),
        ("0 0 */2 * *", "on every 2nd day from the 1st to the 31st of the month at 00:00"),
        ("0 0 31 2 1", "every Monday in February at 00:00"),
        ("* * * 12 *", "every minute, every day in December"),
    ],
)
def test_cron_in_words(expression, expected):
    """People read when a schedule is due without knowing cron."""
    assert expected == cron(expression, "Europe/Stockholm").words


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (1, "every second"),
        (45, "every 45 seconds"),
        (60, "every minute"),
        (1800, "every 30 minutes"),
        (3600, "every hour"),
        (5400, "every 1 hour 30 minutes"),
        (86400, "every 24 hours"),
        (172800, "every 2 days"),
        (90061, "every 1 day 1 hour 1 minute 1 second"),
    ],
)
def test_intervals_in_words(seconds, expected):
    """Periods are told in the largest units that fit."""
    assert expected == interval(timedelta(seconds=seconds), "UTC").words


def test_dates_in_words_are_in_the_schedules_zone():
    """Seconds appear only where there are some."""
    words = [triggers.date(at, "Europe/Stockholm").words for at in ("2027-06-20T15:30", "2027-06-20T13:30:05Z")]
    assert ["once, 2027-06-20 15:30", "once, 2027-06-20 15:30:05"] == words


def sorted_values(low: int, high: int):
    return st.sets(st.integers(low, high), min_size=1).map(lambda values: tuple(sorted(values)))


@settings(max_examples=60, deadline=None)
@given(minutes=sorted_values(0, 59), hours=sorted_values(0, 23), days=st.sets(st.integers(1, 31), max_size=31))
def test_every_schedule_has_words(minutes, hours, days):
    """Whatever the lists, there is a line of text, without a trace of a template."""
    day = ",".join(map(str, sorted(days))) or "*"
    words = cron_words(minutes, hours, f"{day} * *", False)
    assert words
    assert not set("{}[]\n") & set(words)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("Europe/Stokholm", "'Europe/Stockholm'"),
        ("europe/stockholm", "'Europe/Stockholm'"),
        ("New York", "'America/New_York'"),
        ("", "Europe/Stockholm or UTC"),
        ("../../etc/passwd", "UTC"),
        ("/etc/localtime", "Europe/Stockholm or UTC"),
        ("Europe", "did you mean"),
        (None, "UTC"),
        (1, "UTC"),
        ("\0", "UTC"),
    ],
)
def test_a_wrong_zone_is_refused_with_the_nearest(name, hint):
    """Directories, paths, wrong case and what is not text are all told alike."""
    with pytest.raises(BadSchedule, match="no zone of that name") as caught:
        check_zone(name)
    assert hint in str(caught.value)


@given(st.text(max_size=40))
def test_checking_a_zone_raises_nothing_but_bad_schedule(name):
    """Any text is a zone or a BadSchedule."""
    with suppress(BadSchedule):
        assert name == check_zone(name).key


def test_zones_come_from_the_tzdata_package_only(tmp_path):
    """A zone that was first read from elsewhere is read anew from the pinned package."""
    foreign = tmp_path / "Europe" / "Stockholm"
    foreign.parent.mkdir()
    script = (
        "import sys, zoneinfo, shutil, importlib.resources as r\n"
        "src = r.files('tzdata').joinpath('zoneinfo/Asia/Tokyo')\n"
        "open(sys.argv[1], 'wb').write(src.read_bytes())\n"
        "from datetime import datetime\n"
        "before = datetime(2026, 1, 1, tzinfo=zoneinfo.ZoneInfo('Europe/Stockholm')).utcoffset()\n"
        "from pipelines.triggers import check_zone\n"
        "after = datetime(2026, 1, 1, tzinfo=check_zone('Europe/Stockholm')).utcoffset()\n"
        "print(before, after)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(foreign)],
        env={**os.environ, "PYTHONTZPATH": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "9:00:00 1:00:00" == done.stdout.strip()


def test_pinning_twice_keeps_the_zones():
    """It is harmless to repeat: the same name gives the same object."""
    first = check_zone("Europe/Stockholm")
    pin_zones()
    assert ((), True) == (zoneinfo.TZPATH, first is check_zone("Europe/Stockholm"))


def test_the_version_of_the_database_is_known():
    """It starts with the year of the release."""
    assert int(tzdata_version().split(".")[0]) >= 2026
