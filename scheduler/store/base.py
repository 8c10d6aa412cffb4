"""Store: the seam to the durable truth of a beat: the lease, the entries with their cursors, and the ledger.

A lock decides who tries, a row decides who succeeds: `reconcile`, `decide`, `settle` and `load_open` compare the lease row with
the caller's fence inside their own transaction, by a locking read, and answer FENCED when it names somebody else. Decisions are
fenced, facts are not: `mark` records what the broker said, whoever leads by now.

A batch is open as long as one of its firings is decided, sending or held; `load_open` finds those of open batches. To mark a
batch says that all its firings that are decided were sent, and closes it: what became of the others is recorded before.

What a change makes known to somebody outside (notice.py) is recorded with it, in the same transaction; deliveries.py is the seam to it.

Implementations: memory.py (the reference), sql.py. One suite runs over all of them: tests/conformance/test_store.py.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final, Literal, NamedTuple, Protocol

from ..edit import EditKind
from ..entry import Entry, Owner
from ..errors import BackbeatScheduleError
from ..errors import StoreDown as StoreDown  # noqa: PLC0414 - who uses a store takes it from here
from ..errors import StoreRefused as StoreRefused  # noqa: PLC0414 - the same
from ..firing import Firing, FiringKey, FiringState
from ..likeness import Abridged
from ..notice import Notice
from ..skip import Skip


class Refusal(Enum):
    """The answer to somebody whose fence is not in the lease row."""

    FENCED = "fenced"


FENCED: Final = Refusal.FENCED
Fenced = Literal[Refusal.FENCED]


@dataclass(frozen=True, slots=True)
class Lease:
    """The lease row. `holder` "" is nobody; `epoch` only grows; `renewal` tells one sign of life from the next.

    `info` is what the holder says of itself (see leader.py); no decision of a store depends on it.
    """

    holder: str
    epoch: int
    renewal: int
    ttl_ms: int
    info: str = ""


@dataclass(frozen=True, slots=True)
class Fence:
    """What a leader shows with each decision: the row must name this holder at this epoch."""

    holder: str
    epoch: int


@dataclass(frozen=True, slots=True)
class Known:
    """An entry as the store knows it, `entry` in few bytes. A removed one comes only with the changes since a revision.

    `runs` counts its regular firings that were decided (decisions B8). `latest_id` is its newest run, "" for none, and
    `latest_us` when that was decided; both are kept only while its overlap is not `allow`.
    """

    brief: Abridged
    rev: int
    cursor_us: int
    removed: bool = False
    runs: int = 0
    latest_id: str = ""
    latest_us: int = 0

    @property
    def name(self) -> str:
        """The entry's name."""
        return self.brief.name

    @property
    def entry(self) -> Entry:
        """The entry, made anew each time."""
        return self.brief.entry()


SPEC_FAULTS = (ValueError, TypeError, LookupError, AttributeError, BackbeatScheduleError)
"""What reading the spec of an entry may raise when it was damaged, or written by another version."""


@dataclass(frozen=True, slots=True)
class Fault:
    """An entry that is in the store and cannot be read, and why."""

    entry: str
    reason: str


@dataclass(frozen=True, slots=True)
class Loaded:
    """Entries, and the revision of the store that they show; those that cannot be read are `faults`, and hurt nobody else."""

    entries: tuple[Known, ...]
    revision: int
    faults: tuple[Fault, ...] = ()


class Move(NamedTuple):
    """The cursor of an entry goes from one instant to another, if its revision and cursor are still these.

    `runs` is how many firings of the batch are decided for it. `latest_id` becomes its newest run, unless it is "".
    """

    entry: str
    rev: int
    from_us: int
    to_us: int
    next_us: int | None
    runs: int = 0
    latest_id: str = ""


@dataclass(frozen=True, slots=True)
class Marks:
    """What the broker has confirmed: whole batches, and single firings: those of batches that are not complete, and those that
    were recorded as sending. `notices` are what that makes known.
    """

    batches: tuple[int, ...] = ()
    firings: tuple[FiringKey, ...] = ()
    sent_us: int = 0
    notices: tuple[Notice, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.batches or self.firings or self.notices)


@dataclass(frozen=True, slots=True)
class Batch:
    """One decision: firings, the moves and skips that go with them, and the marks of an earlier batch as a passenger.

    Every firing and every skip belongs to an entry that has a move. `batch_id` was never used before. Those in `held` are
    recorded as held, the others as decided. `notices` are what the skips make known.
    """

    batch_id: int
    decided_us: int
    firings: tuple[Firing, ...]
    moves: tuple[Move, ...]
    skips: tuple[Skip, ...] = ()
    marks: Marks = Marks()
    held: tuple[Firing, ...] = ()
    notices: tuple[Notice, ...] = ()


@dataclass(frozen=True, slots=True)
class Decided:
    """The answer to a batch: the firings that were not in the ledger before, and the entries that had changed meanwhile.

    Nothing was decided for an entry in `stale`; it comes as the store knows it now, or as a fault.
    """

    fresh: tuple[Firing, ...]
    stale: tuple[Known, ...] = ()
    held: tuple[Firing, ...] = ()
    faults: tuple[Fault, ...] = ()


@dataclass(frozen=True, slots=True)
class Change:
    """A firing goes from one state to another, if it is still in the first; `reason` says why it is skipped or failed."""

    firing: Firing
    before: FiringState
    after: FiringState
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Open:
    """What is not finished, oldest first.

    `firings` are decided and owed to the broker. `held` wait for the run before them. `doubtful` were found as sending, so that
    nobody knows whether the broker has them: they are doubtful now. `failed` cannot be read any more, with the reason.
    `more`: there are open batches besides these.
    """

    firings: tuple[Firing, ...] = ()
    held: tuple[Firing, ...] = ()
    doubtful: tuple[Firing, ...] = ()
    failed: tuple[tuple[Firing, str], ...] = ()
    more: bool = False


@dataclass(frozen=True, slots=True)
class Reconciled:
    """The answer to a reconcile: what changed, whose entries were left alone, what the old revisions still send, or hold."""

    changes: tuple[tuple[str, EditKind], ...]
    foreign: tuple[str, ...]
    firings: tuple[Firing, ...]
    skips: tuple[Skip, ...]
    held: tuple[Firing, ...] = ()


class Store(Protocol):
    """The contract. Thread-safe. Every method raises StoreDown when the store cannot be asked or its answer is lost, and is
    then to be treated as perhaps done. `decide`, `settle`, `reconcile` and `mark` are each one transaction: all of it or nothing.
    """

    @property
    def cluster(self) -> str:
        """The name that the ids of its firings derive from (decisions B1)."""

    def read_lease(self) -> Lease:
        """The lease row as it is committed."""

    def swap_lease(self, seen: Lease, put: Lease) -> bool:
        """Replace the lease row by `put` if it still equals `seen` in holder, epoch and renewal; says whether it did.

        Taking, renewing and releasing are this one call; the policy is the elector's. Of several callers that saw the
        same row one succeeds.
        """

    def load(self, known: int | None, each: Callable[[Known], None] | None = None) -> Loaded | None:
        """All entries (known None), or those that changed after revision `known`; None when nothing did.

        A moved cursor is not a change. One consistent view; nothing is locked. An entry that cannot be read is a fault.
        `each` is given one after the other, and the answer then has none, so that many of them never lie in memory twice.
        """

    def names(self, owner: Owner) -> Collection[str]:
        """The entries of `owner` that are not removed."""

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
        """Make the entries of `owner` equal to `wanted`, by the rules of edit.py. Idempotent.

        `among`: the others stay as they are, wanted or not, and it costs no more than these; None: all.
        """

    def decide(self, batch: Batch, fence: Fence) -> Decided | Fenced:
        """Record a batch. A firing that is in the ledger already stays as it is, and is not fresh. Idempotent so far.

        The cursor of each entry is moved by compare-and-set on (revision, cursor); where that fails the entry is stale
        and the rest is decided. The marks are recorded in the same transaction; on FENCED they are not. An entry's runs are
        raised by those of its firings that are fresh and not held.
        """

    def settle(self, changes: Sequence[Change], now_us: int, fence: Fence) -> tuple[Change, ...] | Fenced:
        """Change the states of firings, by TRANSITIONS; returns those that were done: the firing was still as it was said.

        A held firing that is decided becomes the newest run of its entry, as of `now_us`, and counts as a run; a newest run
        that is skipped or failed is none any more. Only firings of open batches are touched.
        """

    def load_open(self, fence: Fence, limit: int, besides: Collection[int] = ()) -> Open | Fenced:
        """What is open, and take its batches over into this epoch.

        Whole batches, oldest first, until `limit` firings are reached: at least one batch if there is any. Batches in
        `besides` are left alone: the caller has them already.
        """

    def mark(self, marks: Marks) -> None:
        """Record that these were sent. Not fenced: it is a fact. Idempotent; unknown and finished ones are left alone."""

    def witness_us(self) -> int | None:
        """The wall time of the store's own clock in microseconds; None where that is this machine's."""

    def latest_cursor_us(self) -> int:
        """The latest cursor of all entries; 0 when there is none."""

    def rewind(self, now_us: int, fence: Fence) -> int | Fenced:
        """Set cursors that are later than `now_us` back to it, for a clock that was wrong; how many. Idempotent.

        What was decided stays in the ledger: those instants are met again and are not fresh.
        """

    def store_id(self) -> str:
        """A text that was drawn when the store was made, and that no other store has (decisions B12)."""

    def close(self) -> None:
        """Give connections back. The store is not used afterwards."""
