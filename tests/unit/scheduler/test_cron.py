"""The dialect: what is read, what is refused and in which words."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from backbeat.scheduler.cron import WORDS, Cron, DayMatch, parse_cron
from backbeat.scheduler.errors import ScheduleError
from croniter import croniter
from hypothesis import assume, given, settings
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("expression", "same_as"),
    [
        ("@yearly", "0 0 1 1 *"),
        ("@annually", "0 0 1 1 *"),
        ("@monthly", "0 0 1 * *"),
        ("@weekly", "0 0 * * 0"),
        ("@daily", "0 0 * * *"),
        ("@midnight", "0 0 * * *"),
        ("@hourly", "0 * * * *"),
        (" @Daily ", "0 0 * * *"),
        ("  0\t2  * * *  ", "0 2 * * *"),
        ("00 02 * * *", "0 2 * * *"),
        ("0 12-12 * * *", "0 12 * * *"),
        ("0 9 13-13 * *", "0 9 13 * *"),
        ("56-56 9 * * *", "56 9 * * *"),
        ("0 0 * 12-12 *", "0 0 * 12 *"),
        ("0 0 * * 6-6", "0 0 * * 6"),
        ("0 5-5/2 * * *", "0 5 * * *"),
        ("59-59/15 * * * *", "59 * * * *"),
        ("0 0 * JAN,feb Mon-Fri", "0 0 * 1,2 1-5"),
        ("0 0 * * 7", "0 0 * * 0"),
        ("0 0 * * 6-7", "0 0 * * 6,0"),
        ("0 0 * * 0-7", "0 0 * * 0-6"),
        ("0 0 * * 1-7/2", "0 0 * * 0,1,3,5"),
        ("*/60 * * * *", "0 * * * *"),
        ("5-59/15 * * * *", "5,20,35,50 * * * *"),
        ("1,1,2,1-2 * * * *", "1,2 * * * *"),
    ],
)
def test_two_spellings_mean_the_same(expression: str, same_as: str) -> None:
    one, other = (parse_cron(text, DayMatch.ANY) for text in (expression, same_as))

    assert isinstance(one, Cron)
    assert isinstance(other, Cron)
    assert (one.times, one.days, one.months) == (other.times, other.days, other.months)


def test_the_same_text_is_compiled_once() -> None:
    assert parse_cron("7 7 * * *", DayMatch.ANY) is parse_cron("7 7 * * *", DayMatch.ANY)
    first, second = parse_cron("7 7 1 * *"), parse_cron("7 7 2 * *")
    assert isinstance(first, Cron)
    assert isinstance(second, Cron)
    assert first.times is second.times


REFUSED = [
    ("61 2 * * *", 'minute 61 is out of range 0-59 (first field of "61 2 * * *")', ""),
    ("0 24 * * *", 'hour 24 is out of range 0-23 (second field of "0 24 * * *")', ""),
    ("0 0 0 * *", 'day 0 is out of range 1-31 (third field of "0 0 0 * *")', ""),
    ("0 0 * 13 *", 'month 13 is out of range 1-12 (fourth field of "0 0 * 13 *")', ""),
    ("0 0 * * 8", 'weekday 8 is out of range 0-7 (fifth field of "0 0 * * 8")', ""),
    ("0 0 * * 1-9", 'weekday 9 is out of range 0-7 (fifth field of "0 0 * * 1-9")', ""),
    (
        "0 0 12 * * ?",
        '"0 0 12 * * ?" has 6 fields, expected 5 (minute hour day month weekday)',
        'the seconds field was dropped: "0 12 * * *"',
    ),
    (
        "0 0 12 ? * mon-fri *",
        '"0 0 12 ? * mon-fri *" has 7 fields, expected 5 (minute hour day month weekday)',
        'the seconds field was dropped: "0 12 * * mon-fri"',
    ),
    (
        "*/10 0 12 * * *",
        '"*/10 0 12 * * *" has 6 fields',
        "cron_fields: 6; for a fixed distance write `every: 10s`",
    ),
    ("0 0 12 1 1 ? 2030", "has 7 fields", "cron_fields: 7"),
    ("0 0 61 * * ?", "has 6 fields", "cron_fields: 6"),
    (
        "0 12 * *",
        '"0 12 * *" has 4 fields, expected 5 (minute hour day month weekday)',
        "write * for a field",
    ),
    ("5", '"5" has 1 field, expected 5', "write *"),
    ("", '"" has 0 fields, expected 5', "write *"),
    ("@reboot", '"@reboot" is not a known word', "@hourly"),
    ("@every 5m", '"@every 5m" is not a known word', "every: 5m"),
    ("? * * * *", '"?" stands alone, in a day field that does not matter (first field', "write *"),
    ("0 0 ?,1 * *", '"?" stands alone', "write *"),
    ("0 0 ?/2 * *", '"?" stands alone', "write *"),
    ("0 0 * * L", 'weekday "L" is not a use of L (fifth field', "5L is the last Friday, and Saturday is 6"),
    ("0 0 * * L5", 'weekday "L5" is not a use of L', "5L"),
    ("0 0 * * 9L", "not a use of L", ""),
    ("0 0 L-31 * *", 'day "L-31" is not a use of L', "L-3"),
    ("0 0 L-0 * *", "not a use of L", ""),
    ("0 0 L/2 * *", "not a use of L", ""),
    ("0 0 20-L * *", '"20-L" is not a day', ""),
    ("L * * * *", 'minute "L" is not a use of L', ""),
    ("0 0 32W * *", 'day "32W" is not a use of W', "15W"),
    ("0 0 0W * *", "not a use of W", ""),
    ("0 0 1-15W * *", "not a use of W", "mon-fri"),
    ("0 0 WL * *", '"WL" is not a day', ""),
    ("0 0 * * 5#6", 'weekday "5#6" is not a use of #', "5#3 is the third Friday"),
    ("0 0 * * 5#0", "not a use of #", ""),
    ("0 0 * * 1-5#2", '"1-5#2" is not a weekday', ""),
    ("0 0 5#2 * *", 'day "5#2" is not a use of #', ""),
    ("H * * * *", 'minute "H": H is hashed from a name, and there is none (first field', "hash_key"),
    ("H/15 * * * *", "H is hashed from a name", ""),
    ("h(0-29) * * * *", "H is hashed from a name", ""),
    ("R * * * *", 'minute "R" is not a use of R', "H draws one"),
    ("R(0-30) * * * *", "not a use of R", ""),
    ("0 0 * * R/2", "not a use of R", ""),
    ("59/15 * * * *", 'minute "59/15" has a step but no range (first field', "write 59-59/15 or */15"),
    ("5/15 * * * *", "has a step but no range", "write 5-59/15 or */15"),
    ("0 0 * * 1/2", "has a step but no range", "write 1-6/2 or */2"),
    ("*/0 * * * *", 'step 0 of minute "*/0" is out of range 1-60 (first field', "every:"),
    ("*/90 * * * *", 'step 90 of minute "*/90" is out of range 1-60', "every:"),
    ("0 */48 * * *", "is out of range 1-24", "every:"),
    ("*/99999999999999999999 * * * *", "is out of range 1-60", ""),
    ("0 22-4 * * *", 'hour range "22-4" runs backwards (second field', "write 22-23,0-4"),
    ("50-10 * * * *", "runs backwards", "write 50-59,0-10"),
    ("0 22-4/3 * * *", "runs backwards", "write 1,4,22"),
    ("0 0 * * fri-sun", "runs backwards", "write 5-7"),
    ("0 0 * * 5-1", "runs backwards", "write 5-6,0-1"),
    ("0 0 * * 6-0", "runs backwards", "write 6-7"),
    ("0 0 * * 7-3", "runs backwards", "write 0-3"),
    ("0 0 * nov-feb *", "runs backwards", "write 11-12,1-2"),
    ("0 0 31 2 *", '"0 0 31 2 *" never fires', ""),
    ("0 0 30 feb *", "never fires", ""),
    ("0 0 31 4,6,9,11 *", "never fires", "last day of each month"),
    ("1,,2 * * * *", "minute has an empty place in its list (first field", "remove the comma"),
    ("1, * * * *", "empty place", ""),
    ("1-2-3 * * * *", '"1-2-3" is not a minute', "0-59"),
    ("-5 * * * *", '"-5" is not a minute', ""),
    ("*5 * * * *", '"*5" is not a minute', ""),
    ("*-5 * * * *", '"*-5" is not a minute', ""),
    ("5-* * * * *", '"5-*" is not a minute', ""),
    ("*/*  * * * *", '"*/*" is not a minute', ""),
    ("*/5/5 * * * *", '"*/5/5" is not a minute', ""),
    ("1.5 * * * *", '"1.5" is not a minute', ""),
    ("٣ * * * *", '"٣" is not a minute', ""),
    ("jan * * * *", '"jan" is not a minute', ""),
    ("0 0 * monday *", '"monday" is not a month', "1-12 or jan-dec"),
    ("0 0 * * monday", '"monday" is not a weekday', "0-7 or sun-sat"),
    ("0 0 * * mon-frii", '"mon-frii" is not a weekday', ""),
    ("99999999999999999999 * * * *", "minute 99999999999999999999 is out of range 0-59", ""),
    ("9" * 2000, "is not a cron expression", ""),
]


REFUSED_OF_MORE_FIELDS = [
    (
        "0 12 * * *",
        6,
        "has 5 fields, expected 6 (second minute hour day month weekday)",
        'write "0 0 12 * * *"',
    ),
    ("0 12 * * *", 7, "expected 7 (second minute hour day month weekday year)", 'write "0 0 12 * * * *"'),
    ("0 0 12 * * *", 7, "has 6 fields, expected 7", 'write "0 0 12 * * * *"'),
    ("0 0 12 * * * *", 6, "has 7 fields, expected 6", "cron_fields: 7"),
    ("0 12", 6, "has 2 fields", "0 for the second"),
    ("61 0 12 * * *", 6, 'second 61 is out of range 0-59 (first field of "61 0 12 * * *")', ""),
    ("0 61 12 * * *", 6, "minute 61 is out of range 0-59 (second field", ""),
    ("0 0 12 * * * 1969", 7, "year 1969 is out of range 1970-2199 (seventh field", ""),
    ("0 0 12 * * * 2030-2026", 7, "runs backwards", "write 2026-2030"),
    ("0 0 12 * * * H", 7, '"H" is not a year', "1970-2199"),
    ("0 0 12 * * * ?", 7, '"?" stands alone', "write *"),
    ("0 0 12 29 2 ? 2027,2029,2100", 7, "never fires", ""),
    ("@reboot", 6, "is not a known word", "@hourly"),
    ("0 12 * * *", 4, '"4" is not a number of cron fields', "5, 6 (seconds first) or 7"),
    ("0 12 * * *", True, '"True" is not a number of cron fields', ""),
]


@pytest.mark.parametrize(("expression", "fields", "message", "hint"), REFUSED_OF_MORE_FIELDS)
def test_six_and_seven_fields_are_refused_in_their_own_words(
    expression: str, fields: int, message: str, hint: str
) -> None:
    with pytest.raises(ScheduleError) as caught:
        parse_cron(expression, fields=fields)

    assert message in caught.value.message
    assert hint in caught.value.help


@pytest.mark.parametrize(("expression", "message", "hint"), REFUSED)
def test_what_is_not_defined_is_refused_with_what_where_and_what_to_write(
    expression: str, message: str, hint: str
) -> None:
    with pytest.raises(ScheduleError) as caught:
        parse_cron(expression, DayMatch.ANY)

    assert message in caught.value.message
    assert hint in caught.value.help
    assert caught.value.help in str(caught.value)


@pytest.mark.parametrize(
    "hint", ["write 22-23,0-4", "write 1,4,22", "write 5-7", "write 0-3", "write 11-12,1-2", "write 59-59/15"]
)
def test_every_spelling_that_a_message_offers_is_accepted(hint: str) -> None:
    text = hint.removeprefix("write ")
    places = [f"{text} * * * *", f"0 {text} * * *", f"0 0 * {text} *", f"0 0 * * {text}"]

    accepted = []
    for expression in places:
        try:
            accepted.append(parse_cron(expression, DayMatch.ANY))
        except ScheduleError:
            continue

    assert accepted


@pytest.mark.parametrize("word", sorted(WORDS))
def test_the_hour_word_follows_elapsed_time_and_the_others_the_wall_clock(word: str) -> None:
    assert parse_cron(word, DayMatch.ANY).wild is (word == "@hourly")


@pytest.mark.parametrize("fields", [6, 7])
@pytest.mark.parametrize("word", sorted(WORDS))
def test_a_word_means_the_same_with_any_number_of_fields(word: str, fields: int) -> None:
    five, more = parse_cron(word), parse_cron(word, fields=fields)

    assert more.wild is five.wild
    local = 1_790_000_000
    for _ in range(5):
        following = five.next_local(local)
        assert following is not None
        assert more.next_local(local) == following
        local = following


@settings(max_examples=300, deadline=None)
@given(
    st.text(alphabet="0123456789*/-,?LWH#()Rabcjanmonsu @\t", max_size=24)
    | st.lists(
        st.sampled_from(
            [
                "*",
                "?",
                "0",
                "L",
                "LW",
                "L-3",
                "15W",
                "5L",
                "5#3",
                "H",
                "H/7",
                "H(0-5)",
                "*/2",
                "1-5",
                "1,3",
                "12-12",
            ]
        ),
        min_size=4,
        max_size=8,
    ).map(" ".join),
    st.sampled_from([5, 6, 7]),
    st.sampled_from(["", "report"]),
)
def test_any_text_is_either_read_or_refused_with_a_schedule_error(
    text: str, fields: int, hash_key: str
) -> None:
    try:
        cron = parse_cron(text, fields=fields, hash_key=hash_key)
    except ScheduleError:
        return
    found = cron.next_local(-1)
    assert found is not None
    assert found >= 0


ITEM = {
    "minute": st.integers(0, 59),
    "hour": st.integers(0, 23),
    "day": st.integers(1, 28),
    "month": st.integers(1, 12),
    "weekday": st.integers(0, 6),
}


@st.composite
def _texts(draw: st.DrawFn) -> str:
    fields = []
    for values in ITEM.values():
        a, b = sorted((draw(values), draw(values)))
        assume(a != b)  # croniter reads 12-12 as a star (F3)
        fields.append(draw(st.sampled_from(["*", f"{a}", f"{a}-{b}", f"{a},{b}", "*/2", f"{a}-{b}/2"])))
    return " ".join(fields)


@settings(max_examples=150, deadline=None)
@given(_texts(), st.datetimes(datetime(2001, 1, 1), datetime(2035, 1, 1)))
def test_croniter_gives_the_same_next_times_in_utc(expression: str, start: datetime) -> None:
    cron = parse_cron(expression, DayMatch.ANY)

    theirs = croniter(
        expression, start.replace(tzinfo=UTC), implement_cron_bug=True, max_years_between_matches=50
    )

    local = int(start.replace(tzinfo=UTC, microsecond=0).timestamp())
    for _ in range(4):
        found = cron.next_local(local)
        assert found == int(theirs.get_next(datetime).timestamp())
        local = found
