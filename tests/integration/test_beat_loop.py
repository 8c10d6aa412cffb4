"""The loop over a real store: its order, its crashes, its doubts.

A crash is an exception that nothing catches, raised before or after one effect: every transaction of the store, every
publish, and on SQLite every single statement. After each the beat is forgotten, a new one with a new holder starts on what is
left, and the ledger and the messages must agree: none missing, one task id per (entry, fire time), no unexplained copy.
"""

from __future__ import annotations

import contextlib
import gc
import itertools
import logging
from collections import Counter
from dataclasses import replace
from datetime import timedelta

import pytest
from backbeat.canvas.holder import Sighting
from backbeat.scheduler.entry import SECOND_US, Entry, Owner
from backbeat.scheduler.firing import FiringState
from backbeat.scheduler.likeness import Abridged
from backbeat.scheduler.listener import SilentListener
from backbeat.scheduler.relay import MemoryOutlet, OutletDown
from backbeat.scheduler.schedule import Interval
from backbeat.scheduler.store.base import Fence, StoreDown
from backbeat.scheduler.store.memory import MemoryStore
from sqlalchemy import event

from support.beat_world import EFFECTS, EVERY, START, TTL, Crash, World, entries, struck


def test_a_fault_free_run_sends_every_instant_once(world):
    beat = world.beat()
    world.run(beat, 30)
    beat.retire()

    world.audit(copies=1)
    assert world.store.read_lease().holder == ""


def test_each_firing_is_told_and_logged_once_in_the_words_people_grep_for(world, caplog):
    told = []

    class Ears(SilentListener):
        def fired(self, firing, lateness_us):
            told.append((firing.entry, lateness_us))

        def leading(self, term):
            told.append(("leading", term.epoch))

        def standby(self):
            told.append(("standby", 0))

        def reloaded(self, changes):
            told.append(("reloaded", changes))

    caplog.set_level(logging.INFO, logger="backbeat.scheduler")
    beat = world.beat(listener=Ears())
    world.run(beat, 2)
    beat.retire()

    assert told == [
        ("leading", 1),
        ("reloaded", 3),
        *((name, 0) for name in ("e0", "e2", "e0", "e1")),
        ("standby", 0),
    ]
    lines = [r for r in caplog.records if getattr(r, "action", "") == "sent"]
    assert [r.getMessage() for r in lines][:1] == ["Scheduler: Sending due task e0 (app.t0)"]


def test_a_listener_that_raises_does_not_stop_the_beat(world):
    class Rude(SilentListener):
        def fired(self, firing, lateness_us):
            raise RuntimeError("rude")

    world.run(world.beat(listener=Rude()), 5)

    world.audit()


def struck_in(make_world, seconds, *, seeded=False):
    """The effects of one fault-free run that a sweep strikes, and their places."""
    seen = []
    world = make_world().seed() if seeded else make_world()
    world.run(world.beat(lambda name, when: seen.append((name, when))), seconds)
    return struck(world.store, seen)


def test_a_crash_at_any_effect_loses_nothing_and_decides_nothing_twice(make_world):
    """I-ONE, I-ID, I-NOLOSS, I-BOUND: table 9 of the reliability spec, with the recovery and the copies that each line allows."""
    effects = struck_in(make_world, 4)
    assert {name for _, (name, _) in effects} == set(EFFECTS) - {"settle", "reach", "revoke"}
    copied = Counter()
    for k, (name, when) in effects:
        world, left = make_world(), [k]

        def strike(*_, left=left):
            left[0] -= 1
            if left[0] < 0:
                raise Crash

        with pytest.raises(Crash):
            world.run(world.beat(strike), 4)
        world.run(world.beat(), 4)

        sent = world.audit(copies=2)
        if max(sent.values()) == 2:
            copied[name, when] += 1

    # W1, and nothing else: the broker has it, and the mark is not yet in the store.
    assert set(copied) <= {
        ("publish", "after"),
        ("mark", "before"),
        ("decide", "before"),
        ("swap_lease", "before"),
    }
    assert copied["publish", "after"]


def test_a_crash_at_any_statement_of_sqlite_leaves_whole_transactions(make_world):
    world = make_world()
    if isinstance(world.store, MemoryStore):
        pytest.skip("no statements here")
    points = itertools.count(0, EVERY)
    for k in points:
        world, seen = make_world(), itertools.count()

        def strike(*_args, seen=seen, k=k):
            if next(seen) == k:
                raise Crash

        engine = world.store._engine
        for name in ("before_cursor_execute", "after_cursor_execute", "commit"):
            event.listen(engine, name, strike)
        with contextlib.suppress(Crash):
            world.run(world.beat(), 2)
            break
        gc.collect()  # the traceback of the crash holds the cursor, and SQLite its lock with it
        world.run(world.beat(), 2)
        world.audit(copies=2)
    assert next(points) > 60


def test_an_answer_lost_at_any_effect_is_a_doubt_and_not_an_end(make_world):
    """The request was done or not, nobody knows: the same beat goes on."""
    effects = struck_in(make_world, 4, seeded=True)
    for k, (name, when) in effects:
        world, left = make_world().seed(), [k]

        def strike(name, when, left=left):
            left[0] -= 1
            if left[0] == -1:
                raise OutletDown("cut") if name == "publish" else StoreDown("cut")

        world.run(world.beat(strike), 8)

        world.audit(copies=2 if (name, when) == ("publish", "after") else 1)


def test_another_beat_that_takes_over_at_any_effect_decides_nothing_twice(make_world):
    """A is paused before or after an effect for longer than the TTL; B leads meanwhile, then A goes on where it was."""
    effects = struck_in(make_world, 4, seeded=True)
    for k, (name, when) in effects:
        world, left = make_world().seed(), [k]
        intruder = []

        def strike(name, when, left=left, world=world, intruder=intruder):
            left[0] -= 1
            if left[0] == -1:
                b = world.beat(sighting=Sighting.UNKNOWN)
                intruder.append(b)
                world.run(b, TTL + 3)

        a = world.beat(strike, sighting=Sighting.UNKNOWN)
        world.run(a, 4)
        for _ in range(20):  # both live on, side by side
            world.clock.advance(0.5)
            a.step()
            intruder[0].step()
        while world.clock.now_us() % SECOND_US:
            world.clock.advance(0.5)
        a.step()
        intruder[0].step()

        world.audit(copies=2)
        assert world.store.read_lease().epoch <= 3, (name, when)


def test_no_message_goes_out_before_its_row_is_committed(world):
    """I-FIRST: the row is there, and owed to the broker, when the message goes out."""

    class Watching(MemoryOutlet):
        def publish(self, firings):
            states = world.states()
            assert {states[tuple(f.ledger_key)] for f in firings} == {FiringState.DECIDED}
            return super().publish(firings)

    world.outlet = Watching()
    world.run(world.beat(), 10)

    world.audit(copies=1)


def test_nothing_goes_out_after_the_deadline_of_the_term(world):
    """I-LOCAL: a beat that was held up in a decision for as long as its lease lasts sends nothing before it has renewed it."""
    sent_at = []

    def strike(name, when):
        if (name, when) == ("decide", "after") and not sent_at:
            world.clock.advance(TTL * 0.7)
        if (name, when) == ("publish", "before"):
            sent_at.append(beat._elector.holds(beat._elector.hold()))
        if name == "swap_lease":
            renewed.append(world.clock.boottime())

    renewed = []
    beat = world.beat(strike)
    world.run(beat, 12)

    assert sent_at
    assert all(sent_at)
    assert max(b - a for a, b in itertools.pairwise(renewed)) > TTL * 0.6
    world.audit(copies=1)


def test_a_stopped_broker_loses_nothing_and_is_drained_oldest_first(world):
    beat = world.beat()
    world.run(beat, 3)
    world.outlet.up = False
    world.run(beat, 300)
    before = len(world.outlet.sent)
    world.outlet.up = True
    world.run(beat, 31)

    world.audit(copies=1)
    late = [f.due_us for f in world.outlet.sent[before:]]
    assert late == sorted(late)


def test_more_open_firings_than_memory_holds_wait_in_the_ledger():
    world = World(MemoryStore("test"))
    world.wanted = entries(1200, seconds=(10,))
    beat = world.beat()
    world.run(beat, 1)
    world.outlet.up = False
    world.run(beat, 200)
    assert len(beat._relay) <= 20_500 < len(world.states())
    world.outlet.up = True
    world.run(beat, 40)

    world.audit(copies=1)


def test_an_entry_that_is_edited_between_plan_and_decision_fires_once_as_its_new_revision(world):
    """I-REV."""
    db = Entry(name="db", when=Interval(every=timedelta(seconds=1)), what={"task": "old"})
    edits = []

    def edit(what, batch_id):
        lease = world.store.read_lease()
        entry = replace(db, what={"task": what})
        answer = world.store.reconcile(
            [entry], world.clock.now_us(), Fence(lease.holder, lease.epoch), batch_id=batch_id, owner=Owner.DB
        )
        assert answer.changes

    def strike(name, when):
        if (name, when) == ("decide", "before") and edits:
            edit(edits.pop(), 2)

    beat = world.beat(strike)
    beat.step()
    edit("old", 1)
    world.run(beat, 2)
    edits.append("new")
    world.run(beat, 2)

    sent = [(f.due_us - START, f.payload["task"], f.rev) for f in world.outlet.sent if f.entry == "db"]
    assert sent == [
        (k * SECOND_US, task, rev)
        for k, task, rev in ((1, "old", 1), (2, "old", 1), (3, "new", 2), (4, "new", 2))
    ]


def test_a_firing_that_is_never_confirmed_holds_up_nobody(world):
    """I-CONF: it is not marked as sent, either."""

    class Picky(MemoryOutlet):
        refuse = True

        def publish(self, firings):
            return super().publish([f for f in firings if not self.refuse or f.entry != "e0"])

    world.outlet = Picky()
    beat = world.beat()
    world.run(beat, 20)
    assert {f.entry for f in world.outlet.sent} == {"e1", "e2"}
    assert {key[1] for key, state in world.states().items() if state is FiringState.SENT} == {"e1", "e2"}
    world.outlet.refuse = False
    world.run(beat, 60)

    world.audit(copies=1)


def test_a_stopped_store_stops_emission_and_the_same_beat_goes_on(world):
    down = [False]

    def strike(name, when):
        if down[0] and name != "publish":
            raise StoreDown("cut")

    beat = world.beat(strike)
    world.run(beat, 3)
    down[0], before = True, len(world.outlet.sent)
    world.run(beat, 40)
    assert len(world.outlet.sent) == before
    down[0] = False
    world.run(beat, 5)

    world.audit(copies=1)


def test_a_burst_is_decided_in_batches_and_sent_in_slices(world):
    world.wanted = entries(1200, seconds=(10,))
    sizes = []

    def strike(name, when):
        if name == "publish" and when == "before":
            sizes.append(len(world.outlet.sent))

    world.run(world.beat(strike), 10)

    world.audit()
    assert max(b - a for a, b in itertools.pairwise([*sizes, len(world.outlet.sent)])) <= 256


def test_a_graceful_stop_marks_and_hands_over(world):
    beat, standby = world.beat(sighting=Sighting.UNKNOWN), world.beat(sighting=Sighting.UNKNOWN)
    steps = itertools.count()
    beat.step()

    def stop():
        standby.step()
        return next(steps) > 40

    beat.run(stop)
    assert world.store.read_lease().holder == ""
    world.run(standby, 3)

    world.audit(copies=1)
    assert world.store.read_lease().epoch == 2


def test_new_entries_are_applied_while_running_and_bad_ones_change_nothing(world):
    given = [world.wanted]

    def source():
        match given:
            case ["bad"]:
                given.clear()
                raise ValueError("schedules.yaml:3: no")
            case [wanted]:
                given.clear()
                return wanted
        return None

    beat = world.beat(source=source)
    world.run(beat, 3)
    given.append("bad")
    world.run(beat, 3)
    world.audit()
    given.append([world.wanted[0]])
    world.run(beat, 3)

    late = {f.entry for f in world.outlet.sent if f.due_us > START + 8 * SECOND_US}
    assert late == {"e0"}


def test_an_entry_that_cannot_be_evaluated_hurts_only_itself(world, caplog):
    beat = world.beat()
    world.run(beat, 2)
    slot = beat._ledger._agenda._slots["e2"]

    class Poisoned:
        def next_after(self, _after_us):
            raise ZeroDivisionError

    slot.brief = Abridged.of(Entry(name="e2", when=Poisoned(), what={}))
    world.run(beat, 6)

    assert {f.entry for f in world.outlet.sent if f.due_us > START + 5 * SECOND_US} == {"e0", "e1"}
    assert "e2" in caplog.text


def test_a_wall_clock_that_jumps_repeats_nothing_and_dates_nothing_in_the_future(world):
    """I-CURSOR."""
    beat = world.beat()
    world.run(beat, 5)
    before = len(world.outlet.sent)
    world.clock.step_wall(-3600)
    world.run(beat, 60)
    assert len(world.outlet.sent) == before
    world.clock.step_wall(3600)
    world.run(beat, 5)

    world.audit(copies=1)


def test_an_idle_step_does_not_touch_the_store():
    world = World(MemoryStore("test"))
    calls = []
    beat = world.beat(lambda name, when: calls.append(name))
    world.wanted = []
    world.run(beat, 1)
    calls.clear()

    for _ in range(100):
        assert beat.step() > 0

    assert calls == []
