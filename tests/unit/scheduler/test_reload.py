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
from backbeat.scheduler.reload import AT_ONCE, Reload
from backbeat.scheduler.schedule import Interval
from backbeat.scheduler.store.base import Fence, Lease, StoreDown
from backbeat.scheduler.store.memory import MemoryStore

FENCE = Fence("a", 1)


class NotingStore(MemoryStore):
    """It notes among which names it was asked to reconcile, and fails as often as `fails` says."""

    def __init__(self):
        super().__init__("test")
        self.asked = []
        self.fails = 0

    def reconcile(self, wanted, now_us, fence, *, batch_id, owner=Owner.FILE, among=None):
        if self.fails:
            self.fails -= 1
            raise StoreDown("no answer")
        self.asked.append(None if among is None else set(among))
        return super().reconcile(wanted, now_us, fence, batch_id=batch_id, owner=owner, among=among)


class World:
    def __init__(self, app=None, listener=None):
        clock = self.clock = FakeClock()
        self.store = NotingStore()
        self.store.swap_lease(self.store.read_lease(), Lease("a", 1, 1, 10_000))
        self.given = []
        self.may_apply = True
        ledger = Ledger(self.store, "test")
        ledger.lead(1)
        self.reload = Reload(
            ledger,
            Relay(MemoryOutlet(), clock),
            Herald(listener or SilentListener(), clock),
            entries_source=lambda: self.given.pop(0) if self.given else None,
            app_entries=app,
            may_apply=lambda _fence: self.may_apply,
        )

    def round(self, *wanted):
        self.given += wanted
        self.reload.ask()
        return self.reload.apply(FENCE, self.clock.now_us())

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

    assert world.store.asked == [{"a", "b"}, {"b", "c"}, {"b"}]
    assert world.names() == {"a", "c"}


def test_a_new_term_looks_at_all_of_it_again(world):
    world.round([A, B])
    world.reload.begin()

    assert world.round()

    assert world.store.asked == [{"a", "b"}, {"a", "b"}]


def test_what_was_not_applied_is_not_forgotten_when_the_files_change_again(world):
    world.round([A, B])
    world.given.append([A])
    world.reload.ask()

    world.round([A, C])

    assert world.store.asked == [{"a", "b"}, {"b", "c"}]
    assert world.names() == {"a", "c"}


def test_files_that_may_not_be_applied_leave_what_was_before(world):
    world.round([A])
    world.may_apply = False
    world.round([A, B])
    assert not world.reload.is_open
    world.may_apply = True

    world.round([A, C])

    assert world.store.asked == [{"a"}, {"c"}]
    assert world.names() == {"a", "c"}


def test_files_that_may_not_be_applied_at_the_start_of_a_term_are_looked_at_whole_when_they_may(world):
    world.may_apply = False
    world.round([A, B])
    world.may_apply = True

    world.round([A, B, C])

    assert world.store.asked == [{"a", "b", "c"}]
    assert world.names() == {"a", "b", "c"}


def test_of_files_that_were_half_applied_the_rest_is_applied_though_older_ones_are_refused(world):
    world.round(MANY)
    world.may_apply = False

    world.round([A])
    while world.reload.is_open:
        world.reload.apply(FENCE, world.clock.now_us())

    assert world.names() == {each.name for each in MANY}


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

    assert world.store.asked == [{"c"}, {"a"}, {"b"}]
    assert world.names() == {"a", "b", "c"}


# --- large sets --------------------------------------------------------------------------------------------------------------

MANY = [entry(f"e{i:05}") for i in range(2 * AT_ONCE + 10)]


def test_thousands_of_entries_go_in_slices_and_none_is_left_out(world):
    assert world.round(MANY)
    assert world.reload.is_open
    assert len(world.names()) == AT_ONCE

    assert world.reload.apply(FENCE, world.clock.now_us())
    assert world.reload.apply(FENCE, world.clock.now_us())

    assert not world.reload.is_open
    assert not world.reload.apply(FENCE, world.clock.now_us())
    assert [len(asked) for asked in world.store.asked] == [AT_ONCE, AT_ONCE, 10]
    assert len(world.names()) == len(MANY)


def test_what_only_the_store_has_is_removed_at_the_start_of_a_term(world):
    world.round([A, B])
    world.reload.begin()

    world.round([B])

    assert world.names() == {"b"}


def test_a_slice_that_the_store_did_not_answer_is_applied_again(world):
    world.round(MANY)
    world.store.fails = 1
    with pytest.raises(StoreDown):
        world.reload.apply(FENCE, world.clock.now_us())

    while world.reload.is_open:
        world.reload.apply(FENCE, world.clock.now_us())

    assert len(world.names()) == len(MANY)


def test_files_that_change_between_two_slices_are_applied_as_they_are_then(world):
    world.round(MANY)

    world.round([entry("e00000", 2), *MANY[1:-5]])
    while world.reload.is_open:
        world.reload.apply(FENCE, world.clock.now_us())

    assert world.names() == {each.name for each in MANY[:-5]}
    assert {known.name: known.rev for known in world.store.load(None).entries}["e00000"] == 2


def test_of_a_large_reload_is_told_once_and_of_all_of_it():
    told = []

    class Hearing(SilentListener):
        def reloaded(self, changes):
            told.append(changes)

    world = World(listener=Hearing())
    world.round(MANY)
    while world.reload.is_open:
        world.reload.apply(FENCE, world.clock.now_us())

    assert told == [len(MANY)]


def test_the_files_wait_for_the_app_and_their_slices_are_no_larger_for_it():
    world = World(app=MANY)
    world.round([A, B])
    while world.reload.is_open:
        world.reload.apply(FENCE, world.clock.now_us())

    assert [len(asked) for asked in world.store.asked] == [AT_ONCE, AT_ONCE, 10, 2]
    assert len(world.names()) == len(MANY) + 2
