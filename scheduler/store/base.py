"""Store: the seam to the durable truth of a beat: the lease, the entries with their cursors, and the ledger.

A lock decides who tries, a row decides who succeeds: `reconcile`, `decide` and `load_open` compare the lease row with the
caller's fence inside their own transaction, by a locking read, and answer FENCED when it names somebody else. Decisions are
fenced, facts are not: `mark` records what the broker said, whoever leads by now.

Implementations: memory.py (the reference), sql.py. One suite runs over all of them: tests/conformance/test_store.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final, Literal, Protocol

from ..edit import EditKind
from ..entry import Entry, Owner
from ..errors import BackbeatScheduleError
from ..firing import Firing, FiringKey
from ..plan import Skip


class StoreDown(BackbeatScheduleError):
    """The store could not be asked, or its answer was lost: what was asked may or may not have happened."""


class StoreRefused(BackbeatScheduleError):
    """The store can be reached and must not be used: a wrong address, or made by a newer backbeat."""


class Refusal(Enum):
    """The answer to somebody whose fence is not in the lease row."""

    FENCED = "fenced"


FENCED: Final = Refusal.FENCED
Fenced = Literal[Refusal.FENCED]


@dataclass(frozen=True, slots=True)
class Lease:
    """The lease row. `holder` "" is nobody; `epoch` only grows; `renewal` tells one sign of life from the next."""

    holder: str
    epoch: int
    renewal: int
    ttl_ms: int


@dataclass(frozen=True, slots=True)
class Fence:
    """What a leader shows with each decision: the row must name this holder at this epoch."""

    holder: str
    epoch: int


@dataclass(frozen=True, slots=True)
class Known:
    """An entry as the store knows it. A removed one comes only with the changes since a revision."""

    entry: Entry
    rev: int
    cursor_us: int
    removed: bool = False


@dataclass(frozen=True, slots=True)
class Loaded:
    """Entries, and the revision of the store that they show."""

    entries: tuple[Known, ...]
    revision: int


@dataclass(frozen=True, slots=True)
class Move:
    """The cursor of an entry goes from one instant to another, if its revision and cursor are still these."""

    entry: str
    rev: int
    from_us: int
    to_us: int
    next_us: int | None


@dataclass(frozen=True, slots=True)
class Marks:
    """What the broker has confirmed: whole batches, and single firings of batches that are not complete."""

    batches: tuple[int, ...] = ()
    firings: tuple[FiringKey, ...] = ()
    sent_us: int = 0

    def __bool__(self) -> bool:
        return bool(self.batches or self.firings)


@dataclass(frozen=True, slots=True)
class Batch:
    """One decision: firings, the moves and skips that go with them, and the marks of an earlier batch as a passenger.

    Every firing and every skip belongs to an entry that has a move. `batch_id` was never used before.
    """

    batch_id: int
    decided_us: int
    firings: tuple[Firing, ...]
    moves: tuple[Move, ...]
    skips: tuple[Skip, ...] = ()
    marks: Marks = Marks()


@dataclass(frozen=True, slots=True)
class Decided:
    """The answer to a batch: the firings that were not in the ledger before, and the entries that had changed meanwhile.

    Nothing was decided for an entry in `stale`; it comes as the store knows it now.
    """

    fresh: tuple[Firing, ...]
    stale: tuple[Known, ...] = ()


@dataclass(frozen=True, slots=True)
class Reconciled:
    """The answer to a reconcile: what changed, whose entries were left alone, what the old revisions still send."""

    changes: tuple[tuple[str, EditKind], ...]
    foreign: tuple[str, ...]
    firings: tuple[Firing, ...]
    skips: tuple[Skip, ...]


class Store(Protocol):
    """The contract. Thread-safe. Every method raises StoreDown when the store cannot be asked or its answer is lost, and is
    then to be treated as perhaps done. `decide`, `reconcile` and `mark` are each one transaction: all of it or nothing.
    """

    def read_lease(self) -> Lease:
        """The lease row as it is committed."""

    def swap_lease(self, seen: Lease, put: Lease) -> bool:
        """Replace the lease row by `put` if it still equals `seen` in holder, epoch and renewal; says whether it did.

        Taking, renewing and releasing are this one call; the policy is the elector's. Of several callers that saw the
        same row one succeeds.
        """

    def load(self, known: int | None) -> Loaded | None:
        """All entries (known None), or those that changed after revision `known`; None when nothing did.

        A moved cursor is not a change. One consistent view; nothing is locked.
        """

    def reconcile(
        self, wanted: Sequence[Entry], now_us: int, fence: Fence, *, batch_id: int, owner: Owner = Owner.FILE
    ) -> Reconciled | Fenced:
        """Make the entries of `owner` equal to `wanted`, by the rules of edit.py. Idempotent."""

    def decide(self, batch: Batch, fence: Fence) -> Decided | Fenced:
        """Record a batch. A firing that is in the ledger already stays as it is, and is not fresh. Idempotent so far.

        The cursor of each entry is moved by compare-and-set on (revision, cursor); where that fails the entry is stale
        and the rest is decided. The marks are recorded in the same transaction; on FENCED they are not.
        """

    def load_open(self, fence: Fence, limit: int) -> tuple[Firing, ...] | Fenced:
        """Firings that are decided and not sent, oldest first, and take their batches over into this epoch.

        Whole batches, oldest first, until `limit` firings are reached: at least one batch if there is any.
        """

    def mark(self, marks: Marks) -> None:
        """Record that these were sent. Not fenced: it is a fact. Idempotent; unknown and sent ones are left alone."""

    def store_id(self) -> str:
        """A text that was drawn when the store was made, and that no other store has (decisions B12)."""

    def close(self) -> None:
        """Give connections back. The store is not used afterwards."""
