"""The checker of the chaos runs finds what it is there to find: each fault of a ledger or a queue, put into one that is right."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chaos.checker import IN_FLIGHT, check
from chaos.drain import FAILED, OPEN, SENT, Copy, Remains, Row
from chaos.fault import Fault, FaultKind
from chaos.timetable import LINES, fire_times

BEGIN_US = 1_790_000_000_000_000
UNTIL_US = BEGIN_US + 20_000_000
KEY = ("second", BEGIN_US + 10_000_000)
KILL = Fault(kind=FaultKind.KILL, begin_us=KEY[1] + 2_000, end_us=KEY[1] + 2_000, pid=1)
OUTAGE = Fault(kind=FaultKind.BROKER, begin_us=KEY[1] - 5_000, end_us=KEY[1] + 900_000)


@pytest.fixture
def remains():
    rows = [
        Row(
            entry=name,
            due_us=due_us,
            task_id=f"{name}-{due_us}",
            state=SENT,
            decided_us=due_us + 1_000,
            sent_us=due_us + 5_000,
        )
        for name, line in LINES.items()
        for due_us in fire_times(line, BEGIN_US, UNTIL_US)
    ]
    copies = [Copy(entry=row.entry, due_us=row.due_us, task_id=row.task_id, origin_pid=1) for row in rows]
    begins = dict.fromkeys(LINES, BEGIN_US)
    return Remains(rows=rows, copies=copies, skips=[], begins=begins, epoch=1, holder="")


def judge(remains, *faults, is_one=False):
    return check(remains, faults, until_us=UNTIL_US, is_one=is_one)


def with_row(remains, **changes):
    rows = [replace(row, **changes) if (row.entry, row.due_us) == KEY else row for row in remains.rows]
    return replace(remains, rows=rows)


def without_row(remains):
    return replace(remains, rows=[row for row in remains.rows if (row.entry, row.due_us) != KEY])


def with_copy(remains, *, key=KEY, task_id=None, pid=2):
    entry, due_us = key
    copy = Copy(entry=entry, due_us=due_us, task_id=task_id or f"{entry}-{due_us}", origin_pid=pid)
    return replace(remains, copies=[*remains.copies, copy])


def test_a_run_that_is_right_is_right(remains):
    verdict = judge(remains)

    assert verdict.faults == []
    assert (verdict.firings, verdict.messages, verdict.max_copies) == (
        len(remains.rows),
        len(remains.rows),
        1,
    )


def test_the_arithmetic_of_the_timetable_is_that_of_its_words():
    second_us = 1_000_000
    minute = range(BEGIN_US - BEGIN_US % 60_000_000, BEGIN_US - BEGIN_US % 60_000_000 + 60_000_000, second_us)

    found = {
        name: [at_us // second_us % 60 for at_us in minute if LINES[name].fires(at_us)] for name in LINES
    }

    assert found["even"] == list(range(0, 60, 2))
    assert found["window"] == [10, 13, 16, 19, 22, 25, 28, 31, 34, 37, 40]
    assert found["berlin"] == [0, 7, 14, 21, 28, 35, 42, 49, 56]
    assert found["list"] == [1, 2, 3, 5, 8, 13, 21, 34, 55]
    assert found["minute"] == [0]


def test_a_fire_time_without_a_row_is_lost_and_its_message_extra(remains):
    verdict = judge(without_row(remains))

    assert len(verdict.lost) == len(verdict.extra) == 1


def test_a_fire_time_in_a_skip_record_is_not_lost(remains):
    entry, due_us = KEY
    copies = [copy for copy in remains.copies if (copy.entry, copy.due_us) != KEY]
    skipped = replace(without_row(remains), copies=copies, skips=[(entry, due_us, due_us, "limit")])

    verdict = judge(skipped)

    assert verdict.faults == []
    assert verdict.skipped == 1


def test_an_entry_that_never_came_is_lost(remains):
    begins = {name: at_us for name, at_us in remains.begins.items() if name != "even"}

    assert "even: the entry is not there" in judge(replace(remains, begins=begins)).lost


@pytest.mark.parametrize("state", [OPEN, FAILED])
def test_a_row_that_is_still_open_or_failed_is_lost(remains, state):
    assert len(judge(with_row(remains, state=state)).lost) == 1


def test_a_row_that_says_sent_without_a_message_is_lost(remains):
    copies = [copy for copy in remains.copies if (copy.entry, copy.due_us) != KEY]

    assert len(judge(replace(remains, copies=copies)).lost) == 1


def test_a_row_off_the_timetable_is_extra(remains):
    assert judge(with_row(remains, due_us=KEY[1] + 7)).extra


def test_a_second_copy_with_another_id_is_found(remains):
    assert len(judge(with_copy(remains, task_id="other"), KILL).other_ids) == 1


def test_a_second_copy_is_explained_by_the_kill_of_who_sent_the_first(remains):
    verdict = judge(with_copy(remains), KILL)

    assert verdict.faults == []
    assert verdict.windows == {"W1 kill": 1}
    assert verdict.max_copies == 2


def test_a_second_copy_is_explained_by_the_pause_of_who_sent_it(remains):
    verdict = judge(with_copy(remains), replace(KILL, kind=FaultKind.PAUSE, end_us=KILL.end_us + 1_000_000))

    assert verdict.faults == []
    assert verdict.windows == {"W2 pause": 1}


def test_a_second_copy_is_explained_by_an_outage(remains):
    assert judge(with_copy(remains), OUTAGE).faults == []


@pytest.mark.parametrize(
    "fault",
    [
        replace(KILL, pid=9),
        replace(KILL, begin_us=KEY[1] + 500_000, end_us=KEY[1] + 500_000),
        replace(KILL, begin_us=KEY[1] - 500_000, end_us=KEY[1] - 500_000),
        replace(KILL, kind=FaultKind.STOP),
        replace(OUTAGE, begin_us=KEY[1] + 500_000),
        replace(OUTAGE, begin_us=KEY[1] - 3_000_000, end_us=KEY[1] - 1_000_000),
    ],
    ids=[
        "another process",
        "after the mark",
        "before the decision",
        "graceful",
        "later outage",
        "earlier outage",
    ],
)
def test_a_second_copy_that_no_fault_explains_is_found(remains, fault):
    assert len(judge(with_copy(remains), fault).unexplained) == 1


def test_one_fault_explains_one_more_copy_and_no_third(remains):
    thrice = with_copy(with_copy(remains))

    assert len(judge(thrice, KILL).unexplained) == 1
    assert judge(thrice, KILL, OUTAGE).faults == []


def test_where_store_and_broker_are_one_nothing_explains_a_second_copy(remains):
    assert len(judge(with_copy(remains), KILL, OUTAGE, is_one=True).unexplained) == 1


def test_a_second_copy_of_at_most_once_is_found_whatever_happened(remains):
    key = next((row.entry, row.due_us) for row in remains.rows if row.entry == "once")
    all_the_time = Fault(kind=FaultKind.BROKER, begin_us=BEGIN_US, end_us=UNTIL_US)

    assert len(judge(with_copy(remains, key=key), all_the_time).twice_at_most_once) == 1


def test_more_second_copies_than_can_be_in_flight_are_found(remains):
    all_the_time = Fault(kind=FaultKind.BROKER, begin_us=BEGIN_US, end_us=UNTIL_US)
    ticks = [(row.entry, row.due_us) for row in remains.rows if row.entry == "tick"]
    again = remains
    for key in ticks[: IN_FLIGHT + 1]:
        again = with_copy(again, key=key)

    assert len(judge(again, all_the_time).over_bound) == 1
