"""Mailbox and Office: the seam between remote control and what carries it: a worker's side, and that of who asks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from ..errors import Unavailable
from .request import Request

Answer = tuple[str, Any]
"""The name of a node, and what it says."""


class NameTaken(Unavailable):
    """Another worker has this name, and what is for it comes to that one."""


class Mailbox(Protocol):
    """A worker's. Used by one thread. Raises Unavailable when the broker cannot be reached; then the next call connects anew."""

    def take(self, seconds: float) -> list[Request]:
        """What came, whoever it is for; waits up to `seconds` for the first. What is no request, or not believed, is logged and dropped."""
        ...

    def reply(self, request: Request, payload: Any) -> None:
        """Answer a request that wants it. Nobody may be there any more, which is no error. `payload` is anything that JSON can hold."""
        ...

    def close(self) -> None: ...


class Office(Protocol):
    """Of who asks. Used by one thread. Raises Unavailable when the broker cannot be reached."""

    def send(self, request: Request, *, seconds: float) -> Request:
        """Send it to all workers, to whom it is of interest for so many seconds; the request as it was sent, with where answers go."""
        ...

    def answers(self, request: Request, seconds: float) -> Sequence[Answer]:
        """Answers to a request that was sent; waits up to `seconds` for the first, and returns none if none came."""
        ...

    def close(self) -> None: ...
