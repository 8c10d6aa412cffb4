"""Purging: what waits in queues is taken and ends as revoked, so that whatever depends on it is settled, too (decisions K12)."""

from __future__ import annotations

import time
from collections.abc import Callable

from .commit.base import Commit
from .commit.taken import Taken
from .commit.transition import Transition
from .commit.verdict import Run
from .outcome import Revoked
from .perform import Performer

AT_ONCE = 500
QUIET_SECONDS = 0.5
"""A broker that sends what there is needs a moment: after so long without a message there is none."""


def purge(commit: Commit, performer: Performer, told: Callable[[int], object] = lambda _: None) -> int:
    """Revoke all that `commit` can take now; how many messages that were. What somebody runs is left to them. Raises Unavailable.

    `told` hears how many there were so far.
    """
    count, quiet_at = 0, time.monotonic() + QUIET_SECONDS
    ending: list[Transition] = []
    while ending or time.monotonic() < quiet_at:
        taken = performer.commit(ending, take=AT_ONCE)
        ending = [_ended(performer, item) for item in taken]
        count += len(ending)
        told(count)
        if ending:
            quiet_at = time.monotonic() + QUIET_SECONDS
        else:
            commit.wait(max(0.0, quiet_at - time.monotonic()))
    return count


def _ended(performer: Performer, taken: Taken) -> Transition:
    if taken.message is not None and isinstance(taken.verdict, Run):
        return performer.finished(taken, taken.message, Revoked(reason="purged"))
    found = performer.route(taken)
    assert isinstance(found, Transition)  # only what may run must be executed
    return found
