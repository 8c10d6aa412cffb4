"""WatchedOutlet: an outlet, and the vitals are told whether the broker answers, and how long it has been asked.

The wiring puts it between a beat and its outlet. It changes no answer. Called from whichever thread publishes.
"""

from __future__ import annotations

from collections.abc import Sequence

from .firing import Firing
from .relay import Outlet, OutletDown, Published
from .vitals import Vitals


class WatchedOutlet:
    """An Outlet over another."""

    def __init__(self, outlet: Outlet, vitals: Vitals) -> None:
        self.stay = outlet.stay
        self._outlet = outlet
        self._vitals = vitals

    def publish(self, firings: Sequence[Firing]) -> Published:
        fault: str | None = "a publish failed"
        self._vitals.publish_began()
        try:
            published = self._outlet.publish(firings)
            fault = None
        except OutletDown as down:
            fault = str(down)
            raise
        finally:
            self._vitals.publish_ended(fault)
        return published

    def reach(self) -> None:
        try:
            self._outlet.reach()
        except OutletDown as down:
            self._vitals.publish_ended(str(down))
            raise
        self._vitals.publish_ended(None)
