"""Idleness: how long nothing can happen in a world but renewals, looks at the lease, and polls that find nothing."""

from __future__ import annotations

from typing import Any

from backbeat.scheduler.store.memory import MemoryStore

from .node import Node
from .timeline import SECOND_US

LONGEST_SECONDS = 86_400.0
RUN_LOST_SECONDS = 600.0
"""Where a firing is held by a run whose end nobody will hear of: look whether it has timed out."""


def idle_seconds(world: Any, leader: Node) -> float:
    """How long nothing is due, as the leader sees it; 0.0 when it is not idle, or does not know all that is open."""
    beat, guard = leader.beat, leader.guard
    assert beat is not None
    assert guard is not None
    store: MemoryStore = world.store
    relay, ledger = beat._relay, beat._ledger
    held = sum(len(each) for each in ledger._blockers._held.values())
    if relay._flight is not None or relay.unsent or ledger._revision != store._revision:
        return 0.0
    if sum(map(len, store._open.values())) != len(relay) + held or world.registry.running():
        return 0.0
    waits = [LONGEST_SECONDS]
    if held:
        waits.append(RUN_LOST_SECONDS)
        if (end_us := world.runs.next_end_us()) is not None:
            waits.append((end_us - world.timeline.now_us) / SECOND_US)
    if (lift_us := world.registry.first_end_us()) is not None:
        waits.append((lift_us - guard.now_us()) / SECOND_US)
    if (retry := relay.retry_in()) is not None:
        waits.append(retry)
    if beat.next_us is not None:
        waits.append((beat.next_us - guard.now_us()) / SECOND_US)
    return min(waits)
