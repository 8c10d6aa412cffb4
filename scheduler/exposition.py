"""BeatFigures: the vitals of a beat as families of Prometheus (docs/metrics.md).

No label has the name of an entry: a hundred thousand entries would be a hundred thousand series each.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping

from prometheus_client.core import Metric

from ..canvas.exposition import Families
from .vitals import BOUNDS_SECONDS, Vitals

_make = Families("backbeat_beat_")


class BeatFigures:
    """A part of the exposition."""

    def __init__(self, vitals: Vitals, version: str) -> None:
        self._vitals = vitals
        self._version = version

    def collect(self) -> Iterable[Metric]:
        yield from self._work()
        yield from self._role()
        yield from self._surroundings()
        yield from self._audit()

    def _work(self) -> Iterable[Metric]:
        vitals = self._vitals
        lateness = vitals.lateness
        yield _make.histograms(
            "lateness_seconds",
            "From when a firing was to be sent to the broker's confirm.",
            [],
            BOUNDS_SECONDS,
            [([], lateness.counts, lateness.sum_us / 1_000_000)],
        )
        yield _make.counter("sent", "Firings that the broker confirmed.", lateness.total + vitals.backfilled)
        yield _make.counter(
            "late", "Firings confirmed later than their entry's late_after.", vitals.late_firings
        )
        yield _by_reason(
            "skipped", "Fire times that were not sent, by reason; uncounted ones are missing.", vitals.skips
        )
        yield _by_reason(
            "skip_records", "Records of fire times that were not sent, by reason.", vitals.skip_records
        )
        yield _by_reason("missed", "Firings that will never be known to be sent, by reason.", vitals.missed)
        yield _make.gauge("open_firings", "Firings that are decided and not confirmed.", vitals.open_firings)
        yield _make.gauge("entries", "Entries that this beat works with; 0 on a standby.", vitals.entries)
        yield _make.gauge(
            "lag_seconds", "Age of the oldest fire time that is not decided.", _lag(vitals.next_us)
        )
        yield _make.counter("quarantines", "Entries that could not be evaluated.", vitals.quarantines)

    def _role(self) -> Iterable[Metric]:
        vitals = self._vitals
        yield _make.gauge("leading", "1 for the leader, 0 for a standby.", float(bool(vitals.leads)))
        yield _make.gauge("epoch", "Epoch of the last term of this beat; 0: it never led.", vitals.epoch)
        yield _make.counter("terms", "Terms that this beat began.", vitals.terms)
        yield _make.counter(
            "failovers", "Terms that followed another leader that this beat had seen alive.", vitals.failovers
        )
        if vitals.failover_seconds is not None:
            yield _make.gauge(
                "failover_seconds",
                "Of the last failover: from the old leader's last sign of life to the new one's first emission that was due.",
                vitals.failover_seconds,
            )
        yield _make.gauge(
            "last_pass_age_seconds", "Since the loop's last complete pass.", vitals.pass_age_seconds
        )
        if vitals.lease_age_seconds is not None:
            yield _make.gauge(
                "lease_age_seconds", "Since the lease was last seen to be renewed.", vitals.lease_age_seconds
            )

    def _surroundings(self) -> Iterable[Metric]:
        vitals = self._vitals
        if vitals.broker_up is not None:
            yield _make.gauge(
                "broker_up", "1 if the last publish reached the broker.", float(vitals.broker_up)
            )
        yield _make.gauge(
            "publishing_seconds", "How long the publish under way has taken.", vitals.publishing_seconds
        )
        yield _make.counter("reloads", "Reloads of the schedules that were applied.", vitals.reloads)
        yield _make.counter(
            "reload_errors", "Reloads of the schedules that were refused.", vitals.reload_errors
        )
        yield _make.gauge(
            "reload_ok", "0 while the schedules on disk are refused.", float(not vitals.problems)
        )
        yield _make.counter("clock_steps", "Steps of the wall clock.", vitals.clock_steps)
        yield _make.gauge(
            "last_clock_step_seconds", "The last of them, with its sign.", vitals.last_step_seconds
        )
        yield _make.info("The version that runs; always 1.", {"version": self._version})

    def _audit(self) -> Iterable[Metric]:
        audit = self._vitals.audit
        if audit is None:
            return
        yield _make.gauge(
            "audit_differences", "Differences between schedules and ledger.", len(audit.differences)
        )
        yield _make.gauge(
            "audit_entries", "Entries that the last round of the self-audit compared.", audit.entries
        )
        yield _make.gauge("audit_unreadable", "Entries whose row makes no entry.", audit.unreadable)
        yield _make.gauge(
            "audit_age_seconds", "Since that round was complete.", time.monotonic() - audit.ended_at
        )


def _lag(next_us: int | None) -> float:
    return 0.0 if next_us is None else max(0.0, time.time() - next_us / 1_000_000)


def _by_reason(name: str, text: str, counts: Mapping[str, int]) -> Metric:
    return _make.counters(
        name, text, ["reason"], [([reason], count) for reason, count in sorted(counts.items())]
    )
