"""MemoryStore: the reference implementation of Store, for unit tests and for a beat whose memory may die with it.

It is not a mock: it passes the conformance suite, and says in plain Python what the SQL of sql.py means.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from threading import Lock
from typing import Concatenate, ParamSpec, TypeVar

from ..edit import Edit, KeptEntry, edits
from ..entry import Entry, Owner
from ..firing import Firing, FiringKey, FiringState, regular_firing
from ..plan import Skip
from .base import FENCED, Batch, Decided, Fence, Fenced, Known, Lease, Loaded, Marks, Move, Reconciled

P = ParamSpec("P")
R = TypeVar("R")


def _locked(method: Callable[Concatenate[MemoryStore, P], R]) -> Callable[Concatenate[MemoryStore, P], R]:
    """One transaction at a time: nothing in them can fail half-way."""

    def wrapper(store: MemoryStore, /, *args: P.args, **kwargs: P.kwargs) -> R:
        with store._lock:
            return method(store, *args, **kwargs)

    return wrapper


class MemoryStore:
    """Everything in dictionaries, behind one lock."""

    def __init__(self, cluster: str = "backbeat") -> None:
        self._cluster = cluster
        self._lock = Lock()
        self._lease = Lease("", 0, 0, 0)
        self._entries: dict[str, KeptEntry] = {}
        self._parsed: dict[str, Entry] = {}
        self._changed: dict[str, int] = {}
        self._revision = 1
        self._firings: dict[FiringKey, Firing] = {}
        self._states: dict[FiringKey, FiringState] = {}
        self._open: dict[int, set[FiringKey]] = {}
        self._skips: dict[tuple[int, str], Skip] = {}

    @_locked
    def read_lease(self) -> Lease:
        return self._lease

    @_locked
    def swap_lease(self, seen: Lease, put: Lease) -> bool:
        now = self._lease
        if (now.holder, now.epoch, now.renewal) != (seen.holder, seen.epoch, seen.renewal):
            return False
        self._lease = put
        return True

    @_locked
    def load(self, known: int | None) -> Loaded | None:
        if known == self._revision:
            return None
        names = [name for name, changed in self._changed.items() if known is None or changed > known]
        entries = [
            self._known(name) for name in names if known is not None or not self._entries[name].removed
        ]
        return Loaded(tuple(entries), self._revision)

    @_locked
    def reconcile(
        self, wanted: Sequence[Entry], now_us: int, fence: Fence, *, batch_id: int, owner: Owner = Owner.FILE
    ) -> Reconciled | Fenced:
        if not self._holds(fence):
            return FENCED
        wish = edits(self._entries, wanted, owner, now_us)
        firings: list[Firing] = []
        for edit in wish.edits:
            firings += self._insert(self._owed(edit, batch_id))
            self._put_skips(edit.skips)
            self._put_entry(edit.after)
        skips = tuple(skip for edit in wish.edits for skip in edit.skips)
        if wish.edits:
            self._revision += 1
        return Reconciled(
            tuple((e.after.name, e.kind) for e in wish.edits), wish.foreign, tuple(firings), skips
        )

    @_locked
    def decide(self, batch: Batch, fence: Fence) -> Decided | Fenced:
        if not self._holds(fence):
            return FENCED
        self._put_marks(batch.marks)
        stale = {move.entry for move in batch.moves if not self._fits(move)}
        for move in batch.moves:
            if move.entry not in stale:
                self._entries[move.entry] = replace(self._entries[move.entry], cursor_us=move.to_us)
        fresh = self._insert([firing for firing in batch.firings if firing.entry not in stale])
        self._put_skips([skip for skip in batch.skips if skip.entry not in stale])
        return Decided(
            tuple(fresh), tuple(self._known(name) for name in sorted(stale) if name in self._entries)
        )

    @_locked
    def load_open(self, fence: Fence, limit: int) -> tuple[Firing, ...] | Fenced:
        if not self._holds(fence):
            return FENCED
        found: list[Firing] = []
        for batch_id in sorted(self._open, key=lambda known: (min(self._open[known]).due_us, known)):
            if len(found) >= limit:
                break
            found += [self._firings[key] for key in self._open[batch_id]]
        return tuple(sorted(found, key=lambda firing: firing.ledger_key))

    @_locked
    def mark(self, marks: Marks) -> None:
        self._put_marks(marks)

    def store_id(self) -> str:
        return f"memory-{id(self)}"

    def close(self) -> None:
        pass

    def ledger(self) -> dict[FiringKey, tuple[Firing, FiringState]]:
        """Every row with its state, for tests."""
        return {key: (firing, self._states[key]) for key, firing in self._firings.items()}

    def skips(self) -> list[Skip]:
        """Every skip record, for tests."""
        return list(self._skips.values())

    def _holds(self, fence: Fence) -> bool:
        return bool(fence.holder) and (self._lease.holder, self._lease.epoch) == (fence.holder, fence.epoch)

    def _known(self, name: str) -> Known:
        kept = self._entries[name]
        return Known(self._parsed[name], kept.rev, kept.cursor_us, kept.removed)

    def _fits(self, move: Move) -> bool:
        kept = self._entries.get(move.entry)
        return kept is not None and (kept.rev, kept.cursor_us, kept.removed) == (
            move.rev,
            move.from_us,
            False,
        )

    def _owed(self, edit: Edit, batch_id: int) -> list[Firing]:
        return [
            regular_firing(
                self._cluster, due.entry.name, due.due_us, due.entry.what, rev=edit.old_rev, batch_id=batch_id
            )
            for due in edit.dues
        ]

    def _insert(self, firings: Sequence[Firing]) -> list[Firing]:
        fresh = [firing for firing in firings if firing.ledger_key not in self._firings]
        for firing in fresh:
            key = firing.ledger_key
            self._firings[key] = firing
            self._states[key] = FiringState.DECIDED
            self._open.setdefault(firing.batch_id, set()).add(key)
        return fresh

    def _put_skips(self, skips: Sequence[Skip]) -> None:
        for skip in skips:
            self._skips.setdefault((skip.from_us, skip.entry), skip)

    def _put_entry(self, after: KeptEntry) -> None:
        self._entries[after.name] = after
        self._parsed[after.name] = after.entry()
        self._changed[after.name] = self._revision + 1

    def _put_marks(self, marks: Marks) -> None:
        sent = set(marks.firings).union(*(self._open.get(batch_id, ()) for batch_id in marks.batches))
        for key in sent & self._firings.keys():
            batch_id = self._firings[key].batch_id
            self._states[key] = FiringState.SENT
            if batch_id in self._open:
                self._open[batch_id].discard(key)
                if not self._open[batch_id]:
                    del self._open[batch_id]
