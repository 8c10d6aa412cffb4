"""Gap: a span in which events may have been told and nobody kept them. PURE."""

from __future__ import annotations

from msgspec import Struct


class Gap(Struct, frozen=True):
    """Both ends in microseconds UTC; `reason` is for people."""

    from_us: int
    to_us: int
    reason: str
