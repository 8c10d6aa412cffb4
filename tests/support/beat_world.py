"""One store, one broker and one clock, and beats that come and go: the world of the tests of the beat's loop.

A crash is an exception that nothing catches, raised before or after one effect: every transaction of the store, every publish.
"""

from __future__ import annotations

import itertools
import os
from collections import Counter
from datetime import timedelta

from backbeat.canvas.holder import Holder, Sighting
from backbeat.scheduler.beat import Beat
from backbeat.scheduler.clock import FakeClock
from backbeat.scheduler.entry import SECOND_US, CatchUp, Entry
from backbeat.scheduler.firing import FiringKind, FiringState, derive_task_id
from backbeat.scheduler.leader import Elector
from backbeat.scheduler.relay import MemoryOutlet
from backbeat.scheduler.runs import MemoryRuns
from backbeat.scheduler.schedule import Interval
from backbeat.scheduler.store.memory import MemoryStore

START = 1_700_000_000 * SECOND_US
TTL = 10.0
EFFECTS = (
    "read_lease",
    "swap_lease",
    "load",
    "reconcile",
    "decide",
    "settle",
    "load_open",
    "mark",
    "publish",
    "reach",
    "revoke",
)
numbers = itertools.count()
EVERY = int(os.environ.get("BACKBEAT_SWEEPS", "5"))
"""On SQLite each so many-th effect of a sweep is struck, and the first of each kind; in memory all are."""


class Crash(BaseException):
    """The process ends here."""


def struck(store, effects):
    """(place, effect) of those that a sweep over the effects of a run on this store strikes."""
    every = 1 if isinstance(store, MemoryStore) else EVERY
    first = {effect: place for place, effect in reversed(list(enumerate(effects)))}
    return [
        (place, effect)
        for place, effect in enumerate(effects)
        if place % every == 0 or first[effect] == place
    ]


class Wire:
    """A store, an outlet or runs whose every call may be struck: `strike(name, when)` is asked before and after each."""

    def __init__(self, inner, strike):
        self._inner = inner
        self._strike = strike

    def __getattr__(self, name):
        call = getattr(self._inner, name)
        if name not in EFFECTS:
            return call

        def struck(*args, **kwargs):
            self._strike(name, "before")
            answer = call(*args, **kwargs)
            self._strike(name, "after")
            return answer

        return struck


class Gone:
    """Every other holder's process has ended, or none has."""

    def __init__(self, sighting):
        self.sighting = sighting

    def look(self, _holder):
        return self.sighting

    def end(self, _holder):
        raise AssertionError("nothing is frozen here")


def entries(count=3, seconds=(1, 2, 3), **known):
    known.setdefault("catch_up", CatchUp.ALL)
    return [
        Entry(
            name=f"e{k}",
            when=Interval(every=timedelta(seconds=seconds[k % len(seconds)])),
            what={"task": f"app.t{k}", "args": [k]},
            **known,
        )
        for k in range(count)
    ]


class World:
    """One store, one broker, one clock; beats come and go."""

    def __init__(self, store):
        self.store = store
        self.outlet = MemoryOutlet()
        self.runs = MemoryRuns()
        self.clock = FakeClock(START)
        self.wanted = entries()

    def beat(
        self,
        strike=lambda name, when: None,
        *,
        sighting=Sighting.GONE,
        listener=None,
        source=None,
        sender=None,
    ):
        holder = Holder(host="h", host_id="b", pid=1, started=1, nonce=str(next(numbers)))
        store = Wire(self.store, strike)
        elector = Elector(store, self.clock, holder, Gone(sighting), ttl_seconds=TTL)
        given = [self.wanted]
        source = source or (lambda: given.pop() if given else None)
        return Beat(
            store,
            Wire(self.outlet, strike),
            self.clock,
            elector,
            cluster="test",
            listener=listener,
            entries_source=source,
            runs=Wire(self.runs, strike),
            sender=sender,
        )

    def seed(self):
        """Apply the entries at START, so that a delay at the start of the test does not shift where they begin."""
        beat = self.beat()
        while beat.step() == 0:
            pass
        beat.retire()
        return self

    def run(self, beat, seconds):
        """Step and sleep for so long, then until nothing is left to do at once."""
        end_us = self.clock.now_us() + round(seconds * SECOND_US)
        while self.clock.now_us() < end_us:
            self.clock.wait(min(beat.step(), (end_us - self.clock.now_us()) / SECOND_US))
        while beat.step() == 0:
            pass

    def expected(self):
        """What must have been sent by now, since the entries were applied."""
        now_us = self.clock.now_us()
        return {
            (e.name, due)
            for e in self.wanted
            for due in range(START, now_us + 1, SECOND_US)
            if due > START and due % (e.when.every // timedelta(microseconds=1)) == 0
        }

    def audit(self, copies=1):
        """Ledger and broker agree with each other and with the schedule: I-ONE, I-ID, I-NOLOSS, I-BOUND."""
        sent = Counter((f.entry, f.due_us) for f in self.outlet.sent)
        rows = {key[1::-1]: state for key, state in self.states().items()}
        assert set(sent) == set(rows) == self.expected()
        assert set(rows.values()) <= {FiringState.SENT}
        assert max(sent.values(), default=0) <= copies
        self.check_ids()
        return sent

    def check_ids(self):
        """Every message carries the id and the payload of its firing."""
        for f in self.outlet.sent:
            assert f.task_id == derive_task_id("test", f.entry, FiringKind.REGULAR, str(f.due_us), f.due_us)
            assert f.payload["task"] == f"app.t{f.entry[1:]}"

    def states(self):
        """The ledger: (due, entry, kind, key) -> the state of the row."""
        if isinstance(self.store, MemoryStore):
            return {tuple(key): state for key, (_, state) in self.store.ledger().items()}
        query = (
            "SELECT f.due_us, f.entry, f.kind, f.key, COALESCE(f.state, b.state)"
            " FROM bb_firing f JOIN bb_batch b USING (batch_id)"
        )
        with self.store._engine.connect() as conn:
            return {tuple(row[:4]): FiringState(row[4]) for row in conn.exec_driver_sql(query).all()}

    def skipped(self):
        """Skip records, and rows that were skipped after they had been decided: (entry, due) -> why."""
        if isinstance(self.store, MemoryStore):
            records = [(s.entry, s.from_us, s.to_us, s.reason.value) for s in self.store.skips()]
            rows = [(k[1], k[0], self.store.reasons()[k]) for k, s in self.states().items() if s == 3]
        else:
            with self.store._engine.connect() as conn:
                records = conn.exec_driver_sql("SELECT entry, from_us, to_us, reason FROM bb_skip").all()
                rows = conn.exec_driver_sql(
                    "SELECT entry, due_us, error FROM bb_firing WHERE state = 3"
                ).all()
        found = {(name, due_us): why for name, due_us, why in rows}
        every = {e.name: e.when.every // timedelta(microseconds=1) for e in self.wanted}
        for name, from_us, to_us, why in records:
            for due_us in range(from_us, to_us + 1, every[name]):
                assert (name, due_us) not in found, "I-SKIP: an instant is accounted for twice"
                found[name, due_us] = why
        return found

    def account(self):
        """I-SKIP: every instant that was due is one row or in one skip record, and in no two. How each ended, by (entry, due)."""
        ends = {(key[1], key[0]): state.name.lower() for key, state in self.states().items()}
        for instant, why in self.skipped().items():
            assert ends.get(instant, "skipped") == "skipped", f"{instant} is a row and a skip record"
            ends[instant] = why
        assert set(ends) == self.expected()
        return ends
