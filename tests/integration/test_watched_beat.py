"""A beat that is watched: what its vitals say while its store and its broker are away for long."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import pytest
from backbeat.canvas.holder import Holder, Sighting
from backbeat.scheduler.beat import Beat
from backbeat.scheduler.clock import FakeClock
from backbeat.scheduler.entry import SECOND_US, CatchUp, Entry
from backbeat.scheduler.fanout import Fanout
from backbeat.scheduler.health import liveness
from backbeat.scheduler.leader import Elector
from backbeat.scheduler.relay import MemoryOutlet
from backbeat.scheduler.schedule import Interval
from backbeat.scheduler.store.base import StoreDown
from backbeat.scheduler.store.memory import MemoryStore
from backbeat.scheduler.vitals import Vitals
from backbeat.scheduler.watched_lease import WatchedLease
from backbeat.scheduler.watched_outlet import WatchedOutlet

START = 1_700_000_000 * SECOND_US
ENTRY = Entry(name="a", when=Interval(every=timedelta(seconds=1)), what={"task": "t"}, catch_up=CatchUp.ALL)


class Gone:
    """Every other holder's process has ended."""

    def look(self, _holder):
        return Sighting.GONE

    def end(self, _holder):
        raise AssertionError("nothing is frozen here")


class Switch:
    """A store that can be switched off, and counts how often a method was called before it was."""

    def __init__(self, inner):
        self.inner = inner
        self.up = True
        self.off_at = None

    def __getattr__(self, name):
        if name == self.off_at:
            self.up = False
        if self.up or name == "close":
            return getattr(self.inner, name)
        return self._down

    def _down(self, *_args, **_named):
        raise StoreDown("switched off")


@dataclass
class World:
    """A watched beat with a memory store, a memory broker and a clock that is moved."""

    clock: FakeClock
    store: Switch
    outlet: MemoryOutlet
    vitals: Vitals
    beat: Beat

    def run(self, seconds):
        """Run, and say whether it was alive all the time."""
        end_us, alive = self.clock.now_us() + seconds * SECOND_US, True
        while self.clock.now_us() < end_us:
            self.clock.wait(max(0.01, self.beat.step()))
            alive &= liveness(self.vitals).well
        return alive


@pytest.fixture
def world():
    clock, store, outlet = FakeClock(START), Switch(MemoryStore("c")), MemoryOutlet()
    vitals = Vitals(monotonic=clock.boottime, now=lambda: clock.now_us() / SECOND_US)
    holder = Holder(host="h", host_id="b", pid=1, started=1, nonce="n")
    given = [[ENTRY]]
    beat = Beat(
        store,
        WatchedOutlet(outlet, vitals),
        clock,
        Elector(WatchedLease(store, vitals), clock, holder, Gone(), ttl_seconds=10.0),
        cluster="c",
        listener=Fanout([vitals]),
        entries_source=lambda: given.pop() if given else None,
    )
    vitals.watch(beat)
    return World(clock, store, outlet, vitals, beat)


def test_a_beat_shows_what_it_does(world):
    assert world.run(10)

    vitals = world.vitals
    assert (vitals.leads, vitals.epoch, vitals.entries, vitals.broker_up) == (True, 1, 1, True)
    assert vitals.sent == len(world.outlet.sent) >= 9
    assert vitals.next_us is not None
    assert vitals.lease_age_seconds < 3.0


def test_while_its_broker_is_away_a_beat_is_alive_and_shows_what_waits(world):
    world.run(10)
    world.outlet.up = False

    assert world.run(300)
    assert world.vitals.broker_up is False
    assert world.vitals.open_firings >= 290

    world.outlet.up = True
    assert world.run(60)
    assert (world.vitals.broker_up, world.vitals.open_firings) == (True, 0)


def test_while_its_store_is_away_a_beat_is_alive_and_stands_by(world):
    world.run(10)
    world.store.up = False

    assert world.run(300)
    assert world.vitals.leads is False

    world.store.up = True
    world.run(20)
    assert world.vitals.leads is True


def test_a_store_that_goes_away_between_a_confirm_and_its_mark_leaves_a_beat_alive(world):
    """A watchdog that ended it would make of each confirmed firing a second copy."""
    world.run(10)
    world.store.off_at = "mark"
    sent = len(world.outlet.sent)

    assert world.run(300)
    assert len(world.outlet.sent) > sent

    world.store.off_at, world.store.up = None, True
    world.run(20)
    dues = [firing.due_us for firing in world.outlet.sent]
    assert len(dues) == len(set(dues))
