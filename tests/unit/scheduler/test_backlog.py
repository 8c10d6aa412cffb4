"""The backlog: what goes out next, what waits, and what is given up."""

from __future__ import annotations

from backbeat.scheduler.backlog import Backlog
from backbeat.scheduler.entry import GRACE_US, SECOND_US, Terms
from backbeat.scheduler.firing import FiringKind, regular_firing
from hypothesis import given
from hypothesis import strategies as st

NOW = 1_700_000_000 * SECOND_US
ONCE = Terms(once=True)


def firing(seconds=0, name="e", **known):
    return regular_firing("test", name, NOW + seconds * SECOND_US, {}, rev=1, batch_id=1, **known)


def take(backlog, now=0.0, now_us=NOW, most=100, most_once=100):
    return list(backlog.take(most, most_once, now, now_us).firings)


def test_what_came_first_goes_first_and_what_was_taken_in_vain_goes_before_it():
    backlog, firings = Backlog(), [firing(k) for k in range(5)]
    backlog.put(firings[:3])
    backlog.put(firings[3:])

    first = take(backlog, most=2)
    backlog.put_back(first)

    assert take(backlog) == firings
    assert len(backlog) == 0


def test_what_may_go_out_once_only_goes_by_itself_the_older_first():
    backlog = Backlog()
    usual, once = [firing(k) for k in (1, 3)], [firing(k, terms=ONCE) for k in (0, 2, 4)]
    backlog.put(sorted(usual + once, key=lambda each: each.ledger_key))

    slices = [backlog.take(100, 2, 0.0, NOW) for _ in range(3)]

    assert [(s.once, list(s.firings)) for s in slices] == [(True, once[:2]), (False, usual), (True, once[2:])]


def test_a_firing_waits_for_its_send_time_and_does_not_count_as_waiting_for_the_broker():
    backlog, held = Backlog(), firing(hold_us=5 * SECOND_US)
    backlog.put([held])

    assert (len(backlog), backlog.waiting, take(backlog)) == (1, 0, [])
    assert backlog.next_in(0.0, NOW) == 5.0
    assert take(backlog, now_us=NOW + 5 * SECOND_US) == [held]
    assert backlog.next_in(0.0, NOW) is None


def test_a_firing_that_is_tried_again_waits_longer_each_time_and_then_goes_first():
    backlog, known = Backlog(), firing()
    waits = []
    for tries in range(1, 10):
        assert backlog.put_again(known, 0.0) == tries
        waits.append(backlog.next_in(0.0, NOW))
        assert take(backlog, now=waits[-1] - 0.01) == []
        assert take(backlog, now=waits[-1]) == [known]
    assert waits == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]

    backlog.settled(known.ledger_key)
    assert backlog.put_again(known, 0.0) == 1


def test_what_has_expired_is_not_taken_but_handed_out():
    backlog = Backlog()
    short = [firing(k, terms=Terms(expires_us=10 * SECOND_US)) for k in (0, 5)]
    backlog.put(short)

    taken = backlog.take(10, 10, 0.0, NOW + 12 * SECOND_US)

    assert (taken.expired, taken.firings) == ((short[0],), (short[1],))


def test_late_ones_leave_at_the_rate_and_fresh_ones_at_once():
    backlog, terms = Backlog(), Terms(rate=2.0)
    late = [firing(k, terms=terms) for k in range(4)]
    fresh = firing(GRACE_US // SECOND_US + 100, terms=terms)
    backlog.put([*late, fresh])
    now_us = fresh.due_us

    left = [take(backlog, now, now_us) for now in (0.0, 0.1, 0.5, 0.9, 1.0, 1.5)]

    assert left == [[late[0], fresh], [], [late[1]], [], [late[2]], [late[3]]]
    assert backlog.next_in(9.0, now_us) is None


def test_late_is_what_the_grace_of_the_entry_says():
    backlog, terms = Backlog(), Terms(rate=2.0, rate_after_us=SECOND_US)
    late, fresh = [firing(k, terms=terms) for k in range(3)], firing(4, terms=terms)
    backlog.put([*late, fresh])

    left = [take(backlog, now, fresh.due_us) for now in (0.0, 0.5, 1.0)]

    assert left == [[late[0], fresh], [late[1]], [late[2]]]


def test_a_late_one_that_the_broker_did_not_take_keeps_its_place():
    backlog, terms = Backlog(), Terms(rate=1.0)
    late = [firing(k, terms=terms) for k in range(3)]
    backlog.put(late)
    now_us = NOW + 10 * GRACE_US

    backlog.put_back(take(backlog, 0.0, now_us))
    left = [take(backlog, now, now_us) for now in (0.5, 1.0, 2.0, 3.0)]

    assert left == [[], [late[0]], [late[1]], [late[2]]]


def test_trim_gives_up_the_oldest_of_entries_with_too_many_and_counts_those_elsewhere():
    backlog, few = Backlog(), Terms(backlog=3)
    mine = [firing(k, "a", terms=few) for k in range(5)]
    others = [firing(k, "b") for k in range(5)]
    backlog.put(mine[:3] + others)
    for each in mine[3:]:
        backlog.put_later(each, 9.0)

    assert backlog.trim({}) == mine[:2]
    assert backlog.trim({}) == []
    assert backlog.trim({"a": 1, "b": 900}) == [mine[2]]
    assert take(backlog, now=9.0) == [*mine[3:], *others]


def test_trim_leaves_alone_what_somebody_asked_for():
    backlog, few = Backlog(), Terms(backlog=1)
    asked = [regular_firing("t", "a", NOW + k, {}, rev=1, batch_id=1, terms=few) for k in range(3)]
    kinds = (FiringKind.BACKFILL, FiringKind.MANUAL, FiringKind.REGULAR)
    backlog.put([firing._replace(kind=kind) for firing, kind in zip(asked, kinds, strict=True)])

    assert backlog.trim({}) == []


terms = st.sampled_from([Terms(), Terms(), ONCE, Terms(rate=5.0), Terms(expires_us=100 * SECOND_US)])


@given(
    st.lists(
        st.tuples(st.integers(0, 200), terms, st.sampled_from([0, 0, 30 * SECOND_US])),
        unique_by=lambda each: each[0],
        max_size=30,
    ),
    st.lists(st.tuples(st.integers(1, 4), st.booleans()), max_size=20),
)
def test_nothing_is_lost_and_nothing_comes_twice(made, steps):
    backlog = Backlog()
    firings = [firing(seconds, terms=each, hold_us=hold) for seconds, each, hold in made]
    backlog.put(firings)
    gone, now = [], 0.0
    for size, succeeds in [*steps, *[(5, True)] * 400]:
        now += 1.0
        taken = backlog.take(size, size, now, NOW + round(now * SECOND_US))
        gone += taken.expired
        if succeeds:
            gone += taken.firings
        else:
            backlog.put_back(taken.firings)

    assert sorted(f.ledger_key for f in gone) == sorted(f.ledger_key for f in firings)
    assert len(backlog) == 0
