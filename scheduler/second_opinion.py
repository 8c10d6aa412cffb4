"""Second opinion: what croniter says of a crontab, for `backbeat check` only.

croniter knows the dialect as well as anybody; the fields, the search and the rule at clock changes are ours (cron.py says why). Asked
about fields that were checked and spelled out as plain lists, in UTC, both must give the same times; where they do not, one of them
has a bug, or an upgrade has moved a next run, and whoever keeps the schedules should know.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from .cron import WORDS, DayMatch
from .cron_field import FIELDS, parse_field
from .entry import Entry
from .schedule import AnyOf, Crontab, Schedule

FIRES = 5
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def dissent(entry: Entry, after: datetime) -> str | None:
    """A sentence if croniter expects other fire times of `entry` after `after` (aware) than we do; None if it agrees or cannot be asked."""
    for crontab in _crontabs(entry.when):
        text = spelled_out(crontab)
        if text is None:
            continue
        expected = _their_fires(text, after)
        found = list(_fires(replace(crontab, timezone="UTC"), after))
        if found != expected:
            return f'"{crontab.expression}" next fires {found[0]} (UTC), but croniter expects {expected[0]}'
    return None


def spelled_out(crontab: Crontab) -> str | None:
    """The expression with each field as a plain list; None where a list would mean something else (stars with steps as days)."""
    fields = WORDS.get(crontab.expression.strip().lower(), crontab.expression).split()
    days = fields[2], fields[4]
    if any(day.startswith("*") and day != "*" for day in days):
        return None
    if crontab.day_match is DayMatch.ALL and "*" not in days:
        return None
    return " ".join(
        "*" if text == "*" else ",".join(map(str, sorted(parse_field(kind, text, crontab.expression))))
        for kind, text in zip(FIELDS, fields, strict=True)
    )


def _crontabs(schedule: Schedule) -> Iterator[Crontab]:
    match schedule:
        case Crontab():
            yield schedule
        case AnyOf():
            for each in schedule.schedules:
                yield from _crontabs(each)


def _their_fires(text: str, after: datetime) -> list[datetime]:
    from croniter import croniter

    theirs = croniter(text, after.astimezone(UTC), implement_cron_bug=True, max_years_between_matches=60)
    return [theirs.get_next(datetime) for _ in range(FIRES)]


def _fires(crontab: Crontab, after: datetime) -> Iterator[datetime]:
    fire_us = (after - _EPOCH) // timedelta(microseconds=1)
    for _ in range(FIRES):
        following = crontab.next_after(fire_us)
        if following is None:
            return
        fire_us = following
        yield _EPOCH + timedelta(microseconds=fire_us)
