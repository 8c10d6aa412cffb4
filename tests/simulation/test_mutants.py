"""The simulation finds a broken beat: each rule of the loop, the store and the clock is broken here on purpose, and found by its invariant.

A mutant is the real class with one rule taken out. A world of it is small and dense: everything every second, faults every few seconds.
The unbroken one goes through the same worlds with nothing to find.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest
from backbeat.scheduler.backlog import Backlog
from backbeat.scheduler.beat import Beat
from backbeat.scheduler.clock_guard import ClockGuard
from backbeat.scheduler.entry import SECOND_US, CatchUp, Delivery, Entry, Overlap
from backbeat.scheduler.firing import FiringState, firing_of
from backbeat.scheduler.instants import Interval
from backbeat.scheduler.leader import Elector
from backbeat.scheduler.published import Published
from backbeat.scheduler.relay import Relay
from backbeat.scheduler.store.base import Fence

from simulation.node import Parts
from simulation.server_store import ServerStore
from simulation.setting import Setting
from simulation.storm import Storm
from simulation.world import World

START_US = 1_774_000_000 * SECOND_US
SECONDS, MOST_WORLDS = 240, 25
PROCESSES = ("crash_leader", "freeze_leader", "stop_leader", "cut_from_store")
EDITS = ("edit", "reload", "crash_leader")


def entry(name, seconds, **more):
    given = {"catch_up": CatchUp.ALL, "grace_us": 5 * SECOND_US, "what": {"task": f"app.{name}"}} | more
    return Entry(name=name, when=Interval(every=timedelta(seconds=seconds)), **given)


def entries():
    return [
        entry("tick", 1),
        entry("none", 2, catch_up=CatchUp.NONE),
        entry("latest", 3, catch_up=CatchUp.LATEST),
        entry("once", 2, delivery=Delivery.AT_MOST_ONCE),
        entry("limited", 5, max_runs=20),
        entry("skips", 5, overlap=Overlap.SKIP, overlap_timeout_us=100 * SECOND_US),
        entry("jittered", 4, jitter_us=3 * SECOND_US),
    ]


def violations(seed, *, parts=None, store=ServerStore, only=(), share=1 / 60, rollbacks=False):
    """What the checker says about one small world."""
    setting = Setting(
        start_us=START_US,
        one_host=seed % 2 == 0 and "set_clock" not in only,
        jumps=False,
        rollbacks=rollbacks,
    )
    world = World(setting, entries(), seed, parts=parts, store=store(World.cluster))
    Storm(world, share=share, every_seconds=15.0, only=only)
    for node in world.nodes:
        node.start()
    world.run(SECONDS)
    return world.judge().violations()


# --- stores ----------------------------------------------------------------------------------------------------------------------


class UnfencedStore(ServerStore):
    """It takes a decision from whoever comes, and moves cursors wherever they are told to."""

    def _holds(self, fence: Fence) -> bool:
        return True

    def _fits(self, move: Any) -> bool:
        return not self._entries[move.entry].removed


class TwiceSendingStore(ServerStore):
    """What was found as sending is owed again, as if it were not at most once."""

    def load_open(self, fence: Fence, limit: int, besides: Collection[int] = ()) -> Any:
        for key, state in self._states.items():
            if state is FiringState.SENDING and self._lease.holder == fence.holder:
                self._states[key] = FiringState.DECIDED
        return super().load_open(fence, limit, besides)


class DrawingStore(ServerStore):
    """A task id is drawn with each row, and not derived."""

    def _insert(self, firings: Sequence[Any], state: FiringState = FiringState.DECIDED) -> Any:
        drawn = [
            replace(firing, task_id=f"{random.Random(str(firing.ledger_key)).getrandbits(64):x}")
            for firing in firings
        ]
        return super()._insert(drawn, state)


class UncountingStore(ServerStore):
    """Nobody who takes over hears how often an entry has run."""

    def _known(self, names: Any) -> Any:
        known, faults = super()._known(names)
        return tuple(replace(each, runs=0) for each in known), faults


class OverlapForgettingStore(ServerStore):
    """Nobody who takes over hears which run is the newest one."""

    def _known(self, names: Any) -> Any:
        known, faults = super()._known(names)
        return tuple(replace(each, latest_id="") for each in known), faults


class SilentStore(ServerStore):
    """What is passed over leaves no record."""

    def _put_skips(self, skips: Any) -> None:
        pass


class EditForgettingStore(ServerStore):
    """What the old revision owed is lost with an edit."""

    def _owed(self, edit: Any, batch_id: int) -> Any:
        return []


class FromNowStore(ServerStore):
    """For the guard below: all cursors go to now, not only those that lie in the future."""

    def rewind(self, now_us: int, fence: Fence) -> Any:
        for name, kept in self._entries.items():
            self._entries[name] = replace(kept, cursor_us=now_us)
        return 0


# --- parts of a beat -------------------------------------------------------------------------------------------------------------


class FromNowGuard(ClockGuard):
    """A term begins with now, and not with the cursors."""

    def begin(self, latest_us: int) -> bool:
        return True


class CredulousGuard(ClockGuard):
    """It believes its wall clock."""

    def now_us(self) -> int:
        return self._clock.now_us()

    def fit(self) -> bool:
        return True

    def begin(self, latest_us: int) -> bool:
        return False


class AlwaysFitGuard(ClockGuard):
    """It makes up for a time by which it was never fit to decide anything."""

    def _was_fit(self) -> bool:
        return True


class HastyBeat(Beat):
    """It publishes before it records."""

    def _decide(self, term: Any) -> None:
        now_us = self._clock.now_us()
        for slot in self._ledger._agenda._slots.values():
            if slot.next_us is not None and slot.next_us <= now_us:
                firing = firing_of("sim", slot.entry, slot.next_us, rev=slot.rev, batch_id=0)
                self._relay._outlet.publish([firing])
        super()._decide(term)


class CertainBeat(Beat):
    """A doubt is no reason for it to load again."""

    def _doubt(self, what: str) -> float:
        loaded, delay = self._loaded, super()._doubt(what)
        self._loaded = loaded
        return delay


class TrustingRelay(Relay):
    """What it has published counts as confirmed, whatever the broker says."""

    def _published(self, flight: Any, answer: Published) -> None:
        super()._published(flight, Published(flight.firings))


class TiredBacklog(Backlog):
    """What was tried and not confirmed is not tried again."""

    def put_again(self, firing: Any, now: float) -> int:
        return 1


class TrustingBeat(Beat):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._relay.__class__ = TrustingRelay


class TiredBeat(Beat):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._relay._backlog.__class__ = TiredBacklog


class ReusingElector(Elector):
    """It takes the epoch after the one that stands in the row, even if it had that one before."""

    @property
    def _highest(self) -> int:
        return 0

    @_highest.setter
    def _highest(self, _epoch: int) -> None:
        pass


@dataclass(frozen=True, slots=True)
class Mutant:
    """What is broken, the weather in which that matters, and the invariants by which it may be found."""

    found: tuple[str, ...]
    parts: Parts | None = None
    store: type[ServerStore] = ServerStore
    only: tuple[str, ...] = PROCESSES
    rollbacks: bool = False


MUTANTS = {
    "decision that checks neither fence nor cursor": Mutant(
        ("I-CURSOR", "I-BOUND", "I-NOLOSS", "I-LIVE", "I-SKIP"), store=UnfencedStore
    ),
    "publish before the record": Mutant(("I-FIRST",), Parts(beat=HastyBeat)),
    "confirm that is not waited for": Mutant(("I-CONF",), Parts(beat=TrustingBeat), only=("broker_refuses",)),
    "firing that is not sent again": Mutant(
        ("I-NOLOSS", "I-LIVE"), Parts(beat=TiredBeat), only=("broker_refuses",)
    ),
    "doubt that does not load again": Mutant(("I-NOLOSS", "I-LIVE"), Parts(beat=CertainBeat)),
    "term that begins with now": Mutant(("I-NOLOSS",), Parts(guard=FromNowGuard), FromNowStore),
    "task id that is drawn": Mutant(("I-ID",), store=DrawingStore),
    "at most once that is sent again": Mutant(("I-AMO",), store=TwiceSendingStore),
    "count of runs that is lost": Mutant(("max_runs",), store=UncountingStore),
    "overlap that is forgotten": Mutant(("overlap",), store=OverlapForgettingStore),
    "skip without a record": Mutant(
        ("I-NOLOSS",), store=SilentStore, only=("all_crash", "store_down", "crash_leader")
    ),
    "edit that drops what was owed": Mutant(("I-NOLOSS",), store=EditForgettingStore, only=EDITS),
    "clock that is believed": Mutant(
        ("I-JUMP",), Parts(guard=CredulousGuard), only=("set_clock", "crash_leader")
    ),
    "wrong clock that is made up for": Mutant(
        ("I-JUMP",), Parts(guard=AlwaysFitGuard), only=("set_clock", "crash_leader", "crash_somebody")
    ),
    "epoch that is taken twice": Mutant(
        ("I-EPOCH",), Parts(elector=ReusingElector), only=("roll_back", "crash_leader"), rollbacks=True
    ),
}


@pytest.fixture(autouse=True)
def _quiet(quiet):
    """Thousands of crashes."""


@pytest.mark.parametrize("what", MUTANTS)
def test_the_simulation_finds_a_broken(what):
    mutant = MUTANTS[what]

    for seed in range(1, MOST_WORLDS + 1):
        wrong = violations(
            seed, parts=mutant.parts, store=mutant.store, only=mutant.only, rollbacks=mutant.rollbacks
        )
        if any(line.split(":")[0] in mutant.found for line in wrong):
            break
    else:
        pytest.fail(f"nobody has noticed in {MOST_WORLDS} worlds: {what}; {wrong}")

    print(f"{what}: world {seed}, {wrong[0][:120]}")


@pytest.mark.parametrize("only", sorted({mutant.only for mutant in MUTANTS.values()}), ids=" ".join)
def test_it_finds_nothing_where_nothing_is_broken(only):
    for seed in (1, 2):
        assert violations(seed, only=only, rollbacks="roll_back" in only) == []
