"""Readable: which descriptors can be read. With poll(2): select(2) breaks with a descriptor above 1,023, which a large process has.

eventlet takes poll(2) out of a process that it has patched, and its select(2), which lets others run meanwhile, takes any descriptor.
"""

from __future__ import annotations

import select
from collections.abc import Iterable

_THREE_WEEKS_MILLISECONDS = 2**31 - 1
"""poll(2) takes none that is no C int."""


def readable(descriptors: Iterable[int], seconds: float | None) -> set[int]:
    """Wait until one of them can be read, or its other end is closed; those. At most `seconds`, or three weeks; None is for ever."""
    seconds = None if seconds is None else max(0.0, seconds)  # poll(2) takes a negative time for no limit
    if not hasattr(select, "poll"):
        return set(select.select(list(descriptors), [], [], seconds)[0])
    poll = select.poll()
    for descriptor in descriptors:
        poll.register(descriptor, select.POLLIN)
    milliseconds = None if seconds is None else min(seconds * 1000, _THREE_WEEKS_MILLISECONDS)
    return {found for found, _ in poll.poll(milliseconds)}
