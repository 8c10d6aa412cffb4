"""Reply: a result on its way back to who asked for it, and the seam through which a worker sends it (the rpc backend)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct


class Reply(Struct, frozen=True):
    """A document for the owner of `queue`, about the task `task_id`."""

    queue: str
    task_id: str
    text: str


class Replies(Protocol):
    """Sends replies. Not thread-safe."""

    def send(self, replies: Sequence[Reply]) -> None:
        """Send them, at most once; what cannot be sent is told to the log, and lost."""
        ...

    def close(self) -> None:
        """Let go of the connection. Idempotent."""
        ...
