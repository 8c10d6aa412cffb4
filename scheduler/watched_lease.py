"""WatchedLease: the lease row, and the vitals are told what it said: when another leader last showed life, and who it is.

The wiring puts it between an elector and the store. It changes no answer.
"""

from __future__ import annotations

from .leader import LeaseRow
from .store.base import Lease
from .vitals import Vitals


class WatchedLease:
    """A LeaseRow over another."""

    def __init__(self, row: LeaseRow, vitals: Vitals) -> None:
        self._row = row
        self._vitals = vitals

    def read_lease(self) -> Lease:
        lease = self._row.read_lease()
        self._vitals.saw_lease(lease)
        return lease

    def swap_lease(self, seen: Lease, put: Lease) -> bool:
        swapped = self._row.swap_lease(seen, put)
        if swapped:
            self._vitals.took_lease(put)
        return swapped
