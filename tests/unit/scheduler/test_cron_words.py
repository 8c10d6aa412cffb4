"""The words of the dialect: L, W and # against a naive calendar, and @every."""

from __future__ import annotations

import calendar
from collections.abc import Callable
from datetime import date, datetime, timedelta
from itertools import product

import pytest
from backbeat.scheduler.cron import DayMatch, parse_cron
from backbeat.scheduler.errors import ScheduleError
from backbeat.scheduler.schedule import every_word

EPOCH = datetime(1970, 1, 1)
DAY = 86_400


def days_of(expression: str, first: date, last: date, day_match: DayMatch = DayMatch.ANY) -> list[date]:
    """The days from `first` to `last` on which an expression fires."""
    cron = parse_cron(expression, day_match)
    found = []
    local = cron.next_local((first - EPOCH.date()).days * DAY - 1)
    while local is not None and local // DAY <= (last - EPOCH.date()).days:
        found.append((EPOCH + timedelta(seconds=local)).date())
        local = cron.next_local(local)
    return found


def last_of(year: int, month: int) -> date:
    return date(year, month, calendar.monthrange(year, month)[1])


def nearest_workday(day: date) -> date:
    around = [day + timedelta(days=away) for away in (0, -1, 1, -2, 2)]
    return next(each for each in around if each.month == day.month and each.isoweekday() <= 5)


def nth_weekday(year: int, month: int, weekday: int, nth: int) -> date | None:
    days = [date(year, month, day) for day in range(1, last_of(year, month).day + 1)]
    found = [day for day in days if day.isoweekday() % 7 == weekday % 7]
    return found[nth - 1] if nth <= len(found) else None


def day_of(year: int, month: int, day: int) -> date | None:
    return date(year, month, day) if 1 <= day <= last_of(year, month).day else None


Naive = Callable[[int, int], date | None]
WORDS: list[tuple[str, Naive]] = [
    ("L * *", last_of),
    ("l * ?", last_of),
    ("? * 5L", lambda year, month: [day for nth in (4, 5) if (day := nth_weekday(year, month, 5, nth))][-1]),
    (
        "* * suNl",
        lambda year, month: [day for nth in (4, 5) if (day := nth_weekday(year, month, 0, nth))][-1],
    ),
    ("LW * *", lambda year, month: nearest_workday(last_of(year, month))),
]
WORDS += [
    (f"L-{n} * *", lambda year, month, n=n: day_of(year, month, last_of(year, month).day - n))  # type: ignore[misc]  # n is bound
    for n in (1, 3, 27, 28, 29, 30)
]
WORDS += [
    (
        f"L-{n}W * *",
        lambda year, month, n=n: (  # type: ignore[misc]  # n is bound
            nearest_workday(day) if (day := day_of(year, month, last_of(year, month).day - n)) else None
        ),
    )
    for n in (1, 5, 29)
]
WORDS += [
    (
        f"{n}W * *",
        lambda year, month, n=n: nearest_workday(day) if (day := day_of(year, month, n)) else None,  # type: ignore[misc]  # n is bound
    )
    for n in (1, 2, 15, 28, 29, 30, 31)
]
WORDS += [
    (
        f"* * {weekday}#{nth}",
        lambda year, month, weekday=weekday, nth=nth: nth_weekday(year, month, weekday, nth),
    )  # type: ignore[misc]  # both are bound
    for weekday, nth in product(range(8), range(1, 6))
]


@pytest.mark.parametrize(("words", "naive"), WORDS, ids=[words for words, _ in WORDS])
def test_a_word_names_the_days_of_a_naive_calendar(words: str, naive: Naive) -> None:
    # every kind of month: each length on each weekday, and February around 2100
    months = [*product(range(2020, 2049), range(1, 13)), *product(range(2095, 2105), (1, 2, 3))]

    expected = {day for year, month in months if (day := naive(year, month)) is not None}

    found = set(days_of(f"0 0 {words}", date(2020, 1, 1), date(2048, 12, 31)))
    found |= {day for day in days_of(f"0 0 {words}", date(2095, 1, 1), date(2104, 12, 31)) if day.month <= 3}
    assert found == expected


@pytest.mark.parametrize(
    ("expression", "day_match", "expected"),
    [
        ("0 0 1,L * *", "any", ["01-01", "01-31", "02-01", "02-28"]),
        ("0 0 L,LW * *", "any", ["01-30", "01-31", "02-27", "02-28"]),
        ("0 0 * * mon#1,mon#3", "any", ["01-05", "01-19", "02-02", "02-16"]),
        ("0 0 L * 5L", "any", ["01-30", "01-31", "02-27", "02-28"]),
        ("0 0 13 * 5#2", "any", ["01-09", "01-13", "02-13"]),
        ("0 0 13 * 5#2", "all", ["02-13"]),
        ("0 0 L */2 *", "any", ["01-31"]),
        (
            "0 0 ? * ?",
            "all",
            [f"01-{day:02}" for day in range(1, 32)] + [f"02-{day:02}" for day in range(1, 29)],
        ),
        ("0 0 ? 2 1", "any", ["02-02", "02-09", "02-16", "02-23"]),
        ("0 0 */10 * 6L", "any", ["01-31"]),
    ],
)
def test_words_join_with_lists_and_with_the_other_day_field(
    expression: str, day_match: str, expected: list[str]
) -> None:
    found = days_of(expression, date(2026, 1, 1), date(2026, 2, 28), DayMatch(day_match))

    assert [f"{day:%m-%d}" for day in found] == expected


@pytest.mark.parametrize("expression", ["0 0 31W 4,6 *", "0 0 30W 2 *", "0 0 L-30 2,4 *"])
def test_a_day_that_no_named_month_has_is_refused(expression: str) -> None:
    with pytest.raises(ScheduleError, match="never fires"):
        parse_cron(expression)


def test_a_fifth_monday_on_29_february_is_waited_for_40_years() -> None:
    found = days_of("0 0 29 2 1#5", date(2072, 2, 1), date(2113, 1, 1), DayMatch.ALL)

    assert found == [date(2072, 2, 29), date(2112, 2, 29)]


# --- @every


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("@every 5m", timedelta(minutes=5)),
        ("  @EVERY  1h30m ", timedelta(minutes=90)),
        ("@daily", None),
        ("*/5 * * * *", None),
        ("@everyday", None),
    ],
)
def test_the_word_every_is_an_interval(text: str, expected: timedelta | None) -> None:
    assert every_word(text) == expected


@pytest.mark.parametrize("text", ["@every", "@every ", "@every soon", "@every 0s", "@every 1mo"])
def test_the_word_every_needs_a_duration(text: str) -> None:
    with pytest.raises(ScheduleError):
        every_word(text)
