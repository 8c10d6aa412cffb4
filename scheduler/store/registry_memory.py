"""MemoryRegistry: the reference implementation of Registry, Records and Chores, over a MemoryStore.

It says in plain Python what the transactions of registry_sql.py, records_sql.py and chores_sql.py mean, and passes their suite.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..audit_line import AuditLine, edit_detail
from ..backfill import (
    REQUEST_ID,
    Backfill,
    RequestState,
    check_range,
    check_same,
    manual_firing,
    with_payload,
)
from ..edit import Edit, KeptEntry, revise
from ..firing import Firing, FiringKind, FiringState
from ..order import NoSuchEntry, Order, OrderRefused, action_of, check_revision, obey, overdue
from ..override import first_end_us
from .base import FENCED, SPEC_FAULTS, Fence, Fenced
from .draw import draw_batch_id
from .memory import MemoryStore
from .registry import Edited, HistoryLine, ManualRun, Standing, Which
from .standing import standing_of

FAR_US = 1 << 62


def _system_now_us() -> int:
    return time.time_ns() // 1000


class MemoryRegistry:
    """Everything in the dictionaries of the store, behind its lock."""

    def __init__(self, store: MemoryStore, now_us: Callable[[], int] = _system_now_us) -> None:
        self._store = store
        self.now_us = now_us
        self._requests: dict[str, Backfill] = {}

    # --- what operators do -----------------------------------------------------------------------------------------------

    def edit(self, name: str, order: Order, *, actor: str, expected_rev: int | None = None) -> Edited:
        with self._store._lock:
            before = self._store._entries.get(name)
            check_revision(before, expected_rev, name)
            now_us = self.now_us()
            while before is not None and (lifted := self._lifted(before, now_us)) is not None:
                before = lifted
            edit = obey(name, order, before, actor=actor, now_us=now_us)
            if edit is None:
                assert before is not None
                return Edited(kind=None, standing=_standing(before))
            self._put(edit)
            if edit.after.removed:
                self._cancel_of(name)
            detail = edit_detail(before, edit, getattr(order, "reason", ""), getattr(order, "until_us", None))
            self._note(now_us, actor, action_of(order), name, detail)
            return Edited(kind=edit.kind, standing=_standing(edit.after))

    def run_now(
        self, name: str, request_id: str, *, actor: str, payload: Mapping[str, Any] | None = None
    ) -> ManualRun:
        if not 0 < len(request_id) <= REQUEST_ID:
            raise OrderRefused(f"a request id has 1 to {REQUEST_ID} characters, not {len(request_id)}")
        with self._store._lock:
            asked = self._requests.get(request_id)
            if asked is not None and (asked.entry != name or asked.state is not RequestState.RUN_NOW):
                raise OrderRefused(f"request {request_id} is one of entry {asked.entry!r}: choose another id")
            kept, now_us = self._present(name), self.now_us()
            due_us = now_us if asked is None else asked.from_us
            entry, rev = kept.entry(), kept.rev
            if payload is not None:
                entry, rev = with_payload(entry, payload), -1
            batch_id = draw_batch_id()
            firing = manual_firing(self._store.cluster, entry, request_id, due_us, rev=rev, batch_id=batch_id)
            run = ManualRun(
                request_id=request_id, task_id=firing.task_id, due_us=due_us, is_new=asked is None
            )
            if asked is None:
                self._store._insert([firing])
                self._store._revision += 1
                self._requests[request_id] = Backfill(
                    id=request_id,
                    entry=name,
                    from_us=due_us,
                    to_us=due_us,
                    actor=actor,
                    at_us=now_us,
                    cursor_us=due_us,
                    decided=1,
                    state=RequestState.RUN_NOW,
                )
                self._note(now_us, actor, "run-now", name, {"request_id": request_id, "due_us": due_us})
            return run

    def backfill(self, wish: Backfill) -> Backfill:
        with self._store._lock:
            if wish.id in self._requests:
                check_same(self._requests[wish.id], wish)
                return self._requests[wish.id]
            self._present(wish.entry)
            now_us = self.now_us()
            check_range(wish, now_us)
            put = replace(wish, at_us=now_us, cursor_us=wish.from_us - 1, decided=0)
            self._requests[wish.id] = put
            self._store._revision += 1
            self._note(now_us, wish.actor, "backfill", wish.entry, {"id": wish.id})
            return put

    def cancel_backfill(self, id: str, *, actor: str) -> Backfill:
        with self._store._lock:
            asked = self._requests.get(id)
            if asked is None or asked.state is RequestState.RUN_NOW:
                raise NoSuchEntry(
                    f"there is no backfill {id!r}: `backbeat schedules backfill --list` shows them"
                )
            if asked.state is RequestState.RUNNING:
                asked = self._requests[id] = replace(asked, state=RequestState.CANCELLED)
                self._store._revision += 1
                self._note(self.now_us(), actor, "cancel-backfill", asked.entry, {"id": id})
            return asked

    # --- what one may read -----------------------------------------------------------------------------------------------

    def get(self, name: str) -> Standing | None:
        kept = self._store._entries.get(name)
        return None if kept is None else standing_of(kept, _next_us(kept))

    def entries(self, which: Which = Which.PRESENT) -> Sequence[Standing]:
        known = [kept for _, kept in sorted(self._store._entries.items())]
        if which is not Which.ALL:
            known = [kept for kept in known if not kept.removed]
        if which is Which.OVERRIDDEN:
            known = [kept for kept in known if kept.overrides]
        standings = (standing_of(kept, _next_us(kept)) for kept in known)
        return [standing for standing in standings if standing is not None]

    def history(self, name: str, limit: int, before_us: int | None = None) -> Sequence[HistoryLine]:
        before_us = FAR_US if before_us is None else before_us
        found = [
            _occurrence(firing, state)
            for firing, state in self._store.ledger().values()
            if firing.entry == name
        ]
        found += [
            HistoryLine(
                due_us=skip.from_us,
                until_us=skip.to_us,
                count=skip.count,
                kind=FiringKind.REGULAR,
                state=FiringState.SKIPPED,
                rev=0,
                epoch=0,
                decided_us=0,
                reason=skip.reason.value,
            )
            for skip in self._store.skips()
            if skip.entry == name
        ]
        found = [each for each in found if each.due_us < before_us]
        return sorted(found, key=lambda each: (each.due_us, each.kind.value), reverse=True)[:limit]

    def audit(self, name: str | None, limit: int) -> Sequence[AuditLine]:
        found = [line for line in reversed(self._store._audit) if name is None or line.target == name]
        return found[:limit]

    def backfills(self, limit: int = 100, id: str | None = None) -> Sequence[Backfill]:
        known = [each for each in self._requests.values() if each.state is not RequestState.RUN_NOW]
        known = [each for each in known if id in (None, each.id)]
        return sorted(known, key=lambda each: (-each.at_us, each.id))[:limit]

    # --- what a leader does for them -------------------------------------------------------------------------------------

    def running(self) -> Sequence[Backfill]:
        known = [each for each in self._requests.values() if each.state is RequestState.RUNNING]
        return sorted(known, key=lambda each: (each.at_us, each.id))

    def advance(
        self,
        seen: Backfill,
        put: Backfill,
        firings: Sequence[Firing],
        now_us: int,  # noqa: ARG002 - this store keeps no time of a decision
        fence: Fence,
    ) -> tuple[Firing, ...] | Fenced | None:
        with self._store._lock:
            if not self._store._holds(fence):
                return FENCED
            now = self._requests[seen.id]
            if (now.state, now.cursor_us) != (seen.state, seen.cursor_us):
                return None
            if firings and self._store._entries[firings[0].entry].rev != firings[0].rev:
                return None
            fresh = tuple(self._store._insert(firings))
            self._requests[seen.id] = replace(put, decided=seen.decided + len(fresh))
            return fresh

    def first_end_us(self) -> int | None:
        ends = [first_end_us(kept.overrides) for kept in self._store._entries.values()]
        return min((end_us for end_us in ends if end_us is not None), default=None)

    def lift(self, now_us: int, fence: Fence, *, batch_id: int) -> int | Fenced:
        with self._store._lock:
            if not self._store._holds(fence):
                return FENCED
            known = list(self._store._entries.values())
            return sum(self._lifted(each, now_us, batch_id) is not None for each in known)

    # --- inside ----------------------------------------------------------------------------------------------------------

    def _present(self, name: str) -> KeptEntry:
        kept = self._store._entries.get(name)
        if kept is None or kept.removed:
            raise NoSuchEntry(
                f"there is no entry {name!r}: `backbeat schedules list` shows those that there are"
            )
        return kept

    def _lifted(self, before: KeptEntry, now_us: int, batch_id: int | None = None) -> KeptEntry | None:
        """The entry without what ended first of its overrides; None when nothing has."""
        ended = overdue(before, now_us)
        if ended is None:
            return None
        edit = revise(before, ended[0], now_us, ended[1])
        assert edit is not None
        self._put(edit, batch_id)
        detail = edit_detail(before, edit, "its end has come", None)
        self._note(now_us, "backbeat", "lift", before.name, detail)
        return edit.after

    def _put(self, edit: Edit, batch_id: int | None = None) -> None:
        store = self._store
        store._put_edit(edit, draw_batch_id() if batch_id is None else batch_id)
        self._store._revision += 1

    def _cancel_of(self, name: str) -> None:
        for asked in self.running():
            if asked.entry == name:
                self._requests[asked.id] = replace(asked, state=RequestState.CANCELLED)

    def _note(self, at_us: int, actor: str, action: str, target: str, detail: Mapping[str, Any]) -> None:
        self._store._audit.append(
            AuditLine(at_us=at_us, actor=actor, action=action, target=target, detail=dict(detail))
        )


def _standing(kept: KeptEntry) -> Standing:
    return Standing(kept=kept, entry=kept.entry(), next_us=_next_us(kept))


def _next_us(kept: KeptEntry) -> int | None:
    try:
        entry = kept.entry()
    except SPEC_FAULTS:
        return None
    return entry.next_after(kept.cursor_us) if entry.enabled and not kept.removed else None


def _occurrence(firing: Firing, state: FiringState) -> HistoryLine:
    return HistoryLine(
        due_us=firing.due_us,
        kind=firing.kind,
        state=state,
        rev=firing.rev,
        epoch=0,
        decided_us=0,
        task_id=firing.task_id,
    )
