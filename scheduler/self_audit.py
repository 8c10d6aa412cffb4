"""self_audit: what the ledger of one entry should hold, against what it holds.

PURE: revisions, cursor, rows and skips come in, differences go out. The auditor reads and reports; this judges. The law (I-NOLOSS,
I-SKIP): each fire time of an entry up to its cursor has a regular row, or lies in a skip record. Policies do not matter to it, as they
only decide which of the two it is. An instant is owed by the revision that was in force: from when it was written until the next one.

What is not judged: the last fire times before an edit if nothing is recorded of any of them, for the store does not say whether the
entry was removed in between, or how long an override that ended had ended before anybody noticed; and, in the same way, those behind
the last run that `max_runs` allowed. New rules for a zone (tzdata) make other fire times of the past, too: a difference
right after such an upgrade is one of the rules, for as long as the window reaches back.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

from .entry import Entry

STEPS = 20_000
"""Fire times that are walked for one entry and window, at most; those that have rows are as many as the caller has read."""
NAMED = 20
"""Differences of one entry and window that are named; there may be more."""


class DifferenceKind(Enum):
    """How a ledger can differ from what it should hold."""

    MISSING = "missing"
    """A fire time was owed, and neither a row nor a skip record has it."""
    EXTRA = "extra"
    """A row has an instant that is no fire time of the revision that it names."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One of them; `rev` is the revision that owed the fire time, or that the row names."""

    entry: str
    due_us: int
    kind: DifferenceKind
    rev: int


@dataclass(frozen=True, slots=True)
class Version:
    """An entry as it was from `decided_us` on."""

    rev: int
    decided_us: int
    entry: Entry


@dataclass(frozen=True, slots=True)
class Past:
    """An entry's revisions, the newest last, and how far it is decided. The first is that of the window's begin, or the first ever."""

    name: str
    cursor_us: int
    runs: int
    versions: tuple[Version, ...]


@dataclass(frozen=True, slots=True, order=True)
class Row:
    """A regular firing."""

    due_us: int
    rev: int


@dataclass(frozen=True, slots=True, order=True)
class Range:
    """A skip record; both ends inclusive."""

    from_us: int
    to_us: int
    rev: int


@dataclass(frozen=True, slots=True)
class _Span:
    """The instants in (from_us, until_us] are those of `version`; `ended` says that an edit ended it."""

    version: Version
    from_us: int
    until_us: int
    ended: bool


def differences(
    past: Past, rows: Iterable[Row], skips: Iterable[Range], from_us: int, until_us: int
) -> list[Difference]:
    """What differs for the fire times in (from_us, until_us], in their order; `rows` and `skips` are those of the window."""
    held, ranges = sorted(rows), sorted(skips)
    found = _extras(past, held, from_us, until_us)
    recorded = {row.due_us for row in held}
    for span in _spans(past, held, ranges, from_us, until_us):
        found += _missing(past, span, recorded, ranges)
    return sorted(found, key=lambda each: each.due_us)[:NAMED]


def _spans(
    past: Past, rows: Sequence[Row], skips: Sequence[Range], from_us: int, until_us: int
) -> list[_Span]:
    if not past.versions:
        return []
    until_us = min(until_us, past.cursor_us)
    version = past.versions[0]
    start_us = max(from_us, version.decided_us)
    written_us = version.decided_us
    spans: list[_Span] = []
    for newer in past.versions[1:]:
        written_us = max(written_us, newer.decided_us)
        spans.append(_Span(version, start_us, min(written_us, until_us), ended=True))
        # where the clock of who edited is behind the leader's, the old revision had decided further than that
        decided = [row.due_us for row in rows if row.rev < newer.rev]
        decided += [skip.to_us for skip in skips if skip.rev < newer.rev]
        start_us = max(start_us, written_us, *decided)
        version = newer
    return [*spans, _Span(version, start_us, until_us, ended=False)]


def _missing(past: Past, span: _Span, recorded: set[int], skips: Sequence[Range]) -> list[Difference]:
    entry = span.version.entry
    if not entry.enabled:
        return []
    found: list[Difference] = []
    sure = missed = 0
    due_us = entry.next_after(span.from_us)
    for _ in range(STEPS):
        if due_us is None or due_us > span.until_us:
            break
        if due_us in recorded:
            sure = missed
            after_us = due_us
        elif (end_us := _skipped_until(skips, due_us)) is not None:
            sure = missed
            after_us = end_us
        else:
            missed += 1
            if len(found) < NAMED:
                found.append(Difference(past.name, due_us, DifferenceKind.MISSING, span.version.rev))
            after_us = due_us
        due_us = entry.next_after(after_us)
    over = entry.max_runs is not None and past.runs >= entry.max_runs
    return found[:sure] if span.ended or over else found


def _skipped_until(skips: Sequence[Range], due_us: int) -> int | None:
    """The end of the skip record that holds an instant. Records of one entry overlap only after a clock was set back."""
    at = bisect_right(skips, due_us, key=lambda skip: skip.from_us)
    if at and skips[at - 1].to_us >= due_us:
        return skips[at - 1].to_us
    return max((skip.to_us for skip in skips[:at] if skip.to_us >= due_us), default=None)


def _extras(past: Past, rows: Sequence[Row], from_us: int, until_us: int) -> list[Difference]:
    known = {version.rev: version.entry for version in past.versions}
    found: list[Difference] = []
    for row in rows:
        # one of an edit since the entry was read, or of long ago, is left to another time
        entry = known.get(row.rev)
        if entry is None or not from_us < row.due_us <= until_us:
            continue
        if not entry.enabled or entry.next_after(row.due_us - 1) != row.due_us:
            found.append(Difference(past.name, row.due_us, DifferenceKind.EXTRA, row.rev))
            if len(found) >= NAMED:
                break
    return found
