"""Role: what a store is used for, alone or beside another broker."""

from __future__ import annotations

from enum import Enum


class Role(Enum):
    """What a store is used for."""

    WHOLE = "whole"
    """It is broker and store: a message that is published goes to its queue, a message that is taken is claimed."""
    BROKER = "broker"
    """It only carries messages: what is taken is not claimed."""
    STORE = "store"
    """It only keeps the canvas, another broker carries messages: what is published goes to the outbox (see split.py)."""


OUTBOX = "backbeat.outbox"
"""The queue of messages that are stored and still have to be sent by the broker."""
