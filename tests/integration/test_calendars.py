"""Calendars of .ics files: read beside the schedules file, watched with it, and told where they are wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from backbeat.scheduler.files import is_changed, load, stamp
from backbeat.scheduler.files.ics import IcsError, days_in

HEAD = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//test//\r\n"
TAIL = "END:VCALENDAR\r\n"
MAIN = """\
calendars: {holidays: holidays.ics}
schedules:
  it: {task: t, cron: "0 9 * * *", except: {calendar: holidays}}
"""


def ics(*events: str) -> bytes:
    body = "".join(
        "BEGIN:VEVENT\r\nUID:1\r\nDTSTAMP:20260101T000000Z\r\n"
        + "\r\n".join(event.split())
        + "\r\nEND:VEVENT\r\n"
        for event in events
    )
    return (HEAD + body + TAIL).encode()


@pytest.mark.parametrize(
    ("event", "days"),
    [
        ("DTSTART;VALUE=DATE:20261225", ["2026-12-25"]),
        ("DTSTART;VALUE=DATE:20261225 DTEND;VALUE=DATE:20261227", ["2026-12-25", "2026-12-26"]),
        ("DTSTART;VALUE=DATE:20261225 DURATION:P2D", ["2026-12-25", "2026-12-26"]),
        (
            "DTSTART;VALUE=DATE:20260101 RRULE:FREQ=YEARLY;COUNT=3",
            ["2026-01-01", "2027-01-01", "2028-01-01"],
        ),
        (
            "DTSTART;VALUE=DATE:20260501 RRULE:FREQ=MONTHLY;UNTIL=20260801 EXDATE;VALUE=DATE:20260601",
            ["2026-05-01", "2026-07-01", "2026-08-01"],
        ),
        (
            "DTSTART;VALUE=DATE:20260501 RDATE;VALUE=DATE:20260502,20260504 RDATE;VALUE=DATE:20260506",
            ["2026-05-01", "2026-05-02", "2026-05-04", "2026-05-06"],
        ),
    ],
)
def test_whole_days_are_found_with_their_repetitions(event, days):
    assert list(days_in(ics(event))) == days


def test_events_of_some_hours_and_cancelled_ones_are_passed_over():
    content = ics(
        "DTSTART:20260101T090000Z",
        "DTSTART;VALUE=DATE:20260102 STATUS:CANCELLED",
        "DTSTART;VALUE=DATE:20260103",
    )

    assert days_in(content) == ("2026-01-03",)


def test_a_rule_without_end_is_followed_to_the_end_of_2099():
    days = days_in(ics("DTSTART;VALUE=DATE:20260101 RRULE:FREQ=YEARLY"))

    assert (days[0], days[-1], len(days)) == ("2026-01-01", "2099-01-01", 74)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is not an iCalendar file"),
        (b"\xff\x00nonsense", "is not an iCalendar file"),
        (b"<html>not found</html>", "is not an iCalendar file"),
        (ics("DTSTART:20260101T090000Z"), "holds no whole-day event"),
        (
            ics(*["DTSTART;VALUE=DATE:20000101 DURATION:P365D RRULE:FREQ=YEARLY"]),
            "holds more than 10,000 days",
        ),
        (ics("DTSTART;VALUE=DATE:20260101 RRULE:FREQ=DAILY"), "has an event with the rule"),
        (ics("DTSTART;VALUE=DATE:20260101 RRULE:FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30"), "which never comes"),
        (ics(*["DTSTART;VALUE=DATE:20260101"] * 5_001), "holds too many events"),
        (ics(*["DTSTART;VALUE=DATE:20260101 RRULE:FREQ=YEARLY"] * 251), "holds too many events"),
        (ics("DTSTART;VALUE=DATE:20260101 RRULE:FREQ=SECONDLY"), "has an event with the rule"),
        (ics("DTSTART;VALUE=DATE:20260101 DTEND;VALUE=DATE:20990101"), "has an event of 26,663 days"),
    ],
)
def test_what_is_no_calendar_of_days_is_refused(content, message):
    with pytest.raises(IcsError, match=message):
        days_in(content)


def test_a_calendar_stands_beside_the_file_that_names_it_and_is_watched(tmp_path):
    folder = tmp_path / "conf"
    folder.mkdir()
    (folder / "holidays.ics").write_bytes(ics("DTSTART;VALUE=DATE:20260102"))
    (folder / "schedules.yaml").write_text(MAIN)

    loaded = load(folder / "schedules.yaml", {})

    assert loaded.problems == ()
    (entry,) = loaded.entries
    january_1st_us = 1_767_225_600_000_000
    fires_us = [entry.next_after(january_1st_us + day * 86_400_000_000) for day in range(2)]
    assert fires_us == [january_1st_us + 9 * 3_600_000_000, january_1st_us + (48 + 9) * 3_600_000_000]
    before = stamp(loaded.watched)
    (folder / "holidays.ics").write_bytes(ics("DTSTART;VALUE=DATE:20260103"))
    assert is_changed(before, stamp(loaded.watched, before))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read: No such file or directory"),
        (b"x" * (1024 * 1024 + 1), "is larger than 1 MB"),
        (b"no calendar", "is not an iCalendar file"),
    ],
)
def test_a_calendar_file_that_cannot_be_read_is_told_once_where_it_is_named(tmp_path: Path, content, message):
    if content is not None:
        (tmp_path / "holidays.ics").write_bytes(content)
    (tmp_path / "schedules.yaml").write_text(MAIN)

    (problem,) = load(tmp_path / "schedules.yaml", {}).problems

    assert (problem.code, problem.line, problem.column, problem.schedule) == ("E195", 1, 23, "")
    assert problem.message.startswith(f'calendar "holidays": {tmp_path / "holidays.ics"}')
    assert message in problem.message
