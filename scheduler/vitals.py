"""Vitals: what a beat knows of itself, as plain numbers: for /metrics, /status, the probes and systemd.

A listener that counts. It decides nothing, knows no library of metrics, and does no I/O. One thread (the beat's) tells it what happened;
any other may read: each number is replaced whole, never changed in place. A firing costs an append here; `passed` puts what has
gathered into the histogram, in bulk. The two watched seams (watched_outlet.py, watched_lease.py) tell it what listeners are not told:
when the broker last answered, and when another leader last showed life.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from .auditor import Audit
from .firing import Firing, FiringKind
from .leader import Term
from .listener import SilentListener
from .skip import Skip
from .store.base import Lease

BOUNDS_SECONDS = (
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
    60.0,
    600.0,
    3600.0,
)
"""Upper bounds of the lateness histogram's buckets."""
_BOUNDS_US = tuple(round(bound * 1_000_000) for bound in BOUNDS_SECONDS)
NAMED = 20
"""Quarantined entries and errors that are remembered by name: this is memory, and goes to whoever asks for /status."""


@dataclass(frozen=True, slots=True)
class Lateness:
    """A histogram: `counts` by bucket, not cumulative, the last of them beyond all bounds; `sum_us` of all."""

    counts: tuple[int, ...] = (0,) * (len(_BOUNDS_US) + 1)
    sum_us: int = 0

    @property
    def total(self) -> int:
        """How many were counted."""
        return sum(self.counts)

    def plus(self, gathered: Sequence[int]) -> Lateness:
        """With these, in microseconds; one below zero (a clock that was set back) counts as zero."""
        counts, sum_us = list(self.counts), self.sum_us
        for lateness_us in gathered:
            if lateness_us > 0:
                counts[bisect_left(_BOUNDS_US, lateness_us)] += 1
                sum_us += lateness_us
            else:
                counts[0] += 1
        return Lateness(tuple(counts), sum_us)


class Figures(Protocol):
    """What a beat can say of itself at any time, in its own thread."""

    @property
    def entries(self) -> int:
        """How many entries it works with; a standby works with none."""

    @property
    def unsent(self) -> int:
        """How many decided firings the broker has not confirmed."""

    @property
    def next_us(self) -> int | None:
        """The first fire time that is not decided."""


class Vitals(SilentListener):
    """Counts since the process began. Public attributes are for reading, by anybody."""

    def __init__(
        self, *, monotonic: Callable[[], float] = time.monotonic, now: Callable[[], float] = time.time
    ) -> None:
        self._monotonic = monotonic
        self._now = now
        self.began_at = monotonic()
        self.lateness = Lateness()
        self.late_firings = self.quarantines = self.clock_steps = self.terms = 0
        self.skips: Mapping[str, int] = {}
        self.skip_records: Mapping[str, int] = {}
        self.missed: Mapping[str, int] = {"failed": 0, "doubtful": 0}
        self.reloads = self.reload_errors = 0
        self.problems: tuple[str, ...] = ()
        self.quarantined_entries: Mapping[str, str] = {}
        self.last_error = ""
        self.last_step_seconds = 0.0
        self.leads: bool | None = None
        """None: the role is not known yet."""
        self.epoch = 0
        self.passed_at: float | None = None
        self.passed_at_wall: float | None = None
        self.latest: tuple[str, int] | None = None
        self.failovers = 0
        self.failover_seconds: float | None = None
        self.lease: Lease | None = None
        self.lease_at: float | None = None
        self.broker_up: bool | None = None
        """None: it was not asked yet."""
        self.broker_fault = ""
        self.publishing_since: float | None = None
        self.audit: Audit | None = None
        """The last round of the self-audit that was complete."""
        self.entries = self.open_firings = 0
        self.next_us: int | None = None
        self._figures: Figures | None = None
        self._gathered: list[int] = []
        self.backfilled = 0
        self._latest: Firing | None = None
        self._holder = ""
        self._sign_at: float | None = None
        self._takeover: tuple[float, int] | None = None

    @property
    def sent(self) -> int:
        """Firings that the broker confirmed, as of the last pass."""
        return self.lateness.total

    @property
    def pass_age_seconds(self) -> float:
        """How long ago the last pass of the loop was complete; before the first one, how long ago the process began."""
        return self._monotonic() - (self.began_at if self.passed_at is None else self.passed_at)

    @property
    def publishing_seconds(self) -> float:
        """How long the publish that is under way has taken; 0 when none is."""
        since = self.publishing_since
        return 0.0 if since is None else self._monotonic() - since

    @property
    def lease_age_seconds(self) -> float | None:
        """How long ago the lease row was last seen to change; None: it was not seen yet."""
        return None if self.lease_at is None else self._monotonic() - self.lease_at

    def watch(self, figures: Figures) -> None:
        """Look at these at each pass, from the thread that passes."""
        self._figures = figures

    def tried(self, fault: str) -> None:
        """What the beat stands on is absent at its start; it is tried again and again, which is all it can do."""
        self.passed_at, self.passed_at_wall = self._monotonic(), self._now()
        self.last_error = fault

    def audited(self, audit: Audit) -> None:
        """A round of the self-audit is complete."""
        self.audit = audit

    # --- told by the beat ----------------------------------------------------------------------------------------------------

    def fired(self, firing: Firing, lateness_us: int) -> None:
        if firing.kind is FiringKind.BACKFILL:  # late on purpose
            self.backfilled += 1
        else:
            self._gathered.append(lateness_us)
        self._latest = firing
        if self._takeover is not None:
            self._first_emission(firing, *self._takeover)

    def late(self, firing: Firing, lateness_us: int) -> None:  # noqa: ARG002 - the listener's protocol
        self.late_firings += 1

    def failed(self, firing: Firing, reason: str) -> None:
        self.missed = _plus(self.missed, "failed", 1)
        self.last_error = f"entry {firing.entry!r}: {reason}"

    def doubtful(self, firing: Firing) -> None:
        self.missed = _plus(self.missed, "doubtful", 1)
        self.last_error = f"entry {firing.entry!r}: nobody knows whether the broker has {firing.task_id}"

    def skipped(self, skip: Skip) -> None:
        reason = skip.reason.value
        self.skips = _plus(self.skips, reason, skip.count or 0)
        self.skip_records = _plus(self.skip_records, reason, 1)

    def quarantined(self, entry: str, fault: str) -> None:
        self.quarantines += 1
        self.last_error = f"entry {entry!r} is quarantined: {fault}"
        if len(self.quarantined_entries) < NAMED:
            self.quarantined_entries = {**self.quarantined_entries, entry: fault}

    def clock_stepped(self, seconds: float) -> None:
        self.clock_steps += 1
        self.last_step_seconds = seconds

    def leading(self, term: Term) -> None:
        self.leads, self.epoch = True, term.epoch
        self.terms += 1
        self.quarantined_entries = {}
        if self._sign_at is not None:
            self.failovers += 1
            self.failover_seconds = self._monotonic() - self._sign_at
            self._takeover = self._sign_at, round(self._now() * 1_000_000)
        self._sign_at = None

    def standby(self) -> None:
        self.leads, self._takeover = False, None
        self._count()

    def reloaded(self, changes: int) -> None:  # noqa: ARG002 - the listener's protocol
        self.reloads += 1
        self.problems = ()

    def reload_refused(self, problems: Sequence[str]) -> None:
        self.reload_errors += 1
        self.problems = tuple(problems[:NAMED])
        self.last_error = problems[0] if problems else "the schedules were refused"

    def passed(self, *, leads: bool) -> None:
        self.leads = leads
        self.passed_at, self.passed_at_wall = self._monotonic(), self._now()
        if self._gathered:
            self._count()
        if self._figures is not None:
            self.entries, self.open_firings = self._figures.entries, self._figures.unsent
            self.next_us = self._figures.next_us

    # --- told by the watched seams -------------------------------------------------------------------------------------------

    def saw_lease(self, lease: Lease) -> None:
        """The lease row was read, and is so."""
        before, self.lease = self.lease, lease
        if before == lease:
            return
        self.lease_at = self._monotonic()
        if before is not None and lease.holder != self._holder:
            # a change between two looks is a sign of life; the first look is none
            self._sign_at = self.lease_at

    def took_lease(self, lease: Lease) -> None:
        """The lease row was swapped by this process: taken, renewed or released."""
        self.lease, self.lease_at = lease, self._monotonic()
        self._holder = lease.holder

    def publish_began(self) -> None:
        """Firings are on their way to the broker; from the thread that publishes."""
        self.publishing_since = self._monotonic()

    def publish_ended(self, fault: str | None) -> None:
        """The broker answered (None), or could not be reached."""
        self.publishing_since = None
        self.broker_up, self.broker_fault = fault is None, fault or ""

    # --- counting ------------------------------------------------------------------------------------------------------------

    def _count(self) -> None:
        gathered, self._gathered = self._gathered, []
        self.lateness = self.lateness.plus(gathered)
        if gathered and self._latest is not None:
            self.latest = self._latest.entry, gathered[-1]

    def _first_emission(self, firing: Firing, sign_at: float, led_at_us: int) -> None:
        """A firing that was waiting when the term began ends the failover; one that was due later says nothing about it."""
        self._takeover = None
        if firing.due_us + firing.hold_us <= led_at_us:
            self.failover_seconds = self._monotonic() - sign_at


def _plus(counts: Mapping[str, int], key: str, number: int) -> Mapping[str, int]:
    return {**counts, key: counts.get(key, 0) + number}
