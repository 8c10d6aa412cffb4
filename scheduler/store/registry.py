"""Registry: the seam by which operators live with entries: from any process, with or without a beat that runs.

Three protocols over the same data. `Registry` is what an operator does: each call is one transaction, locks out other
editors, raises the store's revision so that the leader looks, and leaves a line in the audit. `Records` is what one may
read. `Chores` is what a leader does for operators: it is fenced, like all that a leader does.

Time is the database's where it has a clock of its own, so that a laptop with a wrong one cannot move a cursor.
Implementations: registry_memory.py, and for SQL registry_sql.py, records_sql.py, chores_sql.py. One suite runs over all of
them: tests/conformance/test_registry.py. Which one a store has is said by registry_wiring.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol

from ..audit_line import AuditLine
from ..backfill import Backfill
from ..edit import EditKind, KeptEntry
from ..entry import Entry
from ..firing import Firing, FiringKind, FiringState
from ..order import Order
from .base import Fence, Fenced


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """An entry as it stands: what is stored, what that means, and when it fires next (None: it does not)."""

    kept: KeptEntry
    entry: Entry
    next_us: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Edited:
    """The answer to an order: what it was for the entry (None: nothing was to be done), and how the entry stands now."""

    kind: EditKind | None
    standing: Standing


@dataclass(frozen=True, slots=True, kw_only=True)
class ManualRun:
    """A run that was asked for. `is_new` False: this request was there before, and adds nothing."""

    request_id: str
    task_id: str
    due_us: int
    is_new: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryLine:
    """A line of an entry's history: a firing, or a range of fire times that were skipped.

    `until_us` and `count` are a range's (count None: not counted). `sent_us` None: not sent, or not known to the microsecond.
    """

    due_us: int
    kind: FiringKind
    state: FiringState
    rev: int
    epoch: int
    decided_us: int
    until_us: int | None = None
    count: int | None = 1
    task_id: str = ""
    sent_us: int | None = None
    reason: str = ""


class Which(Enum):
    """Which entries `Records.entries` shows."""

    PRESENT = "present"
    """Those that there are."""
    OVERRIDDEN = "overridden"
    """Those of them that an override lies on."""
    ALL = "all"
    """Those that were removed, too."""


class Registry(Protocol):
    """What an operator does. Thread-safe. StoreDown means that nobody knows whether it happened."""

    def edit(self, name: str, order: Order, *, actor: str, expected_rev: int | None = None) -> Edited:
        """Obey one order about one entry. What its old revision owes until now is decided in the same transaction.

        Raises: what `obey` raises, and Conflict when the entry is at another revision than expected. Nothing is then done.
        """

    def run_now(
        self, name: str, request_id: str, *, actor: str, payload: Mapping[str, Any] | None = None
    ) -> ManualRun:
        """Send the entry's task once, now, whether or not it is paused; `payload` in the place of its own.

        The same request id again, of at most 36 characters, adds nothing. No fire time moves, and max_runs does not count it.
        Raises: NoSuchEntry; OrderRefused for a request id that was another entry's.
        """

    def backfill(self, wish: Backfill) -> Backfill:
        """Put a backfill down for the leader to decide; `at_us` and `cursor_us` are set here. Idempotent by its id.

        Raises: NoSuchEntry; OrderRefused for a range that is empty, or not past.
        """

    def cancel_backfill(self, id: str, *, actor: str) -> Backfill:
        """Stop one: what it has decided stays, the rest will not be. Idempotent.

        Raises: NoSuchEntry when there is no such backfill.
        """

    def now_us(self) -> int:
        """The time that edits go by."""


class Records(Protocol):
    """What one may read. Thread-safe; nothing is locked."""

    def get(self, name: str) -> Standing | None:
        """One entry, also one that was removed."""

    def entries(self, which: Which = Which.PRESENT) -> Sequence[Standing]:
        """Entries by name. It reads all of them."""

    def history(self, name: str, limit: int, before_us: int | None = None) -> Sequence[HistoryLine]:
        """The newest `limit` occurrences with a fire time before `before_us`, newest first."""

    def audit(self, name: str | None, limit: int) -> Sequence[AuditLine]:
        """The newest `limit` lines, of one entry or of all, newest first."""

    def backfills(self, limit: int = 100, id: str | None = None) -> Sequence[Backfill]:
        """The newest ones, whatever their state, newest first; or the one of this id."""


class Chores(Protocol):
    """What a leader does for operators. Each call is one fenced transaction."""

    def running(self) -> Sequence[Backfill]:
        """The backfills that are not done, oldest first."""

    def advance(
        self, seen: Backfill, put: Backfill, firings: Sequence[Firing], now_us: int, fence: Fence
    ) -> tuple[Firing, ...] | Fenced | None:
        """Record a slice: its firings, and the backfill as `put` if it is still as `seen`, and the entry of the firings' revision;
        None when it is not.

        A firing that is in the ledger already stays as it is, and is not in the answer, which has the new ones.
        """

    def first_end_us(self) -> int | None:
        """When the first override ends by itself, or earlier; None: none does. Cheap: it is asked once a second."""

    def lift(self, now_us: int, fence: Fence, *, batch_id: int) -> int | Fenced:
        """Take off the overrides that have ended, of each entry those that ended first; how many entries that were.

        What ended later comes off by the next call.
        An entry comes into its own from the instant at which the override ended, however late that is noticed.
        """
