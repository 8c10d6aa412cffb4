"""Checker: judges a world at its end: schedules, ledger and broker must agree. The invariants are those of the reliability spec, 8.

What is expected is computed from the schedules alone: the fire times of each revision of an entry, from where it came into force to
where the next one did, must each be a row or lie in a skip record, and nothing else may be there. Nothing of `plan` is used here.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from backbeat.scheduler.entry import Entry, Overlap
from backbeat.scheduler.firing import FiringKey, FiringKind, FiringState, derive_task_id, hold_us
from backbeat.scheduler.skip import Skip

from .books import Books, EntryRow, Row
from .broker import SimBroker, SimRuns
from .fault import FaultKind, FaultLog, joined, longest_calm_us
from .history import History, Revision
from .timeline import SECOND_US

LIVE_US = 2 * SECOND_US
"""A second for the loop to look, a second for the broker to answer."""
RETRY_SECONDS = 32.0
"""After a confirm of a firing was lost it is sent again after half a second, or after up to half a minute if that happened often."""
FINAL = (FiringState.SENT, FiringState.FAILED, FiringState.DOUBTFUL, FiringState.SKIPPED)
REGULAR = FiringKind.REGULAR.value


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the checker judges by."""

    books: Books
    history: History
    broker: SimBroker
    runs: SimRuns
    faults: FaultLog
    cluster: str
    now_us: int
    first_us: Callable[[int], int]
    """When the wall clock that counts first showed a time."""


class Checker:
    """One judgement; `violations` says what is wrong, each line beginning with the name of an invariant."""

    def __init__(self, evidence: Evidence) -> None:
        self._seen = evidence
        self._rows: Mapping[FiringKey, Row] = evidence.books.rows()
        self._entries: Mapping[str, EntryRow] = evidence.books.entries()
        self._by_entry: dict[str, dict[int, Row]] = defaultdict(dict)
        for key, row in self._rows.items():
            if key.kind == REGULAR:
                self._by_entry[key.entry][key.due_us] = row
        self._skips: dict[str, list[Skip]] = defaultdict(list)
        for skip in evidence.books.skips():
            self._skips[skip.entry].append(skip)
        self.calm = 0
        """Firings that were due in calm, so that I-LIVE says something about them."""

    def violations(self) -> list[str]:
        """Everything that is wrong."""
        found = [*self._seen.history.wrong, *self._seen.broker.wrong]
        for name, row in self._entries.items():
            found += self._coverage(name, row)
            found += self._limit(name, row)
            found += self._overlaps(name, row.entry)
        found += self._states()
        found += self._messages()
        found += self._lateness()
        return found

    # --- schedules and ledger ------------------------------------------------------------------------------------------------

    def _coverage(self, name: str, row: EntryRow) -> Iterator[str]:
        """I-NOLOSS, I-SKIP, I-REV: each fire time is a row of its revision, or was skipped with a record; nothing else is there."""
        rows, skips = self._by_entry[name], sorted(self._skips[name], key=lambda skip: skip.from_us)
        expected: dict[int, int] = {}
        known = self._seen.history.revisions[name]
        for here, after in pairwise([*known, None]):
            assert here is not None
            until_us = row.cursor_us if after is None else after.from_us
            for due_us in _fires(here, until_us):
                expected[due_us] = here.rev
        if row.entry.max_runs is not None and row.runs >= row.entry.max_runs:  # then it has ended
            expected = {due_us: rev for due_us, rev in expected.items() if due_us <= max(rows)}
        times = sorted(expected)
        skipped = {due_us for skip in skips for due_us in _inside(skip, times)}
        for due_us, rev in expected.items():
            if due_us not in rows and due_us not in skipped:
                yield f"I-NOLOSS: {name} at {due_us} is neither a row nor skipped"
            if due_us in rows and rows[due_us].rev != rev and not self._seen.history.rewinds:
                yield f"I-REV: {name} at {due_us} is of revision {rows[due_us].rev}, not {rev}"
        # a clock that was wrong decided ahead, cursors were set back, and the entry was edited or removed before they were there again
        ahead_us = row.cursor_us if self._seen.history.rewinds else None
        yield from (
            f"I-SKIP: {name} at {due_us} fires without reason"
            for due_us in rows.keys() - expected.keys()
            if ahead_us is None or due_us <= ahead_us
        )
        if not self._seen.history.rewinds:
            yield from self._counts(skips, times, rows)
        last = known[-1]
        next_us = last.entry.next_after(row.cursor_us) if last.fires else None
        ended = row.entry.max_runs is not None and row.runs >= row.entry.max_runs
        if next_us is not None and next_us <= self._seen.now_us - LIVE_US and not ended:
            yield f"I-NOLOSS: {name} at {next_us} is not decided, and it is {self._seen.now_us}"

    @staticmethod
    def _counts(skips: Sequence[Skip], times: Sequence[int], rows: Mapping[int, Row]) -> Iterator[str]:
        """A skip record says how many, and nothing in it was sent."""
        for skip in skips:
            inside = _inside(skip, times)
            if skip.count is not None and skip.count != len(inside):
                yield f"I-SKIP: {skip} counts {skip.count}, there are {len(inside)}"
            if any(due_us in rows for due_us in inside):
                yield f"I-SKIP: {skip} holds a fire time that is a row"
        for one, other in pairwise(skips):
            if other.from_us <= one.to_us:
                yield f"I-SKIP: {one} and {other} overlap"

    def _limit(self, name: str, row: EntryRow) -> Iterator[str]:
        """max_runs is never passed, and what was sent is counted."""
        most = row.entry.max_runs
        if most is None:
            return
        sent = sum(each.state is not FiringState.SKIPPED for each in self._by_entry[name].values())
        if sent > most:
            yield f"max_runs: {name} has {sent} rows of {most}"
        if row.runs > most or row.runs < sent:
            yield f"max_runs: {name} counts {row.runs} runs, has {sent} rows of {most}"

    def _overlaps(self, name: str, entry: Entry) -> Iterator[str]:
        """overlap: skip and queue: no run is let go while the one before it is known not to be over."""
        history = self._seen.history
        if entry.overlap not in (Overlap.SKIP, Overlap.QUEUE) or history.rollbacks or history.rewinds:
            return
        rows = self._by_entry[name]
        sent = [due_us for due_us in sorted(rows) if rows[due_us].state is FiringState.SENT]
        for one, other in pairwise(sent):
            first, second = (self._key(name, due_us) for due_us in (one, other))
            begins = self._first_us(second)
            ended_us = self._seen.runs.ended_us(rows[one].task_id)
            patience_us = history.decided_us.get(first, 0) + entry.overlap_timeout_us
            if begins is None or not {first, second} <= history.ruled or self._clock_was_set:
                continue
            if begins < min(ended_us, patience_us):
                yield f"overlap: {name} at {other} begins at {begins}, the run of {one} is over at {ended_us}"

    @property
    def _clock_was_set(self) -> bool:
        """Whether a wall clock was set: overlap_timeout is measured by it."""
        return self._seen.faults.count(FaultKind.CLOCK) > 0

    # --- ledger and broker ---------------------------------------------------------------------------------------------------

    def _states(self) -> Iterator[str]:
        """I-CONF, I-NOLOSS: a row says what became of it, and that is so."""
        broker = self._seen.broker
        for key, row in self._rows.items():
            copies = len(broker.deliveries.get(key, ()))
            match row.state:
                case FiringState.SENT if key not in broker.confirmed:
                    yield f"I-CONF: {key} is sent, and {copies} copies were never confirmed"
                case FiringState.SKIPPED if copies and not self._may_be_unknown(key):
                    yield f"I-CONF: {key} is skipped ({row.reason}), and the broker has {copies}"
                case FiringState.FAILED if copies:
                    yield f"I-CONF: {key} is failed ({row.reason}), and the broker has {copies}"
                case _ if row.state not in FINAL and not self._waits(key):
                    yield f"I-NOLOSS: {key} is {row.state.name} at the end"

    def _may_be_unknown(self, key: FiringKey) -> bool:
        """Whether nobody could know that the broker had it (W1): it was skipped, as it was too late to send it again."""
        history = self._seen.history
        return key in self._seen.broker.lost or history.take_overs(key) > 0 or bool(history.rollbacks)

    def _waits(self, key: FiringKey) -> bool:
        """Whether its send time is still to come, or was a moment ago."""
        if self._seen.history.decided_us.get(key, 0) > self._seen.now_us - LIVE_US:
            return True
        entry = self._entries[key.entry].entry
        return key.kind == REGULAR and key.due_us + hold_us(entry, key.due_us) > self._seen.now_us - LIVE_US

    def _messages(self) -> Iterator[str]:
        """I-ID, I-FIRST, I-BOUND, I-AMO."""
        history = self._seen.history
        for key, copies in self._seen.broker.deliveries.items():
            kind = FiringKind(key.kind)
            wanted = derive_task_id(self._seen.cluster, key.entry, kind, key.key, key.due_us)
            if any(copy.firing.task_id != wanted for copy in copies):
                yield f"I-ID: {key} was sent as {sorted({copy.firing.task_id for copy in copies})}"
            row = self._rows.get(key)
            if row is None and history.rollbacks:
                continue  # it was decided again, by a policy for which it was too old by then (W3)
            if row is None:
                yield f"I-FIRST: {key} was sent and has no row"
            elif row.task_id != wanted:
                yield f"I-ID: {key} is recorded as {row.task_id}"
            lost = len(self._seen.broker.lost.get(key, ()))
            if len(copies) > 1 + history.take_overs(key) + lost + len(history.rollbacks):
                yield f"I-BOUND: {key} came {len(copies)} times: {[(c.at_us, c.sender) for c in copies]}"
            if len(copies) > 1 and copies[0].firing.terms.once and not history.rollbacks:
                yield f"I-AMO: {key} may go out once, and came {len(copies)} times"
            yield from self._payload(key, copies[0].firing.rev, copies[0].firing.payload)

    def _payload(self, key: FiringKey, rev: int, payload: Mapping[str, object]) -> Iterator[str]:
        known = [each for each in self._seen.history.revisions[key.entry] if each.rev == rev]
        if known and all(dict(each.entry.what) != dict(payload) for each in known):
            yield f"I-REV: {key} of revision {rev} was sent as {payload}"

    def _lateness(self) -> Iterator[str]:
        """I-LIVE: what was due in calm is sent in time. Where cursors went back, what had been skipped may be sent after all."""
        if self._seen.history.rewinds:
            return
        spans = self._seen.faults.spans()
        for key, copies in self._seen.broker.deliveries.items():
            firing, at_us = copies[0].firing, copies[0].at_us
            entry = self._entries[key.entry].entry
            if key.kind != REGULAR or entry.overlap is Overlap.QUEUE or entry.catch_up_rate is not None:
                continue
            due_us = self._seen.first_us(firing.due_us + firing.hold_us)
            own = spans
            if key in self._seen.broker.lost:
                trouble = [(us, us + round(RETRY_SECONDS * SECOND_US)) for us in self._seen.broker.lost[key]]
                own = joined([*spans, *trouble])
            self.calm += longest_calm_us(spans, due_us - SECOND_US, due_us + LIVE_US) > LIVE_US
            if longest_calm_us(own, due_us, at_us) > LIVE_US:
                yield f"I-LIVE: {key} was due at {due_us} and came {(at_us - due_us) / SECOND_US:.3f} s later, in calm"

    @staticmethod
    def _key(name: str, due_us: int) -> FiringKey:
        return FiringKey(due_us, name, REGULAR, str(due_us))

    def _first_us(self, key: FiringKey) -> int | None:
        copies = self._seen.broker.deliveries.get(key)
        return copies[0].at_us if copies else None


def _inside(skip: Skip, times: Sequence[int]) -> Sequence[int]:
    """Those of the sorted times that a skip record speaks of."""
    return times[bisect_left(times, skip.from_us) : bisect_right(times, skip.to_us)]


def _fires(revision: Revision, until_us: int) -> Iterator[int]:
    """The fire times of a revision while it was in force."""
    if not revision.fires:
        return
    due_us = revision.entry.next_after(revision.from_us)
    while due_us is not None and due_us <= until_us:
        yield due_us
        due_us = revision.entry.next_after(due_us)
