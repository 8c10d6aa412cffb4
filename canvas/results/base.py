"""Results: the seam through which callers read what tasks returned."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from .document import Document


class Results(Protocol):
    """Reads documents and waits for them. Thread-safe. Raises Unavailable when the store cannot be reached."""

    def get(self, ids: Sequence[str]) -> list[Document]:
        """The documents of `ids`, in order; a task that is not known is PENDING, one that runs is STARTED."""
        ...

    def wait(self, ids: Sequence[str], timeout: float | None) -> bool:
        """Wait until all `ids` are ready; False if `timeout` seconds passed before. A timeout of 0 only looks."""
        ...

    def forget(self, ids: Sequence[str]) -> None:
        """Delete the documents. The tasks themselves are not touched."""
        ...

    def close(self) -> None:
        """Let go of connections; the object cannot be used afterwards. Idempotent."""
        ...
