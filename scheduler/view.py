"""View: what is stored about an entry as people and programs read it: aware times, names, the pause and the overrides.

PURE. `Schedules` gives these to its callers, and the command line shows them; `to_json` is the form of `--json`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta, tzinfo
from enum import Enum
from typing import Any, Self

from .audit_line import AuditLine
from .backfill import Backfill
from .entry import Entry
from .errors import ScheduleError
from .firing import FiringKind
from .imports.definition import length_text
from .override import Override, OverrideKind, override_of
from .schedule import Clocked, Crontab, Interval
from .store.registry import HistoryLine, Standing
from .words import in_words
from .work_words import work_text

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LEAST_US = (datetime(1, 1, 1, tzinfo=UTC) - _EPOCH) // timedelta(microseconds=1)
_MOST_US = (datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC) - _EPOCH) // timedelta(microseconds=1)


def moment(us: int) -> datetime:
    """An instant as an aware datetime, in UTC; what lies beyond all that a datetime can hold is its end, or its beginning."""
    return _EPOCH + timedelta(microseconds=min(max(us, _LEAST_US), _MOST_US))


def in_zone(instant: datetime, zone: tzinfo) -> datetime:
    """An aware datetime in a zone; in its own where that would be before year 1 or after year 9999."""
    try:
        return instant.astimezone(zone)
    except OverflowError:
        return instant


def moment_or_none(us: int | None) -> datetime | None:
    """The same for what may be missing."""
    return None if us is None else moment(us)


def us_of(instant: datetime) -> int:
    """The inverse of `moment`. Raises: ScheduleError for a naive datetime."""
    if not isinstance(instant, datetime):
        raise ScheduleError(
            f"{instant!r} is not a time", help="an aware datetime: datetime(2026, 1, 1, tzinfo=UTC)"
        )
    if instant.utcoffset() is None:
        raise ScheduleError(f'"{instant}" has no time zone', help="datetime(2026, 1, 1, tzinfo=UTC)")
    return (instant - _EPOCH) // timedelta(microseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class OverrideView:
    """Something that an operator laid over an entry."""

    kind: str
    changes: Mapping[str, Any]
    actor: str
    at: datetime
    reason: str
    until: datetime | None

    @classmethod
    def of(cls, known: Override) -> Self:
        return cls(
            kind=known.kind.value,
            changes=known.changes,
            actor=known.actor,
            at=moment(known.at_us),
            reason=known.reason,
            until=moment_or_none(known.until_us),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleView:
    """An entry. `next` is its first fire time from now on, None if there is none, as while it is paused.

    `what` is `task`, or what kind of canvas it is: "chain of 3". `state` is "active", "paused", "disabled" (by its definition),
    "ended" or "removed".
    """

    name: str
    when: str
    task: str
    what: str
    next: datetime | None
    owner: str
    state: str
    source: str
    rev: int
    runs: int
    pause: OverrideView | None
    overrides: tuple[OverrideView, ...]
    skipped: tuple[datetime, ...]
    entry: Entry

    @classmethod
    def of(cls, standing: Standing, now_us: int) -> Self:
        kept, entry = standing.kept, standing.entry
        pause = override_of(kept.overrides, OverrideKind.PAUSE)
        next_us = next_fire_us(entry, max(kept.cursor_us, now_us), kept.runs)
        if kept.removed:
            state, next_us = "removed", None
        elif not entry.enabled:
            state = "disabled" if pause is None else "paused"
        else:
            state = "ended" if next_us is None else "active"
        return cls(
            name=kept.name,
            when=when_text(entry),
            task=str(entry.what.get("task", "")),
            what=work_text(entry.what),
            next=moment_or_none(next_us),
            owner=kept.owner.value,
            state=state,
            source=kept.source,
            rev=kept.rev,
            runs=kept.runs,
            pause=None if pause is None else OverrideView.of(pause),
            overrides=tuple(OverrideView.of(each) for each in kept.overrides),
            skipped=tuple(moment(each) for each in entry.skip_us if each > now_us),
            entry=entry,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryView:
    """A firing, or fire times that were skipped: `count` of them from `fire_time` to `until` (None: not counted).

    `lateness_seconds` is from fire time to the confirm of the broker; that of a backfill or a manual run says how long after
    its fire time it was sent, too.
    """

    fire_time: datetime
    until: datetime | None
    count: int | None
    kind: str
    state: str
    decided: datetime
    sent: datetime | None
    lateness_seconds: float | None
    task_id: str
    rev: int
    epoch: int
    reason: str

    @classmethod
    def of(cls, line: HistoryLine) -> Self:
        is_past = line.kind is FiringKind.BACKFILL  # it was asked for long after its fire time
        late_us = None if line.sent_us is None or is_past else line.sent_us - line.due_us
        return cls(
            fire_time=moment(line.due_us),
            until=moment_or_none(line.until_us),
            count=line.count,
            kind=line.kind.value,
            state=line.state.name.lower(),
            decided=moment(line.decided_us),
            sent=moment_or_none(line.sent_us),
            lateness_seconds=None if late_us is None else late_us / 1_000_000,
            task_id=line.task_id,
            rev=line.rev,
            epoch=line.epoch,
            reason=line.reason,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditView:
    """Who did what to which entry."""

    at: datetime
    actor: str
    action: str
    target: str
    detail: Mapping[str, Any]

    @classmethod
    def of(cls, line: AuditLine) -> Self:
        return cls(
            at=moment(line.at_us),
            actor=line.actor,
            action=line.action,
            target=line.target,
            detail=line.detail,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class BackfillView:
    """A backfill: fire times from `start`, inclusive, to `end`, exclusive; `decided` of them are in the ledger by it.

    `state` is "running", "done" or "cancelled".
    """

    id: str
    name: str
    start: datetime
    end: datetime
    state: str
    decided: int
    progress: float
    rate: float | None
    actor: str
    reason: str
    at: datetime

    @classmethod
    def of(cls, known: Backfill) -> Self:
        length_us = max(1, known.to_us - known.from_us)
        return cls(
            id=known.id,
            name=known.entry,
            start=moment(known.from_us),
            end=moment(known.to_us),
            state=known.state.name.lower(),
            decided=known.decided,
            progress=min(1.0, (known.cursor_us + 1 - known.from_us) / length_us),
            rate=known.rate,
            actor=known.actor,
            reason=known.reason,
            at=moment(known.at_us),
        )


View = ScheduleView | HistoryView | AuditView | BackfillView | OverrideView


def to_json(view: View) -> dict[str, Any]:
    """The view as JSON data: times as ISO text, and an entry as its definition in the store."""
    return {each.name: _plain(getattr(view, each.name)) for each in fields(view)}


def next_fire_us(entry: Entry, after_us: int, runs: int = 0) -> int | None:
    """The first fire time later than `after_us` that will be sent; None if none will be."""
    if not entry.enabled or (entry.max_runs is not None and runs >= entry.max_runs):
        return None
    fire_us = entry.next_after(after_us)
    while fire_us is not None and fire_us in entry.skip_us:
        fire_us = entry.next_after(fire_us)
    return fire_us


def when_text(entry: Entry) -> str:
    """When an entry fires, in one short line, as near to its definition as there is one."""
    match entry.when:
        case Interval():
            return f"every {length_text(entry.when.every // timedelta(microseconds=1))}"
        case Crontab():
            zone = "" if entry.when.timezone == "UTC" else f" ({entry.when.timezone})"
            return f"{entry.when.expression}{zone}"
        case Clocked():
            first, *rest = entry.when.times_us
            more = f" and {len(rest)} more" if rest else ""
            return f"at {moment(first):%Y-%m-%dT%H:%M:%SZ}{more}"
        case _:
            return in_words(entry.when)


def _plain(value: Any) -> Any:
    match value:
        case datetime():
            return value.isoformat()
        case OverrideView():
            return to_json(value)
        case Entry():
            return value.to_spec()
        case Enum():
            return value.value
        case tuple():
            return [_plain(each) for each in value]
        case _:
            return value
