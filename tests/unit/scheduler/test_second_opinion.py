"""croniter and we agree on every expression of the dialect, once its fields are spelled out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from backbeat.scheduler import Crontab, Entry, Interval
from backbeat.scheduler.cron import DayMatch
from backbeat.scheduler.second_opinion import dissent, spelled_out

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
        Interval(every=timedelta(seconds=5)),
        Crontab(expression="0 0 */2 * 1"),
        Crontab(expression="0 0 13 * 5", day_match=DayMatch.ALL),
    ],
)
def test_what_a_list_cannot_say_is_not_asked(when):
    assert dissent(entry_of(when), AFTER) is None
