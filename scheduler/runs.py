"""Runs: what the beat must know of the runs that it started, for entries whose overlap is not `allow`: which are over.

The seam; MemoryRuns is for tests and trials, result_runs.py asks an app's result backend. The ledger asks when it decides, the
relay revokes before it sends.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol


class Runs(Protocol):
    """Runs by the task ids of their firings. `over` is called from the beat's thread, `revoke` from the one that publishes."""

    def over(self, task_ids: Sequence[str]) -> Collection[str]:
        """Those whose whole run has ended, in whatever way; a canvas with all its tasks.

        Raises nothing and returns within a bounded time, which is short: what is not known by then is left out.
        """

    def revoke(self, task_id: str) -> bool:
        """See to it that a run does not start, or goes no further; False when that could not be stored. Raises nothing."""


class MemoryRuns:
    """Runs end when somebody says so."""

    def __init__(self) -> None:
        self.ended: set[str] = set()
        self.revoked: list[str] = []
        self.up = True

    def over(self, task_ids: Sequence[str]) -> Collection[str]:
        return self.ended.intersection(task_ids) if self.up else ()

    def revoke(self, task_id: str) -> bool:
        if self.up:
            self.revoked.append(task_id)
        return self.up
