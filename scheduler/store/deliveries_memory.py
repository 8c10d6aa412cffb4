"""MemoryDeliveries: the reference implementation of Deliveries, over a MemoryStore."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from .deliveries import KeptNotice, NoticeState
from .memory import MemoryStore


class MemoryDeliveries:
    """In the store's dictionary, behind its lock."""

    def __init__(self, store: MemoryStore) -> None:
        self._lock = store._lock
        self._notices = store.notices

    def due(self, now_us: int, limit: int, busy: Collection[str] = ()) -> Sequence[KeptNotice]:
        with self._lock:
            found = [
                kept
                for kept in self._notices.values()
                if kept.state is NoticeState.WAITING
                and kept.next_us <= now_us
                and kept.notice.url not in busy
            ]
        return sorted(found, key=lambda kept: kept.next_us)[:limit]

    def tried(self, kept: KeptNotice) -> None:
        with self._lock:
            now = self._notices.get(kept.notice.id)
            if now is not None and now.state is NoticeState.WAITING:
                self._notices[kept.notice.id] = kept

    def listed(self, state: NoticeState | None, limit: int) -> Sequence[KeptNotice]:
        with self._lock:
            found = [kept for kept in self._notices.values() if state is None or kept.state is state]
        return sorted(found, key=lambda kept: (-kept.notice.at_us, kept.notice.id))[:limit]

    def replay(self, ids: Collection[str] | None, now_us: int) -> Sequence[str]:
        with self._lock:
            found = [
                kept
                for kept in self._notices.values()
                if (kept.state is NoticeState.FAILED if ids is None else kept.notice.id in ids)
            ]
            for kept in found:
                again = replace(kept, state=NoticeState.WAITING, tries=0, next_us=now_us, error="")
                self._notices[kept.notice.id] = again
        return sorted(kept.notice.id for kept in found)

    def forget(self, delivered_before_us: int, failed_before_us: int) -> int:
        limits = {NoticeState.DELIVERED: delivered_before_us, NoticeState.FAILED: failed_before_us}
        with self._lock:
            old = [
                id_ for id_, kept in self._notices.items() if kept.notice.at_us < limits.get(kept.state, 0)
            ]
            for id_ in old:
                del self._notices[id_]
        return len(old)
