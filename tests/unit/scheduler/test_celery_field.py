"""One field of Celery's crontab as cron's text."""

from __future__ import annotations

import pytest
from backbeat.scheduler.celery_field import DAY_OF_MONTH, DAY_OF_WEEK, HOUR, MINUTE, MONTH_OF_YEAR, cron_text
from backbeat.scheduler.errors import ScheduleError


@pytest.mark.parametrize(
    ("kind", "given", "text"),
    [
        (MINUTE, "*", "*"),
        (MINUTE, 7, "7"),
        (MINUTE, "*/15", "*/15"),
        (MINUTE, "0,30", "0,30"),
        (MINUTE, [40, 0, 20], "0,20,40"),
        (MINUTE, {1, 2, 3, 9}, "1-3,9"),
        (MINUTE, ["5", "6"], "5,6"),
        (MINUTE, "[0, 15]", "0,15"),
        (MINUTE, "0-59", "*"),
        (MINUTE, "*/90", "0"),
        (HOUR, "9-17", "9-17"),
        (HOUR, "22-4/2", "0,2,4,22"),
        (HOUR, "8-18/4,20", "8-18/4,20"),
        (DAY_OF_MONTH, "1-7,15-21", "1-7,15-21"),
        (DAY_OF_MONTH, "*/2", "*/2"),
        (MONTH_OF_YEAR, "jan,July", "1,7"),
        (MONTH_OF_YEAR, "2-12/2", "2-12/2"),
        (DAY_OF_WEEK, "mon-fri", "1-5"),
        (DAY_OF_WEEK, "sunday", "0"),
        (DAY_OF_WEEK, "sat-mon", "0,1,6"),
        (DAY_OF_WEEK, 7, "0"),
        (DAY_OF_WEEK, "0-6", "*"),
    ],
)
def test_a_field_keeps_its_meaning(kind, given, text):
    assert cron_text(kind, given) == text


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        (MINUTE, "60"),
        (MINUTE, -1),
        (MINUTE, "5/10"),
        (MINUTE, "*/0"),
        (MINUTE, ""),
        (MINUTE, "1,,2"),
        (MINUTE, "x"),
        (MINUTE, True),
        (MINUTE, None),
        (MINUTE, []),
        (MINUTE, [1.5]),
        (HOUR, "mon"),
        (DAY_OF_MONTH, 0),
        (DAY_OF_WEEK, "noday"),
        (MONTH_OF_YEAR, 13),
    ],
)
def test_what_celery_would_not_take_is_refused_by_name(kind, given):
    with pytest.raises(ScheduleError, match=kind.name):
        cron_text(kind, given)
