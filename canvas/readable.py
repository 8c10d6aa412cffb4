"""Readable: which descriptors can be read. With poll(2): select(2) breaks with a descriptor above 1,023, which a large process has."""

from __future__ import annotations

import select
from collections.abc import Iterable


def readable(descriptors: Iterable[int], seconds: float | None) -> set[int]:
    """Wait until one of them can be read, or its other end is closed; those. At most `seconds`, or three weeks; None is for ever."""
    poll = select.poll()
    for descriptor in descriptors:
        poll.register(descriptor, select.POLLIN)
    # poll(2) takes a negative time for no limit, and none that is no C int
    milliseconds = None if seconds is None else min(max(0.0, seconds) * 1000, 2**31 - 1)
    return {found for found, _ in poll.poll(milliseconds)}
