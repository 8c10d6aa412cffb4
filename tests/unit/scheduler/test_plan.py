"""plan: the policy as a table, and its laws as properties."""

from __future__ import annotations

import time
import tracemalloc
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from backbeat.scheduler.agenda import Agenda, Slot
from backbeat.scheduler.entry import DAY_US, SECOND_US, CatchUp, Entry
from backbeat.scheduler.likeness import Abridged
from backbeat.scheduler.plan import plan
from backbeat.scheduler.schedule import (
    AnyOf,
    Clocked,
    Crontab,
    CronWindow,
    DailyWindow,
    Except,
    Interval,
    Months,
    OnExcept,
    RRule,
)
from backbeat.scheduler.skip import SkipReason
from hypothesis import given, settings
from hypothesis import strategies as st

MINUTE = 60 * SECOND_US
HOUR = 60 * MINUTE
T0 = 1_699_999_980 * SECOND_US  # a whole minute
YEAR = 365 * DAY_US
SLACK = 3  # the bounds are those of an idle machine


def every(us, name="e", **known):
    return Entry(name=name, when=Interval(every=timedelta(microseconds=us)), what={"task": "t"}, **known)


def cron(expression, name="c", zone="UTC", fields=5, **known):
    when = Crontab(expression=expression, timezone=zone, fields=fields)
    return Entry(name=name, when=when, what={"task": "t"}, **known)


def at(*times_us, **known):
    return Entry(name="at", when=Clocked(times_us=times_us), what={"task": "t"}, **known)


def one(entry, cursor_us, now_us, limit=10_000):
    """Fire times sent, and (from, to, count, reason) skipped, in units of seconds after T0."""
    p = plan([entry], {entry.name: cursor_us}, now_us, limit)
    dues = [(due.due_us - T0) // SECOND_US for due in p.dues]
    skips = [
        ((s.from_us - T0) // SECOND_US, (s.to_us - T0) // SECOND_US, s.count, s.reason.value) for s in p.skips
    ]
    return dues, skips


def seconds(n):
    return T0 + n * SECOND_US


# cursor and now in seconds after T0; an entry of every 60 s or every 10 s
POLICY = [
    # catch_up, period, limit, cursor, now, sent, skipped
    ("latest", 60, 1000, 0, 59, [], []),
    ("latest", 60, 1000, 0, 60, [60], []),
    ("none", 60, 1000, 0, 119, [60], []),
    ("none", 60, 1000, 0, 120, [60, 120], []),  # 60 is exactly as old as the grace
    ("none", 60, 1000, 0, 121, [120], [(60, 60, 1, "catch_up_none")]),
    ("none", 3600, 1000, 0, 3661, [], [(3600, 3600, 1, "catch_up_none")]),
    ("latest", 60, 1000, 0, 599, [540], [(60, 480, 8, "superseded")]),
    ("latest", 3600, 1000, 0, 3600 * 3 - 1, [7200], [(3600, 3600, 1, "superseded")]),
    ("latest", 3600, 1000, 0, 3600 * 2 - 1, [3600], []),
    ("all", 60, 1000, 0, 299, [60, 120, 180, 240], []),
    ("all", 60, 2, 0, 359, [180, 240, 300], [(60, 120, 2, "limit")]),
    ("all", 60, 0, 0, 359, [300], [(60, 240, 4, "limit")]),
]


@pytest.mark.parametrize("row", POLICY)
def test_the_policy(row):
    catch_up, period, limit, cursor, now, sent, skipped = row
    for entry in (
        every(period * SECOND_US, catch_up=CatchUp(catch_up), catch_up_limit=limit),
        cron("* * * * *" if period == 60 else "0 * * * *", catch_up=CatchUp(catch_up), catch_up_limit=limit),
    ):
        shift = 0 if period == 60 else T0 % HOUR  # hours are counted from midnight, T0 is no whole hour
        base = T0 - shift
        p = plan([entry], {entry.name: base + cursor * SECOND_US}, base + now * SECOND_US)

        assert [(d.due_us - base) // SECOND_US for d in p.dues] == sent
        ranges = [
            ((s.from_us - base) // SECOND_US, (s.to_us - base) // SECOND_US, s.count, s.reason.value)
            for s in p.skips
        ]
        assert ranges == skipped


def test_latest_after_a_month_sends_one_and_accounts_for_all():
    p = plan([every(MINUTE)], {"e": T0}, T0 + 30 * DAY_US + SECOND_US)

    assert [due.due_us for due in p.dues] == [T0 + 30 * DAY_US]
    assert [(skip.count, skip.reason) for skip in p.skips] == [(30 * 1440 - 1, SkipReason.SUPERSEDED)]


def test_a_window_bounds_all_and_latest():
    window = {"catch_up_window_us": 200 * SECOND_US}

    assert one(every(MINUTE, catch_up=CatchUp.ALL, **window), seconds(0), seconds(599)) == (
        [420, 480, 540],
        [(60, 360, 6, "window")],
    )
    assert one(at(seconds(10), seconds(20), **window), seconds(0), seconds(221)) == (
        [],
        [(10, 20, 2, "window")],
    )
    assert one(at(seconds(10), seconds(20), **window), seconds(0), seconds(220)) == (
        [20],
        [(10, 10, 1, "superseded")],
    )


@pytest.mark.parametrize("catch_up", [CatchUp.ALL, CatchUp.LATEST])
def test_the_default_window_is_one_day_or_one_period(catch_up):
    monthly = cron("0 0 1 * *", catch_up=catch_up)
    march = int(datetime(2026, 3, 1, tzinfo=UTC).timestamp()) * SECOND_US
    april = int(datetime(2026, 4, 1, tzinfo=UTC).timestamp()) * SECOND_US

    p = plan([monthly], {"c": march - 40 * DAY_US}, april - 1)

    assert [due.due_us for due in p.dues] == [march]
    assert [skip.count for skip in p.skips] == [1]


def test_start_and_end_are_inside():
    entry = every(MINUTE, start_us=seconds(120), end_us=seconds(240), catch_up=CatchUp.ALL)

    assert one(entry, seconds(0), seconds(999)) == ([120, 180, 240], [])
    p = plan([entry], {"e": seconds(240)}, seconds(999))
    assert (p.dues, p.wake_at_us) == ((), None)


def test_a_new_entry_and_a_disabled_one_owe_nothing():
    p = plan([every(MINUTE), every(MINUTE, name="off", enabled=False)], {"off": T0 - DAY_US}, T0)

    assert (p.dues, p.skips) == ((), ())
    assert p.wake_at_us == T0 + MINUTE


def test_dues_of_many_entries_come_by_time_and_then_by_name():
    entries = [every(MINUTE, name="b"), every(MINUTE, name="a"), every(30 * SECOND_US, name="c")]

    p = plan(entries, dict.fromkeys("abc", T0), seconds(60))

    assert [(due.due_us - T0, due.entry.name) for due in p.dues] == sorted(
        (due.due_us - T0, due.entry.name) for due in p.dues
    )
    assert len(p.dues) == 4


def test_a_plan_that_is_cut_short_asks_to_be_called_again_at_once():
    entry = every(MINUTE, catch_up=CatchUp.ALL)

    p = plan([entry, every(MINUTE, name="z")], {"e": T0, "z": T0}, seconds(300), limit=2)

    assert [(due.due_us - T0) // MINUTE for due in p.dues] == [1, 2]
    assert p.wake_at_us == seconds(300)
    assert p.cursors == {"e": seconds(120), "z": T0}


TEN_YEARS = [
    every(SECOND_US, catch_up=CatchUp.NONE),
    every(SECOND_US, catch_up=CatchUp.LATEST),
    every(SECOND_US, catch_up=CatchUp.ALL),
    cron("* * * * *", catch_up=CatchUp.NONE),
    cron("* * * * *", catch_up=CatchUp.LATEST),
    cron("* * * * *", catch_up=CatchUp.ALL),
    cron("* * * * *", catch_up=CatchUp.ALL, catch_up_window_us=20 * YEAR),
    cron("* * * * *", catch_up=CatchUp.LATEST, end_us=T0 + YEAR),
]


@pytest.mark.parametrize(
    "entry", TEN_YEARS, ids=lambda e: f"{e.name}-{e.catch_up.value}-{e.catch_up_window_us}-{e.end_us}"
)
def test_ten_years_are_decided_in_bounded_time_and_memory(entry):
    now_us = T0 + 10 * YEAR
    entry.next_after(now_us)  # the zone is warm
    tracemalloc.start()
    begun = time.perf_counter()

    p = plan([entry], {entry.name: T0}, now_us)

    spent = time.perf_counter() - begun
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert spent < 1.0  # 100 ms without tracemalloc
    assert peak < 10_000_000
    assert p.cursors[entry.name] > T0


def test_a_range_that_is_too_long_to_walk_says_that_it_was_not_counted():
    p = plan([cron("* * * * *")], {"c": T0}, T0 + YEAR)

    (skip,) = p.skips
    assert (skip.from_us, skip.to_us, skip.count) == (T0 + MINUTE, T0 + YEAR - MINUTE * 2, None)


# ---- laws ----

ZONE = "Europe/Berlin"
SPRING = int(datetime(2026, 3, 28, 20, tzinfo=UTC).timestamp()) * SECOND_US
AUTUMN = int(datetime(2026, 10, 24, 20, tzinfo=UTC).timestamp()) * SECOND_US
WEEKEND = 14 * HOUR

schedules = st.one_of(
    st.builds(lambda m: Interval(every=timedelta(minutes=m)), st.integers(1, 500)),
    st.builds(
        lambda minute, hour: Crontab(expression=f"{minute} {hour} * * *", timezone=ZONE),
        st.sampled_from(["*", "*/7", "0", "30", "5,35"]),
        st.sampled_from(["*", "*/2", "2", "1-3", "3"]),
    ),
    st.builds(
        lambda offsets: Clocked(times_us=tuple(SPRING + o * MINUTE for o in offsets)),
        st.lists(st.integers(0, 800), min_size=1),
    ),
)


@st.composite
def entry_sets(draw, catch_up=None):
    entries = []
    for name in ("a", "b", "c")[: draw(st.integers(1, 3))]:
        policy = catch_up or draw(st.sampled_from(CatchUp))
        grace_us = draw(st.sampled_from([0, 60, 3600])) * SECOND_US
        entries.append(
            Entry(
                name=name,
                when=draw(schedules),
                what={},
                catch_up=policy,
                grace_us=grace_us,
                catch_up_limit=100_000,
            )
        )
    return entries


starts = st.sampled_from([SPRING, AUTUMN])
steps = st.lists(st.integers(0, WEEKEND // MINUTE), max_size=12).map(
    lambda minutes: sorted(m * MINUTE for m in minutes)
)


def follow(entries, start_us, instants, limit=10**6):
    """Plan at each instant until nothing is left; (dues in order of decision, skips, cursors)."""
    cursors = {entry.name: start_us for entry in entries}
    dues, skips = [], []
    for now_us in instants:
        while True:
            p = plan(entries, cursors, now_us, limit)
            assert all(p.cursors[name] >= cursors[name] for name in cursors)
            assert list(p.dues) == sorted(p.dues, key=lambda due: (due.due_us, due.entry.name))
            assert len(p.dues) <= limit
            progress = p.cursors != cursors
            cursors = dict(p.cursors)
            dues += [(due.entry.name, due.due_us) for due in p.dues]
            skips += p.skips
            if not progress:
                break
        assert p.wake_at_us is None or p.wake_at_us > now_us
    return dues, skips, cursors


def truth(entries, start_us, end_us):
    found = []
    for entry in entries:
        due_us = entry.next_after(start_us)
        while due_us is not None and due_us <= end_us:
            found.append((entry.name, due_us))
            due_us = entry.next_after(due_us)
    return found


@given(entry_sets(CatchUp.ALL), starts, steps, st.integers(1, 9))
@settings(max_examples=60, deadline=None)
def test_many_small_passes_give_what_one_late_pass_gives(entries, start_us, moments, limit):
    end_us = start_us + WEEKEND
    small, _, _ = follow(entries, start_us, [*(start_us + m for m in moments), end_us], limit)
    late, skips, _ = follow(entries, start_us, [end_us])

    assert sorted(small) == sorted(late) == sorted(truth(entries, start_us, end_us))
    assert skips == []


bursts = st.lists(
    st.tuples(st.integers(0, 10**12), st.integers(1, 30), st.sampled_from([1, 1_000, SECOND_US])),
    min_size=1,
    max_size=5,
).map(
    lambda found: Clocked(times_us=tuple(T0 + at + i * gap for at, size, gap in found for i in range(size)))
)


@given(st.one_of(schedules, bursts), starts, st.integers(1, 50), st.integers(1, WEEKEND // MINUTE))
@settings(max_examples=300, deadline=None)
def test_the_newest_missed_ones_are_sent_as_many_as_the_limit_says_and_no_others(
    when, start_us, most, minutes
):
    entry = Entry(
        name="a",
        when=when,
        what={},
        catch_up=CatchUp.ALL,
        grace_us=0,
        catch_up_limit=most,
        catch_up_window_us=YEAR * 10,
    )
    start_us = T0 - 1 if isinstance(when, Clocked) else start_us
    now_us = start_us + minutes * MINUTE
    missed = [due_us for _, due_us in truth([entry], start_us, now_us - 1)]

    dues, skips, _ = follow([entry], start_us, [now_us])

    sent = [due_us for _, due_us in dues if due_us < now_us]
    assert sent == missed[-most:]
    assert [(skip.from_us, skip.to_us, skip.count) for skip in skips] == (
        [(missed[0], missed[-most - 1], len(missed) - most)] if len(missed) > most else []
    )


@given(entry_sets(), starts)
@settings(max_examples=60, deadline=None)
def test_following_wake_at_loses_nothing(entries, start_us):
    cursors = {entry.name: start_us for entry in entries}
    dues, wakes, end_us = [], start_us, start_us + WEEKEND
    while wakes is not None and wakes <= end_us:
        p = plan(entries, cursors, wakes)
        cursors = dict(p.cursors)
        dues += [(due.entry.name, due.due_us) for due in p.dues]
        assert p.skips == ()
        assert p.wake_at_us != wakes or p.dues
        wakes = p.wake_at_us

    assert sorted(dues) == sorted(truth(entries, start_us, end_us))


@given(
    entry_sets(),
    starts,
    steps,
    st.integers(1, 9),
    st.sampled_from([0, 3, 100_000]),
    st.sampled_from([None, 4 * HOUR]),
)
@settings(max_examples=100, deadline=None)
def test_every_instant_is_sent_once_or_in_one_skip(entries, start_us, moments, limit, cap, window_us):
    entries = [
        Entry(
            name=e.name,
            when=e.when,
            what={},
            catch_up=e.catch_up,
            grace_us=e.grace_us,
            catch_up_limit=cap,
            catch_up_window_us=window_us,
        )
        for e in entries
    ]
    end_us = start_us + WEEKEND
    dues, skips, _ = follow(entries, start_us, [*(start_us + m for m in moments), end_us], limit)

    expected = truth(entries, start_us, end_us)
    skipped = []
    for skip in skips:
        inside = [due for due in expected if due[0] == skip.entry and skip.from_us <= due[1] <= skip.to_us]
        assert len(inside) == skip.count
        assert {inside[0][1], inside[-1][1]} == {skip.from_us, skip.to_us}
        skipped += inside
    assert sorted(dues + skipped) == sorted(expected)


@given(entry_sets(), starts, st.lists(st.integers(-WEEKEND // MINUTE, WEEKEND // MINUTE), max_size=10))
@settings(max_examples=60, deadline=None)
def test_a_clock_that_jumps_sends_nothing_twice(entries, start_us, moments):
    dues, _, _ = follow(entries, start_us, [start_us + m * MINUTE for m in moments])

    assert len(dues) == len(set(dues))
    assert all(due > start_us for _, due in dues)


# ---- the agenda ----


def test_the_agenda_gives_what_is_due_earliest_first_and_once():
    agenda = Agenda()
    agenda.fill(
        [
            Slot(Abridged.of(every(MINUTE, name=name)), 1, 0, next_us)
            for name, next_us in (("a", 30), ("b", 10), ("c", None))
        ]
    )
    agenda.put(Slot(Abridged.of(every(MINUTE, name="a")), 2, 0, 20))
    agenda.put(Slot(Abridged.of(every(MINUTE, name="a")), 3, 0, 20))

    assert agenda.next_us() == 10
    assert [(slot.entry.name, slot.rev) for slot in agenda.take(40, 10)] == [("b", 1), ("a", 3)]
    assert agenda.next_us() is None
    assert len(agenda) == 3


def test_a_slot_that_is_put_back_is_small_again():
    agenda = Agenda()
    agenda.fill([Slot(Abridged.of(every(MINUTE, name="a")), 1, 0, 10)])
    (slot,) = agenda.take(10, 1)
    whole = slot.entry

    assert slot.entry is whole
    agenda.put(slot)

    assert agenda.get("a")._entry is None


def test_the_agenda_forgets_what_is_dropped_and_takes_no_more_than_asked():
    agenda = Agenda()
    agenda.fill([Slot(Abridged.of(every(MINUTE, name=name)), 1, 0, 10) for name in "abc"])
    agenda.drop("a")

    assert [slot.entry.name for slot in agenda.take(10, 1)] == ["b"]
    assert agenda.next_us() == 10
    assert agenda.take(9, 5) == []


# ---- so many runs, and what an operator wants skipped ----


def test_an_entry_is_sent_as_often_as_it_has_left_and_has_then_ended():
    entry = every(MINUTE, catch_up=CatchUp.ALL, max_runs=9)

    p = plan([entry], {"e": T0}, seconds(600), left={"e": 3})

    assert [(due.due_us - T0) // MINUTE for due in p.dues] == [1, 2, 3]
    assert (p.cursors, p.next_us, p.wake_at_us, p.skips) == ({"e": seconds(180)}, {"e": None}, None, ())


@pytest.mark.parametrize("left", [0, -1])
def test_an_entry_that_has_nothing_left_owes_nothing(left):
    p = plan([every(MINUTE, max_runs=9)], {"e": T0}, seconds(600), left={"e": left})

    assert (p.dues, p.skips, p.cursors, p.next_us) == ((), (), {"e": T0}, {"e": None})


def test_skipped_instants_use_up_nothing():
    p = plan([every(MINUTE, catch_up=CatchUp.LATEST, max_runs=9)], {"e": T0}, seconds(300), left={"e": 9})

    assert len(p.dues) == 2
    assert [skip.count for skip in p.skips] == [3]
    assert p.next_us == {"e": seconds(360)}


def test_a_batch_that_is_full_is_not_an_end():
    p = plan([every(MINUTE, catch_up=CatchUp.ALL)], {"e": T0}, seconds(300), limit=2, left={"e": 5})

    assert p.next_us == {"e": seconds(180)}


def test_an_instant_that_an_operator_wants_skipped_is_skipped_and_no_other():
    entry = every(MINUTE, skip_us=(seconds(120), seconds(130)))

    assert one(entry, seconds(60), seconds(180)) == ([180], [(120, 120, 1, "operator")])


# ---- work is bounded, whatever the schedule ----

LONG = [
    cron("* * * * * *", fields=6),
    cron("*/7 * 8-17 * * mon-fri", fields=6),
    cron("17 3 29 2 *"),
    Entry(
        name="any",
        when=AnyOf(schedules=tuple(Crontab(expression=f"{k} * * * *") for k in range(30))),
        what={},
    ),
    Entry(name="months", when=Months(months=1), what={}),
    Entry(
        name="except",
        when=Except(
            when=Interval(every=timedelta(seconds=1)),
            out=(
                DailyWindow(start="22:00", end="06:00", timezone=ZONE),
                CronWindow(crontab=Crontab(expression="* * * * sun")),
            ),
            on_except=OnExcept.SKIP,
        ),
        what={},
    ),
    Entry(
        name="defer",
        when=Except(
            when=Interval(every=timedelta(seconds=1)),
            out=(DailyWindow(start="22:00", end="06:00", timezone=ZONE),),
            on_except=OnExcept.DEFER,
        ),
        what={},
    ),
    Entry(name="rrule", when=RRule(rule="FREQ=MINUTELY", start="2020-01-01T00:00", timezone=ZONE), what={}),
]


@pytest.mark.parametrize("catch_up", list(CatchUp))
@pytest.mark.parametrize(
    "entry", LONG, ids=lambda entry: f"{entry.name} {getattr(entry.when, 'expression', '')}"
)
def test_ten_years_of_silence_are_decided_in_three_short_passes_whatever_the_schedule(entry, catch_up):
    entry = replace(entry, catch_up=catch_up)
    now_us = T0 + 10 * YEAR
    entry.next_after(now_us)  # the zone is warm
    cursor_us, next_us, passes = T0, T0, []

    while next_us is not None and next_us <= now_us:
        begun = time.process_time()
        p = plan([entry], {entry.name: cursor_us}, now_us)
        passes.append(time.process_time() - begun)
        cursor_us, next_us = p.cursors[entry.name], p.next_us[entry.name]

    assert len(passes) <= 3  # 1,000 are sent, 500 at a time
    assert max(passes) < (0.3 if isinstance(entry.when, RRule) else 0.1) * SLACK


@pytest.mark.parametrize(("late_ms", "is_sent"), [(1, True), (900, True), (1_100, False)])
def test_what_comes_in_time_is_sent_also_where_nothing_is_caught_up_and_there_is_no_grace(late_ms, is_sent):
    entry = Entry(
        name="a", when=Interval(every=timedelta(minutes=1)), what={}, catch_up=CatchUp.NONE, grace_us=0
    )
    due_us = T0 // MINUTE * MINUTE + MINUTE

    found = plan([entry], {"a": due_us - 1}, due_us + late_ms * 1_000)

    assert [due.due_us for due in found.dues] == ([due_us] if is_sent else [])
    assert len(found.skips) == (not is_sent)


def test_what_is_late_for_a_rate_is_later_than_the_grace_of_its_entry():
    def late_after_us(**known):
        when = Interval(every=timedelta(minutes=1))
        return Entry(name="a", when=when, what={}, **known).terms.rate_after_us

    assert late_after_us(catch_up_rate=1.0) == MINUTE
    assert late_after_us(catch_up_rate=1.0, grace_us=5 * SECOND_US) == 5 * SECOND_US
    assert late_after_us(catch_up_rate=1.0, grace_us=0) == SECOND_US
