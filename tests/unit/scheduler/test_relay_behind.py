"""While a broker that answers has more than enough to do, no more is decided; one that does not answer keeps nobody from deciding."""

from __future__ import annotations

from backbeat.scheduler.clock import FakeClock
from backbeat.scheduler.firing import regular_firing
from backbeat.scheduler.relay import HELD_IN_MEMORY, SLOW_SECONDS, MemoryOutlet, Relay
from backbeat.scheduler.store.base import Open


class Hanging:
    """A Sender whose job is never done."""

    def hand(self, job):
        self.job = job

    def collect(self, wait_seconds=0.0):
        return None

    def close(self):
        pass


def firings(count):
    what = {"task": "t"}
    return [regular_firing("c", f"e{n}", 1_000_000, what, rev=1, batch_id=n // 500) for n in range(count)]


def test_a_relay_is_behind_from_half_of_what_it_holds_until_its_broker_is_slow():
    clock = FakeClock()
    relay = Relay(MemoryOutlet(), clock, sender=Hanging())
    relay.add(firings(HELD_IN_MEMORY // 2 - 1))
    assert not relay.is_behind

    relay.add(firings(1_000))
    assert relay.is_behind
    relay.send(lambda: True, lambda changes: changes)
    assert relay.is_behind
    clock.advance(SLOW_SECONDS + 1)

    assert not relay.is_behind


def test_what_was_loaded_and_found_no_room_is_not_forgotten():
    """Somebody edited, what is open is looked at again, and memory has become full meanwhile."""
    relay = Relay(MemoryOutlet(), FakeClock())
    relay.add(firings(HELD_IN_MEMORY))
    assert not relay.overflowed

    relay.add_loaded(Open(tuple(firings(3))))

    assert relay.overflowed
