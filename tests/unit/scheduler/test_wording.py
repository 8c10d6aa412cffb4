"""What `plan`, `overrides` and `audit` say of an entry's keys."""

from __future__ import annotations

from datetime import UTC
from zoneinfo import ZoneInfo

import pytest
from backbeat.scheduler.cli.wording import changed, worded

CRON = {"cron": "30 2 * * *", "timezone": "Europe/Berlin", "dst": "once", "day_match": "any"}


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("when", {"every_us": 20_000_000, "anchor_us": 0}, ("when", "every 20 seconds")),
        ("when", CRON, ("when", "at 02:30 every day (Europe/Berlin)")),
        ("when", {"moon": "full"}, ("when", '{"moon": "full"}')),
        ("late_after_us", 90_000_000, ("late_after", "1 minute 30 seconds")),
        ("grace_us", 0, ("grace", "0")),
        ("until_us", 1_796_083_200_000_000, ("until", "2026-12-01 00:00:00Z")),
        ("skip_us", [1_796_083_200_000_000], ("skip", "2026-12-01 00:00:00Z")),
        ("until_us", None, ("until_us", "null")),
        ("kind", "retimed", ("kind", "retimed")),
        ("rev", 2, ("rev", "2")),
    ],
)
def test_a_key_is_told_in_words(key, value, expected):
    assert worded(key, value, UTC) == expected


def test_an_instant_is_told_in_the_zone_that_was_asked_for():
    assert worded("at_us", 1_796_083_200_000_000, ZoneInfo("Europe/Berlin"))[1] == "2026-12-01 01:00:00+01:00"


def test_a_difference_that_words_do_not_show_is_told_as_it_is_kept():
    (line,) = changed({"when": CRON}, {"when": CRON | {"dst": "skip"}}, UTC)

    assert '"dst": "once"' in line
    assert '"dst": "skip"' in line
