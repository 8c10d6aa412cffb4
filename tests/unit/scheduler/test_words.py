"""Schedules in words, and what clock changes mean for them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from backbeat.scheduler.clock_note import clock_changes, clock_notes
from backbeat.scheduler.schedule import (
    AnyOf,
    Clocked,
    Crontab,
    DayMatch,
    Dst,
    Except,
    Interval,
    OnExcept,
    SpanWindow,
)
from backbeat.scheduler.words import in_words, length_in_words

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
BERLIN = "Europe/Berlin"


def us(*when) -> int:
    return (datetime(*when, tzinfo=UTC) - EPOCH) // timedelta(microseconds=1)


YEAR = us(2026, 1, 1), us(2027, 1, 1)


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("* * * * *", "every minute"),
        ("*/15 * * * *", "every 15 minutes"),
        ("*/40 * * * *", "every 40 minutes from each full hour"),
        ("*/7 * * * *", "every 7 minutes from each full hour"),
        ("0 */7 * * *", "at minute 0 of every 7th hour from midnight"),
        ("0 */6 * * *", "at minute 0 of every 6th hour"),
        ("30 * * * *", "at minute 30 of every hour"),
        ("0 */2 * * *", "at minute 0 of every 2nd hour"),
        ("30 2 * * *", "at 02:30 every day"),
        ("0 9,17 * * *", "at 09:00 and 17:00 every day"),
        ("30 2 * * 1-5", "at 02:30 on Monday to Friday"),
        ("30 2 * * mon-fri", "at 02:30 on Monday to Friday"),
        ("0 6 1 * *", "at 06:00 on day 1 of the month"),
        ("0 6 1,15 1-3 *", "at 06:00 on day 1 and 15 of the month in January to March"),
        ("0 0 13 * 5", "at 00:00 on day 13 of the month and also on Friday"),
        ("0 0 */2 * 1", "at 00:00 on every 2nd day of the month, from the first if that is also on Monday"),
        ("@daily", "at 00:00 every day"),
        ("*/5 9-17 * * *", "every 5 minutes of hour 9 to 17"),
        ("0 0 29 2 *", "at 00:00 on day 29 of the month in February"),
    ],
)
def test_an_expression_in_words(expression, words):
    assert in_words(Crontab(expression=expression)) == words


@pytest.mark.parametrize(
    ("expression", "fields", "words"),
    [
        ("0 0 L * *", 5, "at 00:00 on the last day of the month"),
        ("0 0 LW * *", 5, "at 00:00 on the last workday of the month"),
        ("0 0 15W * *", 5, "at 00:00 on the workday nearest to day 15 of the month"),
        ("0 0 * * 5#3", 5, "at 00:00 on the 3rd Friday of the month"),
        ("0 0 * * 5L", 5, "at 00:00 on the last Friday of the month"),
        ("*/10 * * * * *", 6, "every 10 seconds"),
        ("0 0 12 * * ? 2030", 7, "at 12:00 every day of 2030"),
    ],
)
def test_the_wider_dialect_in_words(expression, fields, words):
    assert in_words(Crontab(expression=expression, fields=fields)) == words


def test_both_day_fields_of_celery_are_joined_by_and():
    friday = Crontab(expression="0 0 13 * 5", day_match=DayMatch.ALL)

    assert in_words(friday) == "at 00:00 on day 13 of the month if that is also on Friday"


def test_a_zone_is_named_unless_it_is_utc():
    assert in_words(Crontab(expression="30 2 * * *", timezone=BERLIN)) == "at 02:30 every day (Europe/Berlin)"


@pytest.mark.parametrize(
    ("length", "words"),
    [
        (timedelta(minutes=15), "15 minutes"),
        (timedelta(hours=1), "hour"),
        (timedelta(minutes=90), "1 hour 30 minutes"),
        (timedelta(milliseconds=250), "250 ms"),
        (timedelta(days=7), "week"),
    ],
)
def test_a_length_in_words(length, words):
    assert length_in_words(length) == words


def test_compositions_in_words():
    minutely = Interval(every=timedelta(minutes=1))
    once = Clocked(times_us=(us(2026, 12, 1, 3),))
    closed = Except(
        when=minutely,
        out=(SpanWindow(from_us=us(2026, 12, 24), to_us=us(2026, 12, 27)),),
        on_except=OnExcept.SKIP,
    )

    assert in_words(AnyOf(schedules=(minutely, once))) == "every minute; and at 2026-12-01 03:00:00 UTC"
    assert in_words(closed).startswith("every minute; left out: 2026-12-24 00:00:00 UTC to 2026-12-27")


def test_the_changes_of_a_zone_in_a_year():
    assert clock_changes(BERLIN, *YEAR) == [
        (us(2026, 3, 29, 1), 3_600, 7_200),
        (us(2026, 10, 25, 1), 7_200, 3_600),
    ]
    assert clock_changes("UTC", *YEAR) == []


@pytest.mark.parametrize(
    ("dst", "spring", "autumn"),
    [
        (Dst.ONCE, "it runs at 03:00+0200", "it runs the first time, not again"),
        (Dst.SKIP, "it does not run", "it runs the first time, not again"),
        (Dst.TWICE, "it runs at 03:00+0200", "it runs both times"),
    ],
)
def test_a_fixed_time_that_a_change_touches_is_told(dst, spring, autumn):
    nightly = Crontab(expression="30 2 * * *", timezone=BERLIN, dst=dst)

    notes = clock_notes(nightly, *YEAR)

    assert [note.at_us for note in notes] == [us(2026, 3, 29, 1), us(2026, 10, 25, 1)]
    assert spring in notes[0].text
    assert autumn in notes[1].text


@pytest.mark.parametrize("expression", ["*/15 * * * *", "0 6 * * *", "30 * * * *"])
def test_a_schedule_that_no_change_touches_has_no_notes(expression):
    assert clock_notes(Crontab(expression=expression, timezone=BERLIN), *YEAR) == []


def test_parts_of_a_union_with_the_same_note_are_told_once():
    nightly = Crontab(expression="30 2 * * *", timezone=BERLIN)

    assert len(clock_notes(AnyOf(schedules=(nightly, nightly)), *YEAR)) == 2
