"""History: what a world noticed while it ran: when each revision of an entry came into force, what was decided and marked when.

It is told after each transaction, whether or not its answer gets through, and judges at once what the rows do not tell any more: a
cursor that moves back, a firing of a revision that is not in force.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from backbeat.scheduler.entry import Entry
from backbeat.scheduler.firing import Firing, FiringKey
from backbeat.scheduler.store.base import Batch, Decided, Lease, Marks, Reconciled

from .books import Books
from .timeline import Timeline


@dataclass(frozen=True, slots=True)
class Revision:
    """A revision of an entry, in force for its fire times after `from_us`; removed ones have none."""

    entry: Entry
    rev: int
    from_us: int
    removed: bool

    @property
    def fires(self) -> bool:
        """Whether it has fire times."""
        return self.entry.enabled and not self.removed


class History:
    """The memory of a world. `latest_us` is the latest time that a firing may carry (I-JUMP)."""

    def __init__(self, timeline: Timeline, books: Books, latest_us: Callable[[], int]) -> None:
        self._timeline = timeline
        self._books = books
        self._latest_us = latest_us
        self.revisions: dict[str, list[Revision]] = defaultdict(list)
        self.decided_us: dict[FiringKey, int] = {}
        self.marked_us: dict[FiringKey, int] = {}
        self.ruled: set[FiringKey] = set()
        """Those that the loop decided: what an edit decides for the old revision asks nobody about overlap."""
        self.terms: list[tuple[int, Lease]] = []
        self.rewinds = 0
        self.rollbacks: list[int] = []
        self.wrong: list[str] = []
        self._batches: dict[int, list[FiringKey]] = defaultdict(list)

    def entries_may_differ(self) -> None:
        """Something was edited, perhaps."""
        for name, row in self._books.entries().items():
            known = self.revisions[name]
            if not known or (known[-1].rev, known[-1].removed) != (row.rev, row.removed):
                known.append(Revision(row.entry, row.rev, row.cursor_us, row.removed))

    def swapped(self, seen: Lease, put: Lease) -> None:
        """The lease row is another."""
        if put.holder and put.epoch != seen.epoch:
            if any((lease.holder, lease.epoch) == (put.holder, put.epoch) for _, lease in self.terms):
                self.wrong.append(f"I-EPOCH: {put.holder} leads at epoch {put.epoch} for a second time")
            self.terms.append((self._timeline.now_us, put))

    def decided(self, batch: Batch, answer: Decided) -> None:
        """A batch was recorded."""
        self.recorded((*answer.fresh, *answer.held))
        self.ruled.update(firing.ledger_key for firing in (*answer.fresh, *answer.held))
        for firing in (*answer.fresh, *answer.held):
            known = self.revisions[firing.entry][-1]
            if firing.rev != known.rev or not known.fires:
                self.wrong.append(
                    f"I-REV: {firing.ledger_key} of revision {firing.rev}, in force is {known.rev}"
                )
            if firing.due_us > self._latest_us():
                self.wrong.append(f"I-JUMP: {firing.ledger_key} decided at {self._timeline.now_us}")
        stale = {known.entry.name for known in answer.stale}
        for move in batch.moves:
            if move.to_us < move.from_us and move.entry not in stale:
                self.wrong.append(f"I-CURSOR: {move}")
        self.marked(batch.marks)

    def reconciled(self, answer: Reconciled) -> None:
        """Entries of a file were applied."""
        self.recorded(answer.firings)
        if answer.changes:
            self.entries_may_differ()

    def recorded(self, firings: Iterable[Firing]) -> None:
        """These are new in the ledger."""
        for firing in firings:
            self.decided_us.setdefault(firing.ledger_key, self._timeline.now_us)
            self._batches[firing.batch_id].append(firing.ledger_key)

    def loaded(self, firings: Iterable[Firing]) -> None:
        """These were found open; nobody told us when those were recorded that an operator's edit brought."""
        for firing in firings:
            if firing.ledger_key not in self.decided_us:
                self.decided_us[firing.ledger_key] = 0
                self._batches[firing.batch_id].append(firing.ledger_key)

    def marked(self, marks: Marks) -> None:
        """These are known to be sent."""
        for key in marks.firings:
            self.marked_us.setdefault(key, self._timeline.now_us)
        for batch_id in marks.batches:
            for key in self._batches[batch_id]:
                self.marked_us.setdefault(key, self._timeline.now_us)

    def rewound(self, now_us: int) -> None:
        """Cursors that lay in the future are set back to now: what comes after it is owed again."""
        self.rewinds += 1
        for known in self.revisions.values():
            if known and known[-1].from_us > now_us:
                known[-1] = replace(known[-1], from_us=now_us)

    def take_overs(self, key: FiringKey) -> int:
        """How often another term began while this firing was open."""
        from_us, to_us = self.decided_us.get(key, 0), self.marked_us.get(key, 1 << 62)
        return sum(from_us <= at_us <= to_us for at_us, _ in self.terms)

    def lengths(self) -> dict[str, int]:
        """How many revisions of each entry there are now, for `rolled_back`."""
        return {name: len(known) for name, known in self.revisions.items()}

    def rolled_back(self, lengths: dict[str, int]) -> None:
        """The store is again what it was when there were so many revisions; what was marked may be open again."""
        self.rollbacks.append(self._timeline.now_us)
        self.marked_us.clear()
        for name, known in self.revisions.items():
            del known[lengths.get(name, 0) :]
