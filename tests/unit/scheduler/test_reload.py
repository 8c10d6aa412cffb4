"""Reload: what of the files is looked at again, and when."""

from __future__ import annotations

from datetime import timedelta

import pytest
from backbeat.scheduler.clock import FakeClock
from backbeat.scheduler.entry import Entry, Owner
from backbeat.scheduler.herald import Herald
from backbeat.scheduler.ledger import Ledger
from backbeat.scheduler.listener import SilentListener
from backbeat.scheduler.relay import MemoryOutlet, Relay
from backbeat.scheduler.reload import Reload
from backbeat.scheduler.schedule import Interval
from backbeat.scheduler.store.base import Fence, Lease
from backbeat.scheduler.store.memory import MemoryStore

FENCE = Fence("a", 1)


class NotingStore(MemoryStore):
    """It notes among which names it was asked to reconcile."""

    def __init__(self):
        super().__init__("test")
        self.asked = []

    def reconcile(self, wanted, now_us, fence, *, batch_id, owner=Owner.FILE, among=None):
        self.asked.append(None if among is None else set(among))
        return super().reconcile(wanted, now_us, fence, batch_id=batch_id, owner=owner, among=among)


class World:
    def __init__(self, app=None):
        clock = FakeClock()
        self.store = NotingStore()
        self.store.swap_lease(self.store.read_lease(), Lease("a", 1, 1, 10_000))
        self.given = []
        self.may_apply = True
        ledger = Ledger(self.store, "test")
        ledger.lead(1)
        self.reload = Reload(
            ledger,
            Relay(MemoryOutlet(), clock),
            Herald(SilentListener(), clock),
            clock,
            entries_source=lambda: self.given.pop(0) if self.given else None,
            app_entries=app,
            may_apply=lambda _fence: self.may_apply,
        )

    def round(self, *wanted):
        self.given += wanted
        self.reload.ask()
        return self.reload.apply(FENCE)

    def names(self):
        return {known.name for known in self.store.load(None).entries}


def entry(name, minutes=1):
    return Entry(name=name, when=Interval(every=timedelta(minutes=minutes)), what={"task": "t"})


A, B, C = entry("a"), entry("b"), entry("c")


@pytest.fixture
def world():
    return World()


def test_at_the_start_of_a_term_all_of_it_is_applied_and_then_what_is_another_object(world):
    assert world.round([A, B])
    assert not world.round()
    assert world.round([A, entry("b", 2), C])
    assert world.round([A, C])

    assert world.store.asked == [None, {"b", "c"}, {"b"}]
    assert world.names() == {"a", "c"}


def test_a_new_term_looks_at_all_of_it_again(world):
    world.round([A, B])
    world.reload.begin()

    assert world.round()

    assert world.store.asked == [None, None]


def test_what_was_not_applied_is_not_forgotten_when_the_files_change_again(world):
    world.round([A, B])
    world.given.append([A])
    world.reload.ask()

    world.round([A, C])

    assert world.store.asked == [None, {"b", "c"}]
    assert world.names() == {"a", "c"}


def test_files_that_may_not_be_applied_are_looked_at_whole_when_they_may(world):
    world.round([A])
    world.may_apply = False
    world.round([A, B])
    world.may_apply = True

    world.round([A, B, C])

    assert world.store.asked == [None, None]
    assert world.names() == {"a", "b", "c"}


def test_a_name_that_was_somebody_elses_is_looked_at_again(world):
    world.store.reconcile([B], 0, FENCE, batch_id=7, owner=Owner.DB)
    world.round([A, B])
    world.store.reconcile([], 0, FENCE, batch_id=8, owner=Owner.DB)

    world.round([A, B, C])

    assert world.store.asked[-1] == {"b", "c"}


def test_the_apps_entries_are_looked_at_once_a_term():
    world = World(app=[C])
    world.round([A])
    world.round([A, B])

    assert world.store.asked == [None, None, {"b"}]
    assert world.names() == {"a", "b", "c"}
