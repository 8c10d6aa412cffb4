"""Rounds over the memory store: twice a second, not in the moment before a fire time, and not put off for ever."""

from __future__ import annotations

from datetime import timedelta

import pytest
from backbeat.canvas.holder import Holder, LocalProcesses
from backbeat.scheduler.beat import Beat
from backbeat.scheduler.clock import FakeClock
from backbeat.scheduler.entry import SECOND_US, Entry
from backbeat.scheduler.leader import Elector
from backbeat.scheduler.relay import MemoryOutlet
from backbeat.scheduler.rounds import MOMENT_US, PATIENCE_SECONDS, PERIOD_SECONDS
from backbeat.scheduler.schedule import Interval
from backbeat.scheduler.store.memory import MemoryStore


class World:
    """A beat over a store that notes when it is asked for edits, which is what each round does."""

    def __init__(self, *periods):
        self.clock = FakeClock(boottime=0.0)
        self.start_us = self.clock.now_us()
        self.store = MemoryStore("test")
        self.rounds = []
        wanted = [
            Entry(name=f"e{n}", when=Interval(every=period, anchor_us=self.start_us), what={"task": "t"})
            for n, period in enumerate(periods)
        ]
        self.files = [wanted]
        me = Holder(host="h", host_id="", pid=1, started=1, nonce="n")
        self.outlet = MemoryOutlet()
        self.beat = Beat(
            self.store,
            self.outlet,
            self.clock,
            Elector(self.store, self.clock, me, LocalProcesses()),
            cluster="test",
            entries_source=self.source,
        )

    def source(self):
        self.rounds.append(self.clock.boottime())
        return self.files.pop() if self.files else None

    def run(self, seconds):
        steps, until = 0, self.clock.boottime() + seconds
        while self.clock.boottime() < until:
            self.clock.wait(min(self.beat.step(), until - self.clock.boottime()))
            steps += 1
        return steps

    def gaps(self):
        return [later - earlier for earlier, later in zip(self.rounds, self.rounds[1:], strict=False)]


def test_a_beat_with_nothing_to_do_makes_a_round_twice_a_second():
    world = World(timedelta(days=1))

    world.run(10)

    assert world.gaps() == pytest.approx([PERIOD_SECONDS] * len(world.gaps()))
    assert len(world.rounds) == pytest.approx(10 / PERIOD_SECONDS, abs=1)


def test_no_round_is_made_in_the_moment_before_a_fire_time():
    world = World(timedelta(seconds=1))

    world.run(30)

    moment = MOMENT_US / SECOND_US
    assert all(at % 1 <= 1 - moment + 1e-6 for at in world.rounds[1:])
    assert len(world.outlet.sent) == 29


@pytest.mark.parametrize("period_ms", [10, 40])
def test_a_round_is_put_off_for_a_quarter_of_a_second_at_most_however_much_is_due(period_ms):
    world = World(timedelta(milliseconds=period_ms))

    steps = world.run(10)

    assert max(world.gaps()) <= PERIOD_SECONDS + PATIENCE_SECONDS + period_ms / 1000
    assert len(world.rounds) >= 10
    assert steps < 4 * 10_000 / period_ms + 200, "nobody spins while a round is put off"


def test_who_wakes_the_beat_makes_the_next_round_come_at_once():
    world = World(timedelta(days=1))
    world.run(1.2)
    rounds = len(world.rounds)

    stops = iter([False, False, True])
    world.beat.wake()
    world.beat.run(lambda: next(stops))

    assert len(world.rounds) >= rounds + 1
    assert world.rounds[rounds] == pytest.approx(1.2, abs=0.001)
