"""Looking: what a store shows of what it keeps, to who only looks: what waits for its time, and what shall not run."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from ..delivery import Delivery
from ..message import Message
from ..signing import Keyring
from .taken import decoded


class Waiting(Struct, frozen=True):
    """A message that waits for its time (microseconds of the epoch)."""

    due_us: int
    message: Message


def waiting_of(found: Iterable[tuple[int, str]], keyring: Keyring) -> list[Waiting]:
    """Of due times and envelopes. What cannot be read, or is not to be believed, is passed over: it ends when it is taken."""
    taken = ((due_us, decoded(Delivery("", "", None, raw), keyring, is_moved=True)) for due_us, raw in found)
    return [Waiting(due_us, item.message) for due_us, item in taken if item.message is not None]
