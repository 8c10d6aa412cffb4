"""The loop whose wall clock is set, wrong, or asleep: nothing is sent early, nothing twice, and it does not fall silent."""

from __future__ import annotations

import itertools
from collections import Counter
from datetime import timedelta

import pytest
from backbeat.canvas.holder import Holder, Sighting
from backbeat.scheduler.beat import Beat
from backbeat.scheduler.clock import SECOND_US, FakeClock
from backbeat.scheduler.clock_guard import ClockGuard
from backbeat.scheduler.entry import CatchUp, Entry
from backbeat.scheduler.leader import Elector
from backbeat.scheduler.relay import MemoryOutlet
from backbeat.scheduler.schedule import Interval
from backbeat.scheduler.store.memory import MemoryStore
from backbeat.scheduler.store.wiring import open_store

from support.thorough import in_turn

START = 1_700_000_040 * SECOND_US
HOUR, DAY, YEAR = 3600, 86_400, 365 * 86_400
TTL = 10.0
numbers = itertools.count()


class Strangers:
    def look(self, holder):
        return Sighting.UNKNOWN

    def end(self, holder):
        raise AssertionError("nobody is to be ended")


class World:
    """One store and one broker. The store's clock goes as true time does, or there is none to ask."""

    def __init__(self, store, *, witness):
        self.store, self.outlet, self.clock = store, MemoryOutlet(), FakeClock(START)
        self.true_us = lambda: START + round((self.clock.boottime() - 1000.0) * SECOND_US)
        self.witness = self.true_us if witness else (lambda: None)
        self.entry = Entry(
            name="tick",
            when=Interval(every=timedelta(minutes=1)),
            what={"task": "app.tick"},
            catch_up=CatchUp.LATEST,
        )
        self.ahead_us = []  # of each emission: its fire time minus true time
        self.told = []

    def beat(self):
        guard = ClockGuard(self.clock, self.witness, self.told.append)
        me = Holder(host="h", host_id="b", pid=1, started=1, nonce=str(next(numbers)))
        elector = Elector(self.store, guard, me, Strangers(), ttl_seconds=TTL, fit=guard.fit)
        given = [[self.entry]]
        return Beat(
            self.store,
            self.outlet,
            guard,
            elector,
            cluster="test",
            entries_source=lambda: given.pop() if given else None,
            begins=guard.begin,
        )

    def run(self, *beats, seconds):
        """Steps of all beats, a second apart at most; how many messages there were in each minute of true time."""
        end = self.clock.boottime() + seconds
        sent = Counter()
        while self.clock.boottime() < end:
            known = len(self.outlet.sent)
            pause = min(beat.step() for beat in beats)
            for firing in self.outlet.sent[known:]:
                self.ahead_us.append(firing.due_us - self.true_us())
                sent[(self.true_us() - START) // SECOND_US // 60] += 1
            self.clock.advance(min(max(pause, 0.0), 1.0, end - self.clock.boottime()))
        return sent

    def copies(self):
        return Counter(firing.due_us for firing in self.outlet.sent)


@pytest.fixture(params=in_turn(["memory", "sqlite"], always=["memory"]))
def store(request, tmp_path):
    store = (
        MemoryStore("test")
        if request.param == "memory"
        else open_store(f"sqlite:///{tmp_path}/s.db", cluster="test")
    )
    yield store
    store.close()


@pytest.mark.parametrize("step", [HOUR, DAY, 10 * YEAR, -HOUR, -DAY, -10 * YEAR])
def test_a_clock_that_steps_while_the_stores_does_not_changes_nothing(store, step):
    world = World(store, witness=True)
    beat = world.beat()
    world.run(beat, seconds=120)

    world.clock.step_wall(step)
    sent = world.run(beat, seconds=1200)

    assert sum(sent.values()) == 20
    assert set(world.copies().values()) == {1}
    assert max(world.ahead_us) <= 0


def test_ten_years_forward_without_a_witness_waits_and_then_follows_the_policy(store):
    world = World(store, witness=False)
    beat = world.beat()
    world.run(beat, seconds=120)
    world.clock.step_wall(10 * YEAR)

    early = world.run(beat, seconds=25)
    assert sum(early.values()) <= 1  # those of the time that it was
    assert max(world.ahead_us) <= 0
    world.run(beat, seconds=300)

    dues = sorted(world.copies())
    assert set(world.copies().values()) == {1}
    late = [due for due in dues if due > START + YEAR * SECOND_US]
    assert 4 <= len(late) <= 7  # the latest that was missed, then one a minute


@pytest.mark.parametrize("store", ["memory"], indirect=True)
@pytest.mark.parametrize("hours", [0.5, 1, 2.9])
def test_a_step_backward_repeats_nothing_and_leaves_no_silence(store, hours):
    world = World(store, witness=False)
    beat = world.beat()
    world.run(beat, seconds=600)

    world.clock.step_wall(-hours * HOUR)
    sent = world.run(beat, seconds=2 * hours * HOUR + 600)

    assert set(world.copies().values()) == {1}
    minutes = sorted(sent)
    assert max(late - early for early, late in itertools.pairwise(minutes)) <= 3


def test_a_step_of_a_day_backward_sets_the_cursors_back_and_repeats_nothing(store):
    world = World(store, witness=False)
    beat = world.beat()
    world.run(beat, seconds=600)

    world.clock.step_wall(-DAY)
    sent = world.run(beat, seconds=1200)

    assert set(world.copies().values()) == {1}
    assert sum(sent.values()) >= 18
    assert min(world.copies()) < START - DAY * SECOND_US + 1200 * SECOND_US
    # and when the days have passed, what was sent in them is not sent again
    world.clock.step_wall(DAY)
    world.run(beat, seconds=600)
    assert set(world.copies().values()) == {1}


def test_a_machine_that_started_with_a_wrong_year_is_not_silent_for_years(store):
    world = World(store, witness=False)
    world.clock.step_wall(12 * YEAR)
    wrong = world.beat()
    world.run(wrong, seconds=300)
    wrong.retire()

    world.clock.step_wall(-12 * YEAR)
    right = world.beat()
    sent = world.run(right, seconds=600)

    assert sum(sent.values()) == 9  # that of the last second is still to come
    assert set(world.copies().values()) == {1}


def test_after_eight_hours_of_suspension_the_lease_comes_first_and_then_the_policy(store):
    world = World(store, witness=True)
    beat = world.beat()
    world.run(beat, seconds=120)
    renewal = store.read_lease().renewal

    world.clock.advance(8 * HOUR)
    sent = world.run(beat, seconds=120)

    assert store.read_lease().renewal > renewal
    assert sum(sent.values()) == 3  # the latest of the night, and two of now
    assert world.told == []


def test_a_beat_whose_clock_is_off_the_stores_sends_nothing_and_another_leads(store):
    world = World(store, witness=True)
    skewed = world.beat()
    world.clock.step_wall(7)
    far = world.beat()  # it starts with this clock, and so sees no step

    world.run(far, seconds=60)
    assert world.outlet.sent == []
    assert store.read_lease().holder == ""
    sent = world.run(skewed, far, seconds=600)

    assert sum(sent.values()) == 9  # that of the last second is still to come
    assert store.read_lease().epoch == 1
    assert max(world.ahead_us) <= 0


def test_a_clock_that_flaps_changes_nothing(store):
    world = World(store, witness=False)
    beat = world.beat()
    sent = Counter()

    for number in range(60):
        world.clock.step_wall(HOUR if number % 2 == 0 else -HOUR)
        sent += world.run(beat, seconds=20)

    assert sum(sent.values()) == 19  # that of the last second is still to come
    assert set(world.copies().values()) == {1}
    assert len(world.told) == 30  # the way back to the right time is none
