"""Readable: which descriptors can be read. With poll(2): select(2) breaks with a descriptor above 1,023, which a large process has."""

from __future__ import annotations

import select
from collections.abc import Iterable


def readable(descriptors: Iterable[int], seconds: float | None) -> set[int]:
    """Wait until one of them can be read, or its other end is closed; those. At most `seconds`, None is for ever."""
    poll = select.poll()
    for descriptor in descriptors:
        poll.register(descriptor, select.POLLIN)
    # poll(2) takes a negative time for no limit
    return {found for found, _ in poll.poll(None if seconds is None else max(0.0, seconds) * 1000)}
