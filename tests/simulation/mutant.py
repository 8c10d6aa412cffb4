"""Mutant: a beat, a store or a clock with one rule taken out, and the invariant by which that must show.

Each is the real class with one method replaced. The tests are in test_mutants.py.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

from backbeat.scheduler.backlog import Backlog
from backbeat.scheduler.beat import Beat
from backbeat.scheduler.clock_guard import ClockGuard
from backbeat.scheduler.firing import FiringState, firing_of
from backbeat.scheduler.leader import Elector
from backbeat.scheduler.published import Published
from backbeat.scheduler.relay import Relay
from backbeat.scheduler.store.base import Fence

from .node import Parts
from .server_store import ServerStore

PROCESSES = ("crash_leader", "freeze_leader", "stop_leader", "cut_from_store")
EDITS = ("edit", "reload", "crash_leader")


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
            firing._replace(task_id=f"{random.Random(str(firing.ledger_key)).getrandbits(64):x}")
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

    def _shown_us(self) -> int | None:
        return self._offset_us


class HastyBeat(Beat):
    """It publishes before it records."""

    def _decide(self, term: Any) -> bool:
        now_us = self._clock.now_us()
        for slot in self._ledger._agenda._slots.values():
            if slot.next_us is not None and slot.next_us <= now_us:
                firing = firing_of("sim", slot.entry, slot.next_us, rev=slot.rev, batch_id=0)
                self._relay._outlet.publish([firing])
        return super()._decide(term)


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
    """What is broken, the weather and the effects at which that matters, and the invariants by which it may be found."""

    found: tuple[str, ...]
    parts: Parts | None = None
    store: type[ServerStore] = ServerStore
    only: tuple[str, ...] = PROCESSES
    rollbacks: bool = False
    aim: tuple[str, ...] = ()


MUTANTS = {
    "decision that checks neither fence nor cursor": Mutant(
        ("I-CURSOR", "I-BOUND", "I-NOLOSS", "I-LIVE", "I-SKIP"), store=UnfencedStore, aim=("decide",)
    ),
    "publish before the record": Mutant(("I-FIRST",), Parts(beat=HastyBeat)),
    "confirm that is not waited for": Mutant(("I-CONF",), Parts(beat=TrustingBeat), only=("broker_refuses",)),
    "firing that is not sent again": Mutant(
        ("I-NOLOSS", "I-LIVE"), Parts(beat=TiredBeat), only=("broker_refuses",)
    ),
    "doubt that does not load again": Mutant(
        ("I-NOLOSS", "I-LIVE"), Parts(beat=CertainBeat), aim=("decide",)
    ),
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
