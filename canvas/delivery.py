"""Delivery: a message that a broker or store holds for a worker."""

from __future__ import annotations

from msgspec import Struct

from .envelope import Raw, pack
from .wire import Wire


class Delivery(Struct, frozen=True):
    """A message that is held for a worker. `tag` names the holding, and means something only to the store that gave it.

    `text` is the message as envelope text; `wire` is it in parts, where the broker delivers it so.
    """

    tag: str
    queue: str
    wire: Wire | None
    text: str = ""

    @property
    def raw(self) -> str:
        """The message as envelope text, also where it came in parts."""
        return self.text if self.wire is None else pack(self.wire, self.queue)

    @property
    def parts(self) -> Raw:
        """The message as it came, for another process."""
        wire = self.wire
        return self.text if wire is None else (wire.headers, wire.properties, wire.body)
