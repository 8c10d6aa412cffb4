"""MemoryStore: what the commits of one process share, and the lock on it.

Messages are kept as the text that travels on a wire, and records as the text that stores keep, so what works here has been through
the codec.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from ..clock import Clock, SystemClock
from .lane import Lane
from .mailbox import Mailbox
from .memory_dead import MemoryDead
from .memory_joins import MemoryJoins
from .run import RunRecord
from .unique import Hold


@dataclass(slots=True)
class State:
    """All that a store holds, by ids, keys and names. Who reads or changes it has the lock of the store."""

    mail: Mailbox = field(default_factory=Mailbox)
    runs: dict[str, RunRecord] = field(default_factory=dict)
    documents: dict[str, str] = field(default_factory=dict)
    groups: dict[str, str] = field(default_factory=dict)
    chains: dict[str, str] = field(default_factory=dict)
    plans: dict[str, dict[str, str]] = field(default_factory=dict)
    """By root, then by canvas."""
    roots: dict[str, str] = field(default_factory=dict)
    """Of canvases that have plans."""
    joins: MemoryJoins = field(default_factory=MemoryJoins)
    revoked: dict[str, tuple[int | None, int]] = field(default_factory=dict)
    announced: dict[str, tuple[str, int]] = field(default_factory=dict)
    audiences: dict[str, dict[str, int]] = field(default_factory=dict)
    """By broadcast, until when each queue is there."""
    dead: MemoryDead = field(default_factory=MemoryDead)
    holds: dict[str, Hold] = field(default_factory=dict)
    lanes: dict[str, Lane] = field(default_factory=dict)
    lines: dict[str, dict[str, None]] = field(default_factory=dict)
    """By limit_key the ids of those that wait for a slot, in order."""


class MemoryStore:
    """What is shared: messages, runs, documents, chains, joins. `changed` is notified on each change."""

    def __init__(self, clock: Clock | None = None) -> None:
        self.clock = clock or SystemClock()
        self.state = State()
        self.changed = threading.Condition()
