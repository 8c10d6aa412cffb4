"""Second opinion: what croniter says of a crontab, for `backbeat check` only.

croniter knows the dialect as well as anybody; the fields, the search and the rule at clock changes are ours (cron.py says why). Asked
about fields that were checked and spelled out as plain lists, in UTC, both must give the same times; where they do not, one of them
has a bug, or an upgrade has moved a next run, and whoever keeps the schedules should know. It is asked about H by the values that H
stands for; it is not asked where its dialect has no words (L-3, LW) or other ones (31W, a W beside a weekday).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from .cron import DayMatch
from .cron_day import SHORTEST_MONTH, DayWord, LastDay, NearestWorkday, NthWeekday
from .cron_field import DAY, LAYOUTS, WEEKDAY, FieldText, parse_field
from .cron_text import split_cron
from .entry import Entry
from .schedule import AnyOf, Crontab, CronWindow, Except, Schedule

FIRES = 5
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_STARS = ("*", "?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """An expression as croniter is asked about it."""

    text: str
    either_day: bool
    """Whether one of the two day fields is enough."""
    seconds_first: bool


def dissent(entry: Entry, after: datetime) -> str | None:
    """A sentence if croniter expects other fire times of `entry` after `after` (aware) than we do; None if it agrees or cannot be asked."""
    for crontab in _crontabs(entry.when):
        question = spelled_out(crontab)
        if question is None:
            continue
        found = list(_fires(replace(crontab, timezone="UTC"), after))
        expected = _their_fires(question, after, len(found))
        for ours, theirs in zip(found, expected, strict=True):
            if ours != theirs:
                return f'"{crontab.expression}" next fires {ours} (UTC), but croniter expects {theirs}'
    return None


def spelled_out(crontab: Crontab) -> Question | None:
    """The expression with each field as a plain list; None where croniter has no words for it."""
    texts = split_cron(crontab.expression, crontab.fields)
    spelled = []
    for place, kind in enumerate(LAYOUTS[crontab.fields]):
        values, words = parse_field(
            FieldText(
                kind=kind,
                text=texts[place],
                place=place,
                expression=crontab.expression,
                hash_key=crontab.hash_key,
            )
        )
        field = "*" if texts[place] in _STARS else _field(values, words)
        if field is None:
            return None
        spelled.append(field)
    day, weekday = (LAYOUTS[crontab.fields].index(kind) for kind in (DAY, WEEKDAY))
    starred = texts[day].startswith(_STARS) or texts[weekday].startswith(_STARS)
    either_day = not starred and crontab.day_match is DayMatch.ANY
    # It forgets the weekday beside a W, and the day beside a # or L of the weekday.
    if "W" in spelled[day] and spelled[weekday] != "*":
        return None
    if either_day and not spelled[weekday].replace(",", "").isdigit():
        return None
    return Question(
        text=" ".join(spelled),
        either_day=either_day,
        seconds_first=crontab.fields > 5,  # noqa: PLR2004 - as crontab.py has them
    )


def _field(values: frozenset[int], words: frozenset[DayWord]) -> str | None:
    numbers = ",".join(map(str, sorted(values)))
    if not words:
        return numbers
    spelled = [_word(word) for word in words]
    known = sorted(word for word in spelled if word is not None)
    if len(known) < len(spelled) or (values and known != ["L"]) or (len(known) > 1 and _has_workday(words)):
        return None
    return ",".join([*known, numbers]) if values else ",".join(known)


def _word(word: DayWord) -> str | None:
    match word:
        case LastDay(0, False):
            return "L"
        case NearestWorkday(day) if day <= SHORTEST_MONTH:
            return f"{day}W"
        case NthWeekday(weekday, nth):
            return f"{weekday}#{nth}" if nth else f"L{weekday}"
        case _:
            return None


def _has_workday(words: frozenset[DayWord]) -> bool:
    return any(isinstance(word, NearestWorkday) for word in words)


def _crontabs(schedule: Schedule) -> Iterator[Crontab]:
    match schedule:
        case Crontab():
            yield schedule
        case AnyOf():
            for each in schedule.schedules:
                yield from _crontabs(each)
        case Except():
            yield from _crontabs(schedule.when)
            yield from (window.crontab for window in schedule.out if isinstance(window, CronWindow))


def _their_fires(question: Question, after: datetime, n: int) -> list[datetime]:
    from croniter import croniter

    theirs = croniter(
        question.text,
        after.astimezone(UTC),
        day_or=question.either_day,
        implement_cron_bug=question.either_day,
        max_years_between_matches=60,
        second_at_beginning=question.seconds_first,
    )
    return [theirs.get_next(datetime) for _ in range(n)]


def _fires(crontab: Crontab, after: datetime) -> Iterator[datetime]:
    fire_us = (after - _EPOCH) // timedelta(microseconds=1)
    for _ in range(FIRES):
        following = crontab.next_after(fire_us)
        if following is None:
            return
        fire_us = following
        yield _EPOCH + timedelta(microseconds=fire_us)
