"""MemoryResults: reads the documents of a MemoryStore; the reference implementation of Results."""

from __future__ import annotations

from collections.abc import Sequence

from ..results.base import Trace, trace_of
from ..results.document import Document, from_text
from ..results.groups import SavedGroups
from ..results.started import started
from .memory_groups import MemoryGroups
from .memory_store import MemoryStore


class MemoryResults:
    """Reads a MemoryStore; a Results. `is_whole`: the messages are in it, too."""

    def __init__(self, store: MemoryStore, *, is_whole: bool = True) -> None:
        self._store = store
        self.groups: SavedGroups = MemoryGroups(store)
        self._is_whole = is_whole

    def get(self, ids: Sequence[str]) -> list[Document]:
        with self._store.changed:
            return [self._document(id_) for id_ in ids]

    def wait(self, ids: Sequence[str], timeout: float | None) -> bool:
        with self._store.changed:
            return self._store.changed.wait_for(
                lambda: all(self._document(id_).ready for id_ in ids), timeout
            )

    def trace(self, ids: Sequence[str]) -> list[Trace]:
        with self._store.changed:
            state = self._store.state
            return [
                trace_of(
                    id_,
                    has_document=id_ in state.documents,
                    is_open=None if (run := state.runs.get(id_)) is None else run.is_open,
                    is_whole=self._is_whole,
                )
                for id_ in ids
            ]

    def forget(self, ids: Sequence[str]) -> None:
        with self._store.changed:
            for id_ in ids:
                self._store.state.documents.pop(id_, None)

    def close(self) -> None:
        """Nothing to let go of."""

    def _document(self, id_: str) -> Document:
        state = self._store.state
        if id_ in state.documents:
            return from_text(state.documents[id_])
        run = state.runs.get(id_)
        if run is None or not run.worker:
            return Document(id=id_)
        return started(id_, run.worker, run.started_us)
