"""Overview: is it healthy: who leads and who records, what comes next, what failed last, and how runs of the last hour came out."""

from __future__ import annotations

import time

from msgspec import Struct

from ....canvas.holder import Holder
from ...history.gap import Gap
from ...history.search import Search
from ...history.wiring import LEASE as RECORDER
from ...store.statements import LEASE_NAME
from ..page import Page, Question
from ..pulse import Pulse
from ..run_line import RunLine, line_of
from ..site import Site

NEXT = 10
FAILURES = 10
GAPS = 5
HOUR_US = 3_600_000_000


class LeaderView(Struct, frozen=True, kw_only=True):
    """Who holds a lease. `unrenewed_seconds` is for how long we have seen no sign of life."""

    host: str
    pid: int
    epoch: int
    unrenewed_seconds: float
    is_silent: bool


class FireView(Struct, frozen=True, kw_only=True):
    """A fire time to come."""

    schedule: str
    at_us: int


class OverviewView(Struct, frozen=True, kw_only=True):
    """All that the page shows. `heard_us` is until when events were kept; `hour` counts runs of the last hour by state."""

    leader: LeaderView | None
    recorder: LeaderView | None
    store: str
    schedules: int
    active: int
    open_firings: int
    upcoming: list[FireView]
    failures: list[RunLine]
    hour: dict[str, int]
    heard_us: int | None
    gaps: list[Gap]
    now_us: int


def overview_page() -> Page:
    """The first page."""
    pulse = Pulse()
    return Page(
        path="/",
        api="/api/v1/overview",
        title="Overview",
        place="Overview",
        template="overview.html",
        view=lambda site, _question: overview(site, _question, pulse),
    )


def overview(site: Site, _question: Question, pulse: Pulse) -> OverviewView:
    """What the store says now. Raises StoreDown."""
    reader, history, now_us = site.reader, site.history, site.now_us()
    counts = reader.counts()
    failures = history.runs(Search(states=("FAILURE",)), FAILURES)
    return OverviewView(
        leader=_leader(site, LEASE_NAME, pulse),
        recorder=_leader(site, RECORDER, pulse),
        store=site.store,
        schedules=counts.entries,
        active=counts.upcoming,
        open_firings=counts.open_firings,
        upcoming=[FireView(schedule=each.entry, at_us=each.next_us) for each in reader.upcoming(NEXT)],
        failures=[line_of(run) for run in failures],
        hour=dict(sorted(history.states(now_us - HOUR_US).items())),
        heard_us=history.heard_us(),
        gaps=history.gaps(GAPS),
        now_us=now_us,
    )


def _leader(site: Site, name: str, pulse: Pulse) -> LeaderView | None:
    lease = site.reader.lease(name)
    holder = Holder.parse(lease.holder)
    if holder is None:
        return None
    age = pulse.age_seconds(name, lease, time.monotonic())
    return LeaderView(
        host=holder.host,
        pid=holder.pid,
        epoch=lease.epoch,
        unrenewed_seconds=age,
        is_silent=age * 1000 > lease.ttl_ms,
    )
