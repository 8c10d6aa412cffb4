"""Backfill: fire times of the past that somebody wants sent again, or for the first time; and single runs that somebody wants now.

PURE. Both have identities of their own beside the regular firings, so that neither moves nor consumes a regular occurrence
(decisions B1): a backfill's key is the fire time, so that repeating one adds nothing, however its range lies; a manual run's
key is the id of the request. Who is paused is backfilled and run, too; max_runs does not count them (decisions B8).

The registry puts a backfill down, the leader's errands decide it slice by slice: `next_slice`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from math import isclose
from typing import Any

from .entry import Entry
from .errors import ScheduleError
from .firing import Firing, FiringKind, derive_task_id, terms_of
from .order import OrderRefused
from .schedule import Interval

SLICE = 500
"""Firings of one slice, and so of one transaction."""
MOST_FIRINGS = MOST_RATE = 1_000_000
"""Firings of one backfill: beyond it the range is to be divided, so that nobody fills a broker by a slip of the finger."""
REQUEST_ID = 36
"""Characters in the id of a request."""


class RequestState(IntEnum):
    """The state of a backfill, or of a request to run something now; the numbers stand in the database.

    running (1) ---> done (2)
        |
        +----------> cancelled (3)         run now (4), from the beginning to the end
    """

    RUNNING = 1
    """The leader decides its firings, slice by slice."""
    DONE = 2
    """All are decided; the ledger knows what became of them."""
    CANCELLED = 3
    """Somebody stopped it, or its entry was removed: what was not decided will not be."""
    RUN_NOW = 4
    """No backfill but a single run that somebody asked for; it was decided when it was asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backfill:
    """Fire times of the past that somebody wants sent: from `from_us`, inclusive, to `to_us`, exclusive.

    `cursor_us` is the instant up to which that is decided, `decided` how many firings that added to the ledger. `rate` is
    firings a second, None as fast as the broker takes them.
    """

    id: str
    entry: str
    from_us: int
    to_us: int
    rate: float | None = None
    actor: str
    reason: str = ""
    at_us: int = 0
    cursor_us: int = 0
    decided: int = 0
    state: RequestState = RequestState.RUNNING


@dataclass(frozen=True, slots=True)
class Slice:
    """The next fire times of a backfill; the instant up to which it is decided with them; and whether that is all."""

    fires_us: tuple[int, ...]
    cursor_us: int
    done: bool


@dataclass(frozen=True, slots=True)
class Extent:
    """How many fire times a range holds, and the first and the last of them (None: it holds none)."""

    count: int
    first_us: int | None
    last_us: int | None


def next_slice(backfill: Backfill, entry: Entry, limit: int) -> Slice:
    """The next at most `limit` fire times that are not decided, by the entry as it is now."""
    fires: list[int] = []
    fire_us = entry.next_after(backfill.cursor_us)
    while fire_us is not None and fire_us < backfill.to_us:
        if len(fires) == limit:
            return Slice(tuple(fires), fires[-1] if fires else backfill.cursor_us, done=False)
        fires.append(fire_us)
        fire_us = entry.next_after(fire_us)
    return Slice(tuple(fires), backfill.to_us - 1, done=True)


def extent(entry: Entry, from_us: int, to_us: int) -> Extent:
    """What a backfill of this range would send. About a second for MOST_FIRINGS of a crontab.

    Raises: ScheduleError for a range that holds more.
    """
    first_us = entry.next_after(from_us - 1)
    if first_us is None or first_us >= to_us:
        return Extent(0, None, None)
    if isinstance(entry.when, Interval):
        end_us = to_us - 1 if entry.end_us is None else min(to_us - 1, entry.end_us)
        every_us = (entry.when.every.days * 86_400 + entry.when.every.seconds) * 1_000_000
        every_us += entry.when.every.microseconds
        count = (end_us - first_us) // every_us + 1
        last_us = first_us + (count - 1) * every_us
    else:
        count, last_us = 1, first_us
        while (
            (fire_us := entry.next_after(last_us)) is not None and fire_us < to_us and count <= MOST_FIRINGS
        ):
            count, last_us = count + 1, fire_us
    if count > MOST_FIRINGS:
        raise ScheduleError(
            f"entry {entry.name!r}: the range holds more than {MOST_FIRINGS:,} fire times", help="divide it"
        )
    return Extent(count, first_us, last_us)


def check_range(wish: Backfill, now_us: int) -> None:
    """Raise ScheduleError for a range that is empty or reaches into the future, and for a rate that is none."""
    if wish.from_us >= wish.to_us:
        raise ScheduleError("a backfill goes from an earlier to a later time; its end is not part of it")
    if wish.to_us > now_us:
        raise ScheduleError("a backfill is of the past: what is still to come fires by itself")
    rate = wish.rate
    if rate is not None and not (isinstance(rate, (int, float)) and 0 < rate <= MOST_RATE):
        raise ScheduleError(
            f"the rate of a backfill is a number of firings a second, more than 0 and at most {MOST_RATE:,}, not {rate!r}"
        )


_SINGLE = 1e-6
"""MySQL's FLOAT keeps seven digits of a rate."""


def check_same(asked: Backfill, wish: Backfill) -> None:
    """Raise OrderRefused where an id that was asked for before is asked for again, for something else."""
    if asked.state is RequestState.RUN_NOW:
        raise OrderRefused(f"request {wish.id} is a run of entry {asked.entry!r}: choose another id")
    # an end of "now" is later in each repetition
    is_same_end = wish.to_us == asked.to_us or wish.to_us >= asked.at_us
    is_same_rate = wish.rate == asked.rate or (
        wish.rate is not None and asked.rate is not None and isclose(wish.rate, asked.rate, rel_tol=_SINGLE)
    )
    is_same = (asked.entry, asked.from_us) == (wish.entry, wish.from_us)
    if not (is_same and is_same_end and is_same_rate):
        raise OrderRefused(
            f"backfill {wish.id} is one of entry {asked.entry!r}, with another range or rate: choose another id"
        )


def backfill_firing(cluster: str, entry: Entry, due_us: int, *, rev: int, batch_id: int) -> Firing:
    """The firing of a backfill at one fire time."""
    return _firing(cluster, entry, due_us, FiringKind.BACKFILL, str(due_us), rev, batch_id)


def manual_firing(
    cluster: str, entry: Entry, request_id: str, due_us: int, *, rev: int, batch_id: int
) -> Firing:
    """The firing of a run that was asked for at `due_us`."""
    return _firing(cluster, entry, due_us, FiringKind.MANUAL, request_id, rev, batch_id)


def with_payload(entry: Entry, payload: Mapping[str, Any]) -> Entry:
    """The entry, sending something else: for a run with arguments of its own."""
    spec = entry.to_spec() | {"what": dict(payload)}
    return Entry.from_spec(entry.name, spec)


def _firing(
    cluster: str, entry: Entry, due_us: int, kind: FiringKind, key: str, rev: int, batch_id: int
) -> Firing:
    """It is sent at once: jitter and spread are for what many entries have in common, the clock."""
    task_id = derive_task_id(cluster, entry.name, kind, key, due_us)
    terms = terms_of(entry, kind)
    return Firing(entry.name, due_us, kind, key, task_id, entry.what, rev, batch_id, terms)
