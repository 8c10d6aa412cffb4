"""croniter and we agree on every expression of the dialect, once its fields are spelled out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from backbeat.scheduler.entry import Entry
from backbeat.scheduler.errors import ScheduleError
from backbeat.scheduler.schedule import AnyOf, Crontab, CronWindow, DayMatch, Except, Interval
from backbeat.scheduler.second_opinion import dissent, spelled_out
from hypothesis import given, settings
from hypothesis import strategies as st

AFTER = datetime(2026, 3, 1, 12, 34, 56, tzinfo=UTC)
EXPRESSIONS = [
    "* * * * *",
    "*/15 9-17 * * mon-fri",
    "30 2 * * *",
    "0 0 1 1 *",
    "0 0 29 2 *",
    "12-12 6-6 * * *",
    "0 12 1,15 * fri",
    "@weekly",
    "5 4 * dec 7",
    "0 0 31 * *",
]


def entry_of(when):
    return Entry(name="e", when=when, what={"task": "t"})


SAID_IN_OTHER_WORDS = [
    (Crontab(expression="0 0 */2 * 1"), f"0 0 {','.join(map(str, range(1, 32, 2)))} * 1"),
    (Crontab(expression="0 0 13 * 5", day_match=DayMatch.ALL), "0 0 13 * 5"),
    (Crontab(expression="0 0 ? * 1"), "0 0 * * 1"),
    (Crontab(expression="0 0 L * *"), "0 0 L * *"),
    (Crontab(expression="0 0 L,15 * 3"), "0 0 L,15 * 3"),
    (Crontab(expression="0 0 15W * *"), "0 0 15W * *"),
    (Crontab(expression="0 0 * * 5L,mon#1"), "0 0 * * 1#1,L5"),
    (Crontab(expression="0 0 L * 5L", day_match=DayMatch.ALL), "0 0 L * L5"),
    (Crontab(expression="*/20 30 2 L * ? 2028-2030", fields=7), "0,20,40 30 2 L * * 2028,2029,2030"),
    (Crontab(expression="*/7 5 * * * mon", fields=6), "0,7,14,21,28,35,42,49,56 5 * * * 1"),
    (Crontab(expression="H H(1-3) * * *", hash_key="a"), "28 2 * * *"),
    (Crontab(expression="@weekly", fields=6), "0 0 0 * * 0"),
]


@pytest.mark.parametrize(("crontab", "text"), SAID_IN_OTHER_WORDS)
def test_croniter_agrees_with_the_words_of_the_wider_dialect(crontab, text):
    question = spelled_out(crontab)

    assert question is not None
    assert question.text == text
    assert dissent(entry_of(crontab), AFTER) is None


def test_the_crontabs_inside_unions_and_exclusions_are_asked_about():
    class Late(Crontab):
        """A crontab with a bug."""

        def next_after(self, after_us):
            fire_us = super().next_after(after_us)
            return None if fire_us is None else fire_us + 60_000_000

    late, night = Late(expression="30 2 * * *"), CronWindow(crontab=Crontab(expression="* 3 * * *"))

    assert dissent(entry_of(Except(when=AnyOf(schedules=(late,)), out=(night,))), AFTER) is not None
    assert dissent(entry_of(Except(when=Interval(every=timedelta(hours=1)), out=(night,))), AFTER) is None


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_croniter_agrees(expression):
    assert spelled_out(Crontab(expression=expression)) is not None
    assert dissent(entry_of(Crontab(expression=expression, timezone="Europe/Berlin")), AFTER) is None


def test_a_disagreement_is_told_with_both_times():
    class Late(Crontab):
        """A crontab with a bug."""

        def next_after(self, after_us):
            fire_us = super().next_after(after_us)
            return None if fire_us is None else fire_us + 60_000_000

    text = dissent(entry_of(Late(expression="30 2 * * *")), AFTER)

    assert text is not None
    assert "02:31" in text
    assert "02:30" in text


@pytest.mark.parametrize(
    "when",
    [
        Crontab(expression="0 0 L-3 * *"),
        Crontab(expression="0 0 LW * *"),
        Crontab(expression="0 0 31W * *"),
        Crontab(expression="0 0 1W,15 * *"),
        Crontab(expression="0 0 15W * 5"),
        Crontab(expression="0 0 * * 1,5#3"),
        Crontab(expression="0 0 13 * 5#2"),
    ],
)
def test_what_croniter_has_no_words_for_is_not_asked(when):
    assert spelled_out(when) is None
    assert dissent(entry_of(when), AFTER) is None


def test_an_interval_has_no_second_opinion():
    assert dissent(entry_of(Interval(every=timedelta(seconds=5))), AFTER) is None


def test_years_that_are_over_are_no_dissent():
    assert dissent(entry_of(Crontab(expression="0 0 0 1 1 ? 2020", fields=7)), AFTER) is None


ITEMS = {
    "minute": ["*", "0", "*/7", "5-50/9", "59-59"],
    "hour": ["*", "0-23/5", "2", "12-12"],
    "day": ["*", "?", "L", "15W", "1,L", "*/9", "31", "13"],
    "month": ["*", "2", "jan-mar", "*/5"],
    "weekday": ["*", "?", "5L", "fri#2", "mon-fri", "*/2", "7"],
}


@settings(max_examples=150, deadline=None)
@given(
    st.tuples(*map(st.sampled_from, ITEMS.values())).map(" ".join),
    st.sampled_from(DayMatch),
    st.datetimes(datetime(2001, 1, 1), datetime(2030, 1, 1)),
)
def test_croniter_agrees_on_whatever_it_can_be_asked(expression, day_match, after):
    try:
        crontab = Crontab(expression=expression, day_match=day_match)
    except ScheduleError:  # a date that never comes
        return
    assert dissent(entry_of(crontab), after.replace(tzinfo=UTC)) is None
