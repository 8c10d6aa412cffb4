"""StatusPage: one document about a beat for people and scripts: /status of the probe server.

Made of the vitals, and of what the store says of the next fire times; that is asked at most every few seconds, by one request at a
time, and a store that does not answer leaves its part out and says so.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from ..canvas.holder import Holder
from .health import liveness
from .store.base import StoreDown, StoreRefused
from .store.store_reader import StoreReader
from .vitals import Vitals

KEEP_SECONDS = 5.0
NEXT = 10
"""Fire times that are shown."""


class StatusPage:
    """Thread-safe. `open_reader` gives None for a store that nobody else can read."""

    def __init__(
        self,
        vitals: Vitals,
        version: str,
        open_reader: Callable[[], StoreReader | None],
        *,
        keep_seconds: float = KEEP_SECONDS,
    ) -> None:
        self._vitals = vitals
        self._version = version
        self._open_reader = open_reader
        self._keep_seconds = keep_seconds
        self._reader: StoreReader | None = None
        self._asking = threading.Lock()
        self._stored: dict[str, Any] = {}
        self._asked_at = float("-inf")

    def document(self) -> dict[str, Any]:
        """All of it, as JSON data."""
        vitals = self._vitals
        alive = liveness(vitals)
        return {
            "version": self._version,
            "role": {None: "unknown", True: "leading", False: "standby"}[vitals.leads],
            "epoch": vitals.epoch,
            "leader": _leader(vitals),
            "lease_age_seconds": vitals.lease_age_seconds,
            "alive": alive.well,
            "verdict": alive.text,
            "last_pass": _iso(vitals.passed_at_wall),
            "last_pass_age_seconds": vitals.pass_age_seconds,
            "entries": vitals.entries,
            "open_firings": vitals.open_firings,
            "next_fire_time": _iso_us(vitals.next_us),
            "sent": vitals.sent,
            "late": vitals.late_firings,
            "skipped": vitals.skips,
            "missed": vitals.missed,
            "latest": None
            if vitals.latest is None
            else {"entry": vitals.latest[0], "lateness_ms": vitals.latest[1] / 1000},
            "failovers": vitals.failovers,
            "failover_seconds": vitals.failover_seconds,
            "broker": {
                "up": vitals.broker_up,
                "fault": vitals.broker_fault,
                "publishing_seconds": vitals.publishing_seconds,
            },
            "quarantined": vitals.quarantined_entries,
            "problems": vitals.problems,
            "clock_steps": vitals.clock_steps,
            "audit": self._audit(),
            "last_error": vitals.last_error,
            "store": self._ask_store(),
        }

    def close(self) -> None:
        """Give connections back."""
        if self._reader is not None:
            self._reader.close()

    def _audit(self) -> dict[str, Any] | None:
        audit = self._vitals.audit
        if audit is None:
            return None
        shown = [
            {"entry": each.entry, "fire_time": _iso_us(each.due_us), "kind": each.kind.value, "rev": each.rev}
            for each in audit.differences[:100]
        ]
        return {
            "differences": shown,
            "number": len(audit.differences),
            "entries": audit.entries,
            "unreadable": audit.unreadable,
            "age_seconds": time.monotonic() - audit.ended_at,
        }

    def _ask_store(self) -> dict[str, Any]:
        if self._asking.acquire(blocking=False):
            try:
                if time.monotonic() - self._asked_at >= self._keep_seconds:
                    self._stored = self._read()
                    self._asked_at = time.monotonic()
            finally:
                self._asking.release()
        return self._stored

    def _read(self) -> dict[str, Any]:
        try:
            self._reader = self._reader or self._open_reader()
            if self._reader is None:
                return {"answers": None}
            counts = self._reader.counts()
            upcoming = self._reader.upcoming(NEXT)
        except (StoreDown, StoreRefused) as fault:
            return {"answers": False, "fault": str(fault)}
        return {
            "answers": True,
            "entries": counts.entries,
            "open_firings": counts.open_firings,
            "next": [{"entry": each.entry, "fire_time": _iso_us(each.next_us)} for each in upcoming],
        }


def _leader(vitals: Vitals) -> dict[str, Any] | None:
    holder = None if vitals.lease is None else Holder.parse(vitals.lease.holder)
    if vitals.lease is None or holder is None:
        return None
    return {"host": holder.host, "pid": holder.pid, "epoch": vitals.lease.epoch}


def _iso(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat()


def _iso_us(us: int | None) -> str | None:
    return None if us is None else _iso(us / 1_000_000)
