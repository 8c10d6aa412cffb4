"""Standing: a stored entry, read; also where it cannot be, so that one damaged entry hides no other. Called by all Records."""

from __future__ import annotations

import logging

from ..edit import KeptEntry
from .base import SPEC_FAULTS
from .registry import Standing

log = logging.getLogger(__name__)


def standing_of(kept: KeptEntry, next_us: int | None) -> Standing | None:
    """What is stored, read; None for an entry that is damaged, which is told and must not hide the others."""
    try:
        return Standing(kept=kept, entry=kept.entry(), next_us=next_us)
    except SPEC_FAULTS as fault:
        log.warning(
            "Entry %s cannot be read and is left out: %s; delete it, or define it anew",
            kept.name,
            fault,
            extra={"action": "entry_unreadable", "entry": kept.name},
        )
        return None
