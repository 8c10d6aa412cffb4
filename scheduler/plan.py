"""plan: one pass as a function: which instants are due at `now`, which are skipped and why, and when to look again. PURE.

Time comes in as an argument. The ledger calls it with the entries that the agenda says are due; `simulate` and the
tests call it with whatever they like. The cursor of an entry is the instant up to which its fire times are decided; plan
decides the instants in (cursor, now] and hands back the cursor behind the last one that it decided.

The policy (decisions B2). An instant no older than the entry's grace is fresh, and is always sent; where nothing is caught up a
grace of less than a second counts as one, as the loop needs some time for each instant. `catch_up` decides about
the older ones: none skips them; latest sends the newest missed instant and skips the rest, so a fresh one supersedes all
late ones; all sends the newest `catch_up_limit` of them, oldest first. `catch_up_window` bounds both; when it is not given
an instant is inside while it is at most one day old, or while no later fire time has come (that is "one period": a monthly
report that was missed by three days is still caught up).

The price of bounded work (what an ADR would say). A per-second entry after ten years has 315 million skipped instants. They
are one skip record, counted by arithmetic for an Interval; for every other schedule they are walked up to TALLY instants,
and beyond that the record says from, to and count None: "not counted". So one pass decides all that is skipped, however long the
silence was; what is to be sent and has no room is left to the next pass, which wake_at asks for at once.

Two things stand above the policy. An instant of `skip_us` that would be sent is skipped (operator). An entry with `max_runs`
sends no more than it has left (`left`); then it has ended, and later instants are nobody's business (decisions B8).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from .entry import DAY_US, PUNCTUAL_US, CatchUp, Entry
from .instants import SECOND_US
from .schedule import Interval, RRule, Solar
from .skip import Skip, SkipReason

TALLY = 3_000
"""Fire times that one pass walks for one entry only to count or to pass over them: some ms, and less than 100 for a large union."""
SLOW_TALLY = 300
"""The same for schedules whose every step takes a tenth of a millisecond: RRULE, the sun."""
BATCH = 500
"""Firings in one transaction: the commit is shared, and a crash repeats no more than this (W1)."""
_ALL_LEFT: Mapping[str, int] = {}


class Due(NamedTuple):
    """One instant of one entry that is to be sent."""

    entry: Entry
    due_us: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What one pass decides.

    `dues` are sorted by (fire time, entry name). `cursors` has the cursor of every entry that was looked at, `next_us` its
    first undecided fire time (None: there is none). `wake_at_us` is the earliest of those, or now when work is left.
    """

    dues: tuple[Due, ...]
    skips: tuple[Skip, ...]
    cursors: Mapping[str, int]
    next_us: Mapping[str, int | None]
    wake_at_us: int | None


def plan(
    entries: Iterable[Entry],
    cursors: Mapping[str, int],
    now_us: int,
    limit: int = BATCH,
    left: Mapping[str, int] = _ALL_LEFT,
) -> Plan:
    """Decide the instants of `entries` up to `now_us`, at most `limit` of them to be sent.

    An entry without a cursor is new: nothing before now is its business. A disabled entry has no instants. `left` is how many
    more times an entry may be sent, for those that have `max_runs`; one that is not in it is not bounded.
    """
    dues: list[Due] = []
    skips: list[Skip] = []
    moved: dict[str, int] = {}
    next_us: dict[str, int | None] = {}
    wake_at_us: int | None = None
    for entry in entries:
        cursor_us = cursors.get(entry.name, now_us)
        room = limit - len(dues)
        if left and entry.name in left:
            verdict = _decide_some(entry, cursor_us, now_us, room, left[entry.name])
        else:
            verdict = _decide(entry, cursor_us, now_us, room)
        dues += [Due(entry, due_us) for due_us in verdict.dues]
        skips += verdict.skips
        moved[entry.name] = verdict.cursor_us
        upcoming = next_us[entry.name] = verdict.next_us
        if upcoming is not None and (wake_at_us is None or upcoming < wake_at_us):
            wake_at_us = upcoming
    dues.sort(key=lambda due: (due.due_us, due.entry.name))
    if wake_at_us is not None:
        wake_at_us = max(wake_at_us, now_us)
    return Plan(tuple(dues), tuple(skips), moved, next_us, wake_at_us)


@dataclass(slots=True)
class _Verdict:
    """What a pass says about one entry; `next_us` is its first fire time behind `cursor_us`."""

    dues: list[int]
    skips: list[Skip]
    cursor_us: int
    next_us: int | None


def _decide_some(entry: Entry, cursor_us: int, now_us: int, room: int, left: int) -> _Verdict:
    """For an entry that may be sent `left` times more."""
    if left <= 0:
        return _Verdict([], [], cursor_us, None)
    verdict = _decide(entry, cursor_us, now_us, min(room, left))
    if len(verdict.dues) == left:
        verdict.next_us = None
    return verdict


def _decide(entry: Entry, cursor_us: int, now_us: int, room: int) -> _Verdict:
    if not entry.enabled:
        return _Verdict([], [], cursor_us, None)
    verdict = _Verdict([], [], cursor_us, entry.next_after(cursor_us))
    if room <= 0 or verdict.next_us is None or verdict.next_us > now_us:
        return verdict
    if verdict.next_us < now_us - entry.grace_us:
        match entry.catch_up:
            case CatchUp.NONE:
                late_us = now_us - max(entry.grace_us, PUNCTUAL_US)
                _skip_until(entry, verdict, late_us - 1, SkipReason.CATCH_UP_NONE)
            case CatchUp.LATEST:
                _send_latest(entry, verdict, now_us)
            case CatchUp.ALL:
                _send_all(entry, verdict, now_us, room)
                if verdict.next_us is not None and verdict.next_us < now_us - entry.grace_us:
                    return verdict  # late ones are left for the next pass; the fresh ones come after them
    _send_until(entry, verdict, now_us, room)
    return verdict


def _send_until(entry: Entry, verdict: _Verdict, until_us: int, room: int) -> None:
    """Send what is left up to `until_us`, as far as there is room; but for what somebody wants passed over."""
    due_us = verdict.next_us
    while due_us is not None and due_us <= until_us and len(verdict.dues) < room:
        if entry.skip_us and due_us in entry.skip_us:
            verdict.skips.append(Skip(entry.name, due_us, due_us, 1, SkipReason.OPERATOR))
        else:
            verdict.dues.append(due_us)
        verdict.cursor_us = due_us
        due_us = entry.next_after(due_us)
    verdict.next_us = due_us


def _skip_until(entry: Entry, verdict: _Verdict, until_us: int, reason: SkipReason) -> None:
    """Skip what is left up to `until_us`; one record, or none when nothing is left."""
    first_us = verdict.next_us
    if first_us is None or first_us > until_us:
        return
    last_us, count = _tally(entry, first_us, until_us)
    verdict.skips.append(Skip(entry.name, first_us, last_us, count, reason))
    verdict.cursor_us = last_us
    verdict.next_us = entry.next_after(last_us)


def _send_latest(entry: Entry, verdict: _Verdict, now_us: int) -> None:
    """The newest missed instant, unless it is fresh: the caller sends all fresh ones."""
    late_until_us = now_us - entry.grace_us - 1
    fresh_us = entry.next_after(late_until_us)
    if fresh_us is not None and fresh_us <= now_us:
        _skip_until(entry, verdict, late_until_us, SkipReason.SUPERSEDED)
        return
    assert verdict.next_us is not None
    newest_us = _newest(entry, verdict.next_us, late_until_us)
    if entry.catch_up_window_us is not None and newest_us < now_us - entry.catch_up_window_us:
        _skip_until(entry, verdict, newest_us, SkipReason.WINDOW)
        return
    _skip_until(entry, verdict, newest_us - 1, SkipReason.SUPERSEDED)
    _send_until(entry, verdict, newest_us, 1)


def _send_all(entry: Entry, verdict: _Verdict, now_us: int, room: int) -> None:
    """The newest `catch_up_limit` late instants inside the window, oldest first, as far as there is room."""
    assert verdict.next_us is not None
    late_until_us = now_us - entry.grace_us - 1
    window_us = DAY_US if entry.catch_up_window_us is None else entry.catch_up_window_us
    floor_us = now_us - window_us - 1
    if entry.catch_up_window_us is None and verdict.next_us <= floor_us:
        inside_us = entry.next_after(floor_us)
        if inside_us is None or inside_us > now_us:
            floor_us = _newest(entry, verdict.next_us, floor_us) - 1
    _skip_until(entry, verdict, min(floor_us, late_until_us), SkipReason.WINDOW)
    excess_us = _excess_until(entry, verdict.next_us, late_until_us)
    if excess_us is not None:
        _skip_until(entry, verdict, excess_us, SkipReason.LIMIT)
    _send_until(entry, verdict, late_until_us, room)


def _excess_until(entry: Entry, first_us: int | None, until_us: int) -> int | None:
    """The newest of the late fire times that has `catch_up_limit` later ones; None: none has."""
    limit = max(entry.catch_up_limit, 0)
    if first_us is None or first_us > until_us:
        return None
    if isinstance(entry.when, Interval):
        last_us, count = _tally(entry, first_us, until_us)
        assert count is not None
        return last_us - limit * _every_us(entry.when) if count > limit else None
    newest = _newest_of(entry, first_us, until_us, limit + 1)
    return newest[0] if len(newest) > limit else None


def _newest_of(entry: Entry, first_us: int, until_us: int, most: int) -> list[int]:
    """The newest `most` fire times of those from `first_us`, which is one, to `until_us`; or all of them, where they are fewer.

    Schedules only know the next one. So spans are walked from the end backwards, each as long as is likely to hold what is
    still wanted, by what the one before held; one that holds far more is walked no further, and a shorter one is tried.
    """
    found: list[int] = []
    high_us, span_us = until_us, most * SECOND_US
    while len(found) < most and high_us >= first_us:
        low_us = max(first_us - 1, high_us - span_us)
        wanted = most - len(found)
        too_many = wanted + wanted // 4 + 8
        walked: list[int] = []
        due_us = entry.next_after(low_us)
        while due_us is not None and due_us <= high_us and len(walked) < too_many:
            walked.append(due_us)
            due_us = entry.next_after(due_us)
        if len(walked) == too_many and high_us - low_us > too_many:
            span_us = max(too_many, min((high_us - low_us) // 2, walked[-1] - low_us))
            continue
        found = walked + found
        high_us = low_us
        span_us *= max(2, min(wanted // len(walked), 64)) if walked else 2
    return found[-most:]


def _tally(entry: Entry, first_us: int, until_us: int) -> tuple[int, int | None]:
    """(the newest fire time, how many there are or None) of those from `first_us`, which is one, to `until_us`."""
    match entry.when:
        case Interval():
            every_us = _every_us(entry.when)
            end_us = until_us if entry.end_us is None else min(until_us, entry.end_us)
            count = (end_us - first_us) // every_us + 1
            return first_us + (count - 1) * every_us, count
        case _:
            last_us, count, most = first_us, 1, _most_walked(entry)
            while count < most:
                due_us = entry.next_after(last_us)
                if due_us is None or due_us > until_us:
                    return last_us, count
                last_us, count = due_us, count + 1
            return _newest(entry, last_us, until_us), None


def _newest(entry: Entry, known_us: int, until_us: int) -> int:
    """The newest fire time at or before `until_us`, given one of them. A bisection: some 50 questions for any distance."""
    low_us, high_us = known_us, until_us
    while True:
        due_us = entry.next_after(low_us)
        if due_us is None or due_us > until_us:
            return low_us
        low_us = due_us
        middle_us = (low_us + high_us) // 2
        due_us = entry.next_after(middle_us)
        if due_us is None or due_us > until_us:
            high_us = middle_us
        else:
            low_us = due_us


def _most_walked(entry: Entry) -> int:
    return SLOW_TALLY if isinstance(entry.when, RRule | Solar) else TALLY


def _every_us(when: Interval) -> int:
    every = when.every
    return (every.days * 86_400 + every.seconds) * 1_000_000 + every.microseconds
