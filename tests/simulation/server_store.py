"""ServerStore: a MemoryStore with a clock of its own, and that can forget its last commits, as a server after a failover."""

from __future__ import annotations

from typing import Any

from backbeat.scheduler.store.memory import MemoryStore

from .timeline import Timeline

DICTIONARIES = ("_entries", "_latest", "_changed", "_firings", "_states", "_reasons", "_skips")


class ServerStore(MemoryStore):
    """A MemoryStore with a clock of its own, which is right."""

    clock: Timeline | None = None

    def witness_us(self) -> int | None:
        return None if self.clock is None else self.clock.now_us

    def copy(self) -> dict[str, Any]:
        """All that is in it."""
        saved: dict[str, Any] = {name: dict(getattr(self, name)) for name in DICTIONARIES}
        saved["_open"] = {batch_id: set(keys) for batch_id, keys in self._open.items()}
        return saved | {"_lease": self._lease, "_revision": self._revision}

    def restore(self, copy: dict[str, Any]) -> None:
        """It is again what it was."""
        for name, value in copy.items():
            setattr(self, name, value)
