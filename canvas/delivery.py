"""Delivery: a message that a broker or store holds for a worker."""

from __future__ import annotations

from msgspec import Struct

from .wire import Wire


class Delivery(Struct, frozen=True):
    """A message that is held for a worker. `tag` names the holding, and means something only to the store that gave it.

    `raw` is the message as envelope text; `wire` is it in parts, where the broker delivers it so.
    """

    tag: str
    queue: str
    wire: Wire | None
    raw: str = ""
