"""The loop while publishing runs in a thread of its own: a broker that hangs, one that answers late, and an end in good order.

The clock of the loop is a fake one, that of the thread is real: whoever waits here waits for an event, with a deadline.
"""

from __future__ import annotations

import threading
import time
from functools import partial

import pytest
from backbeat.scheduler.clock import SystemClock
from backbeat.scheduler.entry import SECOND_US, Delivery, Owner
from backbeat.scheduler.firing import FiringState
from backbeat.scheduler.relay import AT_ONCE, LONGEST_PAUSE_SECONDS, MemoryOutlet, OutletDown
from backbeat.scheduler.rounds import PERIOD_SECONDS
from backbeat.scheduler.sender import InlineSender, ThreadSender
from backbeat.scheduler.store.base import StoreDown

from support.beat_world import START, TTL, entries

DEADLINE = 20.0


class Hanging(MemoryOutlet):
    """Hangs in `publish` for as long as it is told to; counts how many firings are with it."""

    def __init__(self):
        super().__init__()
        self.free = threading.Event()
        self.entered = threading.Event()
        self.most = 0
        self.threads = set()

    def publish(self, firings):
        self.threads.add(threading.current_thread().name)
        self.most = max(self.most, len(firings))
        self.entered.set()
        assert self.free.wait(DEADLINE)
        return super().publish(firings)


@pytest.fixture
def hanging(world):
    world.outlet = Hanging()
    yield world.outlet
    world.outlet.free.set()


def until(beat, condition):
    """Step until it is so: what the thread is at takes real time."""
    end = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < end, "the deadline has passed"
        beat.step()
        time.sleep(0.001)  # the loop's own clock stands still here


def begin(world, beat, hanging):
    """Run until the first slice hangs."""
    until(beat, lambda: world.clock.advance(0.1) or hanging.entered.is_set())


def threaded(world, **known):
    return world.beat(sender=ThreadSender(world.clock.wake), **known)


def test_a_broker_that_hangs_for_minutes_does_not_keep_the_loop_from_deciding_and_renewing(world, hanging):
    """I-CAP: meanwhile no more than one slice is with the broker. I-NOLOSS: and afterwards nothing is missing."""
    world.wanted = entries(300, seconds=(10,))
    beat = threaded(world)
    begin(world, beat, hanging)

    world.run(beat, START / SECOND_US + 300 - world.clock.now_us() / SECOND_US)

    assert beat.leads
    assert beat.publishing
    assert len(world.states()) == len(world.expected()) == 300 * 30
    assert set(world.states().values()) == {FiringState.DECIDED}
    assert world.store.read_lease().renewal >= 300 / TTL
    hanging.free.set()
    until(beat, lambda: beat.unsent == 0)
    beat.retire()
    assert hanging.most <= AT_ONCE
    assert hanging.threads == {"beat-sender"}
    world.audit(copies=1)


def test_an_edit_while_the_broker_hangs_is_taken_up(world, hanging):
    given = [world.wanted]
    beat = threaded(world, source=lambda: given.pop() if given else None)
    begin(world, beat, hanging)

    given.append(entries(1, seconds=(1,)))
    world.run(beat, 3)

    late = {key[1] for key in world.states() if key[0] > world.clock.now_us() - 2 * SECOND_US}
    assert late == {"e0"}


@pytest.mark.parametrize("delivery", list(Delivery))
def test_a_doubt_while_the_broker_hangs_sends_nothing_twice(world, hanging, delivery):
    """What is in flight is not loaded as if it were not; for what may go out once only, not as doubtful (I-AMO)."""
    world.wanted = entries(3, delivery=delivery)
    down = [False]

    def strike(name, when):
        if down[0] and name not in {"publish", "reach"}:
            raise StoreDown("cut")

    beat = threaded(world, strike=strike)
    begin(world, beat, hanging)
    down[0] = True
    world.run(beat, 5)
    down[0] = False
    world.run(beat, 5)
    assert beat.publishing
    hanging.free.set()
    until(beat, lambda: beat.unsent == 0)
    world.run(beat, 1)
    until(beat, lambda: beat.unsent == 0)
    beat.retire()

    world.audit(copies=1)


def test_a_beat_that_lost_its_term_marks_what_was_confirmed_meanwhile(world, hanging):
    beat = threaded(world)
    begin(world, beat, hanging)
    other = world.beat()
    world.clock.advance(TTL + 1)
    lease = world.store.read_lease()
    hanging.free.set()
    until(beat, lambda: world.outlet.sent)
    world.run(other, 3)
    until(beat, lambda: not beat.publishing)
    beat.step()

    assert world.store.read_lease().epoch > lease.epoch
    world.audit(copies=2)  # W2


def test_an_end_in_good_order_waits_for_the_answer_and_marks_it(world, hanging):
    beat = threaded(world)
    begin(world, beat, hanging)
    threading.Timer(0.2, hanging.free.set).start()

    beat.retire()

    states = set(world.states().values())
    assert FiringState.SENT in states
    assert world.store.read_lease().holder == ""
    world.run(world.beat(), 1)
    world.audit(copies=1)


@pytest.mark.parametrize("delivery", Delivery)
def test_i_stop_what_is_due_when_a_beat_leaves_is_sent_before_it_goes(world, delivery):
    world.wanted = entries(2, seconds=(60,), delivery=delivery)
    beat = threaded(world)
    beat.step()
    world.clock.advance(60)

    beat.step()  # decides; the thread has just been handed what is to do
    beat.retire()

    assert len(world.outlet.sent) == 2
    assert set(world.states().values()) == {FiringState.SENT}


class LateSender(InlineSender):
    """A thread that gets no processor for a while: it publishes when it is let, and does all else at once."""

    def __init__(self):
        super().__init__()
        self.is_let = False
        self.job = None

    def hand(self, job):
        self.job = job

    def collect(self, wait_seconds=0.0):
        if self.job is not None and (self.is_let or not isinstance(self.job, partial)):
            job, self.job = self.job, None
            super().hand(job)
        return super().collect(wait_seconds)


@pytest.mark.parametrize("delivery", Delivery)
def test_i_local_a_sender_that_comes_too_late_for_the_lease_writes_nothing(world, delivery):
    world.wanted = entries(3, seconds=(60,), delivery=delivery)
    sender = LateSender()
    beat = world.beat(sender=sender)
    beat.step()
    world.clock.advance(60)
    until(beat, lambda: beat.publishing and isinstance(sender.job, partial))

    world.clock.advance(TTL)
    sender.is_let = True
    beat._dispatch.collect()

    assert world.outlet.sent == []
    if delivery is Delivery.AT_LEAST_ONCE:
        world.run(beat, 5)
        assert len(world.outlet.sent) == 3
        world.audit(copies=1)


def test_i_local_who_connects_for_longer_than_the_lease_writes_nothing(world):
    class Slow(MemoryOutlet):
        """Away at first; then connecting takes longer than a lease, once."""

        slow = False

        def reach(self):
            super().reach()
            if self.slow:
                self.slow = False
                world.clock.advance(TTL)
                self.was_slow = len(self.sent)

    world.outlet = outlet = Slow()
    outlet.up = False
    beat = world.beat()
    world.run(beat, 3)
    outlet.up, outlet.slow = True, True
    world.run(beat, 5)

    assert outlet.was_slow == 0
    world.run(beat, 10)
    world.audit(copies=1)


def test_a_broker_that_is_back_after_an_hour_gets_what_waits_within_seconds(world, caplog):
    world.outlet.up = False
    world.wanted = entries(1, seconds=(60,))
    beat = world.beat()
    world.run(beat, 3600)
    told = [record for record in caplog.records if getattr(record, "action", "") == "outlet_down"]
    assert 10 < len(told) < 100

    world.outlet.up = True
    world.run(beat, LONGEST_PAUSE_SECONDS + 1)

    assert len(world.outlet.sent) >= 60


def test_drain_returns_when_the_broker_has_answered_and_nothing_is_left(world):
    world.wanted = entries(600, seconds=(10,))
    world.seed()
    world.clock.advance(10)
    beat = threaded(world)

    beat.drain()
    beat.retire()

    assert len(world.outlet.sent) == 600
    world.audit(copies=1)


@pytest.mark.parametrize("up", [True, False])
def test_drain_applies_a_large_reload_whole_also_when_something_falls_due_meanwhile(world, up):
    world.wanted = entries(3, seconds=(1,))
    world.seed()
    world.clock.advance(0.97)  # slices keep away from the next fire time
    world.wanted = [*world.wanted, *entries(1603, seconds=(3600,))[3:]]
    world.outlet.up = up
    beat = threaded(world)

    beat.drain()
    beat.retire()

    assert len(world.store.names(Owner.FILE)) == 1603


def test_drain_ends_when_the_broker_is_away(world):
    world.outlet.up = False
    world.seed()
    world.clock.advance(1)
    beat = threaded(world)

    beat.drain()

    assert beat.unsent == len(world.states()) == 2


def test_an_outlet_that_breaks_in_an_unforeseen_way_is_tried_again(world, caplog):
    class Broken(MemoryOutlet):
        faults = (ZeroDivisionError("no"), OutletDown("away"), RuntimeError("no"))

        def publish(self, firings):
            if self.faults:
                fault, *self.faults = self.faults
                raise fault
            return super().publish(firings)

    world.outlet = Broken()
    world.run(world.beat(), 8)

    world.audit(copies=1)
    assert "ZeroDivisionError" in caplog.text


def test_the_sender_wakes_the_loop_but_does_not_make_it_look_for_edits():
    """A burst must not ask the store for edits once for each slice."""
    clock = SystemClock()
    sender = ThreadSender(clock.wake)

    sender.hand(lambda: None)

    assert clock.wait(DEADLINE)
    done = sender.collect(DEADLINE)
    assert done is not None
    assert done.fault is None
    assert sender.collect() is None
    sender.close()
    clock.close()


def test_the_store_is_not_asked_for_edits_more_often_because_the_sender_wakes(world):
    loads = []
    world.wanted = entries(1000, seconds=(10,))
    beat = threaded(world, strike=lambda name, when: loads.append((name, world.clock.boottime())))
    until(beat, lambda: world.clock.advance(0.05) or len(world.outlet.sent) >= 1000)
    beat.retire()

    times = sorted(at for name, at in loads if name == "load")[4:]
    seconds = world.clock.boottime() - 1000.0
    assert len(times) / 2 <= seconds / PERIOD_SECONDS + 2
