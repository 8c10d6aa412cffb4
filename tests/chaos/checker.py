"""Checker: what the ledger and the queue hold, against what they should; each second copy against the faults. It reads nothing itself.

Lost: a fire time without a row and without a skip record, a row that says sent without a message, or one that is still open. Extra: a row
at no fire time, or a message without a row. Windows of second copies (reliability 2.4), W1 and W2: a fault must lie between the firing's
decision and its mark, and where the fault hit one process, that process must have sent one of the copies; such a fault counts first. A graceful stop explains nothing;
where store and broker are one database, nothing does. Times are wall-clock microseconds.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from .drain import DOUBTFUL, FAILED, OPEN, SENT, Copy, Remains, Row
from .fault import KILLS, PAUSES, Fault, FaultKind
from .timetable import LINES, fire_times

SLACK_US = 100_000
"""Between the clock reading of a fault and its effect."""
RECOVERY_US = 500_000
"""So long after an outage a connection may still turn out to be dead, and its confirms lost: all of them are reset at once."""
IN_FLIGHT = 256
"""Second copies that one fault may make."""
MARK_US = 60_000_000
"""A firing of a batch that was marked in parts is taken to be marked within this."""


@dataclass(slots=True)
class Verdict:
    """The findings. The lists are for people, and each of them but `windows` must be empty."""

    firings: int = 0
    messages: int = 0
    lost: list[str] = field(default_factory=list)
    extra: list[str] = field(default_factory=list)
    other_ids: list[str] = field(default_factory=list)
    unexplained: list[str] = field(default_factory=list)
    over_bound: list[str] = field(default_factory=list)
    twice_at_most_once: list[str] = field(default_factory=list)
    windows: Counter[str] = field(default_factory=Counter)
    max_copies: int = 0
    doubtful: int = 0
    failed: int = 0
    skipped: int = 0

    @property
    def faults(self) -> list[str]:
        """Everything that must not be."""
        named = {
            "lost": self.lost,
            "extra": self.extra,
            "another id": self.other_ids,
            "unexplained copy": self.unexplained,
            "over the bound": self.over_bound,
            "at most once, twice": self.twice_at_most_once,
        }
        return [f"{name}: {each}" for name, found in named.items() for each in found]


def check(remains: Remains, faults: Sequence[Fault], *, until_us: int, is_one: bool) -> Verdict:
    """Judge a run. Every fire time up to `until_us` is owed; later ones may be there."""
    rows = {(row.entry, row.due_us): row for row in remains.rows}
    copies: dict[tuple[str, int], list[Copy]] = defaultdict(list)
    for copy in remains.copies:
        copies[copy.entry, copy.due_us].append(copy)
    verdict = Verdict(
        firings=len(rows),
        messages=len(remains.copies),
        max_copies=max(map(len, copies.values()), default=0),
        doubtful=sum(row.state == DOUBTFUL for row in rows.values()),
        failed=sum(row.state == FAILED for row in rows.values()),
        skipped=len(remains.skips),
    )
    if len(rows) != len(remains.rows):
        verdict.extra.append(f"{len(remains.rows) - len(rows)} second rows of one firing")
    _check_times(verdict, remains, rows, until_us)
    _check_messages(verdict, rows, copies)
    _check_copies(verdict, rows, copies, () if is_one else faults)
    return verdict


def _check_times(verdict: Verdict, remains: Remains, rows: dict[tuple[str, int], Row], until_us: int) -> None:
    for name in LINES:
        if name not in remains.begins:
            verdict.lost.append(f"{name}: the entry is not there")
            continue
        begin_us = remains.begins[name]
        skips = [(from_us, to_us) for entry, from_us, to_us, _ in remains.skips if entry == name]
        for due_us in fire_times(LINES[name], begin_us, until_us):
            if (name, due_us) not in rows and not any(a <= due_us <= b for a, b in skips):
                verdict.lost.append(f"{name} at {due_us}: no row")
        verdict.extra += [
            f"{name} at {due_us}: no fire time"
            for entry, due_us in rows
            if entry == name and not (due_us > begin_us and LINES[name].fires(due_us))
        ]
    verdict.extra += [f"{entry} at {due_us}: no such entry" for entry, due_us in rows if entry not in LINES]


def _check_messages(
    verdict: Verdict, rows: dict[tuple[str, int], Row], copies: dict[tuple[str, int], list[Copy]]
) -> None:
    for key, row in rows.items():
        if row.state == SENT and key not in copies:
            verdict.lost.append(f"{key}: sent, and no message")
        if row.state in (OPEN, 4, 7):
            verdict.lost.append(f"{key}: still open, state {row.state}")
        if row.state == FAILED and not LINES[row.entry].once:
            verdict.lost.append(f"{key}: failed")
    for key, found in copies.items():
        if key not in rows:
            verdict.extra.append(f"{key}: a message without a row")
        elif {copy.task_id for copy in found} != {rows[key].task_id}:
            verdict.other_ids.append(f"{key}: {sorted({copy.task_id for copy in found})}")
        if len(found) > 1 and key in rows and LINES[key[0]].once:
            verdict.twice_at_most_once.append(f"{key}: {len(found)} copies")


def _check_copies(
    verdict: Verdict,
    rows: dict[tuple[str, int], Row],
    copies: dict[tuple[str, int], list[Copy]],
    faults: Sequence[Fault],
) -> None:
    made: Counter[Fault] = Counter()
    for key, found in copies.items():
        if len(found) == 1 or key not in rows:
            continue
        reasons = sorted(
            (fault for fault in faults if _explains(fault, rows[key], found)), key=lambda fault: not fault.pid
        )
        if len(found) - 1 > len(reasons):
            verdict.unexplained.append(
                f"{key}: {len(found)} copies, {len(reasons)} reasons, {rows[key]} {found}"
            )
            continue
        made[reasons[0]] += len(found) - 1
        window = "W2" if reasons[0].kind in PAUSES else "W1"
        verdict.windows[f"{window} {reasons[0].kind.value}"] += len(found) - 1
    verdict.over_bound += [f"{n} copies by {fault}" for fault, n in made.items() if n > IN_FLIGHT]


def _explains(fault: Fault, row: Row, copies: Sequence[Copy]) -> bool:
    marked_us = row.sent_us if row.sent_us is not None else row.decided_us + MARK_US
    if row.decided_us > fault.end_us + RECOVERY_US or marked_us < fault.begin_us - SLACK_US:
        return False
    if fault.kind in KILLS or fault.kind in PAUSES:
        # what a killed or frozen process has sent was decided before; a frozen one marks what it knows when it wakes
        return row.decided_us <= fault.begin_us + SLACK_US and fault.pid in {
            copy.origin_pid for copy in copies
        }
    return fault.kind in (FaultKind.STORE, FaultKind.BROKER)
