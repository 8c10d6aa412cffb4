"""Results: the seam through which callers read what tasks returned."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Protocol

from ..ids import is_firing
from .document import Document
from .groups import SavedGroups


class Trace(Enum):
    """What a store can say of an id that has no document, or none that is ready."""

    SENT = "sent"
    """It is known, or nobody can tell: its result may come."""
    MISSING = "missing"
    """The store has no trace of it, but somebody else may have sent it to the broker, which cannot be asked."""
    NEVER = "never"
    """It is certain that no result will come: it was never sent, or its record is gone."""


def trace_of(id_: str, *, has_document: bool, is_open: bool | None, is_whole: bool) -> Trace:
    """The trace of `id_`. `is_open`: its run goes on, has ended, or is not there (None). `is_whole`: the store has all messages, too."""
    if has_document or is_open:
        return Trace.SENT
    if is_open is not None:
        return Trace.NEVER  # it ended, and its document is gone
    if is_firing(id_):
        return Trace.SENT
    return Trace.NEVER if is_whole else Trace.MISSING


class Results(Protocol):
    """Reads documents and waits for them. Thread-safe. Raises Unavailable when the store cannot be reached."""

    @property
    def groups(self) -> SavedGroups:
        """Where groups are kept that clients save."""
        ...

    def get(self, ids: Sequence[str]) -> list[Document]:
        """The documents of `ids`, in order; a task that is not known is PENDING, one that runs is STARTED."""
        ...

    def wait(self, ids: Sequence[str], timeout: float | None) -> bool:
        """Wait until all `ids` are ready; False if `timeout` seconds passed before. A timeout of 0 only looks."""
        ...

    def trace(self, ids: Sequence[str]) -> list[Trace]:
        """Whether `ids`, in order, were sent. May be slow: for handles that were made from an id alone, and are PENDING."""
        ...

    def forget(self, ids: Sequence[str]) -> None:
        """Delete the documents. The tasks themselves are not touched."""
        ...

    def close(self) -> None:
        """Let go of connections; the object cannot be used afterwards. Idempotent."""
        ...
