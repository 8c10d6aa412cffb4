"""Errands over the memory store: slices in turn, at their rate, beside a relay that may be full; and overrides that end."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from backbeat.scheduler.backfill import Backfill, RequestState
from backbeat.scheduler.clock import FakeClock
from backbeat.scheduler.entry import DAY_US, SECOND_US, Entry
from backbeat.scheduler.errand import ROOM, Errands
from backbeat.scheduler.firing import FiringKind
from backbeat.scheduler.order import Add, Change, Pause, Remove
from backbeat.scheduler.rounds import PERIOD_SECONDS
from backbeat.scheduler.schedule import Interval
from backbeat.scheduler.store.base import FENCED, Fence, Lease
from backbeat.scheduler.store.memory import MemoryStore
from backbeat.scheduler.store.registry_memory import MemoryRegistry

MINUTE = 60 * SECOND_US
FENCE = Fence("a", 1)


class World:
    """A store with an entry a minute, a clock, and the leader's errands."""

    def __init__(self):
        self.clock = FakeClock()
        self.store = MemoryStore("test")
        self.registry = MemoryRegistry(self.store, self.clock.now_us)
        self.store.swap_lease(self.store.read_lease(), Lease("a", 1, 1, 10_000))
        self.errands = Errands(self.registry, self.registry, self.clock, "test")
        self.look_at = 0.0
        self.add("tick")

    def add(self, name, when=None):
        entry = Entry(name=name, when=when or Interval(every=timedelta(minutes=1)), what={"task": "a"})
        self.registry.edit(name, Add(entry=entry), actor="anna")

    def ask(self, id="b1", minutes=1_000, name="tick", rate=None):
        now_us = self.clock.now_us()
        wish = Backfill(
            id=id, entry=name, from_us=now_us - minutes * MINUTE, to_us=now_us, rate=rate, actor="anna"
        )
        return self.registry.backfill(wish)

    def step(self, unsent=0, fence=FENCE):
        """A pass, with a look if it is time for one."""
        now_us = self.clock.now_us()
        if self.errands.lift(fence, now_us) is FENCED:
            return FENCED
        if self.clock.boottime() >= self.look_at:
            self.look_at = self.clock.boottime() + PERIOD_SECONDS
            if self.errands.look(fence, now_us) is FENCED:
                return FENCED
        return self.errands.step(fence, now_us, unsent)

    def wait_seconds(self):
        """Until the next pass that has something to do."""
        wait = self.errands.wait_seconds(self.clock.now_us())
        look_in = max(0.0, self.look_at - self.clock.boottime())
        return look_in if wait is None else min(look_in, wait)

    def states(self):
        return {each.id: each.state for each in self.registry.backfills()}

    def run(self, seconds):
        """Step whenever the errands want to; (second, firings) of each step that had any."""
        found, end = [], self.clock.boottime() + seconds
        while self.clock.boottime() < end:
            if firings := self.step():
                found.append((round(self.clock.boottime() - end + seconds, 3), len(firings)))
            wait = self.wait_seconds()
            self.clock.advance(min(wait, end - self.clock.boottime()) if wait else 0.001)
        return found


@pytest.fixture
def world():
    return World()


def test_without_errands_there_is_nothing_to_wait_for(world):
    assert world.step() == ()

    assert world.errands.wait_seconds(world.clock.now_us()) is None


def test_a_backfill_is_decided_in_slices_and_then_done(world):
    world.ask()

    sizes = [len(world.step()) for _ in range(3)]

    assert sizes == [500, 500, 0]
    assert world.states() == {"b1": RequestState.DONE}
    assert {firing.kind for firing, _ in world.store.ledger().values()} == {FiringKind.BACKFILL}
    assert len(world.store.ledger()) == 1_000


def test_no_slice_is_decided_while_the_relay_is_full_and_nobody_spins(world):
    world.ask()

    assert world.step(unsent=ROOM) == ()

    assert world.wait_seconds() > 0
    world.clock.advance(0.2)
    assert len(world.step(unsent=ROOM - 1)) == 500


def test_backfills_take_turns(world):
    world.add("tock")
    world.ask("b1", 2_000)
    world.ask("b2", 400, name="tock")

    names = [firings[0].entry for _ in range(3) if (firings := world.step())]

    assert set(names[:2]) == {"tick", "tock"}
    assert names[2] == "tick"


@pytest.mark.parametrize("rate", [2.0, 50.0])
def test_a_rate_is_kept_over_the_seconds(world, rate):
    world.ask(rate=rate)

    found = world.run(10)

    assert sum(size for _, size in found) == pytest.approx(10 * rate, abs=rate * 0.2 + 1)
    assert max(size for _, size in found) <= max(1.0, rate)


def test_a_repeated_backfill_is_not_held_up_by_its_rate(world):
    world.ask("b1")
    world.run(0.5)

    world.ask("b2", rate=20.0)
    world.run(30)

    assert world.states() == {"b1": RequestState.DONE, "b2": RequestState.DONE}
    assert len(world.store.ledger()) == 1_000


def test_a_slow_rate_does_not_wake_the_loop_more_than_it_looks(world):
    world.ask(rate=0.1)
    steps = 0
    end = world.clock.boottime() + 10
    while world.clock.boottime() < end:
        world.step()
        steps += 1
        world.clock.advance(max(0.001, world.wait_seconds()))

    assert steps <= 10 / PERIOD_SECONDS + 2
    assert len(world.store.ledger()) in (1, 2)


def test_a_backfill_with_a_rate_does_not_hold_up_one_without(world):
    world.add("tock")
    world.ask("slow", rate=0.1)
    world.ask("fast", name="tock")

    world.run(1.0)

    assert world.states() == {"slow": RequestState.RUNNING, "fast": RequestState.DONE}


@pytest.mark.parametrize("cancelled", [True, False])
def test_a_backfill_of_a_tiny_rate_does_not_hold_up_one_that_comes_later(world, cancelled):
    world.add("tock")
    world.ask("slow", rate=0.001)
    world.run(2.0)
    if cancelled:
        world.registry.cancel_backfill("slow", actor="bob")
        world.run(1.0)

    world.ask("later", name="tock")
    world.run(1.5)

    assert world.states()["later"] is RequestState.DONE


def test_a_stop_of_an_hour_does_not_make_a_rate_into_a_burst(world):
    world.ask(rate=5.0)
    world.run(1.0)
    world.clock.advance(3_600)

    assert len(world.step()) <= 5


def test_a_new_term_goes_on_where_the_old_one_stopped(world):
    world.ask()
    world.step()
    world.store.swap_lease(world.store.read_lease(), Lease("b", 2, 2, 10_000))
    assert world.step() is FENCED

    world.errands, world.look_at = Errands(world.registry, world.registry, world.clock, "test"), 0.0
    sizes = [len(world.step(fence=Fence("b", 2))) for _ in range(2)]

    assert sizes == [500, 0]
    assert len(world.store.ledger()) == 1_000


def test_a_cancelled_backfill_stops_at_its_next_slice(world):
    world.ask()
    world.step()

    world.registry.cancel_backfill("b1", actor="bob")

    assert world.step() == ()
    assert len(world.store.ledger()) == 500


def test_the_backfill_of_a_removed_entry_is_over(world):
    world.ask()
    world.registry.edit("tick", Remove(), actor="bob")

    assert world.step() == ()
    assert world.states() == {"b1": RequestState.CANCELLED}


class Broken:
    """A schedule that raises, as a user's calendar may."""

    def next_after(self, after_us):
        raise RuntimeError("no calendar")


class Damaged:
    """Records in which one entry has a broken schedule."""

    def __init__(self, records):
        self._records = records

    def get(self, name):
        standing = self._records.get(name)
        return replace(standing, entry=replace(standing.entry, when=Broken())) if name == "tick" else standing


def test_an_entry_that_raises_costs_its_own_backfill_only(world, caplog):
    world.add("tock")
    world.ask("b1")
    world.ask("b2", 10, name="tock")
    world.errands = Errands(world.registry, Damaged(world.registry), world.clock, "test")

    world.run(0.5)

    assert world.states() == {"b1": RequestState.CANCELLED, "b2": RequestState.DONE}
    assert "Backfill b1 is cancelled: the next fire time of tick raises" in caplog.text


def test_an_override_that_has_ended_is_taken_off_within_a_second(world):
    world.registry.edit("tick", Pause(until_us=world.clock.now_us() + 90 * SECOND_US), actor="anna")
    revision = world.store.load(None).revision
    world.run(89.5)
    assert world.store.load(revision) is None

    world.run(1.5)

    (known,) = world.store.load(revision).entries
    assert known.entry.enabled


def test_an_override_that_ended_while_nobody_led_ended_then(world):
    until_us = world.clock.now_us() + 90 * SECOND_US
    world.registry.edit("tick", Pause(until_us=until_us), actor="anna")
    world.clock.advance(DAY_US / SECOND_US)

    world.step()

    assert world.store.load(None).entries[0].cursor_us == until_us - 1


def test_two_overrides_that_ended_while_nobody_looked_come_off_in_one_look(world):
    start_us = world.clock.now_us()
    world.registry.edit("tick", Change(changes={"grace_us": 5}, until_us=start_us + MINUTE), actor="anna")
    world.registry.edit("tick", Pause(until_us=start_us + 60 * MINUTE), actor="anna")
    world.clock.advance(2 * 3_600)

    assert world.step() == ()

    kept = world.registry.get("tick").kept
    assert (kept.overrides, kept.cursor_us) == ((), start_us + 60 * MINUTE - 1)


def test_the_end_of_an_override_is_looked_at_when_it_comes(world):
    start_us = world.clock.now_us()
    world.registry.edit("tick", Pause(until_us=start_us + SECOND_US // 5), actor="anna")
    world.step()

    assert world.wait_seconds() == pytest.approx(0.2)
    world.clock.advance(0.2)
    world.step()

    assert world.registry.get("tick").kept.overrides == ()
