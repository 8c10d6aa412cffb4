"""MemoryStore: the reference implementation of Store, for unit tests and for a beat whose memory may die with it.

It is not a mock: it passes the conformance suite, and says in plain Python what the SQL of sql.py means.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from threading import Lock
from typing import Concatenate, ParamSpec, TypeVar

from ..audit_line import AuditLine, reload_lines
from ..edit import Edit, KeptEntry, edits, narrowed
from ..entry import Entry, Owner
from ..firing import Firing, FiringKey, FiringState, firing_of
from ..likeness import Abridged
from ..notice import Notice, ended_notices, skip_notices
from ..skip import Skip
from .base import (
    FENCED,
    SPEC_FAULTS,
    Batch,
    Change,
    Decided,
    Fault,
    Fence,
    Fenced,
    Known,
    Lease,
    Loaded,
    Marks,
    Move,
    Open,
    Reconciled,
)
from .deliveries import KeptNotice

P = ParamSpec("P")
R = TypeVar("R")
_UNFINISHED = (FiringState.DECIDED, FiringState.SENDING, FiringState.HELD)
_MARKED = (FiringState.DECIDED, FiringState.SENDING)


def _locked(method: Callable[Concatenate[MemoryStore, P], R]) -> Callable[Concatenate[MemoryStore, P], R]:
    """One transaction at a time: nothing in them can fail half-way."""

    def wrapper(store: MemoryStore, /, *args: P.args, **kwargs: P.kwargs) -> R:
        with store._lock:
            return method(store, *args, **kwargs)

    return wrapper


class MemoryStore:
    """Everything in dictionaries, behind one lock."""

    def __init__(self, cluster: str = "backbeat") -> None:
        self.cluster = cluster
        self._lock = Lock()
        self._lease = Lease("", 0, 0, 0)
        self._entries: dict[str, KeptEntry] = {}
        self._latest: dict[str, tuple[str, int]] = {}
        self._parsed: dict[tuple[str, str], Abridged] = {}
        self._changed: dict[str, int] = {}
        self._revision = 1
        self._firings: dict[FiringKey, Firing] = {}
        self._states: dict[FiringKey, FiringState] = {}
        self._reasons: dict[FiringKey, str] = {}
        self._open: dict[int, set[FiringKey]] = {}
        self._skips: dict[tuple[int, str], Skip] = {}
        self._audit: list[AuditLine] = []
        self.notices: dict[str, KeptNotice] = {}
        """What is to be delivered, by its id; see deliveries_memory.py."""

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
    def load(self, known: int | None, each: Callable[[Known], None] | None = None) -> Loaded | None:
        if known == self._revision:
            return None
        names = [name for name, changed in self._changed.items() if known is None or changed > known]
        told = [name for name in names if known is not None or not self._entries[name].removed]
        entries, faults = self._known(told)
        if each is None:
            return Loaded(entries, self._revision, faults)
        for entry in entries:
            each(entry)
        return Loaded((), self._revision, faults)

    @_locked
    def names(self, owner: Owner) -> Collection[str]:
        return [name for name, kept in self._entries.items() if kept.owner is owner and not kept.removed]

    @_locked
    def reconcile(
        self,
        wanted: Sequence[Entry],
        now_us: int,
        fence: Fence,
        *,
        batch_id: int,
        owner: Owner = Owner.FILE,
        among: Collection[str] | None = None,
    ) -> Reconciled | Fenced:
        if not self._holds(fence):
            return FENCED
        known, wanted = narrowed(self._entries, wanted, among)
        wish = edits(known, wanted, owner, now_us)
        self._audit += reload_lines(wish, self._entries, owner, now_us)
        fresh: dict[bool, list[Firing]] = {False: [], True: []}
        for edit in wish.edits:
            fresh[edit.holds] += self._put_edit(edit, batch_id)
        skips = tuple(skip for edit in wish.edits for skip in edit.skips)
        if wish.edits:
            self._revision += 1
        return Reconciled(
            tuple((e.after.name, e.kind) for e in wish.edits),
            wish.foreign,
            tuple(fresh[False]),
            skips,
            tuple(fresh[True]),
        )

    @_locked
    def decide(self, batch: Batch, fence: Fence) -> Decided | Fenced:
        if not self._holds(fence):
            return FENCED
        self._put_marks(batch.marks)
        stale = {move.entry for move in batch.moves if not self._fits(move)}
        fresh = self._insert([f for f in batch.firings if f.entry not in stale])
        held = self._insert([f for f in batch.held if f.entry not in stale], FiringState.HELD)
        runs = Counter(firing.entry for firing in fresh)
        for move in batch.moves:
            if move.entry not in stale:
                self._entries[move.entry] = replace(self._entries[move.entry], cursor_us=move.to_us)
                self._count_runs(move.entry, runs[move.entry])
                if move.latest_id:
                    self._latest[move.entry] = move.latest_id, batch.decided_us
        self._put_skips([skip for skip in batch.skips if skip.entry not in stale])
        self._tell(notice for notice in batch.notices if notice.entry not in stale)
        known, faults = self._known(name for name in sorted(stale) if name in self._entries)
        return Decided(tuple(fresh), known, tuple(held), faults)

    @_locked
    def settle(self, changes: Sequence[Change], now_us: int, fence: Fence) -> tuple[Change, ...] | Fenced:
        if not self._holds(fence):
            return FENCED
        done = [change for change in changes if self._states.get(change.firing.ledger_key) is change.before]
        for change in done:
            firing = change.firing
            self._put_state(firing.ledger_key, change.after, change.reason)
            self._firings[firing.ledger_key] = firing  # which may be one that cancels by now
            self._tell(ended_notices(firing, change.after, change.reason, now_us))
            match change.after:
                case FiringState.DECIDED:
                    self._latest[firing.entry] = firing.task_id, now_us
                    self._count_runs(firing.entry, 1)
                case FiringState.SKIPPED | FiringState.FAILED:
                    if self._latest.get(firing.entry, ("", 0))[0] == firing.task_id:
                        del self._latest[firing.entry]
                case _:
                    pass
        return tuple(done)

    @_locked
    def load_open(self, fence: Fence, limit: int, besides: Collection[int] = ()) -> Open | Fenced:
        if not self._holds(fence):
            return FENCED
        found: list[Firing] = []
        batch_ids = sorted(
            self._open.keys() - set(besides), key=lambda known: (min(self._open[known]).due_us, known)
        )
        taken = 0
        for batch_id in batch_ids:
            if len(found) >= limit:
                break
            found += [self._firings[key] for key in self._open[batch_id]]
            taken += 1
        found.sort(key=lambda firing: firing.ledger_key)
        by_state = {state: tuple(f for f in found if self._state(f) is state) for state in _UNFINISHED}
        for firing in by_state[FiringState.SENDING]:
            self._put_state(firing.ledger_key, FiringState.DOUBTFUL)
            self._tell(ended_notices(firing, FiringState.DOUBTFUL, "", 0))
        return Open(
            by_state[FiringState.DECIDED],
            by_state[FiringState.HELD],
            by_state[FiringState.SENDING],
            more=taken < len(batch_ids),
        )

    @_locked
    def mark(self, marks: Marks) -> None:
        self._put_marks(marks)

    def witness_us(self) -> int | None:
        return None

    @_locked
    def latest_cursor_us(self) -> int:
        return max((kept.cursor_us for kept in self._entries.values()), default=0)

    @_locked
    def rewind(self, now_us: int, fence: Fence) -> int | Fenced:
        if not self._holds(fence):
            return FENCED
        late = [name for name, kept in self._entries.items() if kept.cursor_us > now_us]
        for name in late:
            self._entries[name] = replace(self._entries[name], cursor_us=now_us)
        return len(late)

    def store_id(self) -> str:
        return f"memory-{id(self)}"

    def close(self) -> None:
        pass

    def ledger(self) -> dict[FiringKey, tuple[Firing, FiringState]]:
        """Every row with its state, for tests."""
        return {key: (firing, self._states[key]) for key, firing in self._firings.items()}

    def reasons(self) -> dict[FiringKey, str]:
        """Why rows were skipped or failed, for tests."""
        return dict(self._reasons)

    def skips(self) -> list[Skip]:
        """Every skip record, for tests."""
        return list(self._skips.values())

    def _holds(self, fence: Fence) -> bool:
        return bool(fence.holder) and (self._lease.holder, self._lease.epoch) == (fence.holder, fence.epoch)

    def _known(self, names: Iterable[str]) -> tuple[tuple[Known, ...], tuple[Fault, ...]]:
        known: list[Known] = []
        faults: list[Fault] = []
        for name in names:
            kept = self._entries[name]
            try:
                brief = self._parsed[kept.spec, name]
            except KeyError:
                try:
                    brief = kept.abridged()
                except SPEC_FAULTS as fault:
                    faults.append(Fault(name, f"{type(fault).__name__}: {fault}"))
                    continue
            latest = self._latest.get(name, ("", 0))
            known.append(Known(brief, kept.rev, kept.cursor_us, kept.removed, kept.runs, *latest))
        return tuple(known), tuple(faults)

    def _fits(self, move: Move) -> bool:
        kept = self._entries.get(move.entry)
        return kept is not None and (kept.rev, kept.cursor_us, kept.removed) == (
            move.rev,
            move.from_us,
            False,
        )

    def _put_edit(self, edit: Edit, batch_id: int) -> list[Firing]:
        """Write it; what its old revision owed, and was not in the ledger yet."""
        self._put_entry(edit.after)
        fresh = self._insert(
            self._owed(edit, batch_id), FiringState.HELD if edit.holds else FiringState.DECIDED
        )
        if not edit.holds:
            self._count_runs(edit.after.name, len(fresh))
        self._put_skips(edit.skips)
        self._tell(skip_notices(self.cluster, edit.skips, edit.tells, edit.after.cursor_us))
        return fresh

    def _owed(self, edit: Edit, batch_id: int) -> list[Firing]:
        return [
            firing_of(self.cluster, due.entry, due.due_us, rev=edit.old_rev, batch_id=batch_id)
            for due in edit.dues
        ]

    def _insert(self, firings: Sequence[Firing], state: FiringState = FiringState.DECIDED) -> list[Firing]:
        fresh = [firing for firing in firings if firing.ledger_key not in self._firings]
        for firing in fresh:
            key = firing.ledger_key
            self._firings[key] = firing
            self._states[key] = state
            self._open.setdefault(firing.batch_id, set()).add(key)
        return fresh

    def _count_runs(self, name: str, runs: int) -> None:
        if runs:
            self._entries[name] = replace(self._entries[name], runs=self._entries[name].runs + runs)

    def _put_skips(self, skips: Sequence[Skip]) -> None:
        for skip in skips:
            self._skips.setdefault((skip.from_us, skip.entry), skip)

    def _put_entry(self, after: KeptEntry) -> None:
        self._entries[after.name] = after
        with suppress(*SPEC_FAULTS):  # a damaged one that is removed
            self._parsed[after.spec, after.name] = after.abridged()
        self._changed[after.name] = self._revision + 1

    def _put_marks(self, marks: Marks) -> None:
        for key in marks.firings:
            if self._states.get(key) in _MARKED:
                self._put_state(key, FiringState.SENT)
        for batch_id in marks.batches:
            for key in list(self._open.get(batch_id, ())):
                if self._states[key] is FiringState.DECIDED:
                    self._put_state(key, FiringState.SENT)
        self._tell(marks.notices)

    def _tell(self, notices: Iterable[Notice]) -> None:
        for notice in notices:
            self.notices.setdefault(notice.id, KeptNotice(notice=notice, next_us=notice.at_us))

    def _state(self, firing: Firing) -> FiringState:
        return self._states[firing.ledger_key]

    def _put_state(self, key: FiringKey, state: FiringState, reason: str = "") -> None:
        self._states[key] = state
        if reason:
            self._reasons[key] = reason
        batch_id = self._firings[key].batch_id
        if state not in _UNFINISHED and batch_id in self._open:
            self._open[batch_id].discard(key)
            if not self._open[batch_id]:
                del self._open[batch_id]
