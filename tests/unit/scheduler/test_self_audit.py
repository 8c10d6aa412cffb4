"""What the self-audit judges: a ledger against the revisions of an entry."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from backbeat.scheduler.entry import Entry
from backbeat.scheduler.schedule import Crontab, Interval
from backbeat.scheduler.self_audit import (
    NAMED,
    Difference,
    DifferenceKind,
    Past,
    Range,
    Row,
    Version,
    differences,
)

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
T0 = 1_700_000_040 * SECOND  # a whole minute
MINUTELY = Entry(name="a", when=Interval(every=timedelta(minutes=1)), what={"task": "t"})
EVERY_TWO = replace(MINUTELY, when=Interval(every=timedelta(minutes=2)))


def past(*versions, cursor=T0 + HOUR, runs=0):
    return Past("a", cursor, runs, tuple(Version(rev, at, entry) for rev, at, entry in versions))


def rows(minutes, rev=1):
    return [Row(T0 + minute * MINUTE, rev) for minute in minutes]


def judge(known, held, skips=(), until=T0 + HOUR):
    return differences(known, held, skips, T0, until)


def missing(minute, rev=1):
    return Difference("a", T0 + minute * MINUTE, DifferenceKind.MISSING, rev)


def extra(minute, rev=1):
    return Difference("a", T0 + minute * MINUTE, DifferenceKind.EXTRA, rev)


LONG_AGO = T0 - 10 * HOUR


def test_a_ledger_with_every_fire_time_has_no_difference():
    assert judge(past((1, LONG_AGO, MINUTELY)), rows(range(1, 61))) == []


def test_each_fire_time_that_is_not_there_is_named():
    held = [row for row in rows(range(1, 61)) if row.due_us not in {T0 + 7 * MINUTE, T0 + 60 * MINUTE}]

    assert judge(past((1, LONG_AGO, MINUTELY)), held) == [missing(7), missing(60)]


def test_what_lies_in_a_skip_record_is_there():
    skips = [Range(T0 + 10 * MINUTE, T0 + 20 * MINUTE, 1), Range(T0 + 30 * MINUTE, T0 + 30 * MINUTE, 1)]
    held = rows([*range(1, 10), *range(21, 30), *range(31, 61)])

    assert judge(past((1, LONG_AGO, MINUTELY)), held, skips) == []
    assert judge(past((1, LONG_AGO, MINUTELY)), held, skips[:1]) == [missing(30)]


def test_a_skip_record_that_began_before_the_window_counts():
    skips = [Range(T0 - HOUR, T0 + 50 * MINUTE, 1), Range(T0 + 5 * MINUTE, T0 + 5 * MINUTE, 1)]

    assert judge(past((1, LONG_AGO, MINUTELY)), rows(range(51, 61)), skips) == []


def test_nothing_is_owed_behind_the_cursor():
    assert judge(past((1, LONG_AGO, MINUTELY), cursor=T0 + 5 * MINUTE), rows(range(1, 6))) == []
    assert judge(past((1, LONG_AGO, MINUTELY), cursor=T0 - MINUTE), []) == []


def test_a_new_entry_owes_nothing_before_it_was_made():
    assert judge(past((1, T0 + 30 * MINUTE, MINUTELY)), rows(range(31, 61))) == []


def test_a_row_that_is_no_fire_time_of_its_revision_is_named():
    held = [*rows(range(1, 61)), Row(T0 + 90 * SECOND, 1)]

    assert judge(past((1, LONG_AGO, MINUTELY)), held) == [
        Difference("a", T0 + 90 * SECOND, DifferenceKind.EXTRA, 1)
    ]


def test_after_an_edit_of_when_the_new_revision_owes():
    known = past((1, LONG_AGO, MINUTELY), (2, T0 + 30 * MINUTE, EVERY_TWO))
    held = [*rows(range(1, 31)), *rows(range(32, 62, 2), rev=2)]

    assert judge(known, held) == []
    assert judge(known, [row for row in held if row.due_us != T0 + 40 * MINUTE]) == [missing(40, rev=2)]
    assert judge(known, [row for row in held if row.due_us != T0 + 7 * MINUTE]) == [missing(7)]
    assert judge(known, [*held, Row(T0 + 41 * MINUTE, 2)]) == [extra(41, rev=2)]


def test_after_an_edit_of_anything_else_the_new_revision_has_what_was_waiting():
    louder = replace(MINUTELY, what={"task": "u"})
    known = past((1, LONG_AGO, MINUTELY), (2, T0 + 30 * MINUTE + 1, louder))
    held = [*rows(range(1, 29)), *rows(range(29, 61), rev=2)]

    assert judge(known, held) == []
    assert judge(known, [row for row in held if row.due_us != T0 + 29 * MINUTE]) == [missing(29)]
    assert judge(known, [row for row in held if row.due_us != T0 + 31 * MINUTE]) == [missing(31, rev=2)]


def test_a_pause_owes_nothing_and_its_ends_do():
    paused = replace(MINUTELY, enabled=False)
    known = past((1, LONG_AGO, MINUTELY), (2, T0 + 10 * MINUTE, paused), (3, T0 + 20 * MINUTE, MINUTELY))
    held = [*rows(range(1, 11)), *rows(range(21, 61), rev=3)]

    assert judge(known, held) == []
    assert judge(known, held[1:]) == [missing(1)]
    assert judge(known, held[:-1]) == [missing(60, rev=3)]
    assert judge(known, [*held, Row(T0 + 15 * MINUTE, 2)]) == [extra(15, rev=2)]


def test_what_fell_into_a_removal_is_not_owed():
    """The store keeps no time of a removal: rows that are missing right up to an edit are not judged."""
    known = past((1, LONG_AGO, MINUTELY), (2, T0 + 30 * MINUTE, MINUTELY))

    assert judge(known, [*rows(range(1, 11)), *rows(range(31, 61), rev=2)]) == []
    assert judge(known, [*rows(range(2, 11)), *rows(range(31, 61), rev=2)]) == [missing(1)]


def test_many_that_are_missing_before_an_edit_are_judged_by_what_comes_behind_them():
    known = past((1, LONG_AGO, MINUTELY), (2, T0 + 50 * MINUTE, MINUTELY))

    found = judge(known, [*rows([49]), *rows(range(51, 61), rev=2)])

    assert found == [missing(minute) for minute in range(1, NAMED + 1)]


def test_an_old_revision_that_was_decided_beyond_the_edit_leaves_the_new_one_less():
    """The clock of who edited was behind the leader's."""
    known = past((1, LONG_AGO, MINUTELY), (2, T0 + 30 * MINUTE, EVERY_TWO))
    held = [*rows(range(1, 33)), *rows(range(34, 62, 2), rev=2)]

    assert judge(known, held) == []


def test_revisions_that_were_written_by_a_clock_that_went_back_keep_their_order():
    known = past((1, LONG_AGO, MINUTELY), (2, T0 + 30 * MINUTE, EVERY_TWO), (3, T0 + 20 * MINUTE, MINUTELY))
    held = [*rows(range(1, 31)), *rows(range(31, 61), rev=3)]

    assert judge(known, held) == []


def test_nothing_is_owed_behind_the_last_run():
    thrice = replace(MINUTELY, max_runs=3)

    assert judge(past((1, LONG_AGO, thrice), runs=3), rows(range(1, 4))) == []
    assert judge(past((1, LONG_AGO, thrice), runs=3), rows([1, 3])) == [missing(2)]


def test_an_entry_that_ended_owes_nothing_more():
    ended = replace(MINUTELY, end_us=T0 + 5 * MINUTE)

    assert judge(past((1, LONG_AGO, ended)), rows(range(1, 6))) == []


def test_rows_of_a_revision_that_came_after_the_entry_was_read_are_left_to_the_next_round():
    held = [*rows(range(1, 61)), Row(T0 + 90 * SECOND, 2)]

    assert judge(past((1, LONG_AGO, MINUTELY)), held) == []


def test_the_work_is_bounded_and_so_is_the_list():
    quick = replace(MINUTELY, when=Interval(every=timedelta(milliseconds=1)))

    found = judge(past((1, LONG_AGO, quick)), [])

    assert len(found) == NAMED
    assert found[0].due_us == T0 + 1_000


@pytest.mark.parametrize("expression", ["*/7 * * * *", "30 2 * * *", "0 * * * *"])
def test_a_crontab_is_judged_by_its_own_rules(expression):
    entry = replace(MINUTELY, when=Crontab(expression=expression, timezone="Europe/Berlin"))
    fires, due = [], entry.next_after(T0)
    while due is not None and due <= T0 + 30 * HOUR:
        fires.append(Row(due, 1))
        due = entry.next_after(due)
    known = past((1, LONG_AGO, entry), cursor=T0 + 30 * HOUR)

    assert judge(known, fires, until=T0 + 30 * HOUR) == []
    assert judge(known, fires[1:], until=T0 + 30 * HOUR) == [
        Difference("a", fires[0].due_us, DifferenceKind.MISSING, 1)
    ]
