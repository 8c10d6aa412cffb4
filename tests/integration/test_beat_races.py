"""The loop where two things meet: an order and a reload, an ended override and a due time, a lost answer and a limit of runs."""

from __future__ import annotations

import itertools
from datetime import timedelta

import pytest
from backbeat.canvas.holder import Holder, Sighting
from backbeat.scheduler.beat import Beat
from backbeat.scheduler.clock import FakeClock
from backbeat.scheduler.entry import SECOND_US, CatchUp, Entry, Overlap
from backbeat.scheduler.errand import Errands
from backbeat.scheduler.leader import Elector
from backbeat.scheduler.order import Change, Pause
from backbeat.scheduler.phase import phases_of
from backbeat.scheduler.preview import occurrences
from backbeat.scheduler.relay import MemoryOutlet
from backbeat.scheduler.runs import MemoryRuns
from backbeat.scheduler.schedule import Interval
from backbeat.scheduler.store.base import StoreDown
from backbeat.scheduler.store.memory import MemoryStore
from backbeat.scheduler.store.registry_memory import MemoryRegistry

from support.beat_world import Gone

START = 1_700_000_040 * SECOND_US
MINUTE, HOUR = 60 * SECOND_US, 3_600 * SECOND_US
numbers = itertools.count()


def entry(name="e", seconds=60, **known):
    return Entry(name=name, when=Interval(every=timedelta(seconds=seconds)), what={"task": "t"}, **known)


class World:
    """One store with its operators, one broker, one clock; beats come and go."""

    def __init__(self, *wanted):
        self.clock = FakeClock(START)
        self.store = MemoryStore("test")
        self.registry = MemoryRegistry(self.store, self.clock.now_us)
        self.outlet, self.runs = MemoryOutlet(), MemoryRuns()
        self.files = [list(wanted)]

    def beat(self, store=None):
        holder = Holder(host="h", host_id="b", pid=1, started=1, nonce=str(next(numbers)))
        store = store or self.store
        return Beat(
            store,
            self.outlet,
            self.clock,
            Elector(store, self.clock, holder, Gone(Sighting.GONE), ttl_seconds=10.0),
            cluster="test",
            entries_source=lambda: self.files.pop() if self.files else None,
            runs=self.runs,
            errands=Errands(self.registry, self.registry, self.clock, "test"),
        )

    def run(self, beat, seconds):
        end_us = self.clock.now_us() + round(seconds * SECOND_US)
        while self.clock.now_us() < end_us:
            self.clock.wait(max(0.001, min(beat.step(), (end_us - self.clock.now_us()) / SECOND_US)))

    def end_all(self):
        self.runs.ended.update(firing.task_id for firing in self.outlet.sent)

    def sent(self, kind="regular"):
        return [
            (firing.due_us - START) // SECOND_US for firing in self.outlet.sent if firing.kind.value == kind
        ]


class Lossy:
    """A store one of whose answers is lost: the call was done."""

    def __init__(self, inner):
        self.inner = inner
        self.lose = None

    def __getattr__(self, name):
        call = getattr(self.inner, name)

        def lossy(*args, **known):
            answer = call(*args, **known)
            if name == self.lose and args and args[0]:
                self.lose = None
                raise StoreDown("the answer was lost")
            return answer

        return lossy if callable(call) else call


def test_a_run_by_hand_beside_a_reload_is_sent():
    world = World(entry())
    beat = world.beat()
    world.run(beat, 3)

    world.registry.run_now("e", "r1", actor="a")
    world.files.append([entry(), entry("f", 3_600)])
    world.run(beat, 5)

    assert len(world.sent("manual")) == 1


def left_alone_after(order, seconds, wanted):
    """A world in which an operator gave an order, and then no beat ran for so long."""
    world = World(wanted)
    beat = world.beat()
    world.run(beat, 60)
    world.registry.edit("e", order, actor="a")
    world.run(beat, 5)
    beat.retire()
    world.clock.advance(seconds)
    return world


CHANGED = Change(changes={"when": {"every_us": 10 * MINUTE, "anchor_us": 0}}, until_us=START + HOUR)
PAUSED = Pause(until_us=START + HOUR)


@pytest.mark.parametrize(
    "then",
    [Pause(), Change(changes={"when": {"every_us": 2 * HOUR, "anchor_us": 0}}), "a reload"],
    ids=["pause", "change", "reload"],
)
@pytest.mark.parametrize("ended", [CHANGED, PAUSED], ids=["after a change", "after a pause"])
def test_what_ended_while_no_beat_ran_decides_nothing_after_its_end_whatever_comes_next(ended, then):
    world = left_alone_after(ended, 3 * 3_600, entry(seconds=3_600, catch_up=CatchUp.ALL))

    if then == "a reload":
        world.files.append([entry(seconds=7_200, catch_up=CatchUp.ALL)])
    else:
        world.registry.edit("e", then, actor="a")
    world.run(world.beat(), 30)

    late = [due for due in world.sent() if START + due * SECOND_US > START + HOUR]
    assert len(late) == 2
    assert all((START + due * SECOND_US) % HOUR == 0 for due in late)


def test_a_change_that_has_ended_decides_nothing_after_its_end():
    until_us = START + HOUR
    world = left_alone_after(CHANGED, 3 * 3_600, entry(seconds=3_600, catch_up=CatchUp.ALL))

    world.run(world.beat(), 30)

    late = [due for due in world.sent() if START + due * SECOND_US > until_us]
    assert all((START + due * SECOND_US) % HOUR == 0 for due in late)
    assert len(late) in (2, 3)


@pytest.mark.parametrize("jitter_seconds", [0, 300])
def test_a_run_that_waits_for_the_broker_does_not_time_out(jitter_seconds):
    policy = {
        "overlap": Overlap.SKIP,
        "overlap_timeout_us": 20 * MINUTE,
        "jitter_us": jitter_seconds * SECOND_US,
    }
    world = World(entry(seconds=600, **policy))
    beat = world.beat()
    world.run(beat, 10)
    world.outlet.up = False

    world.run(beat, 3 * 3_600)
    world.outlet.up = True
    world.run(beat, 599)

    assert len(world.outlet.sent) <= 2
    times = sorted(firing.due_us for firing in world.outlet.sent)
    assert all(later - sooner > 20 * MINUTE for sooner, later in itertools.pairwise(times))


@pytest.mark.parametrize("lost", [None, "settle", "decide"])
def test_a_limit_of_runs_holds_when_an_answer_is_lost(lost):
    world = World(entry(overlap=Overlap.QUEUE, max_runs=3))
    store = Lossy(world.store)
    beat = world.beat(store)
    world.run(beat, 130)  # one is sent, one is held

    store.lose = lost
    for _ in range(20):
        world.end_all()
        world.run(beat, 60)

    assert len(world.sent()) == 3


def test_a_limit_of_runs_is_used_up_also_after_the_clock_went_back():
    world = World(entry(max_runs=3))
    beat = world.beat()
    world.run(beat, 130)
    beat.retire()
    sent = len(world.sent())

    world.clock.step_wall(-130)
    beat = world.beat()
    beat._begins = lambda _latest_us: True  # the clock guard says: set cursors that lie ahead back
    world.run(beat, 900)

    assert sent == 2
    assert len(world.sent()) == 3
    assert len(set(world.sent())) == 3


def retimed(overlap, *, ended=False, **known):
    """A run of 60 s goes on (or is over), a fire time passes without a beat, and the next beat has a file with another schedule."""
    known = {"overlap": overlap, "overlap_timeout_us": 1000 * HOUR, **known}
    world = World(entry(**known))
    beat = world.beat()
    world.run(beat, 65)
    if ended:
        world.end_all()
    beat.retire()
    world.clock.advance(70)
    world.files.append([entry(seconds=36_000, **known)])
    beat = world.beat()
    world.run(beat, 5)
    return world, beat


@pytest.mark.parametrize("overlap", [Overlap.SKIP, Overlap.QUEUE, Overlap.CANCEL])
def test_what_an_edit_still_owes_does_not_overlap_the_run_before_it(overlap):
    world, beat = retimed(overlap)

    match overlap:
        case Overlap.SKIP:
            assert world.sent() == [60]
        case Overlap.QUEUE:
            assert world.sent() == [60]
            world.end_all()
            world.run(beat, 5)
            assert world.sent() == [60, 120]
        case _:
            assert world.sent() == [60, 120]
            assert world.runs.revoked == [world.outlet.sent[0].task_id]


@pytest.mark.parametrize("overlap", [Overlap.SKIP, Overlap.QUEUE, Overlap.CANCEL])
def test_what_an_edit_still_owes_is_sent_where_the_run_before_it_is_over(overlap):
    world, _ = retimed(overlap, ended=True)

    assert world.sent() == [60, 120]
    assert not world.runs.revoked


def test_what_an_edit_owed_is_the_newest_run_for_the_next_leader_too():
    world, beat = retimed(Overlap.SKIP, ended=True)
    beat.retire()
    world.files.append([entry(seconds=10, overlap=Overlap.SKIP, overlap_timeout_us=1000 * HOUR)])

    world.run(world.beat(), 60)

    assert world.sent() == [60, 120]


def test_max_runs_is_exact_where_an_edit_owes_one_while_another_is_held():
    known = {"overlap": Overlap.QUEUE, "overlap_timeout_us": 1000 * HOUR, "max_runs": 2}
    world = World(entry(**known))
    beat = world.beat()
    world.run(beat, 125)
    beat.retire()
    world.clock.advance(60)
    world.files.append([entry(seconds=36_000, **known)])
    beat = world.beat()

    for _ in range(4):
        world.run(beat, 5)
        world.end_all()

    assert len(world.sent()) == 2


@pytest.mark.parametrize("overrides", [[CHANGED], [PAUSED], [CHANGED, Pause(until_us=START + HOUR // 2)]])
def test_a_preview_of_the_store_says_what_a_beat_does_when_overrides_end(overrides):
    world = World(entry(seconds=1_200, max_runs=8))
    beat = world.beat()
    world.run(beat, 60)
    for order in overrides:
        world.registry.edit("e", order, actor="a")
    kept = world.registry.get("e").kept
    now_us = world.clock.now_us()

    said = [each.fire_us for each in occurrences(phases_of(kept), now_us, now_us + 3 * HOUR)]
    world.run(beat, 3 * 3_600)

    assert [START + due * SECOND_US for due in world.sent() if START + due * SECOND_US > now_us] == said
    assert len(said) > 3


def test_a_beat_that_runs_once_sends_what_the_end_of_a_pause_makes_due():
    world = left_alone_after(PAUSED, 7_200, entry(seconds=600, catch_up=CatchUp.ALL))

    world.beat().drain()

    assert len([due for due in world.sent() if START + due * SECOND_US > START + HOUR]) == 6
