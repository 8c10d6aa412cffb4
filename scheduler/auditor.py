"""Auditor: the self-audit of a leader: page by page of its entries, it compares the ledger with what the schedules owed.

It hears from the loop that this beat leads, and works in a thread of its own: the loop waits for none of it. It takes a small share of
a processor, by resting after each page in proportion to what that page took, so that it delays no firing by more than the interpreter's
switch interval; with very many entries a round takes longer, and the vitals say how long ago one was complete. What differs is read a
second time before it is believed, then told by name: once in the log, and in the vitals until it is gone.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from .listener import SilentListener
from .self_audit import Difference, DifferenceKind, Past, Range, Row, differences
from .store.audit_reader import AuditReader, KeptPast
from .store.base import SPEC_FAULTS, StoreDown

log = logging.getLogger(__name__)

WINDOW_SECONDS = 3600.0
"""How far back fire times are compared."""
ROUND_SECONDS = 60.0
"""A round begins so long after the one before it began, or when that is complete."""
ENTRIES = 2_000
ROWS = 50_000
"""What one question brings, at most."""
SHARE = 0.05
"""Of one processor."""
PIECE_SECONDS = 0.002
"""So long it works at a stretch: the loop, when it wakes, waits for the interpreter no longer than that."""
WRITTEN = 50
"""Differences that one round writes into the log."""


@dataclass(frozen=True, slots=True)
class Audit:
    """What one round found. `entries` were compared; `unreadable` have a row that makes no entry."""

    differences: tuple[Difference, ...]
    entries: int
    unreadable: int
    ended_at: float


class Auditor(SilentListener):
    """A listener of the beat; its work is done by `run`, in its thread, or by `audit`, in the caller's.

    `found` is told of each round that is complete, from the auditor's thread.
    """

    def __init__(
        self,
        open_reader: Callable[[], AuditReader],
        found: Callable[[Audit], None],
        *,
        now: Callable[[], float] = time.time,
        round_seconds: float = ROUND_SECONDS,
    ) -> None:
        self._open_reader = open_reader
        self._found = found
        self._now = now
        self._round_seconds = round_seconds
        self._reader: AuditReader | None = None
        self._thread: threading.Thread | None = None
        self._leads = threading.Event()
        self._stopped = threading.Event()
        self._known: frozenset[Difference] = frozenset()
        self._worked_from = 0.0

    # --- the beat's thread ---------------------------------------------------------------------------------------------------

    def passed(self, *, leads: bool) -> None:
        if not leads:
            self._leads.clear()
        elif not self._leads.is_set():
            self._leads.set()
            if self._thread is None:
                self._thread = threading.Thread(target=self.run, name="auditor", daemon=True)
                self._thread.start()

    def standby(self) -> None:
        self._leads.clear()

    def close(self) -> None:
        """Stop after the page that is under way."""
        self._stopped.set()
        self._leads.set()
        if self._thread is not None:
            self._thread.join(2.0)

    # --- its own -------------------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Round after round while this beat leads, until `close`."""
        while not self._stopped.is_set():
            self._leads.wait()
            began = time.monotonic()
            try:
                self.audit()
            except StoreDown as down:
                log.warning("The self-audit waits: %s", down, extra={"action": "audit_waits"})
            except Exception:
                log.exception("The self-audit failed", extra={"action": "audit_failed"})
            self._stopped.wait(max(1.0, self._round_seconds - (time.monotonic() - began)))
        if self._reader is not None:
            self._reader.close()

    def audit(self) -> Audit | None:
        """One round; None if it was cut short because this beat leads no more. Raises StoreDown."""
        reader = self._reader = self._reader or self._open_reader()
        until_us = round(self._now() * 1_000_000)
        window = until_us - round(WINDOW_SECONDS * 1_000_000), until_us
        self._worked_from = time.thread_time()
        found: list[Difference] = []
        entries = unreadable = 0
        after, more = "", True
        try:
            while more:
                page = reader.page(after, ENTRIES, window[0])
                pasts = self._parsed(page)
                wrong = self._compare(reader, pasts, *window)
                if wrong:  # the rows may be younger than the cursors: only what is so twice is so
                    wrong &= self._compare(
                        reader, self._parsed(reader.page(after, ENTRIES, window[0])), *window
                    )
                found += wrong
                entries += len(pasts)
                unreadable += len(page) - len(pasts)
                more = len(page) == ENTRIES
                after = page[-1].name if page else ""
        except _CutShort:
            return None
        audit = Audit(tuple(sorted(found, key=_place)), entries, unreadable, time.monotonic())
        self._tell(audit)
        return audit

    def _parsed(self, page: Sequence[KeptPast]) -> list[Past]:
        pasts = []
        for kept in page:
            try:
                pasts.append(kept.past())
            except SPEC_FAULTS:
                continue  # the ledger has it in quarantine, and says so
            self._rest()
        return pasts

    def _compare(
        self, reader: AuditReader, pasts: Sequence[Past], from_us: int, until_us: int
    ) -> set[Difference]:
        """Window by window, each with as many rows as one question may bring."""
        found: set[Difference] = set()
        names = [past.name for past in pasts]
        while pasts and from_us < until_us:
            end_us = until_us
            rows = reader.rows(names, from_us, until_us, ROWS)
            if sum(map(len, rows.values())) >= ROWS:
                # the newest of these may be a part of those of their instant, which are fewer than ROWS: end before it
                end_us = max(row.due_us for held in rows.values() for row in held) - 1
            skips = reader.skips(names, from_us, end_us)
            wrong = self._differences(pasts, rows, skips, from_us, end_us)
            if wrong:
                across = reader.skips_across(names, from_us)
                skips = {name: [*skips.get(name, ()), *across.get(name, ())] for name in names}
                wrong = self._differences(pasts, rows, skips, from_us, end_us)
            found |= wrong
            from_us = end_us
        return found

    def _differences(
        self,
        pasts: Sequence[Past],
        rows: Mapping[str, Sequence[Row]],
        skips: Mapping[str, Sequence[Range]],
        from_us: int,
        until_us: int,
    ) -> set[Difference]:
        found: set[Difference] = set()
        for past in pasts:
            found.update(
                differences(past, rows.get(past.name, ()), skips.get(past.name, ()), from_us, until_us)
            )
            self._rest()
        return found

    def _rest(self) -> None:
        """Called after each small piece of work. Raises _CutShort when there is no more reason to go on."""
        worked_seconds = time.thread_time() - self._worked_from
        if threading.current_thread() is not self._thread or worked_seconds < PIECE_SECONDS:
            return
        if self._stopped.wait(worked_seconds * (1 / SHARE - 1)) or not self._leads.is_set():
            raise _CutShort
        self._worked_from = time.thread_time()

    def _tell(self, audit: Audit) -> None:
        now = frozenset(audit.differences)
        for each in sorted(now - self._known, key=_place)[:WRITTEN]:
            log.error(
                "Entry %s: the ledger differs from its schedule: %s",
                each.entry,
                _sentence(each),
                extra={"action": "audit_difference", "entry": each.entry, "scheduled_for_us": each.due_us},
            )
        if len(now - self._known) > WRITTEN:
            log.error("... and %d differences more", len(now - self._known) - WRITTEN)
        if self._known and not now:
            log.info("The self-audit finds no difference any more", extra={"action": "audit_clean"})
        self._known = now
        self._found(audit)


class _CutShort(Exception):
    """This beat leads no more, or ends."""


def _place(difference: Difference) -> tuple[str, int, str]:
    return difference.entry, difference.due_us, difference.kind.value


def _sentence(difference: Difference) -> str:
    due = datetime.fromtimestamp(difference.due_us / 1_000_000, UTC).isoformat()
    match difference.kind:
        case DifferenceKind.MISSING:
            return f"{due} was a fire time of revision {difference.rev}, and neither a firing nor a skip is recorded for it"
        case DifferenceKind.EXTRA:
            return f"a firing is recorded for {due}, which is no fire time of revision {difference.rev}"
