"""What a preview says: the same fire times, ids and delays as the loop, merged over all entries."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from backbeat.scheduler.entry import SECOND_US, Entry
from backbeat.scheduler.preview import Load, load_of, occurrences
from backbeat.scheduler.schedule import Crontab, Interval
from hypothesis import given
from hypothesis import strategies as st

NOW = 1_790_000_000 * SECOND_US
MINUTE = 60 * SECOND_US
HOUR = 60 * MINUTE


def entry(name="tick", seconds=60, **known) -> Entry:
    return Entry(name=name, when=Interval(every=timedelta(seconds=seconds)), what={"task": "t"}, **known)


def fires(found):
    return [(each.fire_us, each.entry) for each in found]


@given(st.lists(st.integers(1, 90), min_size=1, max_size=4), st.integers(0, 600))
def test_it_lists_all_fire_times_of_all_entries_in_order(periods, span):
    entries = [entry(f"e{i}", seconds) for i, seconds in enumerate(periods)]

    found = fires(occurrences(entries, NOW, NOW + span * SECOND_US))

    naive = []
    for each in entries:
        fire_us = each.next_after(NOW)
        while fire_us <= NOW + span * SECOND_US:
            naive.append((fire_us, each.name))
            fire_us = each.next_after(fire_us)
    assert found == sorted(naive)


def test_the_span_excludes_its_begin_and_includes_its_end():
    begin = entry().next_after(NOW)

    found = fires(occurrences([entry()], begin, begin + MINUTE))

    assert found == [(begin + MINUTE, "tick")]


def test_a_disabled_entry_has_no_occurrences():
    assert list(occurrences([entry(enabled=False)], NOW, NOW + HOUR)) == []


def test_max_runs_counts_what_has_run_and_not_what_is_skipped():
    limited = entry(max_runs=5)
    first = limited.next_after(NOW)
    limited = replace(limited, skip_us=(first,))

    found = list(occurrences([limited], NOW, NOW + HOUR, runs={"tick": 2}))

    assert [each.skipped for each in found] == ["operator", "", "", ""]


def test_jitter_delays_the_sending_and_never_the_fire_time():
    plain = list(occurrences([entry()], NOW, NOW + HOUR))
    jittered = list(occurrences([entry(jitter_us=10 * SECOND_US)], NOW, NOW + HOUR))

    assert fires(plain) == fires(jittered)
    assert [each.task_id for each in plain] == [each.task_id for each in jittered]
    delays = {each.send_us - each.fire_us for each in jittered}
    assert len(delays) > 10
    assert all(0 <= delay <= 10 * SECOND_US for delay in delays)


def test_a_spread_is_one_offset_of_an_entry():
    found = list(occurrences([entry(spread_us=None)], NOW, NOW + HOUR))

    assert len({each.send_us - each.fire_us for each in found}) == 1


def test_the_load_counts_messages_by_the_minute_in_which_they_leave():
    crontab = Entry(name="c", when=Crontab(expression="*/2 * * * *"), what={"task": "t"})

    load = load_of(occurrences([entry(seconds=20), crontab], NOW, NOW + HOUR))

    assert load.total == 180 + 30
    assert load.peak[1] == 4
    assert load.peak[0] % (2 * MINUTE) == 0


def test_columns_show_the_busiest_minute_of_their_span():
    load = Load(minutes={0: 3, MINUTE: 7, 9 * MINUTE: 1})

    assert load.columns(0, 10 * MINUTE, width=5) == (2, [7, 0, 0, 0, 1])
    assert load.columns(0, 10 * MINUTE, width=100) == (1, [3, 7, 0, 0, 0, 0, 0, 0, 0, 1])


def test_no_load_has_no_peak():
    assert load_of([]).peak == (0, 0)
