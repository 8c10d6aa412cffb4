"""Preview: what a beat that runs without a break will write into its ledger, for `next`, `simulate` and whoever wants to look ahead.

PURE. It asks the schedules for the same fire times, derives the same ids and adds the same jitter and spread as the loop does, so
that a preview and the ledger of the day agree line by line. What depends on how long runs take cannot be known: `overlap` is not
applied, and whoever shows a preview says so.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from .entry import SECOND_US, Entry
from .firing import FiringKind, derive_task_id
from .phase import Phase
from .spread import send_us

MINUTE_US = 60 * SECOND_US


@dataclass(frozen=True, slots=True, kw_only=True)
class Occurrence:
    """One fire time of one entry. `skipped` is why it will not be sent, "" for one that will."""

    entry: str
    fire_us: int
    send_us: int
    task_id: str
    skipped: str = ""


def occurrences(
    entries: Iterable[Entry | Phase],
    from_us: int,
    to_us: int,
    *,
    cluster: str = "backbeat",
    runs: Mapping[str, int] | None = None,
) -> Iterator[Occurrence]:
    """The occurrences later than `from_us` and not later than `to_us`, by (fire time, name). Disabled entries have none.

    `runs` is how often an entry has run before; it matters where max_runs is set.
    """
    phases = [each if isinstance(each, Phase) else Phase(each) for each in entries]
    counts = Counter(runs or {})
    line = [
        (fire_us, phase.entry.name, at)
        for at, phase in enumerate(phases)
        if (fire_us := phase.next_after(from_us)) is not None
    ]
    heapq.heapify(line)
    while line and line[0][0] <= to_us:
        fire_us, name, at = line[0]
        phase = phases[at]
        if phase.entry.max_runs is not None and counts[name] >= phase.entry.max_runs:
            heapq.heappop(line)
            continue
        next_us = phase.entry.next_after(fire_us)  # of the entry: jitter and spread know no end of a phase
        occurrence = _occurrence(phase.entry, fire_us, next_us, cluster)
        counts[name] += not occurrence.skipped
        yield occurrence
        if next_us is None or not phase.lasts_until(next_us):
            heapq.heappop(line)
        else:
            heapq.heapreplace(line, (next_us, name, at))


def _occurrence(entry: Entry, fire_us: int, next_us: int | None, cluster: str) -> Occurrence:
    name = entry.name
    return Occurrence(
        entry=name,
        fire_us=fire_us,
        send_us=send_us(name, fire_us, next_us, entry.jitter_us, entry.spread_us),
        task_id=derive_task_id(cluster, name, FiringKind.REGULAR, str(fire_us), fire_us),
        skipped="operator" if fire_us in entry.skip_us else "",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """How many messages leave in each minute; minutes without any are left out."""

    minutes: Mapping[int, int]
    """Number by the minute's first microsecond."""

    @property
    def total(self) -> int:
        return sum(self.minutes.values())

    @property
    def peak(self) -> tuple[int, int]:
        """(the busiest minute, its number); (0, 0) if there is none. Of equal ones the first."""
        if not self.minutes:
            return 0, 0
        minute = max(self.minutes, key=lambda each: (self.minutes[each], -each))
        return minute, self.minutes[minute]

    def columns(self, from_us: int, to_us: int, width: int) -> tuple[int, list[int]]:
        """(minutes in a column, the busiest minute of each column): at most `width` columns for the whole span."""
        minutes = max(1, -(-(to_us - from_us) // MINUTE_US))
        per_column = -(-minutes // width)
        first = from_us // MINUTE_US * MINUTE_US
        columns = [0] * -(-minutes // per_column)
        for minute, number in self.minutes.items():
            at = min((minute - first) // (per_column * MINUTE_US), len(columns) - 1)
            columns[at] = max(columns[at], number)
        return per_column, columns


def load_of(found: Iterable[Occurrence]) -> Load:
    """The load of occurrences, by when they are sent."""
    counts: Counter[int] = Counter(
        each.send_us // MINUTE_US * MINUTE_US for each in found if not each.skipped
    )
    return Load(minutes=dict(sorted(counts.items())))
