"""Firing: one decided instant of one entry, its identity and the states of its row in the ledger.

PURE: the task id is derived, never drawn, so that whoever decides or sends an instant, however often, names the same task.

States (decisions B4). What is skipped before it is decided has no row here, but a range record in bb_skip.

        decided (1) ---> sent (2)             sending (4) ---> sent (2)
           |  |                                  |   |
           |  +--------> failed (6) <------------+   +-------> doubtful (5)
           +-----------> skipped (3) <--- held (7) ---> decided (1)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from enum import Enum, IntEnum
from hashlib import blake2b
from typing import Any, NamedTuple

from .entry import USUAL, Entry, Terms
from .spread import send_us


class FiringState(IntEnum):
    """The state of a firing; the numbers stand in the database."""

    DECIDED = 1
    """Recorded, and owed to the broker until its confirm is recorded."""
    SENT = 2
    """The broker confirmed it and did not return it."""
    SKIPPED = 3
    """It will not be sent, and the row says why."""
    SENDING = 4
    """At most once: it may be with the broker, and must never be sent again."""
    DOUBTFUL = 5
    """At most once: nobody knows whether the broker has it; a human must look."""
    FAILED = 6
    """The broker refuses it for good."""
    HELD = 7
    """It waits until the run before it is over (overlap: queue)."""


TRANSITIONS: frozenset[tuple[FiringState, FiringState]] = frozenset(
    {
        (FiringState.DECIDED, FiringState.SENT),
        (FiringState.DECIDED, FiringState.FAILED),
        (FiringState.DECIDED, FiringState.SKIPPED),
        (FiringState.SENDING, FiringState.SENT),
        (FiringState.SENDING, FiringState.DOUBTFUL),
        (FiringState.SENDING, FiringState.FAILED),
        (FiringState.HELD, FiringState.DECIDED),
        (FiringState.HELD, FiringState.SKIPPED),
    }
)
"""Every change of state that there is."""


class FiringKind(Enum):
    """Where a firing comes from; each kind has an identity space of its own. The value stands in the database."""

    REGULAR = "regular"
    """The schedule said so; its key is the fire time in microseconds."""
    BACKFILL = "backfill"
    """Somebody asked for a range of the past; its key is the fire time in microseconds."""
    MANUAL = "manual"
    """Somebody asked for a run now; its key is the id of the request."""


class FiringKey(NamedTuple):
    """The identity of a firing inside its cluster, in the order of the ledger's primary key."""

    due_us: int
    entry: str
    kind: str
    key: str


class Firing(NamedTuple):
    """A row of the ledger as the relay and the outlet see it. A tuple is made in a quarter of the time of a frozen dataclass.

    `payload` is what to send: `Entry.what` of the revision `rev`. `batch_id` names the transaction that decided it.
    `hold_us`: so long after its fire time it is sent (jitter, spread). `cancels`: the run to be revoked before it is sent.
    """

    entry: str
    due_us: int
    kind: FiringKind
    key: str
    task_id: str
    payload: Mapping[str, Any]
    rev: int
    batch_id: int
    terms: Terms = USUAL
    hold_us: int = 0
    cancels: str = ""

    @property
    def ledger_key(self) -> FiringKey:
        return FiringKey(self.due_us, self.entry, self.kind.value, self.key)


def regular_firing(
    cluster: str,
    entry: str,
    due_us: int,
    payload: Mapping[str, Any],
    *,
    rev: int,
    batch_id: int,
    terms: Terms = USUAL,
    hold_us: int = 0,
) -> Firing:
    """The firing of `entry` that its schedule wants at `due_us`."""
    key = str(due_us)
    task_id = derive_task_id(cluster, entry, FiringKind.REGULAR, key, due_us)
    return Firing(entry, due_us, FiringKind.REGULAR, key, task_id, payload, rev, batch_id, terms, hold_us)


def firing_of(cluster: str, entry: Entry, due_us: int, *, rev: int, batch_id: int) -> Firing:
    """The firing that the revision `rev` of an entry wants at `due_us`; the same for whoever decides it or loads it."""
    key = str(due_us)
    task_id = derive_task_id(cluster, entry.name, FiringKind.REGULAR, key, due_us)
    hold = hold_us(entry, due_us) if entry.jitter_us or entry.spread_us != 0 else 0
    return Firing(
        entry.name, due_us, FiringKind.REGULAR, key, task_id, entry.what, rev, batch_id, entry.terms, hold
    )


def hold_us(entry: Entry, due_us: int) -> int:
    """How long after its fire time a regular firing is sent; never so long that the next fire time comes first."""
    if not entry.jitter_us and entry.spread_us == 0:
        return 0
    next_us = entry.next_after(due_us)
    return send_us(entry.name, due_us, next_us, entry.jitter_us, entry.spread_us) - due_us


def terms_of(entry: Entry, kind: FiringKind) -> Terms:
    """How a firing of this kind travels: what somebody asked to be sent again late is neither late nor expired."""
    if kind is not FiringKind.BACKFILL or entry.terms is USUAL:
        return entry.terms
    return replace(entry.terms, expires_us=None, rate=None, late_after_us=None, tells=None)


def derive_task_id(cluster: str, entry: str, kind: FiringKind, key: str, due_us: int) -> str:
    """The task id of a firing: a UUID of version 8 (RFC 9562), the same for the same firing for ever (decisions B1).

    48 bits of the fire time in milliseconds come first, so that ids append at the end of an index; 74 bits of
    blake2b over cluster, entry, kind and key follow. The revision is not part of it: an edit must not make a second
    firing of an instant. Zero bytes divide the parts, so that no two firings share a text.
    """
    text = f"{cluster}\0{entry}\0{kind._value_}\0{key}"
    digest = int.from_bytes(blake2b(text.encode(), digest_size=10, person=b"backbeat-firing").digest(), "big")
    time_ms = due_us // 1000 & 0xFFFF_FFFF_FFFF
    upper = digest >> 62 & 0xFFF
    lower = digest & 0x3FFF_FFFF_FFFF_FFFF
    number = time_ms << 80 | 0x8 << 76 | upper << 64 | 0b10 << 62 | lower
    text = f"{number:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
