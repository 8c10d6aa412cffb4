"""Operators beside a beat that runs: what it takes up, sends, and does not send; and its crashes in the middle of their work.

The clock is moved by hand, and edits go by it. What the stores themselves promise is tested in the conformance suite.
"""

from __future__ import annotations

import itertools
from collections import Counter
from datetime import timedelta

import pytest
from backbeat.canvas.holder import Holder, Sighting
from backbeat.scheduler.backfill import Backfill, RequestState
from backbeat.scheduler.beat import Beat
from backbeat.scheduler.clock import FakeClock
from backbeat.scheduler.entry import SECOND_US, CatchUp, Entry, Owner
from backbeat.scheduler.errand import Errands
from backbeat.scheduler.firing import FiringKind, FiringState
from backbeat.scheduler.leader import Elector
from backbeat.scheduler.order import Add, Change, Pause, Remove, Resume, SkipNext
from backbeat.scheduler.relay import MemoryOutlet
from backbeat.scheduler.reload import AT_ONCE
from backbeat.scheduler.schedule import Crontab, Interval
from backbeat.scheduler.skip import SkipReason
from backbeat.scheduler.store.memory import MemoryStore
from backbeat.scheduler.store.registry_memory import MemoryRegistry

START = 1_700_000_040 * SECOND_US
MINUTE, HOUR = 60 * SECOND_US, 3_600 * SECOND_US
EFFECTS = ("load", "decide", "settle", "load_open", "mark", "publish", "advance", "lift", "running")
STEP_SECONDS = 0.005
"""What a step of the beat costs here: a transaction, and a slice on the wire."""
numbers = itertools.count()


class Crash(BaseException):
    """The process ends here."""


class Wire:
    """Something whose effects may be struck: `strike(name, when)` is asked before and after each."""

    def __init__(self, inner, strike):
        self._inner = inner
        self._strike = strike

    def __getattr__(self, name):
        call = getattr(self._inner, name)
        if name not in EFFECTS:
            return call

        def struck(*args, **kwargs):
            self._strike(name, "before")
            answer = call(*args, **kwargs)
            self._strike(name, "after")
            return answer

        return struck


class Gone:
    """Every other holder's process has ended."""

    def look(self, _holder):
        return Sighting.GONE

    def end(self, _holder):
        raise AssertionError("nothing is frozen here")


class World:
    """One store, one broker, one clock; an entry a second, one a minute; beats come and go."""

    def __init__(self):
        self.clock = FakeClock(START)
        self.store = MemoryStore("test")
        self.registry = MemoryRegistry(self.store, self.clock.now_us)
        self.outlet = MemoryOutlet()
        self.add("second", 1)
        self.add("minute", 60)

    def add(self, name, seconds=1, **known):
        known = {"catch_up": CatchUp.ALL, **known}
        when = known.pop("when", Interval(every=timedelta(seconds=seconds)))
        self.edit(name, Add(entry=Entry(name=name, when=when, what={"task": name}, **known)))

    def edit(self, name, order):
        return self.registry.edit(name, order, actor="anna")

    def ask(self, name="minute", hours=10, **known):
        wish = Backfill(
            id=f"b{next(numbers)}",
            entry=name,
            from_us=START - hours * HOUR,
            to_us=START,
            actor="anna",
            **known,
        )
        return self.registry.backfill(wish)

    def beat(self, strike=lambda name, when: None, wanted=()):
        files = [wanted] if wanted else []
        holder = Holder(host="h", host_id="b", pid=1, started=1, nonce=str(next(numbers)))
        chores = Wire(self.registry, strike)
        return Beat(
            Wire(self.store, strike),
            Wire(self.outlet, strike),
            self.clock,
            Elector(self.store, self.clock, holder, Gone(), ttl_seconds=10.0),
            cluster="test",
            errands=Errands(chores, self.registry, self.clock, "test"),
            entries_source=lambda: files.pop() if files else None,
        )

    def run(self, beat, seconds):
        """Steps that take STEP_SECONDS each, until then; how late each regular firing was, in microseconds."""
        end_us = self.clock.now_us() + round(seconds * SECOND_US)
        late = []
        while True:
            before = len(self.outlet.sent)
            pause = max(STEP_SECONDS, beat.step())
            now_us = self.clock.now_us()
            late += [now_us - f.due_us for f in self.outlet.sent[before:] if f.kind is FiringKind.REGULAR]
            if now_us >= end_us:
                return late
            self.clock.wait(min(pause, (end_us - now_us) / SECOND_US))

    def sent(self, name, kind=FiringKind.REGULAR):
        return [f.due_us - START for f in self.outlet.sent if (f.entry, f.kind) == (name, kind)]

    def seconds(self, first, last):
        return [k * SECOND_US for k in range(first, last + 1)]


@pytest.fixture
def world():
    return World()


def test_an_added_entry_is_sent_from_the_second_after(world):
    beat = world.beat()
    world.run(beat, 5.5)

    world.add("new")
    world.run(beat, 5)

    assert world.sent("new") == world.seconds(6, 10)
    assert world.sent("second") == world.seconds(1, 10)


def test_a_paused_entry_is_not_sent_and_one_that_is_resumed_goes_on(world):
    beat = world.beat()
    world.run(beat, 5.5)
    world.edit("second", Pause())
    world.run(beat, 10)
    world.edit("second", Resume())
    world.run(beat, 5)

    assert world.sent("second") == world.seconds(1, 5) + world.seconds(16, 20)
    assert world.store.skips() == []


def test_a_pause_with_an_end_is_over_at_its_end(world):
    beat = world.beat()
    world.run(beat, 5.5)
    world.edit("second", Pause(until_us=START + 10 * SECOND_US))
    world.run(beat, 10)

    assert world.sent("second") == world.seconds(1, 5) + world.seconds(10, 15)


def test_a_pause_that_ended_while_no_beat_ran_leaves_what_came_after_it_to_catch_up(world):
    world.edit("second", Pause(until_us=START + 10 * SECOND_US))
    world.clock.advance(30)

    world.run(world.beat(), 3)

    assert world.sent("second") == world.seconds(10, 33)


def test_skipped_fire_times_are_in_the_ledger_with_who_wanted_it(world):
    beat = world.beat()
    world.run(beat, 5.5)
    world.edit("second", SkipNext(count=3))
    world.run(beat, 5)

    assert world.sent("second") == world.seconds(1, 5) + world.seconds(9, 10)
    skips = [(skip.from_us - START, skip.to_us - START, skip.reason) for skip in world.store.skips()]
    assert sorted(skips) == [(us, us, SkipReason.OPERATOR) for us in world.seconds(6, 8)]


def test_no_edit_fires_anything_by_itself(world):
    beat = world.beat()
    world.run(beat, 5.5)
    before = len(world.outlet.sent)
    for order in (
        Change(changes={"when": {"every_us": 20 * MINUTE, "anchor_us": 0}}),
        Pause(),
        Resume(),
        Change(changes={"when": {"cron": "0 5 1 1 *", "timezone": "Asia/Tokyo"}}),
        Remove(),
        Add(entry=Entry(name="second", when=Interval(every=timedelta(days=300)), what={"task": "x"})),
    ):
        world.edit("second", order)
        world.run(beat, 2)

    assert [f for f in world.outlet.sent[before:] if f.entry == "second"] == []


def test_what_an_edit_found_owed_is_sent_once_with_the_old_payload(world):
    world.run(world.beat(), 5.5)
    world.clock.advance(60)  # nobody leads, so these are owed
    world.edit(
        "second", Change(changes={"when": {"every_us": HOUR, "anchor_us": 0}, "what": {"task": "new"}})
    )

    world.run(world.beat(), 30)

    assert world.sent("second") == world.seconds(1, 65)
    assert {f.payload["task"] for f in world.outlet.sent if f.entry == "second"} == {"second"}


def test_a_run_now_goes_out_within_a_second_and_moves_nothing(world):
    beat = world.beat()
    world.run(beat, 5.5)
    world.edit("minute", Pause())
    run = world.registry.run_now("minute", "r1", actor="anna")
    world.registry.run_now("minute", "r1", actor="anna")
    world.run(beat, 1.01)

    (manual,) = [f for f in world.outlet.sent if f.kind is FiringKind.MANUAL]
    assert (manual.task_id, manual.due_us) == (run.task_id, START + 5_500_000)
    assert world.store.ledger()[manual.ledger_key][1] in (FiringState.SENT, FiringState.DECIDED)
    world.edit("minute", Resume())
    world.run(beat, 60)
    assert world.sent("minute") == [MINUTE]


@pytest.mark.parametrize("slices", [1, 2, 3])
def test_a_run_that_is_asked_for_between_the_slices_of_a_large_reload_is_sent_at_once(world, slices):
    many = [
        Entry(name=f"f{k:04}", when=Interval(every=timedelta(days=30)), what={"task": "f"}, owner=Owner.FILE)
        for k in range(3 * AT_ONCE - 100)
    ]
    beat = world.beat(wanted=many)
    for _ in range(slices):
        beat.step()

    run = world.registry.run_now("minute", "r1", actor="anna")
    world.run(beat, 1.5)

    assert [f.task_id for f in world.outlet.sent if f.kind is FiringKind.MANUAL] == [run.task_id]
    assert len(world.store.names(Owner.FILE)) == len(many)


def test_a_backfill_of_a_year_of_minutes_does_not_hold_up_the_others(world):
    world.add("old", when=Crontab(expression="* * * * *"))
    world.ask("old", hours=24 * 365)
    beat = world.beat()

    late = world.run(beat, 1.2)

    assert world.sent("second") == world.seconds(1, 1)
    assert max(late) <= 2 * STEP_SECONDS * SECOND_US
    (asked,) = world.registry.backfills()
    assert asked.decided == len(world.sent("old", FiringKind.BACKFILL)) + len(
        [1 for firing, state in world.store.ledger().values() if state is FiringState.DECIDED]
    )
    assert 100_000 <= asked.decided < 525_600


def test_a_backfill_sends_each_fire_time_once_however_often_it_is_asked_for(world):
    beat = world.beat()
    world.ask(hours=2)
    world.run(beat, 3)
    world.ask(hours=3)
    world.run(beat, 3)

    sent = world.sent("minute", FiringKind.BACKFILL)
    assert Counter(sent) == Counter(-k * MINUTE for k in range(1, 181))
    assert [each.decided for each in sorted(world.registry.backfills(), key=lambda each: each.id)] == [
        120,
        60,
    ]


def test_a_backfill_neither_moves_nor_consumes_a_fire_time_nor_counts_as_a_run(world):
    world.add("thrice", 1, max_runs=3)
    world.ask("thrice", hours=1)
    world.registry.run_now("thrice", "r1", actor="anna")
    world.run(world.beat(), 10)

    assert world.sent("thrice") == world.seconds(1, 3)
    assert len(world.sent("thrice", FiringKind.BACKFILL)) == 3_600


def test_a_cancelled_backfill_stops(world):
    beat = world.beat()
    asked = world.ask(hours=10, rate=5.0)
    world.run(beat, 10)
    world.registry.cancel_backfill(asked.id, actor="anna")
    number = len(world.sent("minute", FiringKind.BACKFILL))
    world.run(beat, 10)

    assert 40 <= number <= 60
    assert len(world.sent("minute", FiringKind.BACKFILL)) <= number + 5
    assert world.registry.backfills()[0].state is RequestState.CANCELLED


@pytest.mark.parametrize("number", range(0, 60, 3))
@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_crash_at_any_effect_of_an_operators_work_loses_and_doubles_nothing(number, moment):
    world = World()
    calls = itertools.count()

    def strike(name, when):
        if when == moment and next(calls) == number:
            raise Crash

    world.ask(hours=20)
    world.registry.run_now("minute", "r1", actor="anna")
    world.edit("second", Pause(until_us=START + 2 * SECOND_US))
    with pytest.raises(Crash):
        world.run(world.beat(strike), 60)
    world.edit("second", Change(changes={"what": {"task": "after"}}))
    world.run(world.beat(), 20)

    ids = {(f.entry, f.kind, f.key): f.task_id for f in world.outlet.sent}
    assert len(set(ids.values())) == len(ids)
    backfilled = set(world.sent("minute", FiringKind.BACKFILL))
    assert backfilled == {-k * MINUTE for k in range(1, 20 * 60 + 1)}
    assert set(world.sent("minute", FiringKind.MANUAL)) == {0}
    seconds = set(world.sent("second"))
    assert seconds == set(world.seconds(2, max(seconds) // SECOND_US))
    assert {state for _, state in world.store.ledger().values()} <= {FiringState.SENT, FiringState.DECIDED}
    (asked,) = world.registry.backfills()
    assert (asked.state, asked.decided) == (RequestState.DONE, 1_200)


def test_two_beats_that_take_turns_finish_a_backfill_together(world):
    world.ask(hours=20, rate=100.0)
    for _ in range(10):
        beat = world.beat()
        world.run(beat, 1.7)
        beat.retire()

    assert Counter(world.sent("minute", FiringKind.BACKFILL)) == Counter(-k * MINUTE for k in range(1, 1_201))
